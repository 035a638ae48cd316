"""The work on one shard of a study: from image files to transactions, everything that needs the model."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.layout import UNKNOWN
from core.errors import BadImage, TooLarge
from core.explain.execution import Execution, RunLog
from core.explain.query import Query
from core.explain.run import is_memory
from core.explain.targets import Classes, class_scores
from core.images import Pixels, Values, eight_bits, read_picture
from core.mining.patches import Candidates, Selection, candidates, relevant
from core.mining.transactions import Transactions, responses, standardised, strongest
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Counted, Report, chunks, headed, silent, subrange
from core.store.writer import Shard
from core.study.heatmaps import read
from core.study.plan import StudyPlan

CONTENT = 2  # changes with what a shard holds: builds interrupted before such a change begin again


@dataclass(frozen=True)
class _Batch:
    """The readable images of a shard and the model's outputs for them: a row for each class that is explained.

    That is one row for an image; of several labels one for each that is predicted, with the true one first.
    """

    rows: NDArray[np.int64]  # of the image within the shard, ascending
    views: NDArray[np.uint8]  # (n, H, W, 3)
    images: Tensor  # (n, C, H, W) on the device
    logits: Tensor
    targets: Tensor
    maps: NDArray[np.float32]  # (n, H, W)
    filters: Tensor  # (n, D, h, w) on the device

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The place (n,) of each row among those of its image."""
        return np.arange(len(self.rows)) - np.searchsorted(self.rows, self.rows)

    @cached_property
    def firsts(self) -> NDArray[np.int64]:
        """The first row of each image."""
        return np.flatnonzero(self.places == 0)


@dataclass(frozen=True)
class _Windows:
    """The candidate windows of a batch and which of them were selected."""

    windows: Candidates
    chosen: Selection
    kept: NDArray[np.bool_]  # (n, k)
    stop: list[str]


class _Costs:
    """The cost of a shard: model passes, and seconds of each stage."""

    def __init__(self) -> None:
        self.log = RunLog()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def shard_of(plan: StudyPlan, span: range, report: Report) -> Shard:
    """Tables, arrays and facts of the images with these indices; indices count from the start of the study.

    Raises TooLarge if a batch does not fit into memory: it affects the bytes of a study, so it is not halved here.
    """
    try:
        with RepeatedReport(report) as repeated:
            return _shard_of(plan, span, repeated.report)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        if plan.batch == 1:
            message = f"{plan.model.display} does not fit into memory even one image at a time."
            raise TooLarge(message, "Use a smaller model, or free memory.") from None
        message = f"{plan.batch} images at a time do not fit into memory."
        raise TooLarge(message, "Use a smaller batch (--batch).") from None


