"""Pixels of small pictures as features of a table, where importances of features fail (Song and Zhang, 3.2)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.labels import class_index
from core.errors import Unsupported
from core.progress import Report, chunks, silent
from core.tables.lime import lime_table
from core.tables.network import Network
from core.tables.table import Table
from core.tables.tree import Tree

Image = NDArray[np.float64]  # (side, side)

REASON = (
    "A Gini importance belongs to a pixel of all pictures at once, but the pixels that matter differ from picture to "
    "picture, as a digit may be written here or there. The tree asks for the few pixels that divide most rows, which "
    "show no contour of any digit. LIME explains one picture of any model, such as a forest of such trees, but each of "
    "its weights is about a whole range of darkness of one pixel, whatever the others show. The gradient of the "
    "network is that of one picture, and an input that maximises a class shows what the network responds to."
)


def side(table: Table) -> int:
    """The side of the square picture that the features of a row make up. Raises Unsupported for other tables."""
    found = round(len(table.columns) ** 0.5)
    if found < 2 or found**2 != len(table.columns) or any(column.kind != "number" for column in table.columns):
        message = f"The {len(table.columns):,} features of {table.name} are not the pixels of a square picture."
        raise Unsupported(message, "Choose the table of digits.")
    return found


def gini(grown: Tree) -> Image:
    """The Gini importance of each pixel in a tree."""
    return grown.importances.reshape(side(grown.table), -1)


def forest_weights(
    training: Table,
    row: NDArray[np.float64],
    label: str,
    *,
    samples: int = 2000,
    seed: int = 0,
    report: Report = silent,
) -> Image:
    """The weights of LIME for the probability that a random forest of 100 trees gives a class, for one row (p,).

    Raises UnknownName for a class that does not exist.
    """
    from sklearn.ensemble import RandomForestClassifier

    width, number = side(training), class_index(label, training.classes, "The table")
    forest = RandomForestClassifier(100, random_state=seed).fit(training.values, training.answers.astype(int))
    known = forest.classes_.astype(int)

    def predict(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros((len(values), len(training.classes)))
        found[:, known] = forest.predict_proba(values)
        return found

    found = lime_table(training, predict, row, output=number, samples=samples, seed=seed, report=report)
    return found.weights.reshape(width, -1)


def saliency(network: Network, rows: NDArray[np.float64], label: str) -> Image:
    """The mean over rows of |∂ score of a class / ∂ pixel|, for a change of a pixel by its standard deviation.

    The score is that before the softmax. Pixels that never change have no deviation, and so no saliency. `rows` (n, p)
    may be a single one. Raises UnknownName for a class that does not exist, Unsupported without rows.
    """
    table, width = network.table, side(network.table)
    number = class_index(label, table.classes, "The table")
    if not len(rows):
        raise Unsupported(f"No rows of {table.name} are given for {label}.", "Choose a class with more rows.")
    inputs = torch.from_numpy((rows - network.mean) / network.scale).float().requires_grad_()
    (slopes,) = torch.autograd.grad(network.net(inputs)[:, number].sum(), inputs)
    per_pixel = slopes.abs().mean(0).double().numpy() / network.scale
    return (per_pixel * table.values.std(0)).reshape(width, -1)


def inversion(network: Network, label: str, *, decay: float = 0.1, steps: int = 200, report: Report = silent) -> Image:
    """A picture that maximises the score of a class: score − decay/2 ‖z‖², with z its standardised pixels.

    By gradient ascent from the mean picture (Simonyan et al. 2014), within the range that each pixel has in the table.
    Raises UnknownName for a class that does not exist.
    """
    table, width = network.table, side(network.table)
    number = class_index(label, table.classes, "The table")
    low, high = (
        torch.from_numpy((bound(table.values, axis=0) - network.mean) / network.scale).float()
        for bound in (np.min, np.max)
    )
    found = torch.zeros(1, width**2, requires_grad=True)
    optimiser = torch.optim.Adam([found], lr=0.1)
    for _ in chunks(steps, 1, report, "steps", counted=True):
        loss: Any = decay / 2 * found.square().sum() - network.net(found)[0, number]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            found.clamp_(low, high)
    return (found.detach()[0].double().numpy() * network.scale + network.mean).reshape(width, -1)
