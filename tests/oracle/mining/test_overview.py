"""What is shown first, on rules and graphs small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest

from core.mining.graph import edges_of
from core.mining.overview import NODES, legible, overview, strongest, telling


def rules(*rows):
    """Rules (label, rank, score, patches, patches of the class)."""
    return pd.DataFrame(
        [(label, rank, score, both, of, [label * 10 + rank, 99]) for label, rank, score, both, of in rows],
        columns=["label", "rank", "score", "n_both", "n_class", "filters"],
    )


TABLE = rules(
    (0, 0, 0.5, 20, 40), (0, 1, 0.4, 9, 40), (1, 0, 0.9, 12, 12), (1, 1, 0.8, 10, 12), (7, 0, 1.0, 30, 30),
    (8, 0, 0.7, 2, 3),
)  # fmt: skip


def test_the_best_rule_of_each_class_comes_first():
    found = overview(TABLE, {0, 1})
    assert list(zip(found.rules["label"], found.rules["rank"], strict=True)) == [(1, 0), (0, 0), (1, 1)]
    assert (found.least, found.few, found.outside) == (10, 1, (7, 8))
    wider = overview(TABLE, {0, 1}, outside=True)
    assert wider.rules["label"].tolist() == [7, 1, 0, 1]
    assert (wider.few, wider.outside) == (2, ())
    everything = overview(TABLE, {0, 1}, outside=True, few=True)
    assert sorted(everything.rules.index) == sorted(TABLE.index)


def test_without_classes_of_the_folder_none_is_outside():
    assert overview(TABLE, ()).outside == ()
    assert overview(TABLE, {3}).outside == (), "where nothing else is left, predictions outside the folder are shown"


@pytest.mark.parametrize(("patches", "least"), [(12, 10), (9, 5), (4, 2), (1, 1)])
def test_where_no_rule_has_ten_patches_fewer_are_enough(patches, least):
    found = overview(rules((0, 0, 1.0, patches, patches), (0, 1, 0.5, 1, patches)), {0})
    assert found.least == least
    assert len(found.rules) == (2 if least == 1 else 1)
    assert found.few == 2 - len(found.rules)


def test_a_rule_needs_a_twentieth_of_its_class():
    table = rules((0, 0, 0.9, 30, 400), (0, 1, 0.1, 19, 400), (0, 2, 0.1, 20, 400))
    assert overview(table, {0}).rules["rank"].tolist() == [0, 2]


def test_no_rules_are_no_rules():
    found = overview(TABLE.iloc[:0], {0})
    assert (len(found.rules), found.few, found.outside) == (0, 0, ())
    assert telling(TABLE.iloc[:0], edges_of(TABLE)) is None


def edges(rows):
    return pd.DataFrame(rows, columns=["filter", "label", "weight"]).assign(rules=1)


def test_a_small_graph_is_shown_whole():
    whole = edges([(f, f % 5, 0.5) for f in range(NODES - 5)])
    first = legible(whole)
    assert first.edges.equals(whole)
    assert (first.shared, first.least) == (False, 0.0)


def test_of_a_large_graph_shared_filters_are_shown():
    own = [(f, f % 5, 0.9) for f in range(200)]
    common = [(300 + f, k, 0.2) for f in range(10) for k in (0, 1)]
    first = legible(edges(own + common))
    assert (first.shared, first.least) == (True, 0.0)
    assert sorted(first.edges["filter"].unique()) == list(range(300, 310))


@pytest.mark.parametrize("shared", [True, False])
def test_of_many_the_strongest_are_shown(shared):
    rng = np.random.default_rng(0)
    rows = [(f, k, w) for f in range(300) for k, w in zip((0, 1), rng.random(2), strict=True)][:: 1 if shared else 2]
    whole = edges(rows)
    first = legible(whole)
    nodes = first.edges["filter"].nunique() + first.edges["label"].nunique()
    assert first.shared == shared
    assert 40 < nodes <= NODES
    strong = whole[whole["weight"] >= first.least - 1e-9]
    if shared:
        strong = strong[strong["filter"].map(strong["filter"].value_counts()) > 1]
    assert first.edges.index.tolist() == strong.index.tolist()
    looser = whole[whole["weight"] >= first.least - 0.01]
    if shared:
        looser = looser[looser["filter"].map(looser["filter"].value_counts()) > 1]
    assert looser["filter"].nunique() + looser["label"].nunique() > NODES or len(looser) == len(strong)


def test_edges_of_one_weight_are_not_taken_apart():
    first = legible(edges([(f, k, 0.5) for f in range(100) for k in (0, 1)]))
    assert len(first.edges) == 200


def test_the_telling_filter_is_of_the_best_rule_and_of_few_classes():
    table = pd.DataFrame({"label": [0, 0, 1], "score": [0.4, 0.9, 0.8], "filters": [[1], [1, 2, 3], [3, 1]]})
    assert telling(table, edges_of(table)) == 2


def test_the_strongest_edges_have_at_most_that_many_nodes():
    edges = pd.DataFrame({"filter": [1, 1, 2, 3], "label": [1, 2, 1, 3], "weight": [0.5, 0.9, 0.7, 0.1]})
    assert strongest(edges, 2)["weight"].tolist() == [0.9]
    assert strongest(edges, 3)["weight"].tolist() == [0.9], "filter 2 and class 1 would be nodes three and four"
    assert strongest(edges, 4)["weight"].tolist() == [0.9, 0.7, 0.5]
    assert strongest(edges, 6)["weight"].tolist() == [0.9, 0.7, 0.5, 0.1]
