"""Replacement of an image's features in the order of a map: the outputs of the network on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BadParameter, Unsupported
from core.explain.baselines import Baseline, baseline, scaled
from core.explain.methods.perturbation import bounding
from core.explain.query import Query, images_sha
from core.explain.segments import pieces
from core.explain.targets import Classes, Target
from core.measure.measure import Evidence
from core.network.incremental import CleanPass
from core.progress import Report, chunks, subrange

Features = Literal["pixels", "patches", "segments"]
Direction = Literal["deletion", "insertion"]
PATCH = 16  # pixels of a 224 px image: the tokens of most vision transformers
SEGMENTS = 60
# A window of SMALL of the image saves 35% (ResNet-18) to 75% (the flowers' networks) of a pass's multiplications,
# a smaller one more, but less of its time: ENOUGH of them repay the pass over the unchanged image.
SMALL = 1 / 8
ENOUGH = 6
UNIT = "perturbed images"  # of what reports count


@dataclass(frozen=True)
class Replacement:
    """What is replaced, by what, and in how many steps; the features of highest value in a map are the first."""

    direction: Direction  # from the image to its baseline, or back
    steps: int
    fill: Baseline
    features: Features = "pixels"


@dataclass(frozen=True)
class Outputs:
    """What the network says about the target of each image at each step."""

    scores: Tensor  # (B, S + 1), float64 on the CPU: probabilities, or what the target has in their place
    margins: Tensor  # (B, S + 1), lead of the logit of the class over the best other one; zero for other targets


def replaced(evidence: Evidence, replacement: Replacement) -> Outputs:
    """The outputs after every step from the images to their baseline (deletion), or back (insertion); cached.

    About as many features are replaced at each step; equal values are ordered at random, as the query's seed says. Maps
    of the same images share the passes of both ends. Raises BadParameter for maps with values that are not finite, or
    of another size than the images.
    """
    query, maps = evidence.query, checked_maps(evidence)
    key = (*query.key, "replaced", images_sha(maps), replacement, query.seed)
    return query.cache.get(key, lambda: _outputs(query, maps, replacement))


def checked_maps(evidence: Evidence) -> Tensor:
    """The maps (B, H, W), float64 on the CPU. Raises as `replaced`."""
    maps, size = evidence.maps.cpu().double(), evidence.query.size
    if maps.shape[1:] != size:
        (height, width), (rows, columns) = maps.shape[1:], size
        message = f"The maps have {height} × {width} pixels and their images {rows} × {columns}."
        raise BadParameter(message, "Resize the maps to their images.")
    wrong = (~maps.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    if wrong:
        message = f"The map of image {wrong[0] + 1} has values that are not finite."
        raise BadParameter(message, "Choose another method, or leave this image out.")
    return maps


def replaced_at(evidence: Evidence, replacement: Replacement, step: int) -> Tensor:
    """What the network sees after a step, from 0 to the number of steps: its inputs (B, C, H, W), without a pass.

    `replaced` has the outputs of these images. Raises as `replaced`, and BadParameter for another step.
    """
    if not 0 <= step <= replacement.steps:
        raise BadParameter(f"There is no step {step}.", f"Choose 0 to {replacement.steps}.")
    query = evidence.query
    empty = baseline(query, replacement.fill).expand_as(query.images)
    rows = range(len(empty))
    return _transition(query, checked_maps(evidence), replacement, empty).images(rows, [step] * len(rows))


@torch.no_grad()
def _outputs(query: Query, maps: Tensor, replacement: Replacement) -> Outputs:
    clean, (cleared, empty) = _clean(query), _cleared(query, replacement.fill)
    first, last = (clean, cleared) if replacement.direction == "deletion" else (cleared, clean)
    transition = _transition(query, maps, replacement, empty)
    found = torch.zeros(2, len(maps), replacement.steps + 1, dtype=torch.float64)
    found[:, :, 0] = first
    states = []
    for row, level in enumerate(transition.levels):
        changes = np.unique(level, return_index=True)[1].tolist()
        found[:, row, changes[-1]] = last[:, row]
        states.append([step for step in changes if 0 < level[step] < level[-1]])
    transition.fill(found, states)
    for row, level in enumerate(transition.levels):
        found[:, row] = found[:, row, np.searchsorted(level, level)]
    return Outputs(*finite(query, found))


def _transition(query: Query, maps: Tensor, replacement: Replacement, empty: Tensor) -> "_Transition":
    """The images on the way between those of the query and their baselines, in the order of the maps."""
    start, end = (query.images, empty) if replacement.direction == "deletion" else (empty, query.images)
    ranks, counts = ordered(query, maps, replacement.features)
    # Fewer features than steps leave steps at which nothing changes.
    levels = np.round(np.outer(counts, np.linspace(0, 1, replacement.steps + 1))).astype(np.int64)
    return _Transition(query, start, end, torch.from_numpy(ranks).to(start.device), levels)


def finite(query: Query, outputs: Tensor) -> Tensor:
    """The same outputs. Raises Unsupported if not all of them are finite numbers."""
    if bool(outputs.isfinite().all()):
        return outputs
    message = f"{query.model.display} gives scores that are not finite for perturbed copies of this image."
    raise Unsupported(message, "Choose another baseline.")


def ordered(query: Query, maps: Tensor, features: Features) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The position of each pixel's feature in the order of its map (B, H, W), strongest first, and how many there are.

    The value of a patch or segment is the mean of its pixels. Equal values have the same random order in every image.
    """
    ranks, counts = np.empty(maps.shape, np.int32), np.empty(len(maps), np.int64)
    for row, values in enumerate(maps.numpy()):
        cells = _cells(query, row, features)
        means = np.bincount(cells.ravel(), values.ravel()) / np.bincount(cells.ravel())
        shuffled = torch.randperm(len(means), generator=query.rng()).numpy()
        order = shuffled[np.argsort(-means[shuffled], kind="stable")]
        positions = np.empty_like(order)
        positions[order] = np.arange(len(order))
        ranks[row], counts[row] = positions[cells], len(means)
    return ranks, counts


