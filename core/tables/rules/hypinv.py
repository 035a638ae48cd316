"""HypInv, experimental: points on the boundary of a class, and the class as half-spaces tangent to it there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.errors import BadParameter, Unsupported
from core.params import Knob
from core.progress import Report, chunks, silent
from core.tables.rules.boxes import Boxes
from core.tables.rules.forest import Forest
from core.tables.rules.ruleset import predicted_classes
from core.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

_STEPS, _CLOSE = 200, 1e-4  # of the search; distance from probability 0.5 that counts as on the boundary
_LONGEST = 1.0  # standard deviations of a step
_NAMED = 5  # features that a sentence names


class Standardised(Protocol):
    """A network on standardised features: `Network`, whose module takes a second to import."""

    @property
    def net(self) -> "nn.Sequential":
        """The layers, from standardised features to the scores of the classes."""

    @property
    def mean(self) -> NDArray[np.float64]:
        """What is subtracted from the encoded features (q,)."""

    @property
    def scale(self) -> NDArray[np.float64]:
        """What they are divided by then (q,)."""

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the classes (n, C) of features (n, p)."""


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """A class as a disjunction of conjunctions of half-spaces normal · x > offset, or their complements."""

    name: str  # of the class
    names: tuple[str, ...]  # of the columns of `Table.encoded`
    points: NDArray[np.float64]  # (K, q): on the boundary, in encoded features
    normals: NDArray[np.float64]  # (K, q): towards the class; per unit of each feature
    offsets: NDArray[np.float64]  # (K,)
    regions: Boxes  # over the K half-spaces: low 0.5 is inside, high 0.5 outside
    fidelity: float  # share of the table's rows that are in the regions if and only if the model gives the class
    missed: int  # searches that ended without a point on the boundary

    def sides(self, encoded: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 for each half-space that a row of encoded features (n, q) is in, else 0: (n, K)."""
        return (encoded @ self.normals.T > self.offsets).astype(float)

    def holds(self, encoded: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row of encoded features (n, q) is in any of the regions."""
        return np.any(self.regions.holds(self.sides(encoded)), axis=1)

    @property
    def summary(self) -> str:
        """The regions in words, with their fidelity and the searches that failed; h1 is the first half-space."""
        told = [
            " and ".join(
                f"{'' if low > -np.inf else 'not '}h{place + 1}"
                for place, (low, high) in enumerate(zip(box_low, box_high, strict=True))
                if low > -np.inf or high < np.inf
            ) or "everywhere"
            for box_low, box_high in zip(self.regions.low, self.regions.high, strict=True)
        ]  # fmt: skip
        regions = "; or ".join(told) or "nowhere"
        return (
            f"{self.name}: {regions}. This agrees with the network for {self.fidelity:.1%} of the rows; "
            f"{self.missed:,} of {self.missed + len(self.points):,} searches ended without a point on the boundary."
        )

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each half-space: its offset, its normal and the point of the boundary that it touches."""
        import pandas as pd

        normals = pd.DataFrame(self.normals, columns=[f"normal of {name}" for name in self.names])
        points = pd.DataFrame(self.points, columns=[f"point: {name}" for name in self.names])
        first = pd.DataFrame({"half-space": [f"h{one + 1}" for one in range(len(self.points))], "offset": self.offsets})
        return pd.concat([first, normals, points], axis=1)

    def sentence(self, number: int) -> str:
        """Half-space `number` in words, with the features that change most along its normal."""
        normal = self.normals[number]
        order = np.argsort(-np.abs(normal), kind="stable")[:_NAMED]
        parts = [f"{normal[place]:+.3g} · {self.names[place]}" for place in order if normal[place]]
        more = int((normal != 0).sum()) - len(parts)
        return " ".join(parts) + (f" + {more:,} more" if more else "") + f" > {self.offsets[number]:.4g}"


def hypinv(
    table: Table,
    network: Standardised,
    label: int,
    *,
    points: Annotated[int, Knob("Number of rows from which a boundary point is searched.", 1, 1000)] = 20,
    depth: Annotated[int, Knob("Largest number of half-spaces in a conjunction.", 1, 20)] = 4,
    seed: int = 0,
    report: Report = silent,
) -> HalfSpaces:
    """Points at which a class has probability 0.5, and regions made of the half-spaces that touch the boundary there.

    From rows of the table, steps along the gradient of the log odds lead to the boundary; categories stay as they are.
    A tree on the sides of all tangent planes on which the rows lie says which combinations make up the class.
    Raises Unsupported for a table without numbers, or if no search ends on the boundary.
    """
    import torch

    from core.randomness import generator

    predicted = predicted_classes(table, network)
    if not 0 <= label < len(table.classes):
        raise BadParameter(f"There is no class {label}.", f"Give a number from 0 to {len(table.classes) - 1}.")
    moving = _moving(table)
    if not moving.any():
        raise Unsupported("Boundary points need features that are numbers.", "Use DeepRED or the surrogate tree.")
    encoded = table.encoded()
    order = torch.randperm(len(table), generator=generator(seed)).numpy()[:points]
    start = torch.from_numpy((encoded[order] - network.mean) / network.scale).double()
    found, slopes = _searched(network.net, start, torch.from_numpy(moving), label, report)
    if not len(found):
        message = f"No search ended where the probability of {table.classes[label]} is 0.5."
        raise Unsupported(message, "Ask for more points, or choose another class.")
    normals = slopes / network.scale
    boundary = found * network.scale + network.mean
    offsets = (normals * boundary).sum(1)
    sides = (encoded @ normals.T > offsets).astype(float)
    forest = Forest(sides)
    tree = forest.grow(predicted == label, depth, 0)
    boxes, inside = forest.leaves(tree, np.arange(len(normals)))
    regions = boxes[inside == 1].simplified()
    held = regions.holds(sides).any(1)
    return HalfSpaces(
        table.classes[label], table.encoded_names, boundary, normals, offsets, regions,
        float((held == (predicted == label)).mean()), len(order) - len(found),
    )  # fmt: skip


HYPINV = Card.of(
    hypinv,
    "HypInv",
    family="rules",
    source="Saad & Wunsch 2007",
    formula="x ← x − g(x) ∇g(x) / ‖∇g(x)‖², g = log p / (1 − p)",
    caution="Experimental. A tangent plane describes the boundary near its point alone.",
    cost=lambda settings, side: _STEPS * settings["points"],
)


def _searched(
    net: "nn.Module", start: "Tensor", moving: "Tensor", label: int, report: Report
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows that reach the boundary, and the unit normals there towards the class: both (K, q), standardised."""
    import torch

    rows, slopes = start.clone(), torch.zeros_like(start)
    odds = torch.full((len(start),), torch.inf, dtype=torch.float64)
    for _ in chunks(_STEPS, 1, report, "steps", counted=True):
        odds, slopes = _log_odds(net, rows, label)
        slopes = slopes * moving
        if (odds.abs() < _CLOSE).all():
            break
        steps = odds[:, None] * slopes / slopes.square().sum(1, keepdim=True).clamp_min(1e-12)
        rows = rows - steps * (_LONGEST / steps.norm(dim=1, keepdim=True).clamp_min(_LONGEST))
    odds, slopes = _log_odds(net, rows, label)
    slopes = slopes * moving
    reached = (odds.abs() < 4 * _CLOSE) & (slopes.norm(dim=1) > 0)
    units = slopes[reached] / slopes[reached].norm(dim=1, keepdim=True)
    return rows[reached].numpy(), units.numpy()


def _log_odds(net: "nn.Module", rows: "Tensor", label: int) -> "tuple[Tensor, Tensor]":
    """log p / (1 − p) of a class for standardised rows, and its gradients."""
    import torch

    with torch.enable_grad():
        rows = rows.detach().requires_grad_()
        logits = net(rows.float()).double()
        others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
        odds = logits[:, label] - others.logsumexp(1)
        (slopes,) = torch.autograd.grad(odds.sum(), rows)
    return odds.detach(), slopes


def _moving(table: Table) -> NDArray[np.bool_]:
    """Which columns of `Table.encoded` are numbers."""
    return np.concatenate([
        np.full(1 if column.kind == "number" else len(column.categories), column.kind == "number")
        for column in table.columns
    ])  # fmt: skip
