"""Tables made here, whose influences are known."""

import numpy as np
import torch
from numpy.typing import NDArray

from core.randomness import generator
from core.tables.table import Column, Table

STRONGEST = "study hours"  # of the students

_COURSES = ("arts", "languages", "science")
_COURSE_EFFECTS = np.array([-1.0, 0.0, 2.0])


def students(rows: int = 400, seed: int = 0) -> Table:
    """Students with seven features and a score, in the shape of the toy example of Song and Zhang (3.1).

    score = 35 + 2.5 study hours − 0.4 absences + 0.8 (sleep − 7) + 0.5 reading hours + (−1 arts, 0 languages,
    2 science) + noise of standard deviation 4. Age and travel have no influence. With study hours uniform from 0 to 20
    their term has a standard deviation of 14.4; no other exceeds 2.
    """
    course = np.floor(_uniform(rows, seed, 0) * len(_COURSES))
    age = np.floor(15 + 5 * _uniform(rows, seed, 1))
    travel = np.round(5 + 55 * _uniform(rows, seed, 2))
    absences = np.floor(16 * _uniform(rows, seed, 3))
    sleep = np.round(7 + _normal(rows, seed, 4), 1)
    reading = np.round(10 * _uniform(rows, seed, 5), 1)
    hours = np.round(20 * _uniform(rows, seed, 6), 1)
    score = (
        35 + 2.5 * hours - 0.4 * absences + 0.8 * (sleep - 7) + 0.5 * reading
        + _COURSE_EFFECTS[course.astype(int)] + 4 * _normal(rows, seed, 7)
    )  # fmt: skip
    columns = (
        Column("course", "category", _COURSES),
        *(Column(name) for name in ("age", "travel", "absences", "sleep", "reading hours", STRONGEST)),
    )
    values = np.stack([course, age, travel, absences, sleep, reading, hours], axis=1)
    return Table("students", columns, values, Column("score"), np.round(score, 1))


def drugs(seed: int = 0) -> Table:
    """46 samples of 18,632 genes and whether they respond to a drug, in the shape of the drug study of Song and Zhang.

    The expression of a gene is 6 + 2 b + 0.8 e, with a standard normal b for each gene and e for each value. Half of
    the samples, drawn at random, are sensitive: no gene has any influence, so whatever a model finds is overfitted.
    """
    rows, genes = 46, 18_632
    values = np.round(6 + 2 * _normal(genes, seed, 0) + 0.8 * _normal(rows * genes, seed, 1).reshape(rows, genes), 3)
    answers = (np.argsort(_uniform(rows, seed, 2)) < rows // 2).astype(float)
    columns = tuple(Column(f"gene {number + 1:05d}") for number in range(genes))
    return Table("drugs", columns, values, Column("response", "category", ("resistant", "sensitive")), answers)


def _uniform(count: int, seed: int, index: int) -> NDArray[np.float64]:
    return torch.rand(count, generator=generator(seed, index), dtype=torch.float64).numpy()


def _normal(count: int, seed: int, index: int) -> NDArray[np.float64]:
    return torch.randn(count, generator=generator(seed, index), dtype=torch.float64).numpy()