def _cells(query: Query, row: int, features: Features) -> NDArray[np.int64]:
    """The number of the feature (H, W) that each pixel of an image belongs to, 0 … F − 1."""
    height, width = query.size
    if features == "segments":
        one = query.subset(slice(row, row + 1), query.report)
        return pieces(one, "slic", SEGMENTS, "grey").cells.numpy(force=True)
    side = 1 if features == "pixels" else scaled(PATCH, min(query.size))
    return np.arange(height)[:, None] // side * -(-width // side) + np.arange(width) // side


def _clean(query: Query) -> Tensor:
    """The outputs (2, B) for the unmodified images."""
    scores = query.clean_scores("prob")
    margins = query.clean_scores("margin") if isinstance(query.targets, Classes) else torch.zeros_like(scores)
    return torch.stack([scores, margins]).cpu().double()


def _cleared(query: Query, fill: Baseline) -> tuple[Tensor, Tensor]:
    """The outputs (2, B) for the baseline of each image, cached, and the baselines (B, C, H, W)."""
    empty = baseline(query, fill).expand_as(query.images)

    def made() -> Tensor:
        spans = chunks(len(empty), query.batch, lambda _, note: query.report(0.0, note))
        slices = (slice(span.start, span.stop) for span in spans)
        return torch.cat([_read(query, empty[rows], query.targets[rows]) for rows in slices], 1)

    return query.cache.get((*query.key, "cleared", fill, query.seed), made), empty


def _read(query: Query, images: Tensor, targets: Target) -> Tensor:
    """The score and the margin (2, N) of the targets for these images, from one pass."""
    if targets.layer:
        scores = query.score(images, targets, "prob")
        return torch.stack([scores, torch.zeros_like(scores)]).cpu().double()
    outputs = query.logits(images, watched=False)
    scores = query.score_of(outputs, targets, "prob")
    margins = query.score_of(outputs, targets, "margin") if isinstance(targets, Classes) else torch.zeros_like(scores)
    return torch.stack([scores, margins]).cpu().double()