def transactions_in(
    plan: StudyPlan, view: Pixels | Values, label: int, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Transactions:
    """The transactions of the patches of one view of an image that counts as of this class, as a study has them.

    `mean` and `deviation` (D,) are of each filter's responses over the study's patches, for a ranking by z-scores.
    """
    images, costs = pd.DataFrame({"image": [0], "label": [label], "problem": [""]}), _Costs()
    batch = _read(plan, images, [view], costs.log, silent)
    selected = _selected(plan, images, batch, costs, silent)
    labels = np.repeat(batch.targets.cpu().numpy(), selected.kept.sum(1))
    arrays = _transactions(plan, batch, selected)
    if plan.transactions.ranking == "zscore":
        order = standardised(arrays["full"], mean, deviation)
        return Transactions(strongest(arrays["full"], order, plan.transactions.filters)[0], labels)
    return Transactions(arrays["items"], labels)


def _shard_of(plan: StudyPlan, span: range, report: Report) -> Shard:
    costs = _Costs()
    log = costs.log
    with costs.stage("reading images"):
        images, views = _opened(plan, span, subrange(report, 0.0, 0.1))
    with costs.stage("heatmaps"):
        batch = _read(plan, images, views, log, subrange(report, 0.1, 0.4))
    perturbed = -log.forwards
    selected = _selected(plan, images, batch, costs, subrange(report, 0.4, 0.95))
    perturbed += log.forwards
    with costs.stage("transactions"):
        report(0.95, "transactions")
        arrays = {**_pictures(plan, len(span), batch), **_transactions(plan, batch, selected)}
        arrays["crops"] = _crops(batch, selected)
        arrays["predicted"] = plan.model.asserts(batch.logits[batch.firsts]).sum(0, keepdim=True).cpu().numpy()
    _describe(plan, images, batch, selected)
    tables = {"images": images, **_windows(span.start, batch, selected, plan.patches.count)}
    facts = {
        "forwards": log.forwards,
        "backwards": log.backwards,
        "perturbed": perturbed,
        "seconds": costs.seconds,
    }
    return Shard(tables, arrays, facts)


def _selected(plan: StudyPlan, images: pd.DataFrame, batch: _Batch, costs: _Costs, report: Report) -> _Windows:
    with costs.stage("candidates"):
        report(0.0, "candidate windows")
        numbers = images["image"].to_numpy()[batch.rows].tolist()
        windows = candidates(batch.maps, plan.side, plan.patches, numbers, plan.seed)
        refused = _refused(plan, images.iloc[batch.rows], batch)
        windows.counts[refused != ""] = 0
    with costs.stage("selection"):
        watched = _watched(plan, images, batch)
        clean = class_scores(batch.logits, watched, plan.patches.score, plan.model.output)
        execution = Execution(batch=plan.batch, report=report)
        query = Query(plan.model, batch.images, Classes(watched), plan.layer, execution=execution)
        query = query.counted_in(costs.log)
        chosen = relevant(query, clean, windows, plan.patches, stepwise=plan.stepwise)
    selected = np.arange(plan.patches.count) < chosen.kept[:, None]
    stop = [why or stop for why, stop in zip(refused, chosen.stop, strict=True)]
    return _Windows(windows, chosen, selected, stop)


def _watched(plan: StudyPlan, images: pd.DataFrame, batch: _Batch) -> Tensor:
    """The class of each row whose score is watched while patches are masked; of several labels always its own."""
    if plan.patches.watched == "explained" or plan.model.output == "multilabel":
        return batch.targets
    labels = torch.from_numpy(images["label"].to_numpy()[batch.rows]).to(batch.targets)
    return torch.where(labels == UNKNOWN, batch.targets, labels)


def _opened(plan: StudyPlan, span: range, report: Report) -> tuple[pd.DataFrame, list[Pixels | Values]]:
    """Table `images`, and the views of those that can be read."""
    views: list[Pixels | Values] = []
    records = []
    for one in chunks(len(span), 1, report, f"reading images {span.start + 1} to {span.stop}"):
        number = span[one.start]
        path, label = plan.folder.paths[number], plan.folder.labels[number]
        sha, size, problem = "", (0, 0), ""
        try:
            picture = read_picture(plan.folder.root, path, plan.window)
            sha, size = picture.sha[:16], picture.pixels.shape[:2]
            views.append(plan.model.preprocess.seen(picture))
        except BadImage as error:
            problem = error.message
        records.append((number, path, sha, size[1], size[0], label, problem))
    names = ["image", "path", "sha", "width", "height", "label", "problem"]
    images = pd.DataFrame(records, columns=names).assign(
        predicted=-1, probability=np.float32(0), patches=0, candidates=0, stop=""
    )
    return images[[*names[:-1], "predicted", "probability", "patches", "candidates", "stop", "problem"]], views


def _read(plan: StudyPlan, images: pd.DataFrame, views: list[Pixels | Values], log: RunLog, report: Report) -> _Batch:
    """Prediction, heatmap and filter maps of all images, in batches."""
    if not views:
        return _unread(plan)
    rows = np.flatnonzero(images["problem"] == "")
    inputs = torch.stack([plan.model.preprocess.tensor(view) for view in views]).to(plan.model.device)
    labels = torch.from_numpy(images["label"].to_numpy()[rows]).to(inputs.device)
    targets, of = None, torch.arange(len(inputs), device=inputs.device)
    if plan.patches.target == "label":
        targets = labels.clip(0)  # an image without a label still needs one; it is excluded before patches are selected
    elif plan.model.output == "multilabel":
        of, targets = _predicted(plan, inputs, labels, log, subrange(report, 0.0, 0.2))
        inputs, report = inputs[of], subrange(report, 0.2, 1.0)

    def inside(span: range) -> Report:
        """The progress within one batch."""
        part = subrange(report, span.start / len(inputs), span.stop / len(inputs))
        return headed(part, Counted("heatmaps", span.start, len(inputs)))

    readings = [
        read(
            plan.model, inputs[s.start : s.stop], plan.layer, explainer=plan.explainer, settings=plan.settings,
            labels=None if targets is None else targets[s.start : s.stop],
            seed=plan.seed, log=log,
            execution=Execution(plan.batch, report=inside(s)),
        )
        for s in chunks(len(inputs), plan.batch, report, "heatmaps", counted=True)
    ]  # fmt: skip
    row = of.cpu().numpy()
    return _Batch(
        rows[row],
        np.stack([eight_bits(view)[..., :3] for view in views])[row],
        inputs,
        torch.cat([one.logits for one in readings]),
        torch.cat([one.targets for one in readings]),
        torch.cat([one.maps for one in readings]).numpy(),
        torch.cat([one.filters for one in readings]),
    )


@torch.no_grad()
def _predicted(plan: StudyPlan, inputs: Tensor, labels: Tensor, log: RunLog, report: Report) -> tuple[Tensor, Tensor]:
    """The labels that are predicted for the images, the true one first, each with the row of its image.

    For an image without any it is the most probable one, which is excluded before patches are selected.
    """
    of: list[int] = []
    targets: list[int] = []
    for span in chunks(len(inputs), plan.batch, report, "predictions", counted=True):
        log.forwards += len(span)
        for row, logits in zip(span, plan.model.net(inputs[span.start : span.stop]), strict=True):
            found = plan.model.asserted(logits) or [int(plan.model.predicted(logits))]
            true = int(labels[row])
            targets += [true] * (true in found) + [index for index in found if index != true]
            of += [row] * len(found)
    return torch.tensor(of, device=inputs.device), torch.tensor(targets, device=inputs.device)


def _unread(plan: StudyPlan) -> _Batch:
    """The batch of a shard without any readable image."""
    model, shape = plan.model, plan.model.preprocess.shape
    facts = model.survey.layer(plan.layer)
    filters, cells = (facts.units, facts.cells) if facts else (0, (1, 1))
    return _Batch(
        np.zeros(0, np.int64),
        np.zeros((0, *shape[1:], 3), np.uint8),
        torch.zeros(0, *shape),
        torch.zeros(0, len(model.labels)),
        torch.zeros(0, dtype=torch.int64),
        np.zeros((0, *shape[1:]), np.float32),
        torch.zeros(0, filters, *cells),
    )


def _refused(plan: StudyPlan, images: pd.DataFrame, batch: _Batch) -> NDArray[Any]:
    """Why a class of an image yields no patches although the image could be read."""
    labels, targets = images["label"].to_numpy(), batch.targets.cpu().numpy()
    predicted = _asserts(plan.model, batch.logits, batch.targets).cpu().numpy()
    reason = np.full(len(labels), "", object)
    if plan.patches.target == "predicted":
        reason[~predicted] = "none predicted"
    if plan.patches.correct_only:
        reason[~predicted | (labels != targets)] = "not correct"
    if plan.patches.correct_only or plan.patches.target == "label":
        reason[labels == UNKNOWN] = "no label"
    return reason


def _describe(plan: StudyPlan, images: pd.DataFrame, batch: _Batch, selected: _Windows) -> None:
    """Fill the columns of table `images` that depend on the model."""
    rows, logits = batch.rows[batch.firsts], batch.logits[batch.firsts]
    predicted = _standing(plan.model, logits, torch.from_numpy(images["label"].to_numpy()[rows]).to(logits.device))
    probability = plan.model.probabilities(logits).gather(1, predicted[:, None])[:, 0]
    at = images.index[rows]
    images.loc[at, "predicted"] = predicted.cpu().numpy()
    images.loc[at, "probability"] = probability.float().cpu().numpy()
    images.loc[at, "patches"] = np.add.reduceat(selected.chosen.kept, batch.firsts) if len(at) else 0
    images.loc[at, "candidates"] = np.add.reduceat(selected.windows.counts, batch.firsts) if len(at) else 0
    images.loc[at, "stop"] = np.array(selected.stop, object)[batch.firsts]


def _standing(model: Model, logits: Tensor, labels: Tensor) -> Tensor:
    """The class (n,) that stands for a prediction: the true one if it is predicted, else the most probable one."""
    right = _asserts(model, logits, labels.clip(0)) & (labels != UNKNOWN)
    return torch.where(right, labels, model.predicted(logits))


def _asserts(model: Model, logits: Tensor, classes: Tensor) -> Tensor:
    """Whether the class (n,) of each row is predicted from its outputs (n, C)."""
    return model.asserts(logits).gather(1, classes[:, None])[:, 0]


def _windows(start: int, batch: _Batch, selected: _Windows, most: int) -> dict[str, pd.DataFrame]:
    """Tables `windows` and `patches` of a shard that begins with image `start`, of `most` windows a class."""
    windows, chosen = selected.windows, selected.chosen
    some = np.arange(selected.kept.shape[1]) < windows.counts[:, None]
    image, rank = np.nonzero(some)
    table = pd.DataFrame({
        "image": start + batch.rows[image],
        "rank": rank + most * batch.places[image],
        "x": windows.corners[some][:, 1],
        "y": windows.corners[some][:, 0],
        "score": windows.scores[some].astype(np.float32),
        "after": chosen.after[some],
        "kept": selected.kept[some],
    })  # fmt: skip
    before = chosen.before[some]
    label = batch.targets.cpu().numpy()[image]
    patches = table.assign(size=windows.side, before=before, drop=before - table["after"], label=label)
    order = ["image", "rank", "x", "y", "size", "score", "before", "after", "drop", "label"]
    return {"windows": table, "patches": patches.loc[table["kept"], order].reset_index(drop=True)}


def _pictures(plan: StudyPlan, count: int, batch: _Batch) -> dict[str, NDArray[Any]]:
    """Arrays with a row for every image; rows of unreadable images are zero."""
    side = plan.thumbnail
    small = np.zeros((count, side, side, 3), np.uint8)
    first = batch.firsts
    rows = batch.rows[first]
    for row, view in zip(rows, batch.views[first], strict=True):
        small[row] = np.asarray(Image.fromarray(view).resize((side, side), Image.Resampling.BOX))
    cells = (batch.filters.shape[-2], batch.filters.shape[-1])
    maps = np.zeros((count, *cells), np.float16)
    maps[rows] = F.adaptive_avg_pool2d(torch.from_numpy(batch.maps[first]), cells).numpy()
    arrays: dict[str, NDArray[Any]] = {"thumbnails": small, "maps": maps}
    if "pooled" in plan.optional:
        arrays["pooled"] = np.zeros((count, batch.filters.shape[1]), np.float32)
        arrays["pooled"][rows] = batch.filters[first].mean((2, 3)).cpu().numpy()
    return arrays


def _crops(batch: _Batch, selected: _Windows) -> NDArray[np.uint8]:
    side = selected.windows.side
    crops = np.zeros((int(selected.kept.sum()), side, side, 3), np.uint8)
    for patch, (image, rank) in enumerate(zip(*np.nonzero(selected.kept), strict=True)):
        y, x = selected.windows.corners[image, rank]
        crops[patch] = batch.views[image, y : y + side, x : x + side]
    return crops


def _transactions(plan: StudyPlan, batch: _Batch, selected: _Windows) -> dict[str, NDArray[Any]]:
    """Responses of the selected patches: the strongest filters, or all of them if they are still to be compared."""
    chosen = selected.kept
    most = max(1, int(chosen.sum(1).max(initial=0)))
    size = (batch.images.shape[-2], batch.images.shape[-1])
    corners = torch.from_numpy(selected.windows.corners[:, :most])
    sums = responses(batch.filters, corners, plan.side, size).cpu().numpy()[chosen[:, :most]]
    config = plan.transactions
    arrays = {"moments": _moments(sums)}
    if config.matrix:
        arrays["matrix"] = (sums / plan.side**2).astype(np.float16)
    if config.ranking == "zscore":
        return {**arrays, "full": sums}
    order = sums
    if config.ranking == "share":
        totals = responses(batch.filters, torch.zeros(len(chosen), 1, 2, dtype=torch.int64), size[0], size)
        order = sums / np.maximum(totals.cpu().numpy()[np.nonzero(chosen)[0], 0], 1e-12)
    arrays["items"], arrays["responses"] = strongest(sums, order, config.filters)
    return arrays


def _moments(sums: NDArray[np.float32]) -> NDArray[np.float64]:
    """Count, sum, sum of squares and maximum of each filter's responses, (1, 4, D)."""
    exact = sums.astype(np.float64)
    largest = exact.max(0, initial=-np.inf)
    return np.stack([np.full(sums.shape[1], len(sums), float), exact.sum(0), (exact**2).sum(0), largest])[None]
