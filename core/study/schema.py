"""The schema of a study: its tables and arrays, and its part of the manifest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.errors import StudyDamaged, StudyError
from core.serialization import load
from core.store.manifest import Manifest, Misfit, stored_as
from core.store.schema import Column, Schema, Values
from core.study.config import StudyConfig, completed, validated
from core.study.consistency import consistent

# Of the folder that `core.study` describes; newer formats are rejected. In format 1 a relative folder of images was
# relative to the working directory of the build.
FORMAT = 2

_LARGE = 1e30  # of numbers that later ones are computed from
_LARGEST_VIEW = 2**15  # pixels of a side
_HALF = 65504  # the largest number of float16


@dataclass(frozen=True)
class ModelFacts:
    """The model of a study."""

    name: str
    sha: str
    layer: str  # the one studied
    filters: int  # of that layer
    cells: tuple[int, ...]  # height and width of its maps
    size: int  # height of the model's view of an image, in pixels
    head: str  # the linear layer after it if it is pooled into one, else ""
    output: str = "softmax"  # the meaning of the outputs, `data.model_options.Output`
    threshold: float = 0.5  # the probability above which a label is predicted, if output is sigmoid or multilabel
    preparation: str = ""  # of images, as a sentence
    width: int = 0  # of the model's view, in pixels; 0: as its height

    @property
    def view(self) -> tuple[int, int]:
        """Height and width of the model's view of an image, in pixels."""
        return self.size, self.width or self.size


@dataclass(frozen=True)
class DataFacts:
    """The images of a study."""

    folder: str  # absolute, or relative to the study's own folder
    images: int
    skipped: int  # that could not be read
    labelled: int  # with a class of the model
    unmatched: tuple[str, ...] = stored_as("strange")  # sub-folders that match no class of the model
    left_out: Mapping[str, int] = stored_as("left", default_factory=dict)  # number of files by reason
    fingerprint: str = ""


@dataclass(frozen=True)
class PassCounts:
    """The model passes of a build."""

    forwards: int
    backwards: int
    perturbed: int  # forwards with patches masked


@dataclass(frozen=True, kw_only=True)
class StudyManifest(Manifest):
    """The manifest of a study."""

    config: Mapping[str, Any]  # as `study.config.StudyConfig` is stored
    seed: int
    model: ModelFacts
    data: DataFacts
    window: int  # side of a patch, in pixels
    passes: PassCounts
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries

    def __post_init__(self) -> None:
        settings, sizes, data = self.settings, self.model.cells, self.data
        for name, fits in (
            ("seed", self.seed == settings.seed),
            ("model.size", 0 < self.model.size <= _LARGEST_VIEW),
            ("model.width", 0 <= self.model.width <= _LARGEST_VIEW),
            ("model.cells", len(sizes) == 2 and min(sizes) > 0),
            ("model.filters", self.model.filters > 0),
            ("window", 0 < self.window <= min(self.model.view)),
            ("data.images", 0 < data.images == self.rows("images")),
            ("data.skipped", data.skipped <= data.images),
            ("data.labelled", data.labelled <= data.images),
            ("tables.classes.rows", self.rows("classes") > 0),
            ("tables.filters.rows", self.rows("filters") == self.model.filters),
        ):
            if not fits:
                raise Misfit(name)

    @cached_property
    def settings(self) -> StudyConfig:
        """The settings it was built with. Raises BadParameter or UnknownName if they are not valid."""
        return validated(load(StudyConfig, completed(self.config)))

    def rows(self, table: str) -> int:
        """The number of rows of a table; Misfit if there is none of that name."""
        if table not in self.tables:
            raise Misfit(f"tables.{table}")
        return self.tables[table].rows


def _counts(manifest: StudyManifest) -> Mapping[str, int]:
    """The numbers that columns and shapes refer to."""
    model = manifest.model
    rows = {name: manifest.tables[name].rows for name in ("images", "windows", "patches", "classes", "averages")}
    sizes = {"filters": model.filters, "window": manifest.window}
    across = {"view height": model.view[0], "view width": model.view[1]}
    return {**rows, **sizes, **across, "height": model.cells[0], "width": model.cells[1]}


