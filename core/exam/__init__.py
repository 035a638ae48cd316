"""Exams on disk, read-only: which explanations of one model find what is known to be in its images.

An exam is a store (`core.store`) of the schema in `exam.schema`: a folder, complete or absent, with `exam.json` (the
manifest), one parquet file per table and `curves.npy`. The same inputs, settings and seed give the same bytes in all of
these. Durations are not reproducible, so they are in `build.json`.

tables
    images       image, name (path within the folder, or CLASS/INDEX of a flower), fold, label (its class; -1 unknown),
                 target (the class that is explained), predicted, probability (of `predicted`), untagged (the predicted
                 class of the same flower without its tag; -1 where there is none)
    classes      label, name: those of the model
    methods      method, name, title, family, settings (JSON), forwards, backwards (of all images, without the
                 prediction itself), reason ("" or why the model does not support it: such a method has no scores)
    measures     measure, name, title, entry (its name in the registry of measures), region ("object" or "tag": the mask
                 it is given), settings (JSON), better ("higher" or "lower"), unit
    scores       image, method, measure, value (nan if undefined), reason ("" or why it is undefined)

arrays
    curves       (N, M, 101) float16: IoU with the object's mask by threshold from 0 to 1, of each image and method; -1
                 where there is none. Only if a measure of localisation was asked for.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import VitrineError
from core.exam.config import ExamConfig
from core.exam.schema import EXAM, NO_CURVE, ExamManifest
from core.registry import unknown
from core.resources import ASSETS
from core.store.reader import Store

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = ASSETS / "exams"


class Exam(Store[ExamManifest]):
    """A finished exam, opened read-only.

    Raises StoreError if the folder is missing, damaged, no exam, or of a newer version, and if anything in it
    contradicts the schema.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(EXAM, path)

    @property
    def config(self) -> ExamConfig:
        """The settings it was built with."""
        return self.manifest.settings

    @cached_property
    def images(self) -> "pd.DataFrame":
        """Table `images`; not to be changed, as is true of the tables below."""
        return self.table("images")

    @cached_property
    def methods(self) -> "pd.DataFrame":
        """Table `methods`."""
        return self.table("methods")

    @cached_property
    def measures(self) -> "pd.DataFrame":
        """Table `measures`."""
        return self.table("measures")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(self.table("classes")["name"])

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The scores (N, M, K) of images, methods and measures; nan where there is none."""
        scores = self.table("scores")
        values = np.full((len(self.images), len(self.methods), len(self.measures)), np.nan)
        values[scores["image"], scores["method"], scores["measure"]] = scores["value"]
        return values

    @cached_property
    def curves(self) -> NDArray[np.float32] | None:
        """The IoU with the object's mask (N, M, T) by threshold from 0 to 1; nan where there is none, None without."""
        if "curves" not in self.manifest.arrays:
            return None
        curves = np.asarray(self.array("curves"), np.float32)
        return np.where(curves == NO_CURVE, np.float32(np.nan), curves)

    @cached_property
    def seconds(self) -> Mapping[str, float]:
        """The seconds that the maps of each method took, all images together; empty if the log is lost."""
        stored = self.log.get("seconds", {})
        return {name: float(stored[f"maps of {name}"]) for name in self.methods["name"] if f"maps of {name}" in stored}

    def settings_of(self, method: str) -> dict[str, Any]:
        """The settings with which a method took part."""
        return dict(json.loads(self.methods["settings"].iloc[self.method(method)]))

    def method(self, name: str) -> int:
        """The row of a method. Raises UnknownName."""
        return _row(self.methods["name"].tolist(), name, "method of this exam")

    def measure(self, name: str) -> int:
        """The row of a measure. Raises UnknownName."""
        return _row(self.measures["name"].tolist(), name, "measure of this exam")

    @property
    def flipped(self) -> tuple[int, int] | None:
        """How many predictions change when the tag is removed, and of how many; None where there are no tags."""
        tagged = self.images[self.images["untagged"] >= 0]
        return (int((tagged["untagged"] != tagged["predicted"]).sum()), len(tagged)) if len(tagged) else None


def list_exams(*folders: str | Path) -> dict[Path, Exam | str]:
    """The exams directly inside these folders by path, broken ones with their problem as a sentence."""
    found: dict[Path, Exam | str] = {}
    for folder in map(Path, folders):
        for path in sorted(folder.glob(f"*/{EXAM.file}")):
            try:
                found[path.parent] = Exam(path.parent)
            except VitrineError as error:
                found[path.parent] = str(error)
    return found


def _row(names: list[str], name: str, kind: str) -> int:
    if name not in names:
        raise unknown(kind, name, names)
    return names.index(name)
