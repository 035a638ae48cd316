"""A decision tree that predicts a model's classes, as rules: what the model does, read from outside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.params import Knob
from core.progress import Report, chunks, silent
from core.tables.rules.forest import Forest
from core.tables.rules.ruleset import Rules, predicted_classes, rules_of
from core.tables.table import Predict, Table

if TYPE_CHECKING:
    import pandas as pd

Depth = Annotated[int, Knob("Maximum depth of each tree; 0 for no limit.", 0, 60)]
Leaf = Annotated[
    float, Knob("Smallest leaf, as a share of the rows, but at least 2 of them; 0 allows single rows.", 0, 0.5, 0.005)
]


def surrogate_tree(
    table: Table,
    predict: Predict,
    *,
    depth: Depth = 4,
    leaf: Leaf = 0.005,
    synthetic: Annotated[int, Knob("Number of rows made between those of the table.", 0, 1_000_000, 100)] = 0,
    jitter: Annotated[
        float, Knob("Noise on the numbers of these rows, in standard deviations of their columns.", 0, 1, 0.01)
    ] = 0.05,
    seed: int = 0,
) -> Rules:
    """The leaves of a decision tree that is trained on a model's classes.

    It looks at inputs and outputs alone, so it describes any model. With synthetic rows, each between two rows of the
    table and labelled by the model, the tree has more to split on than the table has rows (as in ANN-DT).
    """
    predicted = predicted_classes(table, predict)
    values, labels = table.values, predicted
    if synthetic:
        made = synthetic_rows(table, synthetic, jitter, seed)
        values = np.concatenate([values, made])
        labels = np.concatenate([labels, predicted_classes(table, predict, made)])
    forest = Forest(table.encoded(values))
    tree = forest.grow(labels, depth, leaf)
    used = forest.used([tree])
    boxes, given = forest.leaves(tree, used)
    by_class = [boxes[given == label].simplified() for label in range(len(table.classes))]
    return rules_of(table, predicted, by_class, used)


SURROGATE_TREE = Card.of(
    surrogate_tree,
    "Surrogate tree",
    family="rules",
    source="Craven & Shavlik 1996; Schmitz et al. 1999 (ANN-DT)",
    formula="tree(x) ≈ argmax f(x), splits by entropy",
    caution="It imitates the model's output and says nothing of how the model computes it.",
    cost=lambda settings, side: 1,
)


def fidelity_by_depth(
    table: Table,
    predict: Predict,
    held_out: Table,
    depths: Sequence[int] = range(1, 11),
    *,
    leaf: float = 0.0,
    report: Report = silent,
) -> "pd.DataFrame":
    """The trade-off between size and fidelity: a surrogate tree of each depth, measured on rows held out.

    Columns: depth, rules, terms (mean comparisons of a rule), fidelity, accuracy.
    """
    import pandas as pd

    found = []
    for span in chunks(len(depths), 1, report, "trees grown", counted=True):
        depth = depths[span.start]
        quality = surrogate_tree(table, predict, depth=depth, leaf=leaf).quality(held_out, predict)
        found.append((depth, quality.rules, quality.terms, quality.fidelity, quality.accuracy))
    return pd.DataFrame(found, columns=["depth", "rules", "terms", "fidelity", "accuracy"])


def synthetic_rows(table: Table, count: int, jitter: float, seed: int = 0) -> NDArray[np.float64]:
    """Rows between two random ones of the table: (count, p).

    Numbers are interpolated and get Gaussian noise of `jitter` standard deviations; a category is that of the nearer
    row.
    """
    import torch

    from core.randomness import generator

    numbers = np.array([column.kind == "number" for column in table.columns])
    spread = table.values.std(0) * jitter
    rows = np.empty((count, len(table.columns)))
    for index in range(count):
        draw = generator(seed, index)
        one, other = table.values[torch.randint(len(table), (2,), generator=draw).numpy()]
        share = float(torch.rand((), generator=draw))
        noise = torch.randn(len(spread), generator=draw).numpy() * spread
        rows[index] = np.where(numbers, one + share * (other - one) + noise, one if share < 0.5 else other)
    return rows
