"""The map of units: two principal components of their class profiles."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.units.overview.profiles import FLAT, Profiles


@dataclass(frozen=True)
class Projection:
    """Places of units by what they respond to: those with alike profiles lie close together."""

    units: NDArray[np.int64]  # (n,) those that have a place
    places: NDArray[np.float64]  # (n, 2)
    shares: tuple[float, float]  # of the variance of the profiles, along each axis
    dead: int  # number of dead units, which have no place
    flat: int  # number of live units that respond to all classes alike, which have none either


def projected(profiles: Profiles) -> Projection:
    """The two principal components of the profiles, each with mean 0 and length 1 over the classes.

    So only the shape of a profile counts, not the strength of the unit. The sign of an axis is the one that makes its
    largest loading positive; an axis without variance has places 0.
    """
    centred = profiles.means - profiles.means.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    shaped = lengths > FLAT * np.linalg.norm(profiles.means, axis=1)
    units = np.flatnonzero(shaped & ~profiles.dead)
    rows = centred[units] / lengths[units, None]
    spread = rows - rows.mean(0) if len(rows) else rows
    _, sizes, axes = np.linalg.svd(spread, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)]) if axes.size else np.ones(len(axes))
    places, variances = np.zeros((len(units), 2)), np.zeros(2)
    kept = min(2, len(sizes))
    places[:, :kept] = spread @ (axes[:kept] * signs[:kept, None]).T
    variances[:kept] = sizes[:kept] ** 2
    total = float((sizes**2).sum())
    shares = variances / total if total > 0 else variances
    return Projection(
        units,
        places,
        (float(shares[0]), float(shares[1])),
        int(profiles.dead.sum()),
        int((~shaped & ~profiles.dead).sum()),
    )
