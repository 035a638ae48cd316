"""Decision trees on the same rows, and the boxes of their leaves."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.tables.rules.boxes import Boxes


class Forest:
    """Trees of scikit-learn for several labels of the same rows, split by entropy.

    scikit-learn rounds values to 32 bits, so the trees are grown on the ranks of the values in their column. A
    threshold is the middle, at full precision, of two neighbouring values of the column, whose ranks are halfway
    between those that the split separates. Impure nodes are split even without a gain, as XOR needs it.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._ranks = np.empty(values.shape, np.float32)
        self._levels: list[NDArray[np.float64]] = []  # per column, its different values
        for column in range(values.shape[1]):
            levels, self._ranks[:, column] = np.unique(values[:, column], return_inverse=True)
            self._levels.append(levels)
        self._trees: list[Any] = []

    def grow(self, labels: NDArray[np.int64] | NDArray[np.bool_], depth: int, leaf: float) -> int:
        """Grow a tree and return its number.

        A depth of 0 has no limit; a leaf has at least the share `leaf` of the rows and 2 of them, or a single one if
        the share is 0.
        """
        from sklearn.tree import DecisionTreeClassifier

        smallest = max(2, math.ceil(leaf * len(self._ranks))) if leaf else 1
        tree = DecisionTreeClassifier(
            criterion="entropy", max_depth=depth or None, min_samples_leaf=smallest, random_state=0
        )
        self._trees.append(tree.fit(self._ranks, labels))
        return len(self._trees) - 1

    def used(self, trees: Sequence[int]) -> NDArray[np.int64]:
        """The columns that some of the trees split, in order."""
        features = [self._trees[tree].tree_.feature for tree in trees]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(one[one >= 0] for one in features)])).astype(np.int64)

    def leaves(self, number: int, used: NDArray[np.int64]) -> tuple[Boxes, NDArray[np.int64]]:
        """The boxes of the leaves of a tree, over the `used` columns, and the label of most rows in each."""
        tree = self._trees[number].tree_
        places = {int(column): place for place, column in enumerate(used)}
        boxes, found = Boxes.everywhere(len(used), tree.node_count), []
        for node in range(tree.node_count):  # a parent comes before its children
            left, right = tree.children_left[node], tree.children_right[node]
            if left < 0:
                found.append(node)
                continue
            column = int(tree.feature[node])
            below, above = self._levels[column][math.floor(tree.threshold[node]) :][:2]
            threshold, place = _between(below, above), places[column]
            boxes.low[[left, right]], boxes.high[[left, right]] = boxes.low[node], boxes.high[node]
            boxes.high[left, place], boxes.low[right, place] = threshold, threshold
        return boxes[found], self._trees[number].classes_[tree.value[found, 0].argmax(1)]


def _between(below: float, above: float) -> float:
    """The middle of two numbers; the lower one if they are neighbours, so that x ≤ t holds for it alone."""
    middle = below + (above - below) / 2
    return float(middle if middle < above else below)
