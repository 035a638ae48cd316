"""Agreement of maps: rank correlation, and overlap of their strongest pixels."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from core.explain.convergence import mean_ranks
from core.measure.measure import Evidence, Numbers, Undefined, measure
from core.params import Knob

TOP = 0.2  # fraction of the pixels that counts as the strongest

Maps = NDArray[np.floating]  # (M, H, W), raw; signed ones count with their sign
Matrix = NDArray[np.float64]  # (M, M), symmetric; NaN for constant maps, which have no order


@measure(
    "Agreement",
    family="agreement",
    source="Spearman 1904",
    formula="mean over the other maps h′ of the image of ρ(h, h′), the correlation of the ranks of their pixels",
    caution="Methods that share a flaw agree, too; and fine maps agree less with coarse ones, whatever they show.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="rank correlation",
    low=-1,
    high=1,
)
def agreement(
    evidence: Evidence,
    *,
    magnitude: Annotated[bool, Knob("Rank pixels by magnitude: negative evidence counts like positive.")] = False,
) -> Numbers:
    """Mean rank correlation of a map with the other maps of the same image.

    Only the order of the pixels counts, not their values, and equal values share their mean rank. A map with the same
    value everywhere has no order: it is left out where another map is measured, and has no agreement itself.
    """
    others = [maps.numpy(force=True) for maps in evidence.others.values()]
    means: list[float | Undefined] = []
    for number, one in enumerate(evidence.maps.numpy(force=True)):
        stacked = np.stack([one, *(maps[number] for maps in others)]).astype(np.float64)
        means.append(_mean_correlation(np.abs(stacked) if magnitude else stacked))
    return means


def _mean_correlation(maps: Maps) -> float | Undefined:
    """The mean rank correlation of the first map with the others that are not constant."""
    if (maps[0] == maps[0].flat[0]).all():
        return Undefined("The map has the same value everywhere.")
    finite = [value for value in spearman(maps)[0, 1:].tolist() if np.isfinite(value)]
    return sum(finite) / len(finite) if finite else Undefined("The image has no other map with values that differ.")


def spearman(maps: Maps) -> Matrix:
    """The rank correlation of every pair of maps, from -1 to 1 (Spearman 1904); equal values share their mean rank."""
    ranks = mean_ranks(maps.reshape(len(maps), -1))
    ranks -= (ranks.shape[1] + 1) / 2
    lengths = np.sqrt(np.square(ranks).sum(1, keepdims=True))
    lengths[lengths == 0] = np.nan
    ranks /= lengths
    return np.clip(ranks @ ranks.T, -1, 1)


def overlap(maps: Maps, share: float = TOP) -> Matrix:
    """Intersection over union of the strongest pixels, a `share` of each map, for every pair of maps: from 0 to 1.

    Values tied at the threshold share the remaining positions equally instead of in arbitrary order: pixels then have
    fractional membership, and the overlap is Σ min / Σ max (Jaccard 1901 for sets, Ruzicka 1958 for fractions).
    """
    parts = np.stack([_strongest(one, share) for one in maps.reshape(len(maps), -1)])
    shared = np.array([np.minimum(one, parts).sum(1) for one in parts])
    sizes = parts.sum(1)
    return shared / (sizes[:, None] + sizes - shared)


def _strongest(values: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """The membership of each value (N,) in the highest `share` of all, from 0 to 1."""
    if values.min() == values.max():
        return np.full(len(values), np.nan)
    count = max(1, round(share * len(values)))
    border = np.partition(values, -count)[-count]
    above, tied = values > border, values == border
    return above + tied * ((count - above.sum()) / tied.sum())
