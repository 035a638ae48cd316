"""Non-negative factorisation of the responses of filters in patches."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter, Unsupported
from core.params import Knob
from core.progress import Report, chunks, silent
from core.study import Study

_SWEEPS = 2000  # at most
_STEP = 5  # sweeps between two looks at the error
_TOLERANCE = 1e-6  # by which the error falls in these, at least
_SHARE = 0.9  # of a direction's squared length that its strongest filters make up


@dataclass(frozen=True)
class Responses:
    """How strongly each filter responds in each patch."""

    values: NDArray[np.float64]  # (P, D) mean activation within the patch, negative ones as zero
    complete: bool  # else only the strongest filters of each patch are known, and the others are zero


@dataclass(frozen=True)
class Concepts:
    """Directions that together make up the responses, by falling strength over all patches."""

    directions: NDArray[np.float64]  # (K, D) non-negative, of length 1
    strengths: NDArray[np.float64]  # (P, K) non-negative, in units of activation
    error: float  # length of what the directions do not make up, as a share of the responses' length
    converged: bool

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The strongest concept (P,) of each patch; -1 where none is active."""
        return np.where(self.strengths.max(1) > 0, self.strengths.argmax(1), -1).astype(np.int64)

    def patches(self, concept: int) -> NDArray[np.int64]:
        """The patches in which a concept is active, strongest first."""
        order = np.argsort(-self.strengths[:, concept], kind="stable")
        return order[self.strengths[order, concept] > 0].astype(np.int64)

    def filters(self, concept: int) -> NDArray[np.int64]:
        """The strongest filters of a concept: the fewest that make up 90% of its squared length, strongest first."""
        squares = self.directions[concept] ** 2
        order = np.argsort(-squares, kind="stable")
        count = int(np.searchsorted(np.cumsum(squares[order]), _SHARE * squares.sum())) + 1
        return order[:count].astype(np.int64)

    def by_class(self, labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
        """The mean strength (C, K) over the patches of each class; NaN for a class without patches."""
        sums = np.zeros((classes, len(self.directions)))
        np.add.at(sums, labels, self.strengths)
        counts = np.bincount(labels, minlength=classes)[:, None]
        return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def responses(study: Study) -> Responses:
    """The responses of a study's filters in its patches: of all filters where it stores them, else of the strongest.

    Raises Unsupported for a study without patches, or in whose patches no filter is active.
    """
    if not study.manifest.tables["patches"].rows:
        raise Unsupported(f"The study {study.name} has no patches.", "Choose another study.")
    if "matrix" in study.manifest.arrays:
        return Responses(np.maximum(np.asarray(study.array("matrix"), np.float64), 0), complete=True)
    items, sums = np.asarray(study.array("items")), np.asarray(study.array("responses"), np.float64)
    values = np.zeros((len(items), study.manifest.model.filters))
    rows, places = np.nonzero(items >= 0)
    values[rows, items[rows, places]] = sums[rows, places] / study.manifest.window**2
    return Responses(values, complete=False)


def factorised(
    values: NDArray[Any],
    count: Annotated[int, Knob("Number of concepts.", 1, 200)] = 10,
    *,
    seed: Annotated[int, Knob("Seed of the start.", 0, 2**31 - 1)] = 0,
    report: Report = silent,
) -> Concepts:
    """The directions whose non-negative sums are nearest to the responses (P, D), by least squares.

    Coordinate descent from the singular vectors (NNDSVD, Boutsidis & Gallopoulos 2008). It reaches a local minimum, the
    same for the same seed. Directions that no patch needs are left out, so there may be fewer. Raises BadParameter for
    more concepts than patches or active filters, or for responses that are negative or not finite, and Unsupported if
    no filter is active.
    """
    values = np.asarray(values, np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise BadParameter("Responses must be finite and not negative.", "Set negative ones to zero.")
    active = np.flatnonzero(values.any(0))
    if not len(active):
        raise Unsupported("No filter is active in any patch.", "Choose a study of another layer.")
    _check(count, len(values), len(active))
    weights, parts, converged = _descended(values[:, active], count, seed, report)
    lengths = np.linalg.norm(parts, axis=1)
    strengths = weights * lengths
    totals = strengths.sum(0)
    order = [k for k in np.argsort(-totals, kind="stable") if totals[k] > 0]
    directions = np.zeros((len(order), values.shape[1]))
    directions[:, active] = parts[order] / lengths[order, None]
    strengths = strengths[:, order]
    error = np.linalg.norm(values - strengths @ directions) / np.linalg.norm(values)
    return Concepts(directions, strengths, float(error), converged)


def _check(count: int, patches: int, filters: int) -> None:
    most = min(patches, filters)
    if 1 <= count <= most:
        return
    held = f"{patches:,} patches with {filters:,} active filters"
    raise BadParameter(f"{held} do not have {count:,} concepts.", f"Choose 1 to {most:,}.")


def _descended(
    values: NDArray[np.float64], count: int, seed: int, report: Report
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """The factors (P, K) and (K, D) of the responses, and whether the error no longer fell."""
    from sklearn.decomposition import non_negative_factorization  # here, as importing it takes long

    length = np.linalg.norm(values)
    start: dict[str, Any] = {"init": "nndsvd", "random_state": seed}
    before = np.inf
    for span in chunks(_SWEEPS, _STEP, report, "sweeps of the factorisation", counted=True):
        # A tolerance of zero: whether it converged is decided here, where it can also be cancelled.
        weights, parts, _ = non_negative_factorization(
            values, n_components=count, solver="cd", tol=0, max_iter=len(span), **start
        )
        error = float(np.linalg.norm(values - weights @ parts) / length)
        if before - error <= _TOLERANCE:
            report(1.0, "")
            return weights, parts, True
        before, start = error, {"init": "custom", "W": weights, "H": parts}
    return weights, parts, False
