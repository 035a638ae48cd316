"""A decision tree that is small enough to read, with its Gini importances."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.params import Knob
from core.tables.table import Table

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier


@dataclass(frozen=True)
class Node:
    """A node of a tree: rows that answer its question with yes go to the first child, the others to the second."""

    number: int  # 0 is the root; the nodes below a node follow it
    feature: str  # "" for a leaf
    question: str  # "hours ≤ 10.5", or "colour is not red"; "" for a leaf
    threshold: float  # nan for a leaf
    n: int  # rows of the training
    counts: tuple[int, ...]  # of each class
    value: str  # the most frequent class
    impurity: float  # Gini's
    children: tuple["Node", ...]  # two, or none

    def __iter__(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child

    @property
    def depth(self) -> int:
        """The number of questions on the longest way to a leaf."""
        return 1 + max(child.depth for child in self.children) if self.children else 0


@dataclass(frozen=True, eq=False)
class Tree:
    """A decision tree for the classes of a table."""

    table: Table
    root: Node
    importances: NDArray[np.float64]  # (p,) of the features, which add up to one; zero if there is no question
    classifier: "DecisionTreeClassifier"

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the classes (n, C) of features (n, p): their shares in the leaf."""
        given = self.classifier.predict_proba(self.table.encoded(values))
        found = np.zeros((len(values), len(self.table.classes)))
        found[:, self.classifier.classes_.astype(int)] = given
        return found


def tree(
    table: Table,
    *,
    depth: Annotated[int, Knob("Most questions on the way to a leaf.", 1, 30)] = 4,
    least: Annotated[int, Knob("Least rows of the training in a leaf.", 1, 1000)] = 5,
    seed: Annotated[int, Knob("Random seed of the choice among equally good questions.", 0, 999_999_999)] = 0,
) -> Tree:
    """A tree grown by Gini impurity (CART), with the importances of the features.

    The importance of a feature is the impurity that its questions remove, weighted by the rows that reach them, as a
    share of what all remove. For a target that is a number, the classes are those of `Table.above_average`, as in Song
    and Zhang (3.1).
    """
    from sklearn.tree import DecisionTreeClassifier

    classes = table if table.classes else table.above_average()
    grown = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=least, random_state=seed)
    grown.fit(classes.encoded(), classes.answers)
    root = _node(classes, grown, 0)
    return Tree(classes, root, gini_importances(root, classes.names), grown)


def gini_importances(root: Node, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Σ n/N (impurity − Σ n_child/n impurity_child) over the nodes that ask for a feature, which add up to one."""
    found = dict.fromkeys(names, 0.0)
    for node in root:
        if node.children:
            below = sum(child.n / node.n * child.impurity for child in node.children)
            found[node.feature] += node.n / root.n * (node.impurity - below)
    removed = np.array(list(found.values()))
    return removed / removed.sum() if removed.sum() > 0 else removed


def _node(table: Table, grown: "DecisionTreeClassifier", number: int) -> Node:
    """A node with all below it."""
    nodes = grown.tree_
    shares = np.zeros(len(table.classes))
    shares[grown.classes_.astype(int)] = nodes.value[number, 0]
    n = int(nodes.n_node_samples[number])
    leaf = Node(
        number, "", "", float("nan"), n, tuple(round(n * share) for share in shares),
        table.classes[int(shares.argmax())], float(nodes.impurity[number]), (),
    )  # fmt: skip
    if nodes.children_left[number] < 0:
        return leaf
    threshold = float(nodes.threshold[number])
    feature, question = _question(table, int(nodes.feature[number]), threshold)
    children = (nodes.children_left[number], nodes.children_right[number])
    below = tuple(_node(table, grown, int(child)) for child in children)
    return replace(leaf, feature=feature, question=question, threshold=threshold, children=below)


def _question(table: Table, encoded: int, threshold: float) -> tuple[str, str]:
    """The feature of an encoded column, and the question whether it is at most a threshold."""
    for column in table.columns:
        width = len(column.categories) or 1
        if encoded < width:
            asked = f"is not {column.categories[encoded]}" if column.categories else f"≤ {threshold:.4g}"
            return column.name, f"{column.name} {asked}"
        encoded -= width
    raise IndexError(encoded)


TREE = Card.of(
    tree,
    "Decision tree",
    family="table",
    source="Breiman et al. 1984",
    formula="I(j) = Σ n/N (Gini − Σ n_child/n Gini_child) over the questions about feature j",
    caution="Of features that say the same, one gets all the importance; numbers have more thresholds to choose from "
    "than categories, and so are preferred.",
    cost=lambda settings, side: 0,
)
