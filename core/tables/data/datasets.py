"""Tables that can be opened by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.registry import Registry
from core.tables.data import made
from core.tables.table import Column, Table


@dataclass(frozen=True)
class Dataset:
    """The card of a table, and the function that opens it."""

    name: str
    title: str
    summary: str  # one sentence
    source: str
    rows: int
    features: int
    target: str
    classes: int  # 0 if the target is a number
    load: Callable[[], Table]


DATASETS: Registry[Dataset] = Registry("table")


def _diabetes() -> Table:
    return _bundled("diabetes", "progression")


def _breast_cancer() -> Table:
    return _bundled("breast_cancer", "diagnosis")


def _wine() -> Table:
    return _bundled("wine", "cultivar")


def _digits() -> Table:
    return _bundled("digits", "digit")


def _students_class() -> Table:
    return replace(made.students().above_average(), name="students_class")


def _bundled(name: str, target: str) -> Table:
    """A table of scikit-learn; that of diabetes in its original units."""
    from sklearn import datasets

    given = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    classes = tuple(map(str, given.get("target_names", ())))
    columns = tuple(Column(str(feature)) for feature in given.feature_names)
    return Table(
        name,
        columns,
        given.data.astype(np.float64),
        Column(target, "category" if classes else "number", classes),
        given.target.astype(np.float64),
    )


_SKLEARN = "bundled with scikit-learn"

for _dataset in (
    Dataset(
        "students", "Students",
        "Seven features of students and a score, of which study hours are by far the strongest influence.",
        "made here, after the toy example of Song and Zhang, section 3.1", 400, 7, "score", 0, made.students,
    ),
    Dataset(
        "students_class", "Students, above average",
        "The same students, and whether their score is above the average.",
        "made here, after the toy example of Song and Zhang, section 3.1", 400, 7, "score", 2, _students_class,
    ),
    Dataset(
        "drugs", "Drug sensitivity",
        "The expression of 18,632 genes in 46 samples whose response to a drug is independent of all of them.",
        "made here, in the shape of the drug study of Song and Zhang, section 3.3", 46, 18_632, "response", 2,
        made.drugs,
    ),
    Dataset(
        "diabetes", "Diabetes",
        "Ten measurements of patients and the progression of their diabetes one year later.",
        f"Efron et al. 2004, {_SKLEARN}", 442, 10, "progression", 0, _diabetes,
    ),
    Dataset(
        "breast_cancer", "Breast cancer",
        "Thirty measurements of cell nuclei and whether the tumour is malignant.",
        f"Wolberg et al. 1995, {_SKLEARN}", 569, 30, "diagnosis", 2, _breast_cancer,
    ),
    Dataset(
        "wine", "Wine",
        "Thirteen chemical measurements of wines made from three cultivars.",
        f"Aeberhard and Forina 1992, {_SKLEARN}", 178, 13, "cultivar", 3, _wine,
    ),
    Dataset(
        "digits", "Digits",
        "Handwritten digits as the darkness of 8 × 8 pixels.",
        f"Alpaydin and Kaynak 1998, {_SKLEARN}", 1797, 64, "digit", 10, _digits,
    ),
):  # fmt: skip
    DATASETS.add(_dataset.name, _dataset)
