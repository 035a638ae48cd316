"""Clarity and redundancy of a unit: how alike its patches are for the network itself, and to those of other units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from core.errors import Unsupported
from core.images import Pixels
from core.measure.intervals import DRAWS, LEVEL, Interval, samples
from core.models.model import Model
from core.progress import Report, chunks, silent
from core.randomness import generator
from core.units.ablation import pooled

Features = NDArray[np.float64]  # (N, D), one row per patch


@dataclass(frozen=True)
class Clarity:
    """The mean cosine similarity over all pairs of a unit's patches, and over as many other patches."""

    patches: Interval  # n: number of patches
    chance: Interval | None  # of other patches of the same images; None where there are fewer than two
    difference: Interval | None  # of the two: above zero, the patches are more alike than chance


@dataclass(frozen=True)
class Likeness:
    """How alike the patches of one unit are, and which other unit has patches like them."""

    clarity: Clarity | None  # None for fewer than two patches
    redundancy: tuple[int, float] | None  # the most similar other unit, and the cosine; None without others


def likeness(
    model: Model,
    crops: NDArray[np.uint8],
    images: Sequence[int],
    rows: Mapping[int, Sequence[int]],
    unit: int,
    *,
    seed: int = 0,
    report: Report = silent,
) -> Likeness:
    """Clarity and redundancy of a unit, from patches (P, s, s, 3) and the number of the image of each.

    `rows` are the patches of every unit: a few of the others are enough. Chance is that of other patches of the same
    images. One forward per patch that is used. Raises as `patch_features`.
    """
    chance = companions(images, rows[unit], seed)
    used = sorted({row for own in (*rows.values(), chance) for row in own})
    place = {row: number for number, row in enumerate(used)}
    features = patch_features(model, crops[used], report=report)

    def of(some: Sequence[int]) -> Features:
        return features[[place[row] for row in some]]

    clear = clarity(of(rows[unit]), of(chance), seed=seed)
    return Likeness(clear, redundancy({number: of(own) for number, own in rows.items() if own}, unit))


def patch_features(
    model: Model, crops: Sequence[Pixels] | Pixels, *, batch: int = 16, report: Report = silent
) -> Features:
    """The features (N, D) of patches (h, w, 3) of any size: the last spatial layer, averaged over its positions.

    A patch is prepared as the model prepares an image. One forward per patch. Raises Unsupported for a model without
    such a layer, and without patches.
    """
    layer, found = model.resolve_layer(), []
    for span in chunks(len(crops), batch, report, "patches", counted=True):
        inputs = [model.preprocess.tensor(model.preprocess.view(crops[row])) for row in span]
        found.append(pooled(model, torch.stack(inputs).to(model.device), layer).cpu().double().numpy())
    if not found:
        raise Unsupported("There are no patches to compare.", "Choose a unit that is active in some image.")
    return np.concatenate(found)


def companions(images: Sequence[int], own: Sequence[int], seed: int = 0) -> list[int]:
    """For each of a unit's patches another patch of the same image, drawn by its index; none where there is none.

    `images` are those of all patches, `own` the rows of the unit's patches.
    """
    of, mine, drawn = np.asarray(images), set(own), list[int]()
    for index, row in enumerate(own):
        others = [other for other in np.flatnonzero(of == of[row]).tolist() if other not in mine]
        if others:
            drawn.append(others[int(torch.randint(len(others), (), generator=generator(seed, index)))])
    return drawn


def clarity(own: Features, others: Features, *, seed: int = 0) -> Clarity | None:
    """How alike a unit's patches are, against other patches; None for fewer than two patches.

    Percentile intervals by the bootstrap over patches, whose pairs with themselves do not count. After the clarity of
    Dreyer et al. 2025, with the network's own features in place of those of a foundation model.
    """
    if len(own) < 2:
        return None
    mean, drawn = _similar(own, seed)
    patches = _interval(len(own), mean, drawn)
    if len(others) < 2:
        return Clarity(patches, None, None)
    chance, drawn_chance = _similar(others, seed + 1)  # drawn independently
    difference = _interval(len(own), mean - chance, drawn - drawn_chance)
    return Clarity(patches, _interval(len(others), chance, drawn_chance), difference)


def redundancy(features: Mapping[int, Features], unit: int) -> tuple[int, float] | None:
    """The other unit whose mean feature is most similar to that of a unit, and the cosine; None without others.

    `features` are those of each unit's patches. The redundancy of Dreyer et al. 2025, for one unit.
    """
    if unit not in features:
        return None
    means = {number: _directed(rows).mean(0) for number, rows in features.items() if len(rows)}
    own = means.pop(unit)
    found = {number: _cosine(own, mean) for number, mean in means.items()}
    best = max(found, key=lambda number: (found[number], -number), default=None)
    return None if best is None else (best, found[best])


def _similar(features: Features, seed: int) -> tuple[float, NDArray[np.float64]]:
    """The mean cosine over pairs of rows, and that of each bootstrap sample."""
    directions = _directed(features)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, 0)
    counts = np.concatenate([np.ones((1, len(features))), samples(len(features), DRAWS, seed)])
    pairs = counts.sum(1) ** 2 - (counts**2).sum(1)
    # Not a number for a sample that is one patch alone, as it has no pair.
    means = np.divide(((counts @ cosines) * counts).sum(1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return float(means[0]), means[1:]


def _interval(n: int, mean: float, drawn: NDArray[np.float64]) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail]).tolist()
    return Interval(n, mean, low, high)


def _directed(features: Features) -> Features:
    """Rows of length one; those of zeros stay zero, and are similar to nothing."""
    return F.normalize(torch.from_numpy(features), dim=1).numpy()


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