_TEXT, _TRUTH, _ROW = Column("text"), Column("truth"), Column("whole", rows=True)
_NUMBER = Column("number", -_LARGE, _LARGE)
_POSITIVE = Column("number", 0, _LARGE)
_FRACTION = Column("number", 0, 1 + 1e-6)  # rounding
_POSITION = Column("number", -2, 2)
_COUNT = Column("whole")
_SMALL = Column("whole", high=1000)
_RANK = Column("whole", high=10**6)  # candidates of an image, times its labels
_IMAGE, _CLASS, _FILTER = (Column("whole", below=name) for name in ("images", "classes", "filters"))
_CLASS_OR_NONE = Column("whole", -1, below="classes")
_IMAGES, _PATCHES = (Column("whole", most=name) for name in ("images", "patches"))
_FILTERS, _CLASSES = (Column("wholes", below=name) for name in ("filters", "classes"))
_DOWN, _ACROSS = Column("whole", below="view height"), Column("whole", below="view width")

STUDY = Schema(
    "study",
    FORMAT,
    StudyManifest,
    tables={
        "images": {
            "image": _ROW, "path": _TEXT, "sha": _TEXT, "width": _COUNT, "height": _COUNT, "label": _CLASS_OR_NONE,
            "predicted": _CLASS_OR_NONE, "probability": _FRACTION, "patches": _PATCHES,
            "candidates": Column("whole", most="windows"), "stop": _TEXT, "problem": _TEXT,
        },
        "windows": {
            "image": _IMAGE, "rank": _RANK, "x": _ACROSS, "y": _DOWN, "score": _NUMBER,
            "after": Column("number", finite=False), "kept": _TRUTH,
        },
        "patches": {
            "image": _IMAGE, "rank": _RANK, "x": _ACROSS, "y": _DOWN, "size": Column("whole", most="window"),
            "score": _NUMBER, "before": _NUMBER, "after": _NUMBER, "drop": _NUMBER, "label": _CLASS,
            "filters": Column("whole", most="filters"), "response": _NUMBER,
        },
        "classes": {
            "label": _ROW, "name": _TEXT, "images": _IMAGES, "predicted": _IMAGES, "correct": _IMAGES,
            "patches": _PATCHES,
        },
        "itemsets": {"label": _CLASS, "filters": _FILTERS, "n_both": _PATCHES, "n_all": _PATCHES},
        "rules": {
            "rule": _ROW, "label": _CLASS, "rank": _SMALL, "filters": _FILTERS, "size": _SMALL, "n_class": _PATCHES,
            "n_all": _PATCHES, "n_both": _PATCHES, "support": _FRACTION, "confidence": _FRACTION, "lift": _POSITIVE,
            "score": _FRACTION,
        },
        "shared": {
            "filters": _FILTERS, "size": _SMALL, "labels": _CLASSES, "supports": Column("numbers", 0, 1 + 1e-6),
            "classes": Column("whole", 2, most="classes"), "n_all": _PATCHES,
        },
        "nodes": {
            "node": _TEXT, "kind": _TEXT, "number": _COUNT, "name": _TEXT, "degree": _COUNT, "weight": _POSITIVE,
            "x": _POSITION, "y": _POSITION,
        },
        "edges": {"filter": _FILTER, "label": _CLASS, "weight": _FRACTION, "rules": _COUNT},
        "filters": {
            "filter": _ROW, "patches": _PATCHES, "classes": Column("whole", most="classes"), "rules": _COUNT,
            "mean": _NUMBER, "deviation": _POSITIVE, "largest": Column("number", -math.inf, _LARGE),
        },
        "averages": {
            "average": _ROW, "label": _CLASS, "filter": _FILTER, "patches": Column("whole", 1, most="patches"),
            "weight": _POSITIVE,
        },
    },
    arrays={
        "thumbnails": Values("uint8", ("images", "thumbnail", "thumbnail", 3)),
        "maps": Values("float16", ("images", "height", "width"), -_HALF, _HALF),
        "crops": Values("uint8", ("patches", "window", "window", 3)),
        "items": Values("int32", ("patches", "items"), -1, below="filters"),
        "responses": Values("float32", ("patches", "items"), 0, _LARGE),
        "averages": Values("float16", ("averages", "window", "window", 3), 0, 1 + 1e-3),
    },
    optional={
        "pooled": Values("float32", ("images", "filters"), -_LARGE, _LARGE),
        "matrix": Values("float16", ("patches", "filters"), -_HALF, _HALF),
    },
    counts=_counts,
    check=consistent,
    error=StudyError,
    damaged=StudyDamaged,
)  # fmt: skip
