"""The search for the fewest superpixels or filters whose removal changes a prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.edits.apply import cells_of, edited, scaled
from core.edits.edit import Edit, Filters, Segments
from core.edits.regions import Images, no_images
from core.errors import BadParameter, Cancelled, Unsupported
from core.explain.query import Query
from core.explain.target_name import TargetName
from core.images import Picture
from core.models.model import Model
from core.network.incremental import CleanPass
from core.progress import Report, chunks, item, silent
from core.units.ablation import from_images
from core.workbench import Workbench

MAX_STEPS = 100
FLIPPED = "The prediction has changed."

Removed = tuple[int, ...]  # indices of superpixels or filters
Logits = Callable[[Removed], Tensor]  # what is removed -> outputs (C,) of a whole pass
Trials = Callable[[Removed, Sequence[int], Report], Tensor]  # removed, one more of these (n,) -> outputs (n, C)


@dataclass(frozen=True)
class Step:
    """One more superpixel or filter removed, and what is predicted without all that are removed so far."""

    removed: int
    probability: float  # of the class
    first: int  # the class predicted first now
    first_probability: float


@dataclass(frozen=True)
class Flip:
    """The steps of a search, and the removal it ends with."""

    kind: str  # of what is removed: superpixels, or filters
    label: int  # the class that was predicted
    before: float  # its probability in the image that the search starts from
    steps: tuple[Step, ...]
    dropped: Removed  # of the removed ones, those that were not needed in the end and were put back
    flipped: bool  # whether the class is no longer predicted
    why: str  # why the search ended, as a sentence
    edit: Edit | None  # that removes the rest; None if nothing was removed
    after: float  # the probability of the class with this edit
    first: int  # the class predicted first with this edit


def flip_by_segments(
    bench: Workbench,
    picture: Picture,
    *,
    label: int | None = None,
    count: int = 50,
    fill: str = "blur",
    steps: int = 20,
    images: Images = no_images,
    report: Report = silent,
) -> Flip:
    """The fewest of about `count` superpixels, found greedily, whose replacement changes the prediction.

    Each step removes the superpixel that lowers the class most against the best other class, the first of equal ones;
    at the end those are put back that are not needed. The set is small, not always the smallest. All candidates of a
    step are computed only where they have an influence; what is said of a step is that of a whole pass. A search that
    is cancelled returns its steps so far. The class is the one predicted first, or `label`. Raises Unsupported for a
    regression, BadParameter for a class that is not predicted.
    """
    cells = cells_of(picture, count)
    total = int(cells.max()) + 1
    every = edited(picture, [Segments(count, tuple(range(total)), fill)], images)
    query = bench.query(picture, TargetName((0,)), batch=8)
    composed = _Composition(bench.model, picture, every, cells)
    deltas: list[Tensor] = []

    def trials(removed: Removed, others: Sequence[int], part: Report) -> Tensor:
        if not deltas:
            clean = composed.inputs(())
            spans = chunks(total, 1, part, "superpixels replaced", counted=True)
            deltas.extend(composed.inputs((span.start,)) - clean for span in spans)
        return _patched(query, composed.inputs(removed), [deltas[other] for other in others], part)

    def whole(removed: Removed) -> Tensor:
        return query.logits(composed.inputs(removed)[None], watched=False)[0].cpu()

    search = _Search(bench.model, "superpixels", total, trials, whole, lambda chosen: Segments(count, chosen, fill))
    return search.run(label, steps, report)


def flip_by_filters(
    bench: Workbench,
    picture: Picture,
    layer: str = "",
    *,
    label: int | None = None,
    steps: int = 20,
    report: Report = silent,
) -> Flip:
    """The fewest filters of a layer, found greedily, without which the prediction changes; as `flip_by_segments`."""
    model, layer = bench.model, bench.model.resolve_layer(layer)
    facts = model.survey.layer(layer)
    if facts is None:
        raise Unsupported(f"Layer '{layer}' is not computed by {model.display}.", "Choose another layer.")
    units, inputs = facts.units, bench.query(picture, TargetName((0,)), batch=1).images
    logits = from_images(model, layer)

    def trials(removed: Removed, others: Sequence[int], part: Report) -> Tensor:
        found = []
        for span in chunks(len(others), 32, part, "filters ablated", counted=True):
            keep = torch.ones(len(span), units, device=model.device)
            keep[:, list(removed)] = 0
            keep[range(len(span)), [others[number] for number in span]] = 0
            found.append(logits(inputs, keep)[0].cpu())
        return torch.cat(found)

    @torch.no_grad()
    def whole(removed: Removed) -> Tensor:
        net = scaled(model, [Filters(layer, removed)] if removed else []).net
        outputs: Tensor = net(inputs.contiguous(memory_format=model.order))
        return outputs[0].cpu()

    search = _Search(model, "filters", units, trials, whole, lambda chosen: Filters(layer, chosen))
    return search.run(label, steps, report)


@dataclass(frozen=True)
class _Composition:
    """A picture with some of its superpixels taken from the same picture with all of them replaced."""

    model: Model
    picture: Picture
    every: Picture
    cells: NDArray[np.int64]

    def inputs(self, removed: Removed) -> Tensor:
        """The network's input (C, H, W), of the picture that `Segments` of these superpixels gives."""
        preprocess = self.model.preprocess
        own, other = (one.source_for(preprocess.channels) for one in (self.picture, self.every))
        inside = np.isin(self.cells, removed)
        mixed = np.where(inside if own.ndim == 2 else inside[..., None], other, own)
        return preprocess.tensor(preprocess.view(mixed)).to(self.model.device)


