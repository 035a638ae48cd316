"""Rules against their formulas, counted by hand and by brute force."""

from dataclasses import replace
from itertools import combinations, count

import numpy as np
import pytest

from core.errors import Cancelled, TooLarge
from core.mining.rules import highest_support, mine
from core.mining.transactions import Transactions
from core.study.config import MiningConfig


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
    plain = mine(data, MiningConfig(support=1.0, sets="all", fold=False, strict=False)).rules
    assert len(plain) == 6
    for settings in ({"sets": "all"}, {}, {"fold": False}):
        config = MiningConfig(support=1.0, strict=False, **settings)
        assert mine(data, config).rules["filters"].tolist() == [[1, 2], [5, 6]]


def test_sets_in_rules_of_several_classes_are_shared():
    """Section 3.4: "the antecedent of a rule can appear in the rules related to different classes"."""
    items = np.array([[1, 2], [1, 3], [1, 2], [1, 4], [1, 4], [5, 6]], np.int32)
    data = Transactions(items, np.array([0, 0, 1, 1, 1, 2]))
    mined = mine(data, MiningConfig(support=0.4, sets="all", fold=False, least=1))
    shared = mined.shared_by_rules
    (row,) = shared.to_dict("records")
    assert row == {"filters": [1], "size": 1, "labels": [0, 1], "supports": [1.0, 1.0], "classes": 2, "n_all": 5}
    one = mine(data, MiningConfig(support=0.4, sets="all", fold=False, least=1, best=1))
    assert len(one.shared_by_rules) < len(one.shared), "frequent in several classes, but in the best rule of one alone"


def test_what_rules_share_is_a_part_of_what_is_frequent_in_several_classes():
    for seed in range(8):
        mined = mine(planted(seed, filters=9), MiningConfig(support=0.3, sets="all", max_size=6, fold=False))
        wide = sharing(mined)
        narrow = {tuple(row.filters): row for row in mined.shared_by_rules.itertuples()}
        by_hand = {}
        for row in mined.rules.itertuples():
            by_hand.setdefault(tuple(row.filters), {})[row.label] = row.support
        assert {one: dict(zip(row.labels, row.supports, strict=True)) for one, row in narrow.items()} == {
            one: supports for one, supports in by_hand.items() if len(supports) > 1
        }
        for one, row in narrow.items():
            supports, n_all = wide[one]
            assert dict(zip(row.labels, row.supports, strict=True)).items() <= supports.items()
            assert row.n_all == n_all
            assert row.supports == sorted(row.supports, reverse=True)
        assert mined.shared_by_rules["classes"].is_monotonic_decreasing


def sharing(mined):
    """The shared sets with their facts."""
    table = mined.shared
    return {
        tuple(filters): (dict(zip(labels, supports, strict=True)), n_all)
        for filters, labels, supports, n_all in zip(
            table["filters"], table["labels"], table["supports"], table["n_all"], strict=True
        )
    }


def test_closed_sets_tell_all_sharing_and_leave_the_rules_as_they_are():
    sizes = []
    for seed in range(8):
        data = planted(seed, filters=9)
        closed, every = (mine(data, MiningConfig(support=0.3, sets=kind, max_size=6)) for kind in ("closed", "all"))
        few, many = sharing(closed), sharing(every)
        assert few.items() <= many.items()
        for one, (supports, n_all) in many.items():
            assert any(set(one) <= set(other) and supports == few[other][0] for other in few), one
            assert n_all == len(data.holding(one))
        sizes.append((len(few), len(many)))
        # A class's own rule on its largest set says what the shared one would, and is at least as sure.
        for one, (supports, n_all) in few.items():
            assert supports
            for label, support in supports.items():
                own = closed.itemsets[closed.itemsets["label"] == label]
                total = int((data.labels == label).sum())
                assert any(
                    set(one) <= set(row.filters) and row.n_both == round(support * total) and row.n_all <= n_all
                    for row in own.itertuples()
                )
    assert 50 < sum(few for few, _ in sizes) < sum(many for _, many in sizes)


