"""Heatmaps of the predicted classes of all images of a folder: computed when asked, stored, and continued after a stop.

A store (`core.store`) in the user's folder, under the hash of the predictions that the maps explain.

tables
    images       image, height, width (of the picture; 0 without one), problem ("" or why there is no map)

arrays
    maps         (N, h, w) float32, the maps at the resolution of the layer; zero where there is none
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.data.masks.annotations import Size
from core.engine import map_shards
from core.environment import home
from core.explain.method import EXPLAINERS
from core.explain.query import Query
from core.explain.run import Explanation, explain
from core.explain.targets import Classes
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, silent, subrange
from core.resources import versions
from core.review.predictions import Predictions
from core.review.reading import batches
from core.review.shard import BATCH, SHARD
from core.serialization import digest
from core.store.facts import DataFacts, ModelFacts
from core.store.manifest import Manifest
from core.store.reader import Store
from core.store.schema import Column, Schema, Values
from core.store.writer import Draft, Shard, writing

METHOD = "grad_cam"
FORMAT = 1
_LARGE = 1e30
_PACKAGES = ("torch", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class HeatmapsManifest(Manifest):
    """The manifest of stored heatmaps."""

    model: ModelFacts
    data: DataFacts
    method: str
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries


HEATMAPS = Schema(
    "heatmaps",
    FORMAT,
    HeatmapsManifest,
    tables={
        "images": {
            "image": Column("whole", rows=True), "height": Column("whole"), "width": Column("whole"),
            "problem": Column("text"),
        }
    },
    arrays={"maps": Values("float32", ("images", "height", "width"), -_LARGE, _LARGE)},
    counts=lambda manifest: {"images": manifest.tables["images"].rows},
)  # fmt: skip


class Heatmaps(Store[HeatmapsManifest]):
    """Stored heatmaps, opened read-only, with the predictions that they explain. Raises as `Store`."""

    def __init__(self, path: Path, predictions: Predictions) -> None:
        super().__init__(HEATMAPS, path)
        self.predictions = predictions


@dataclass(frozen=True)
class Explained:
    """The maps of some images for the classes that are predicted."""

    rows: tuple[int, ...]
    inputs: Tensor  # (n, C, H, W) on the device
    sizes: tuple[Size, ...]  # of their pictures
    explanation: Explanation


def explained(
    predictions: Predictions, model: Model, rows: range, problems: dict[int, str], report: Report
) -> Iterator[Explained]:
    """The maps of these images, batch by batch, with one forward and one backward for each image.

    Adds why images cannot be read to `problems`; those without a prediction are left out. Raises Unsupported for a
    model without spatial positions.
    """
    predicted = predictions.images["predicted"].to_numpy()
    for batch in batches(predictions.source, model, rows, BATCH, report):
        problems |= batch.problems
        chosen = [number for number, row in enumerate(batch.rows) if predicted[row] >= 0]
        if batch.inputs is None or not chosen:
            continue
        own, inputs = tuple(batch.rows[number] for number in chosen), batch.inputs[chosen].to(model.device)
        classes = Classes(torch.as_tensor(predicted[list(own)], device=model.device))
        sizes = tuple(batch.sizes[number] for number in chosen)
        yield Explained(own, inputs, sizes, explain(METHOD, Query(model, inputs, classes)))


def heatmaps(
    predictions: Predictions, model: Model, *, folder: Path | None = None, report: Report = silent
) -> Heatmaps:
    """The stored heatmaps of all predictions of a model, computed or continued if they are not complete.

    They lie in `folder`, by default `heatmaps` in the user's folder. Raises as `predictions` and `explained`.
    """
    EXPLAINERS[METHOD].check(model)
    identity = _identity(predictions)
    work, count = _Work(predictions, model), -(-len(predictions.source) // SHARD)
    path = _path(predictions, folder)
    with writing(HEATMAPS, path, identity) as draft:
        if not draft.finished:
            map_shards(work, count, draft, subrange(report, 0.0, 0.95))
            draft.write_table("images", draft.tables("images", count))
            draft.write_array("maps", draft.arrays("maps", count))
            draft.finish(_manifest(predictions), _log(draft, count), subrange(report, 0.95, 1.0))
        report(1.0, "heatmaps finished")
    return Heatmaps(path, predictions)


def are_stored(predictions: Predictions, folder: Path | None = None) -> bool:
    """Whether the heatmaps of these predictions are complete in a folder, as `heatmaps` has it."""
    return (_path(predictions, folder) / HEATMAPS.file).is_file()


def _path(predictions: Predictions, folder: Path | None) -> Path:
    return (folder or home() / "heatmaps") / digest(_identity(predictions))[:16]


def _identity(predictions: Predictions) -> dict[str, Any]:
    """Everything that determines the bytes; that of the predictions names model, images and kind of device."""
    return {
        "predictions": predictions.manifest.digest,
        "method": METHOD,
        "shard": [SHARD, BATCH],
        "format": FORMAT,
        "versions": versions(*_PACKAGES),
    }


@dataclass(frozen=True)
class _Work:
    """The work on one shard."""

    predictions: Predictions
    model: Model

    def __call__(self, shard: int, report: Report) -> Shard:
        """The table `images` and the maps of a shard."""
        start = time.perf_counter()
        rows = range(shard * SHARD, min((shard + 1) * SHARD, len(self.predictions.source)))
        facts = self.model.survey.layer(self.model.survey.default)
        maps = np.zeros((len(rows), *(facts.cells if facts else (1, 1))), np.float32)
        unread = self.predictions.images["problem"].iloc[list(rows)]
        table = pd.DataFrame({"image": np.array(rows), "height": 0, "width": 0, "problem": unread.to_numpy()})
        problems = dict[int, str]()
        with RepeatedReport(report) as repeated:
            for found in explained(self.predictions, self.model, rows, problems, repeated.report):
                at, given = np.array(found.rows) - rows.start, found.explanation
                maps[at] = (given.maps if given.grid is None else given.grid).numpy()
                table.loc[at, ["height", "width"]] = np.array(found.sizes)
        for row, problem in problems.items():
            table.loc[row - rows.start, "problem"] = problem
        return Shard({"images": table}, {"maps": maps}, {"seconds": time.perf_counter() - start})


def _manifest(predictions: Predictions) -> dict[str, Any]:
    facts = predictions.manifest
    return {"model": facts.model, "data": facts.data, "method": METHOD, "versions": versions(*_PACKAGES)}


def _log(draft: Draft, count: int) -> dict[str, Any]:
    """Seconds of all shards, those of interrupted builds included."""
    seconds = sum(facts["seconds"] for facts in draft.facts(count))
    return {"seconds": {"heatmaps": seconds}, "finished": time.strftime("%Y-%m-%d %H:%M:%S")}
