"""Predictions of a model for the images of a folder or study: computed once, stored, and continued after a stop.

A store (`core.store`) of the schema in `review.schema`, in the user's folder under the hash of model and images.

tables
    images       image, path, label (its class; -1 unknown), predicted, confidence (probability of `predicted`), margin
                 (to the probability of the next class; with a threshold the distance from it), truth (probability of
                 `label`; nan unknown), rank (of `label` among all classes, from 0; -1 unknown), right (1 or 0; -1
                 unknown), problem ("" or why there is no prediction: then predicted is -1)
    classes      label, name

arrays
    top          (N, T) int32, the first classes in the order of prediction; -1 without a prediction
    logits, probabilities   (N, T) float32 of these
    thumbnails   (N, t, t, 3) uint8, the model's views, reduced
    pooled       (N, D) float32, means of the maps of the model's default layer, if it has one

Of a study that stores the means and whose model is linear in them, predictions follow from these alone, without images.
"""

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.engine import Engine, here, map_shards
from core.environment import home
from core.errors import Unavailable, Unsupported
from core.models.model import Model
from core.models.name import parsed
from core.progress import Report, silent, subrange
from core.resources import versions
from core.review.schema import FORMAT, PREDICTIONS, PredictionsManifest
from core.review.shard import BATCH, CONTENT, SHARD, TOP, PredictionWork
from core.review.source import Source
from core.serialization import digest
from core.store.facts import DataFacts, ModelFacts
from core.store.reader import Store
from core.store.writer import Draft, writing

_PACKAGES = ("torch", "numpy", "pillow", "pyarrow")


class Predictions(Store[PredictionsManifest]):
    """Stored predictions, opened read-only, with the source of their images. Raises as `Store`."""

    def __init__(self, path: str | Path, source: Source) -> None:
        super().__init__(PREDICTIONS, path)
        self.source = source

    @cached_property
    def images(self) -> pd.DataFrame:
        """Table `images`; not to be changed."""
        return self.table("images")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(self.table("classes")["name"])

    @property
    def model(self) -> str:
        """The name of the model without folders of this machine."""
        return parsed(self.manifest.model.name).display

    @property
    def judged(self) -> NDArray[np.int64]:
        """The images that are right or wrong: predicted, and of known class."""
        return np.flatnonzero(self.images["right"] >= 0)

    @property
    def pooled(self) -> NDArray[np.float32]:
        """The means of the maps (N, D), memory-mapped. Raises Unsupported for a model without such a layer."""
        if "pooled" not in self.manifest.arrays:
            message = f"{self.model} has no layer with spatial positions."
            raise Unsupported(message, "Images can only be compared by the activations of such a layer.")
        return self.array("pooled")

    def top(self, image: int) -> list[tuple[str, float]]:
        """The first classes of an image and their probabilities, in the order of prediction."""
        pairs = zip(self.array("top")[image].tolist(), self.array("probabilities")[image].tolist(), strict=True)
        return [(self.labels[label], value) for label, value in pairs if label >= 0]

    def class_name(self, label: int) -> str:
        """The name of a class, "" for none."""
        return self.labels[label] if label >= 0 else ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read them, as sentences."""
        problems = self.images.loc[self.images["problem"] != "", "problem"]
        count = f"{len(problems):,} of {len(self.images):,} images have no prediction"
        return (*self.source.notes, *([f"{count}, such as: {problems.iloc[0]}"] if len(problems) else []))


def predictions(
    source: Source,
    model: Model,
    *,
    folder: Path | None = None,
    report: Report = silent,
    engine: Engine = here,
) -> Predictions:
    """The stored predictions of a model for these images, computed or continued if they are not complete.

    They lie in `folder`, by default `predictions` in the user's folder. Raises Unsupported for a regression,
    Unavailable if no image can be read, StoreError if an image changes meanwhile or another process computes the same,
    TooLarge if a batch does not fit into memory.
    """
    if model.output == "regression":
        message = f"{model.display} is a regression, which predicts no classes."
        raise Unsupported(message, "Choose a model of classes, or read its outputs as softmax or multilabel.")
    work, count = PredictionWork(source, model), -(-len(source) // SHARD)
    identity = _identity(work)
    path = (folder or home() / "predictions") / digest(identity)[:16]
    with writing(PREDICTIONS, path, identity) as draft:
        if not draft.finished:
            map_shards(work, count, draft, subrange(report, 0.0, 0.95), engine=engine)
            _join(draft, work, count)
            draft.finish(_manifest(work), _log(draft, count), subrange(report, 0.95, 1.0))
        report(1.0, "predictions finished")
    return Predictions(path, source)


def _identity(work: PredictionWork) -> dict[str, Any]:
    """Everything that determines the bytes, including the kind of device, as rounding differs."""
    source, model = work.source, work.model
    return {
        "model": model.sha,
        "reading": digest([model.key, model.threshold, model.labels]),
        "device": model.device.type,
        "images": digest([source.paths, source.shas, source.labels, source.window]),
        "pooled": source.key if work.pooled is not None else "",
        "shard": [SHARD, BATCH, TOP, CONTENT],
        "format": FORMAT,
        "versions": versions(*_PACKAGES),
    }


def _join(draft: Draft, work: PredictionWork, count: int) -> None:
    """Write the shards as the tables and arrays of all images. Raises Unavailable if none of them has a prediction."""
    images = pd.concat(draft.tables("images", count), ignore_index=True)
    if (images["problem"] != "").all():
        message = f"No image of {work.source.name} can be used. {images['problem'].iloc[0]}"
        raise Unavailable(message, "Correct the images, or choose another folder.")
    draft.write_table("images", [images])
    labels = work.model.labels
    draft.write_table("classes", [pd.DataFrame({"label": range(len(labels)), "name": labels})])
    for name in ("top", "logits", "probabilities", "thumbnails", *(["pooled"] if work.units else [])):
        draft.write_array(name, draft.arrays(name, count))


def _manifest(work: PredictionWork) -> dict[str, Any]:
    model, source = work.model, work.source
    return {
        "model": ModelFacts(model.name, model.sha, model.output, str(model.preprocess)),
        "data": DataFacts(folder=str(source.root), fingerprint=digest([source.paths, source.shas])),
        "threshold": model.threshold,
        "layer": model.survey.default,
        "versions": versions(*_PACKAGES),
    }


def _log(draft: Draft, count: int) -> dict[str, Any]:
    """Seconds of all shards, those of interrupted builds included."""
    seconds = sum(facts["seconds"] for facts in draft.facts(count))
    return {"seconds": {"predictions": seconds}, "finished": time.strftime("%Y-%m-%d %H:%M:%S")}