@dataclass(frozen=True)
class _Transition:
    """The images between two ends: those of a step have the first of their features replaced by those of the end."""

    query: Query
    start: Tensor  # (B, C, H, W)
    end: Tensor  # (B, C, H, W)
    ranks: Tensor  # (B, H, W) of each pixel's feature
    levels: NDArray[np.int64]  # (B, S + 1), how many features are replaced

    def fill(self, found: Tensor, states: Sequence[Sequence[int]]) -> None:
        """Write the outputs of these steps of each image into `found` (2, B, S + 1)."""
        total, done = sum(map(len, states)), 0
        whole: list[tuple[int, int]] = []
        for row, steps in enumerate(states):
            remaining = list(steps)
            for backwards in (False, True):
                local = self._local(row, remaining, backwards=backwards)
                if len(local) < ENOUGH:
                    continue
                report = subrange(self.query.report, done / total, (done + len(local)) / total)
                for some, outputs in self._incremental(row, local, report, backwards=backwards):
                    found[:, row, some] = outputs
                done, remaining = done + len(local), [step for step in remaining if step not in local]
            whole += [(row, step) for step in remaining]
        report = subrange(self.query.report, done / max(total, 1), 1)
        for span in chunks(len(whole), self.query.batch, report, UNIT, counted=True):
            rows, some = map(list, zip(*whole[span.start : span.stop], strict=True))
            found[:, rows, some] = _read(self.query, self.images(rows, some), self.query.targets[rows])

    def images(self, rows: Sequence[int], steps: Sequence[int]) -> Tensor:
        """The images (N, C, H, W) of these rows, each at one of these steps."""
        return torch.where(self._changed(rows, steps)[:, None], self.end[rows], self.start[rows])

    def _changed(self, rows: Sequence[int], steps: Sequence[int], *, backwards: bool = False) -> Tensor:
        """Where (N, H, W) the images of these steps differ from their start, or `backwards` from their end."""
        levels = torch.from_numpy(self.levels[rows, steps]).to(self.ranks.device)
        return (self.ranks[rows] < levels[:, None, None]) ^ backwards

    def _local(self, row: int, steps: Sequence[int], *, backwards: bool) -> list[int]:
        """The steps whose image differs from its start or end only in a small window; none but on the CPU."""
        if not steps or self.query.images.device.type != "cpu":
            return []
        ranks, levels = self.ranks[row], torch.from_numpy(self.levels[row, steps])[:, None]
        # A line of pixels differs from the start if its first pixel does, and from the end until its last one does not.
        rows, columns = (ranks.amax(axis) >= levels if backwards else ranks.amin(axis) < levels for axis in (1, 0))
        small = _extents(rows) * _extents(columns) <= SMALL * ranks.numel()
        return [step for step, within in zip(steps, small.tolist(), strict=True) if within]

    def _incremental(
        self, row: int, steps: Sequence[int], report: Report, *, backwards: bool
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Some of these steps of one image and their outputs, computed only where their windows have an influence."""
        clean, fill = (self.end, self.start) if backwards else (self.start, self.end)
        clean_pass = CleanPass(clean[row : row + 1], self.query.model.order)
        for span in chunks(len(steps), self.query.batch, report, UNIT, counted=True):
            some = steps[span.start : span.stop]
            inside = self._changed([row] * len(some), some, backwards=backwards)
            images = clean_pass.filled(bounding(inside), fill[row], inside)
            yield some, _read(self.query, images, self.query.targets.repeated(row, len(some)))


def _extents(lines: Tensor) -> Tensor:
    """The distance (N,) from the first to the last true value of each line (N, L), both included."""
    ints = lines.int()
    return lines.shape[1] - ints.argmax(1) - ints.flip(1).argmax(1)
