"""The work on one shard of predictions: from image files, or from means that a study stores, to a table and arrays."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.layout import UNKNOWN
from core.errors import Cancelled, TooLarge
from core.explain.run import is_memory
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.network.hooks import observe
from core.network.threads import ahead, single_threaded
from core.progress import Report
from core.review.reading import SIDE, batch
from core.review.source import Source
from core.store.writer import Shard
from core.units.ablation import from_pooled

SHARD = 256  # images; a crash loses at most the work of one
BATCH = 8  # images per pass: fixed, as rounding depends on it; of more, large maps are not reused by the allocator
TOP = 5  # classes stored of each image
_ON_GPU = 2  # batches side by side there: one is read while another is computed
CONTENT = 2  # changes with what a shard holds: builds interrupted before such a change begin again

_NOT_FINITE = "The network's outputs are not finite."


@dataclass(frozen=True)
class _Outputs:
    """The outputs of a model for some images."""

    rows: NDArray[np.int64]  # of the images
    logits: Tensor  # (n, C) on the CPU
    pooled: NDArray[np.float32]  # (n, D)
    thumbnails: NDArray[np.uint8]  # (n, t, t, 3)


def _joined(outputs: list[_Outputs]) -> _Outputs:
    return _Outputs(
        np.concatenate([one.rows for one in outputs]),
        torch.cat([one.logits for one in outputs]),
        np.concatenate([one.pooled for one in outputs]),
        np.concatenate([one.thumbnails for one in outputs]),
    )


@dataclass(frozen=True)
class PredictionWork:
    """The work of the shards."""

    source: Source
    model: Model

    @cached_property
    def pooled(self) -> NDArray[np.float32] | None:
        """The means of the layer's maps that the study stores, if these alone determine the logits."""
        survey, study = self.model.survey, self.source.study
        exact = bool(survey.head) and (survey.rectified or not survey.head_rectifies)
        if not exact or study is None or study.manifest.model.layer != survey.default:
            return None
        if study.manifest.model.sha != self.model.sha:  # a second model beside that of the study
            return None
        return study.array("pooled") if "pooled" in study.manifest.arrays else None

    @cached_property
    def unread(self) -> list[str]:
        """Why the study could not read each of the source's images, "" where it could."""
        study = self.source.study
        return study.table("images")["problem"].iloc[list(self.source.rows)].tolist() if study else []

    @cached_property
    def units(self) -> int:
        """The number of means stored of each image; 0 for a model without a layer that has positions."""
        facts = self.model.survey.layer(self.model.survey.default)
        return facts.units if facts else 0

    @cached_property
    def side(self) -> int:
        """The side of the thumbnails, in pixels."""
        study = self.source.study
        return SIDE if self.pooled is None or study is None else study.array("thumbnails").shape[1]

    def __call__(self, shard: int, report: Report) -> Shard:
        """The table `images` and the arrays of a shard. Raises TooLarge, and StoreError for an image that changed."""
        start = time.perf_counter()
        rows = range(shard * SHARD, min((shard + 1) * SHARD, len(self.source)))
        columns, arrays = self._empty(rows)
        problems = dict[int, str]()
        try:
            outputs = list(self._outputs(rows, problems, report))
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            message = f"{BATCH} images at a time do not fit into memory."
            raise TooLarge(message, "Use a smaller model, or free memory.") from None
        if outputs:  # at once, as each small operation would wait for cores that the passes use
            self._fill(columns, arrays, _joined(outputs), rows.start, problems)
        table = pd.DataFrame({
            "image": np.array(rows), "path": self.source.paths[rows.start : rows.stop], **columns,
            "problem": [problems.get(row, "") for row in rows],
        })  # fmt: skip
        return Shard({"images": table}, arrays, {"seconds": time.perf_counter() - start})

    def _outputs(self, rows: range, problems: dict[int, str], report: Report) -> Iterator[_Outputs]:
        """The outputs of the images that can be read; adds why others cannot."""
        if self.pooled is not None and self.source.study:
            yield self._from_study(rows, problems)
            return
        spans = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        done, left = 0, Event()

        def told(_fraction: float, _note: str) -> None:
            report(done / len(spans), "predictions")

        def stop(_fraction: float, _note: str) -> None:
            if left.is_set():
                raise Cancelled

        # As many batches side by side as there are threads cost less than each by all threads; few need all of them.
        count = torch.get_num_threads() if self.model.device.type == "cpu" else _ON_GPU
        found: Iterator[tuple[dict[int, str], _Outputs | None]] = map(partial(self._of_batch, told), spans)
        if len(spans) >= count:
            workers = single_threaded(count, "predictions")
            found = ahead(partial(self._of_batch, stop), spans, 2 * count, lambda: told(0.0, ""), workers)
        try:
            for unread, outputs in found:
                problems |= unread
                if outputs is not None:
                    yield outputs
                done += 1
        finally:
            left.set()

    def _of_batch(self, report: Report, rows: range) -> tuple[dict[int, str], _Outputs | None]:
        """Why images cannot be read, and the outputs of the others; `report` may raise to end it."""
        with RepeatedReport(report) as repeated:
            repeated.report(0.0, "")
            read = batch(self.source, self.model, rows)
            if read.inputs is None:
                return read.problems, None
            logits, pooled = self._computed(read.inputs.to(self.model.device))
            return read.problems, _Outputs(np.array(read.rows), logits, pooled, read.thumbnails)

    def _from_study(self, rows: range, problems: dict[int, str]) -> _Outputs:
        """The logits that follow from the means in the study."""
        study, stored = self.source.study, np.array(self.source.rows)[rows.start : rows.stop]
        if study is None or self.pooled is None:
            raise ValueError("the study stores no means")
        problems |= {row: self.unread[row] for row in rows if self.unread[row]}
        read = np.array([row not in problems for row in rows])
        pooled = np.array(self.pooled[stored[read]])
        keep = torch.ones(1, pooled.shape[1], device=self.model.device)
        logits = from_pooled(self.model)(torch.from_numpy(pooled).to(self.model.device), keep)[:, 0].cpu()
        return _Outputs(np.array(rows)[read], logits, pooled, np.array(study.array("thumbnails")[stored[read]]))

    @torch.no_grad()
    def _computed(self, inputs: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
        """Logits and means of images (n, C, H, W)."""
        layer = self.model.survey.layer(self.model.survey.default)
        ordered = inputs.contiguous(memory_format=self.model.order)
        if layer is None:
            return self.model.inference(ordered).cpu(), np.zeros((len(inputs), 0), np.float32)
        net = self.model.network_for([layer.name])
        means: list[Tensor] = []
        with observe(net, {layer.name: lambda output: means.append(layer.maps(output).mean((2, 3)))}):
            logits = net(ordered).cpu()
        return logits, means[-1].float().cpu().numpy()

    def _empty(self, rows: range) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """The columns of numbers and the arrays of images without predictions."""
        count, top = len(rows), min(TOP, len(self.model.labels))
        labels = np.array(self.source.labels[rows.start : rows.stop], np.int64)
        unknown, gaps = np.full(count, UNKNOWN, np.int64), np.full(count, np.nan)
        columns = {
            "label": labels, "predicted": unknown, "confidence": gaps, "margin": gaps.copy(), "truth": gaps.copy(),
            "rank": unknown.copy(), "right": unknown.copy(),
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "top": np.full((count, top), UNKNOWN, np.int32),
            "logits": np.zeros((count, top), np.float32),
            "probabilities": np.zeros((count, top), np.float32),
            "thumbnails": np.zeros((count, self.side, self.side, 3), np.uint8),
        }
        return columns, arrays | ({"pooled": np.zeros((count, self.units), np.float32)} if self.units else {})

    def _fill(
        self,
        columns: dict[str, NDArray[Any]],
        arrays: dict[str, NDArray[Any]],
        outputs: _Outputs,
        first: int,
        problems: dict[int, str],
    ) -> None:
        """Write the predictions of some images into the columns and arrays of a shard that begins at `first`."""
        finite = outputs.logits.isfinite().all(1).numpy() & np.isfinite(outputs.pooled).all(1)
        problems |= dict.fromkeys(outputs.rows[~finite].tolist(), _NOT_FINITE)
        at, logits, model = outputs.rows[finite] - first, outputs.logits[finite], self.model
        arrays["thumbnails"][outputs.rows - first] = outputs.thumbnails
        if not len(at):
            return
        if self.units:
            arrays["pooled"][at] = outputs.pooled[finite]
        order, probabilities = model.ranked(logits), model.probabilities(logits)
        top = order[:, : arrays["top"].shape[1]]
        arrays["top"][at] = top.numpy()
        arrays["logits"][at] = logits.gather(1, top).numpy()
        arrays["probabilities"][at] = probabilities.gather(1, top).numpy()
        ranked = probabilities.gather(1, order).double()
        columns["predicted"][at] = order[:, 0].numpy()
        columns["confidence"][at] = ranked[:, 0].numpy()
        columns["margin"][at] = self._margins(probabilities.double(), ranked).numpy()
        labels = torch.from_numpy(columns["label"][at])
        known = (labels != UNKNOWN).numpy()
        own = labels[known][:, None]
        columns["truth"][at[known]] = probabilities[known].gather(1, own)[:, 0].double().numpy()
        columns["rank"][at[known]] = (order[known] == own).int().argmax(1).numpy()
        columns["right"][at[known]] = model.asserts(logits[known]).gather(1, own)[:, 0].long().numpy()

    def _margins(self, probabilities: Tensor, ranked: Tensor) -> Tensor:
        """The margin (n,) of each prediction: to the next class, or to the threshold that decides."""
        if self.model.output == "softmax":
            return ranked[:, 0] - ranked[:, 1]
        decisive = probabilities[:, 1] if self.model.output == "sigmoid" else ranked[:, 0]
        return (decisive - self.model.threshold).abs()
