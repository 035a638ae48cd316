"""The schema of an exam: its tables and arrays, and its part of the manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.errors import StoreDamaged, StoreError
from core.exam.config import ExamConfig, validated
from core.serialization import load
from core.store.facts import DataFacts, ModelFacts
from core.store.manifest import Manifest, Misfit
from core.store.reader import Store
from core.store.schema import Column, Schema, Values

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
THRESHOLDS = 101  # of the IoU curves, from 0 to 1
NO_CURVE = -1.0  # all along the curve of an image and method without one
_LARGE = 1e30


@dataclass(frozen=True, kw_only=True)
class ExamManifest(Manifest):
    """The manifest of an exam."""

    config: Mapping[str, Any]  # as `exam.config.ExamConfig` is stored
    model: ModelFacts
    data: DataFacts
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries

    def __post_init__(self) -> None:
        for name in ("images", "classes", "methods", "measures", "scores"):
            if name not in self.tables or not self.tables[name].rows:
                raise Misfit(f"tables.{name}")
        if self.tables["images"].rows > self.settings.images:
            raise Misfit("tables.images.rows")

    @cached_property
    def settings(self) -> ExamConfig:
        """The settings it was built with. Raises BadParameter or UnknownName if they are not valid."""
        return validated(load(ExamConfig, self.config))


def _counts(manifest: ExamManifest) -> Mapping[str, int]:
    """The numbers that columns and shapes refer to."""
    rows = {name: manifest.tables[name].rows for name in ("images", "classes", "methods", "measures")}
    return {**rows, "folds": manifest.settings.folds}


def _consistent(_exam: Store[Any], tables: Mapping[str, "pd.DataFrame"]) -> None:
    """Raise Misfit for the first statement of an exam that contradicts another, with what is wrong."""
    methods, measures, scores = tables["methods"], tables["measures"], tables["scores"]
    for name, table in (("methods", methods), ("measures", measures)):
        if table["name"].duplicated().any():
            raise Misfit(f"{name}.parquet has a name twice")
        if not all(_is_object(text) for text in table["settings"]):
            raise Misfit(f"{name}.parquet has settings that cannot be read")
    if not measures["better"].isin(("higher", "lower")).all():
        raise Misfit("measures.parquet has a direction that is none")
    run = methods.loc[methods["reason"] == "", "method"]
    if scores.duplicated(["image", "method", "measure"]).any() or not scores["method"].isin(run).all():
        raise Misfit("scores.parquet has numbers that cannot be")
    if len(scores) != len(tables["images"]) * len(run) * len(measures):
        raise Misfit("scores.parquet lacks numbers")
    if (scores["value"].isna() != (scores["reason"] != "")).any():
        raise Misfit("scores.parquet has a gap without a reason")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_TEXT, _ROW, _COUNT = Column("text"), Column("whole", rows=True), Column("whole")
_CLASS, _CLASS_OR_NONE = Column("whole", below="classes"), Column("whole", -1, below="classes")

EXAM = Schema(
    "exam",
    FORMAT,
    ExamManifest,
    tables={
        "images": {
            "image": _ROW, "name": _TEXT, "fold": Column("whole", below="folds"), "label": _CLASS_OR_NONE,
            "target": _CLASS, "predicted": _CLASS, "probability": Column("number", 0, 1 + 1e-6),
            "untagged": _CLASS_OR_NONE,
        },
        "classes": {"label": _ROW, "name": _TEXT},
        "methods": {
            "method": _ROW, "name": _TEXT, "title": _TEXT, "family": _TEXT, "settings": _TEXT, "forwards": _COUNT,
            "backwards": _COUNT, "reason": _TEXT,
        },
        "measures": {
            "measure": _ROW, "name": _TEXT, "title": _TEXT, "entry": _TEXT, "region": _TEXT, "settings": _TEXT,
            "better": _TEXT, "unit": _TEXT,
        },
        "scores": {
            "image": Column("whole", below="images"), "method": Column("whole", below="methods"),
            "measure": Column("whole", below="measures"), "value": Column("number", -_LARGE, _LARGE, finite=False),
            "reason": _TEXT,
        },
    },
    arrays={},
    # Half precision, so that the bundled exams stay small.
    optional={"curves": Values("float16", ("images", "methods", THRESHOLDS), NO_CURVE, 1)},
    counts=_counts,
    check=_consistent,
    error=StoreError,
    damaged=StoreDamaged,
)  # fmt: skip