def test_a_shared_set_that_is_closed_in_no_class_is_told():
    data = Transactions(np.array([[1, 2], [1, 2], [1, 3], [1, 3]], np.int32), np.array([0, 0, 1, 1]))
    mined = mine(data, MiningConfig())
    assert sharing(mined) == {(1,): ({0: 1.0, 1: 1.0}, 4)}
    assert mined.rules["filters"].tolist() == [[1, 2], [1, 3]]
    assert mined.rules["confidence"].tolist() == [1, 1]
    assert [tuple(one) for one in mined.itemsets["filters"]] == [(1, 2), (1, 3)]


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


@pytest.mark.parametrize("strict", [True, False])
def test_the_highest_support_with_a_rule_is_found(strict):
    items = np.array([[1, 4], [1, 5], [1, 6], [2, 7], [2, 8], [3, 9], [10, 11]], np.int32)
    data = Transactions(items, np.zeros(7, np.int64))
    assert not len(mine(data, MiningConfig(support=0.5)).rules)
    config = MiningConfig(support=0.5, strict=strict)
    assert highest_support(data, config) == 0.42, "3/7 in hundredths"
    assert mine(data, replace(config, support=0.42)).rules["filters"].tolist() == [[1]]
    assert highest_support(data, config, label=5) is None
    even = Transactions(items[:6], np.zeros(6, np.int64))
    config = replace(config, support=0.6)
    assert highest_support(even, config) == (0.49 if strict else 0.5)
    assert mine(even, replace(config, support=0.49 if strict else 0.5)).rules["filters"].tolist() == [[1]]


def nearest(data, config, label):
    """The highest hundredth below the support that gives a rule, by trying them all."""
    for step in range(round(config.support * 100) - 1, 0, -1):
        try:
            rules = mine(data, replace(config, support=step / 100)).rules
        except TooLarge:
            return "too many"
        if len(rules if label is None else rules[rules["label"] == label]):
            return step / 100
    return None


def test_the_highest_support_is_found_although_lower_ones_have_too_many_sets():
    seen = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        classes = 1 + seed % 2
        items = np.where(rng.random((40 * classes, 12)) < 0.45, np.arange(12), -1).astype(np.int32)
        data = Transactions(items, np.repeat(np.arange(classes), 40))
        config = MiningConfig(
            0.8, confidence=(0.0, 0.6, 1.0)[seed % 3], best=1, filters=12, limit=(8, 20)[seed // 6], skip_large=False,
            strict=bool(seed % 2),
        )  # fmt: skip
        label = None if seed % 4 else 0
        truth = nearest(data, config, label)
        if truth == "too many":
            with pytest.raises(TooLarge, match=r"Below support 0\.\d\d there are too many filter sets"):
                highest_support(data, config, label)
            seen.append(truth)
            continue
        assert highest_support(data, config, label) == truth
        seen.append("found")
        try:
            mine(data, replace(config, support=config.support / 2))
        except TooLarge:
            seen.append("found between")
    assert {"found", "too many", "found between"} <= set(seen)


def test_no_rule_at_any_support_is_not_too_many():
    alone = Transactions(np.arange(12, dtype=np.int32).reshape(6, 2), np.zeros(6, np.int64))
    assert highest_support(alone, MiningConfig(support=0.5)) is None
    both = Transactions(np.full((6, 1), 3, np.int32), np.array([0, 0, 0, 1, 1, 1]))
    assert highest_support(both, MiningConfig(support=0.5, confidence=0.8)) is None


def test_mining_reports_and_stops_at_every_report():
    data, seen = planted(), []
    whole = mine(data, MiningConfig(support=0.3), report=lambda fraction, note: seen.append((fraction, note)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    for unit in ("classes mined", "classes scored"):
        counts = dict.fromkeys(note for _, note in seen if note.startswith(unit))
        assert list(counts) == [f"{unit} {done} of 4" for done in range(5)]
    assert whole.rules.equals(mine(data, MiningConfig(support=0.3)).rules)
    for stop in range(len(seen)):
        calls = count()

        def report(fraction, note, stop=stop, calls=calls):
            if next(calls) == stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            mine(data, MiningConfig(support=0.3), report=report)


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
