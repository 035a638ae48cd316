"""Evaluation of selections: patches on the object, and the similarity of the sets that two metrics select."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter
from core.measure.intervals import Interval, interval
from core.units.resampling.patches import Box


@dataclass(frozen=True)
class PatchLocalisation:
    """How many patches lie on the object, over images."""

    share: float  # of all patches
    interval: Interval | None  # of the mean over images of each image's share; None without an image with patches
    area: float  # mean area of a patch as a share of its image: large patches hit by chance
    patches: int
    images: int  # with patches


def patch_localisation(
    boxes: Sequence[Sequence[Box]], masks: Sequence[NDArray[np.bool_]], *, overlap: float = 0.0, seed: int = 0
) -> PatchLocalisation:
    """The share of patches with at least one pixel of the object, of which at least the share `overlap` is object.

    For each image its boxes and the mask (H, W) of its object. Without `overlap` it is the patch localisation of
    Lengerich et al. 2017, which they judged by eye. Raises BadParameter without any patch, and for images without a
    mask.
    """
    if len(boxes) != len(masks):
        raise BadParameter(f"There are masks of {len(masks)} of {len(boxes)} images.", "Give one mask for each image.")
    hits, areas = [], []
    for one, mask in zip(boxes, masks, strict=True):
        shares = [mask[top : top + height, left : left + width].mean() for top, left, height, width in one]
        hits.append(np.array([share > 0 and share >= overlap for share in shares], np.float64))
        areas += [height * width / mask.size for _, _, height, width in one]
    if not areas:
        raise BadParameter("No image has a patch.", "Choose other filters, or a lower threshold.")
    means = [float(one.mean()) for one in hits if len(one)]
    share = float(np.concatenate(hits).mean())
    return PatchLocalisation(share, interval(means, seed=seed), float(np.mean(areas)), len(areas), len(means))


def set_similarity(first: Iterable[object], second: Iterable[object]) -> float:
    """The Jaccard index |A ∩ B| / |A ∪ B| of two sets, such as of (layer, filter); 1 for two empty sets."""
    a, b = set(first), set(second)
    return len(a & b) / len(a | b) if a | b else 1.0


def expected_similarity(layers: Iterable[tuple[int, int, int]]) -> float:
    """The expected Jaccard index of two random sets, from (filters, size of A, size of B) of each layer.

    The sets are drawn within each layer without replacement, so that the number of common filters is a sum of
    hypergeometric ones.
    """
    from scipy.stats import hypergeom

    common, sizes = np.ones(1), 0
    for filters, a, b in layers:
        if not 0 <= a <= filters or not 0 <= b <= filters:
            message = f"A layer of {filters} filters has no sets of {a} and {b} of them."
            raise BadParameter(message, "Give sizes up to the number of filters.")
        common = np.convolve(common, hypergeom.pmf(np.arange(min(a, b) + 1), filters, a, b))
        sizes += a + b
    counts = np.arange(len(common))
    return float(common @ (counts / np.maximum(sizes - counts, 1))) if sizes else 1.0


def from_released(similarity: float) -> float:
    """The Jaccard index from |A ∩ B| / (|A| + |B|), which the released code of Lengerich et al. 2017 computes.

    Raises BadParameter for a number that is not from 0 to 0.5, the similarity of equal sets.
    """
    if not 0 <= similarity <= 0.5:
        raise BadParameter(f"The released code gives no similarity of {similarity:g}.", "Give one from 0 to 0.5.")
    return similarity / (1 - similarity)
