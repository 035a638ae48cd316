"""The schema of stored predictions: tables, arrays and manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.store.facts import DataFacts, ModelFacts
from core.store.manifest import Manifest, Misfit
from core.store.reader import Store
from core.store.schema import Column, Schema, Values

FORMAT = 1
_LARGE = 1e30


@dataclass(frozen=True, kw_only=True)
class PredictionsManifest(Manifest):
    """The manifest of stored predictions."""

    model: ModelFacts
    data: DataFacts
    threshold: float  # the probability above which a label is predicted, if the output is sigmoid or multilabel
    layer: str  # whose activations are stored; "" for none
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries

    def __post_init__(self) -> None:
        for name in ("images", "classes"):
            if name not in self.tables or not self.tables[name].rows:
                raise Misfit(f"tables.{name}")


def _counts(manifest: PredictionsManifest) -> Mapping[str, int]:
    """The numbers that columns and shapes refer to."""
    return {name: manifest.tables[name].rows for name in ("images", "classes")}


def _consistent(_store: Store[Any], tables: Mapping[str, Any]) -> None:
    """Raise Misfit if an image is judged without a prediction or a class."""
    images = tables["images"]
    judged = images["right"] >= 0
    if (judged & ((images["label"] < 0) | (images["predicted"] < 0))).any():
        raise Misfit("images.parquet has judgements that cannot be")
    if ((images["predicted"] < 0) != (images["problem"] != "")).any():
        raise Misfit("images.parquet has a gap without a reason")


_TEXT, _CLASS_OR_NONE = Column("text"), Column("whole", -1, below="classes")
_FRACTION = Column("number", 0, 1 + 1e-6, finite=False)  # rounding; nan where there is none

PREDICTIONS = Schema(
    "prediction",
    FORMAT,
    PredictionsManifest,
    tables={
        "images": {
            "image": Column("whole", rows=True), "path": _TEXT, "label": _CLASS_OR_NONE, "predicted": _CLASS_OR_NONE,
            "confidence": _FRACTION, "margin": _FRACTION, "truth": _FRACTION, "rank": _CLASS_OR_NONE,
            "right": Column("whole", -1, 1), "problem": _TEXT,
        },
        "classes": {"label": Column("whole", rows=True), "name": _TEXT},
    },
    arrays={
        "top": Values("int32", ("images", "top"), -1, below="classes"),
        "logits": Values("float32", ("images", "top"), -_LARGE, _LARGE),
        "probabilities": Values("float32", ("images", "top"), 0, 1 + 1e-6),
        "thumbnails": Values("uint8", ("images", "side", "side", 3)),
    },
    optional={"pooled": Values("float32", ("images", "filters"), -_LARGE, _LARGE)},
    counts=_counts,
    check=_consistent,
)  # fmt: skip
