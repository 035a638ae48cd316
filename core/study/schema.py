"""The schema of a study: its tables and arrays, and its part of the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import StudyDamaged, StudyError
from core.store.manifest import Manifest, Misfit, stored_as
from core.store.schema import Schema

# Of the folder that `core.study` describes; newer formats are rejected. In format 1 a relative folder of images was
# relative to the working directory of the build.
FORMAT = 2


@dataclass(frozen=True)
class ModelFacts:
    """The model of a study."""

    name: str
    sha: str
    layer: str  # the one studied
    filters: int  # of that layer
    cells: tuple[int, ...]  # height and width of its maps
    size: int  # side of the model's view of an image, in pixels
    head: str  # the linear layer after it if it is pooled into one, else ""
    output: str = "softmax"  # the meaning of the outputs, `data.model_options.Output`
    threshold: float = 0.5  # the probability above which a label is predicted, if output is sigmoid or multilabel
    preparation: str = ""  # of images, as a sentence


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
class Passes:
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
    passes: Passes
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries

    def __post_init__(self) -> None:
        for name in ("model", "data", "explainer"):
            if not isinstance(self.config.get(name), str):
                raise Misfit(f"config.{name}")


STUDY = Schema(
    "study",
    FORMAT,
    StudyManifest,
    tables={
        "images": (
            "image", "path", "sha", "width", "height", "label", "predicted", "probability", "patches", "candidates",
            "stop", "problem",
        ),
        "windows": ("image", "rank", "x", "y", "score", "after", "kept"),
        "patches": (
            "image", "rank", "x", "y", "size", "score", "before", "after", "drop", "label", "filters", "response",
        ),
        "classes": ("label", "name", "images", "predicted", "correct", "patches"),
        "itemsets": ("label", "filters", "n_both", "n_all"),
        "rules": (
            "rule", "label", "rank", "filters", "size", "n_class", "n_all", "n_both", "support", "confidence", "lift",
            "score",
        ),
        "shared": ("filters", "size", "labels", "supports", "classes", "n_all"),
        "nodes": ("node", "kind", "number", "name", "degree", "weight", "x", "y"),
        "edges": ("filter", "label", "weight", "rules"),
        "filters": ("filter", "patches", "classes", "rules", "mean", "deviation", "largest"),
        "averages": ("average", "label", "filter", "patches", "weight"),
    },
    arrays={
        "thumbnails": "uint8",
        "maps": "float16",
        "crops": "uint8",
        "items": "int32",
        "responses": "float32",
        "averages": "float16",
    },
    optional={"pooled": "float32", "matrix": "float16"},
    error=StudyError,
    damaged=StudyDamaged,
)  # fmt: skip