@torch.no_grad()
def _patched(query: Query, image: Tensor, deltas: Sequence[Tensor], report: Report) -> Tensor:
    """The outputs (n, C) of an image (C, H, W) with each of some local changes added, exact to rounding."""
    sides = image.shape[1:]
    boxes = [_box(delta) for delta in deltas]
    order = sorted(range(len(deltas)), key=lambda number: boxes[number][2] * boxes[number][3])
    clean_pass = CleanPass(image[None], query.model.order)
    outputs: dict[int, Tensor] = {}
    for span in chunks(len(order), query.batch, report, "superpixels removed", counted=True):
        chosen = order[span.start : span.stop]
        height, width = (max(boxes[number][axis] for number in chosen) for axis in (2, 3))
        tops, lefts = (
            [min(boxes[number][axis], side - length) for number in chosen]
            for axis, side, length in zip((0, 1), sides, (height, width), strict=True)
        )
        patches = [
            (image + deltas[number])[:, top : top + height, left : left + width]
            for number, top, left in zip(chosen, tops, lefts, strict=True)
        ]
        changed = clean_pass.changed(torch.stack(patches), tops, lefts)
        logits = query.logits(changed if image.device.type == "cpu" else changed.whole(), watched=False)
        outputs.update(zip(chosen, logits.cpu(), strict=True))
    return torch.stack([outputs[number] for number in range(len(deltas))])


def _box(delta: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height and width of a change; one pixel where nothing changes."""
    changed = (delta != 0).any(0)
    if not bool(changed.any()):
        return 0, 0, 1, 1
    rows, columns = (changed.any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


@dataclass(frozen=True)
class _Search:
    """A greedy search over the removal of some of a number of things."""

    model: Model
    kind: str
    total: int
    trials: Trials
    whole: Logits
    edit: Callable[[Removed], Edit]

    def run(self, label: int | None, most: int, report: Report) -> Flip:
        """At most so many steps, then the removal of what is not needed. Raises as `flip_by_segments`."""
        model = self.model
        if model.output == "regression":
            message = f"{model.display} predicts values, and no class that could change."
            raise Unsupported(message, "Choose another model.")
        if not 1 <= most <= MAX_STEPS:
            raise BadParameter(f"A search cannot have {most} steps.", f"Give 1 to {MAX_STEPS}.")
        logits = self.whole(())
        label = int(model.predicted(logits)) if label is None else label
        if not model.asserts(logits)[label]:
            message = f"{model.labels[label]} is not predicted for this image, so its prediction cannot change."
            raise BadParameter(message, f"Choose {model.labels[int(model.predicted(logits))]}.")
        steps: list[Step] = []
        try:
            why = self._remove(label, logits, most, steps, report)
            removed = tuple(step.removed for step in steps)
            kept = self._needed(removed, label) if why == FLIPPED else removed
            report(1.0, "")
        except Cancelled:
            why, kept = "The search was stopped.", tuple(step.removed for step in steps)
        after = self.whole(kept)
        return Flip(
            kind=self.kind,
            label=label,
            before=float(model.probabilities(logits)[label]),
            steps=tuple(steps),
            dropped=tuple(step.removed for step in steps if step.removed not in kept),
            flipped=not model.asserts(after)[label],
            why=why,
            edit=self.edit(tuple(sorted(kept))) if kept else None,
            after=float(model.probabilities(after)[label]),
            first=int(model.predicted(after)),
        )

    def _remove(self, label: int, logits: Tensor, most: int, steps: list[Step], report: Report) -> str:
        """Append one step after the other to `steps`; returns why the last one is the last."""
        while len(steps) < most:
            removed = tuple(step.removed for step in steps)
            others = [number for number in range(self.total) if number not in removed]
            if not others:
                return f"All {self.kind} are removed."
            tried = self.trials(removed, others, item(report, len(steps), most, "step"))
            margins = _margins(self.model, tried, label).numpy()
            best = int(margins.argmin())  # the first of equal ones
            if margins[best] >= float(_margins(self.model, logits[None], label)[0]):
                return f"None of the {self.kind} that are left speaks for the class."
            logits = self.whole((*removed, others[best]))
            chances, first = self.model.probabilities(logits), int(self.model.predicted(logits))
            steps.append(Step(others[best], float(chances[label]), first, float(chances[first])))
            if not self.model.asserts(logits)[label]:
                return FLIPPED
        return f"The limit of {most} steps is reached."

    def _needed(self, removed: Removed, label: int) -> Removed:
        """What remains when those are put back, the first ones first, without which the prediction changes, too."""
        for one in removed:
            rest = tuple(number for number in removed if number != one)
            if rest and not self.model.asserts(self.whole(rest))[label]:
                return self._needed(rest, label)
        return removed


def _margins(model: Model, logits: Tensor, label: int) -> Tensor:
    """The logits (n,) of a class; of classes that exclude each other, less the best other one."""
    own = logits[:, label]
    if model.output == "multilabel" or logits.shape[1] == 1:
        return own
    others = logits.clone()
    others[:, label] = -torch.inf
    return own - others.amax(1)
