"""DeepRED: rules out of the layers of a network, by a tree for every condition on a layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.params import Knob
from core.progress import Report, chunks, item, rising, silent, subrange
from core.tables.rules.boxes import Boxes, TooMany
from core.tables.rules.forest import Forest
from core.tables.rules.ruleset import Rules, predicted_classes, rules_of
from core.tables.rules.surrogate_tree import Depth, Leaf
from core.tables.table import Table


class Layered(Protocol):
    """A model whose hidden layers can be read: `Network`, whose module takes a second to import."""

    def activations(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The encoded features (n, q), the outputs of each hidden layer, and those of the model (n, C)."""

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the classes (n, C) of features (n, p)."""


def deepred(
    table: Table,
    network: Layered,
    *,
    depth: Depth = 10,
    leaf: Leaf = 0.005,
    output: Annotated[
        Literal["largest", "threshold"],
        Knob(
            "Condition on the output that rules of a class describe: its probability is the largest, or above 1/C.",
            names=("largest probability", "probability above 1/C"),
        ),
    ] = "largest",
    clauses: Annotated[int, Knob("Largest number of clauses for a class in a layer.", 1, 100_000, 100)] = 2000,
    unseen: Annotated[bool, Knob("Keep rules that no row of the table fulfils.")] = False,
    report: Report = silent,
) -> Rules:
    """Rules that follow a network's computation from its output back to its features, layer by layer.

    A tree on the last hidden layer gives conditions on its units under which a class is predicted. Every such condition
    is in turn described by a tree on the layer below and replaced by its leaves, until only features are left. Where
    that would take too many clauses, a tree describes each clause as a whole, or the class itself from the features; a
    note says so.
    """
    predicted = predicted_classes(table, network)
    report = rising(report)  # a layer that takes too many clauses begins again
    *layers, outputs = network.activations(table.values)
    hits = outputs > 1 / outputs.shape[1]
    if output == "largest":
        hits = predicted[:, None] == np.arange(len(table.classes))
    extraction = _Extraction(layers, [Forest(layer) for layer in layers], depth, leaf, clauses)
    found: list[_Described] = []
    notes: dict[str, list[str]] = {}
    for label, name in enumerate(table.classes):
        part = item(report, label, len(table.classes), "class")
        described, note = extraction.of_class(hits[:, label], part)
        found.append(described)
        if note:
            notes.setdefault(note, []).append(name)
    report(1.0, "rules extracted")
    used = np.unique(np.concatenate([one.columns for one in found]))
    told = [f"{', '.join(names)}: {note}" for note, names in notes.items()]
    return rules_of(table, predicted, [one.boxes.onto(one.columns, used) for one in found], used, told, unseen=unseen)


DEEPRED = Card.of(
    deepred,
    "DeepRED",
    family="rules",
    source="Zilke et al. 2016",
    formula="R = {h > t → class}; every h > t → leaves of a tree on the layer below",
    caution="Every tree is an approximation, and their errors add up from layer to layer: read the fidelity first.",
    cost=lambda settings, side: 1,
)


@dataclass(frozen=True)
class _Described:
    """Where a condition holds, as boxes over some columns of a layer."""

    columns: NDArray[np.int64]
    boxes: Boxes


@dataclass(frozen=True)
class _Extraction:
    """The activations of all layers but the output, features first, with the trees grown on each."""

    layers: Sequence[NDArray[np.float64]]  # (n, units) each
    forests: Sequence[Forest]
    depth: int
    leaf: float
    most: int  # boxes of a class

    def of_class(self, hits: NDArray[np.bool_], report: Report) -> tuple[_Described, str]:
        """The boxes over features of the rows that `hits` (n,) marks, and a note on what was not substituted."""
        described = self._tree(len(self.layers) - 1, hits)
        notes = []
        for number in reversed(range(len(self.layers) - 1)):
            passed = (len(self.layers) - 2 - number) / (len(self.layers) - 1)
            part = subrange(report, passed, passed + 1 / (len(self.layers) - 1))
            whole = f"layer {number + 1} as conditions on {_name(number)}"
            try:
                described = self._by_term(number, described, part)
            except TooMany:
                notes.append(f"writing {whole} takes more than {self.most:,} clauses, so a tree describes each clause")
                described = self._by_clause(number, described, part)
            if len(described.boxes) > self.most:
                notes.append(f"these still make more than {self.most:,} clauses, so one tree on the features is used")
                described = self._tree(0, hits)
                break
        return described, "; ".join(notes) + "." if notes else ""

    def _tree(self, number: int, truth: NDArray[np.bool_]) -> _Described:
        """Where a condition on the rows is true, by one tree on a layer."""
        tree = self.forests[number].grow(truth, self.depth, self.leaf)
        columns = self.forests[number].used([tree])
        return _Described(columns, self._leaves(number, tree, columns, truth=True))

    def _leaves(self, number: int, tree: int, columns: NDArray[np.int64], *, truth: bool) -> Boxes:
        boxes, labels = self.forests[number].leaves(tree, columns)
        return boxes[labels == truth].simplified()

    def _by_term(self, number: int, above: _Described, report: Report) -> _Described:
        """The boxes `above` with every condition replaced by where it holds on layer `number`. Raises TooMany."""
        forest, values = self.forests[number], self.layers[number + 1][:, above.columns]
        trees = {}
        terms = above.boxes.thresholds
        for span in chunks(len(terms), 1, subrange(report, 0, 0.5), f"{_name(number)}: trees", counted=True):
            place, threshold = terms[span.start]
            trees[place, threshold] = forest.grow(values[:, place] > threshold, self.depth, self.leaf)
        columns = forest.used(list(trees.values()))

        @cache
        def where(place: int, threshold: float, *, truth: bool) -> Boxes:
            return self._leaves(number, trees[place, threshold], columns, truth=truth)

        found = Boxes.everywhere(len(columns), 0)
        for span in chunks(len(above.boxes), 1, subrange(report, 0.5, 1), f"{_name(number)}: clauses", counted=True):
            low, high = above.boxes.low[span.start], above.boxes.high[span.start]
            parts = [where(place, low[place], truth=True) for place in np.flatnonzero(low > -np.inf).tolist()]
            parts += [where(place, high[place], truth=False) for place in np.flatnonzero(high < np.inf).tolist()]
            product = Boxes.everywhere(len(columns))
            for part in sorted(parts, key=len):
                product = product.both(part, self.most)
            found = (found | product).distinct()
            if len(found) > self.most:
                raise TooMany
        return _Described(columns, found.simplified())

    def _by_clause(self, number: int, above: _Described, report: Report) -> _Described:
        """The boxes `above`, each replaced by where it holds as a whole on layer `number` (as in REM-D)."""
        forest, truths = self.forests[number], above.boxes.holds(self.layers[number + 1][:, above.columns])
        spans = chunks(truths.shape[1], 1, report, f"{_name(number)}: clauses", counted=True)
        trees = [forest.grow(truths[:, span.start], self.depth, self.leaf) for span in spans]
        columns = forest.used(trees)
        found = Boxes.everywhere(len(columns), 0)
        for tree in trees:
            found |= self._leaves(number, tree, columns, truth=True)
        return _Described(columns, found.simplified())


def _name(number: int) -> str:
    return f"layer {number}" if number else "the features"
