"""Rules against their formulas, counted by hand and by brute force."""

from itertools import combinations

import numpy as np
import pytest

from core.mining.rules import highest_support, mine
from core.mining.settings import MiningConfig
from core.mining.transactions import Transactions


def planted(seed=0, classes=4, patches=120, filters=24, width=6, noise=0.3):
    """Transactions in which every class favours some filters of its own and some of its neighbour's."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, patches)
    pull = (np.arange(filters) % classes == labels[:, None]) + 0.5 * (
        np.arange(filters) % classes == (labels[:, None] + 1) % classes
    )
    order = np.argsort(-(pull + noise * rng.standard_normal((patches, filters))), axis=1)
    return Transactions(order[:, :width].astype(np.int32), labels.astype(np.int64))


def test_one_filter_per_class_gives_the_perfect_rule():
    """The best possible rule stands in every transaction of its class, where unpatched pyfim drops it."""
    items = np.array([[7, 3], [7, 5], [8, 3], [8, 5]], np.int32)
    rules = mine(Transactions(items, np.array([0, 0, 1, 1])), MiningConfig(support=0.9)).rules
    assert [(r.label, r.filters, r.support, r.confidence, r.score, r.lift) for r in rules.itertuples()] == [
        (0, [7], 1.0, 1.0, 1.0, 2.0),
        (1, [8], 1.0, 1.0, 1.0, 2.0),
    ]


def test_hand_worked_rule():
    # class 0: four patches, three with {1, 2}; class 1: two patches, one with {1, 2}
    items = np.array([[1, 2, 9], [1, 2, 8], [2, 1, 7], [1, 6, 5], [1, 2, 4], [3, 4, 5]], np.int32)
    rules = mine(Transactions(items, np.array([0, 0, 0, 0, 1, 1])), MiningConfig(support=0.5)).rules
    best = rules[(rules["label"] == 0) & (rules["rank"] == 0)].iloc[0]
    assert best["filters"] == [1]  # 4·4 / (4·5) beats 3·3 / (4·4)
    pair = rules[(rules["label"] == 0) & (rules["rank"] == 1)].iloc[0]
    assert (pair["filters"], pair["n_class"], pair["n_all"], pair["n_both"]) == ([1, 2], 4, 4, 3)
    assert pair["support"] == 0.75
    assert pair["confidence"] == 0.75
    assert pair["score"] == pytest.approx(9 / 16)
    assert pair["lift"] == pytest.approx(0.75 / (4 / 6))


def rules_by_force(data, config, closed):
    rows = [frozenset(int(i) for i in row if i >= 0) for row in data.items[:, : config.filters]]
    result = {}
    for label in np.unique(data.labels).tolist():
        own = [row for row, c in zip(rows, data.labels, strict=True) if c == label]
        sets = {one for row in own for n in range(1, len(row) + 1) for one in combinations(sorted(row), n)}
        both = {one: sum(set(one) <= row for row in own) for one in sets}
        both = {one: n for one, n in both.items() if n >= config.support * len(own) - 1e-9}
        if closed:
            both = {a: n for a, n in both.items() if not any(set(a) < set(b) and n == m for b, m in both.items())}
        scored = [
            (-(n * n) / (len(own) * sum(set(one) <= row for row in rows)), -len(one), one) for one, n in both.items()
        ]
        result[label] = [(one, -score) for score, _, one in sorted(scored)[: config.best]]
    return result


@pytest.mark.parametrize("closed", [True, False])
def test_rules_equal_brute_force(closed):
    for seed in range(6):
        data = planted(seed)
        config = MiningConfig(
            support=0.3, best=8, sets="closed" if closed else "all", max_size=6, fold=False, filters=6
        )
        rules = mine(data, config).rules
        for label, truth in rules_by_force(data, config, closed).items():
            own = rules[rules["label"] == label]
            assert [tuple(one) for one in own["filters"]] == [one for one, _ in truth]
            assert own["score"].to_numpy() == pytest.approx([score for _, score in truth])
        assert ((rules["confidence"] > 0) & (rules["confidence"] <= 1)).all()


def test_closed_sets_never_lose_the_best_score():
    for seed in range(30):
        data = planted(seed, noise=0.6)
        scores = [
            mine(data, MiningConfig(support=0.3, sets=kind, max_size=6)).rules.groupby("label")["score"].max()
            for kind in ("closed", "all")
        ]
        assert scores[0].to_numpy() == pytest.approx(scores[1].to_numpy())


def test_folding_leaves_one_rule_for_the_same_patches():
    items = np.array([[1, 2, 3], [1, 2, 4], [5, 6, 7], [5, 6, 8]], np.int32)
    data = Transactions(items, np.array([0, 0, 1, 1]))
    plain = mine(data, MiningConfig(support=1.0, sets="all", fold=False)).rules
    folded = mine(data, MiningConfig(support=1.0, sets="all")).rules
    assert len(plain) == 6
    assert [(r.filters, r.folded) for r in folded.itertuples()] == [([1, 2], 2), ([5, 6], 2)]


def test_thresholds_act_and_balancing_undoes_unequal_classes():
    data = planted(1)
    config = MiningConfig(support=0.3, confidence=0.6, filters=6)
    rules = mine(data, config).rules
    assert len(rules)
    assert (rules["confidence"] >= 0.6).all()
    assert (rules["support"] >= 0.3).all()
    items = np.array([[1]] * 8 + [[1]] * 2, np.int32)
    one_sided = Transactions(items, np.array([0] * 8 + [1] * 2))
    assert mine(one_sided, MiningConfig()).rules["confidence"].tolist() == [0.8, 0.2]
    assert mine(one_sided, MiningConfig(balanced=True)).rules["confidence"].tolist() == [0.5, 0.5]


def test_the_highest_support_with_a_rule_is_found():
    items = np.array([[1, 4], [1, 5], [1, 6], [2, 7], [2, 8], [3, 9], [10, 11]], np.int32)
    data = Transactions(items, np.zeros(7, np.int64))
    assert not len(mine(data, MiningConfig(support=0.5)).rules)
    support = highest_support(data, MiningConfig(support=0.5))
    assert support == pytest.approx(3 / 7)
    assert mine(data, MiningConfig(support=support)).rules["filters"].tolist() == [[1]]
    assert highest_support(data, MiningConfig(support=0.5), label=5) is None


def test_patches_of_a_rule_and_of_a_filter_set():
    data = planted(2)
    mined = mine(data, MiningConfig(support=0.3, filters=6))
    for rule in mined.rules.itertuples():
        assert len(data.holding(rule.filters, rule.label)) == rule.n_both
        assert len(data.holding(rule.filters)) == rule.n_all


def test_graph_ties_filters_to_classes_by_their_best_rule():
    mined = mine(planted(2), MiningConfig(support=0.3), ["a", "b", "c", "d"])
    for edge in mined.edges.itertuples():
        own = [r.score for r in mined.rules.itertuples() if r.label == edge.label and edge.filter in r.filters]
        assert (edge.weight, edge.rules) == (max(own), len(own))
    nodes = mined.nodes.set_index("node")
    assert set(nodes.index) == {f"c{e}" for e in mined.edges["label"]} | {f"f{e}" for e in mined.edges["filter"]}
    assert nodes.loc["c1", "name"] == "b"
    assert nodes[["x", "y"]].abs().to_numpy().max() <= 1
    again = mine(planted(2), MiningConfig(support=0.3), ["a", "b", "c", "d"])
    assert again.nodes.equals(mined.nodes)


def test_no_transactions_give_empty_tables():
    empty = Transactions(np.zeros((0, 5), np.int32), np.zeros(0, np.int64))
    mined = mine(empty, MiningConfig())
    assert not len(mined.rules)
    assert not len(mined.nodes)
    assert not len(mined.edges)
