"""Itemsets against counting every subset of every transaction."""

import math
import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from core.errors import Cancelled, TooLarge
from core.mining.bitsets import Index
from core.mining.itemsets import columns_of, eclat, explodes, frequent, least_count, plain, too_large
from core.mining.transactions import Transactions
from core.study.config import MiningConfig


def brute_force(rows, least, closed):
    """Every set that occurs, counted one transaction at a time."""
    counts = {}
    for row in rows:
        for size in range(1, len(row) + 1):
            for one in combinations(sorted(row), size):
                counts[one] = counts.get(one, 0) + 1
    kept = {one: n for one, n in counts.items() if n >= least}
    if closed:
        kept = {
            one: n for one, n in kept.items() if not any(set(one) < set(other) and n == m for other, m in kept.items())
        }
    return kept


def random_rows(seed):
    """A small database in which some items are in every transaction, sometimes with empty transactions."""
    rng = np.random.default_rng(seed)
    items = rng.choice(40, size=rng.integers(3, 8), replace=False)
    rows = [[int(i) for i in items if rng.random() < 0.6] for _ in range(rng.integers(1, 9))]
    if rng.random() < 0.5:
        rows = [sorted({*row, int(items[0])}) for row in rows]
    return rows


@pytest.mark.parametrize("kind", ["closed", "all"])
def test_eclat_and_plain_equal_brute_force(kind):
    for seed in range(400):
        rows = random_rows(seed)
        least = 1 + seed % 3
        truth = brute_force(rows, least, kind == "closed")
        assert eclat(rows, least, kind, max_size=8) == truth, rows
        assert dict(plain(columns_of(rows), least, kind, max_size=8)) == truth, rows


def test_the_defect_of_pyfim_is_real_and_avoided():
    """Without the empty transaction pyfim drops what every transaction holds; if this ends, the padding may go."""
    import fim

    rows = [[5, 7], [5, 7], [5]]
    found = {tuple(sorted(items)): n for items, n in fim.eclat(rows, target="s", supp=-1, zmin=1, report="a")}
    assert (5,) not in found
    assert eclat(rows, 1, "all", 5) == {(5,): 3, (7,): 2, (5, 7): 2}
    assert eclat(rows, 3, "closed", 5) == {(5,): 3}
    wrong = 0
    for seed in range(400):
        rows = random_rows(seed)
        found = {tuple(sorted(s)): n for s, n in fim.eclat(rows, target="s", supp=-1, zmin=1, report="a")}
        wrong += found != brute_force(rows, 1, False)
    assert wrong > 100


@pytest.mark.parametrize("kind", ["closed", "all"])
def test_without_pyfim_the_sets_are_the_same(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "fim", None)
    for seed in range(40):
        rows = random_rows(seed)
        assert eclat(rows, 1 + seed % 3, kind, 8) == brute_force(rows, 1 + seed % 3, kind == "closed")


@pytest.mark.parametrize(
    ("support", "total", "strict", "least", "count"),
    [
        (0.5, 4, True, 1, 3),  # "must be higher than a threshold", section 3.3
        (0.5, 4, False, 1, 2),
        (0.5, 5, True, 1, 3),
        (0.5, 5, False, 1, 3),
        (0.1, 30, True, 1, 4),  # 0.1 * 30 is a little more than 3
        (0.1, 30, False, 1, 3),
        (0.07, 100, True, 1, 8),  # 0.07 * 100 is a little more than 7
        (1.0, 6, True, 1, 7),  # no support is higher than 1
        (0.1, 30, True, 9, 9),
    ],
)
def test_a_set_is_frequent_above_its_threshold_or_at_it(support, total, strict, least, count):
    assert least_count(MiningConfig(support=support, least=least, strict=strict), total) == count


def test_support_equal_to_the_threshold_is_too_low_where_it_must_be_higher():
    data = Transactions(np.array([[1, 2], [1, 3], [4, 2], [5, 2]], np.int32), np.zeros(4, np.int64))
    at_least, above = (
        frequent(data, Index(data), MiningConfig(support=0.5, strict=strict)) for strict in (False, True)
    )
    assert (at_least.sets, above.sets) == ([(1,), (2,)], [(2,)])
    assert MiningConfig().strict, "the paper's reading"


def large_among_small(kind, **changes):
    """A class whose 12 filters always but once occur together, and two small ones; and how they are mined."""
    big = np.where(np.eye(12, dtype=bool), -1, np.arange(12))
    small = np.full((4, 12), -1)
    small[:, 0], small[:, 1] = 0, [50, 50, 51, 51]
    data = Transactions(np.concatenate([big, small, small]).astype(np.int32), np.repeat([0, 1, 2], [12, 4, 4]))
    return data, MiningConfig(support=0.4, sets=kind, max_size=12, filters=12, limit=100, **changes)


@pytest.mark.parametrize("kind", ["closed", "all"])
def test_a_class_with_too_many_sets_is_skipped_and_the_others_are_mined(kind):
    data, config = large_among_small(kind)
    found = frequent(data, Index(data), config, ["large"])
    small = Transactions(data.items[data.labels > 0], data.labels[data.labels > 0])
    alone = frequent(small, Index(small), config)
    assert found.skipped == (0,)
    assert alone.skipped == ()
    assert found.sets == alone.sets
    assert {found.sets[i]: one for i, one in found.shared.items()} == {
        alone.sets[i]: one for i, one in alone.shared.items()
    }
    assert len(found.mined[0]) == 0
    assert found.n_all[found.sets.index((0,))] == 11 + 8, "its patches still count for the confidence of others"
    assert too_large(data, config, [0, 1, 2]) == (0,)
    with pytest.raises(TooLarge, match="The class large has more than 100 frequent filter sets"):
        frequent(data, Index(data), replace(config, skip_large=False), ["large"])


def test_where_every_class_has_too_many_sets_mining_stops():
    data, config = large_among_small("all")
    only = Transactions(data.items[data.labels == 0], data.labels[data.labels == 0])
    with pytest.raises(TooLarge, match="The class large has more than 100"):
        frequent(only, Index(only), config, ["large"])


def test_largest_sets_are_limited_in_size():
    assert all(len(one) <= 2 for one in eclat([[1, 2, 3]] * 3, 1, "all", 2))


def random_transactions(seed, classes=4, patches=90, filters=30, width=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, patches)
    items = np.argsort(rng.random((patches, filters)) + (np.arange(filters) % classes == labels[:, None]), axis=1)
    items = items[:, ::-1][:, :width].astype(np.int32)
    items[rng.random(patches) < 0.1, -2:] = -1
    return Transactions(items, labels.astype(np.int64))


@pytest.mark.parametrize("kind", ["closed", "all"])
def test_two_levels_equal_brute_force(kind):
    for seed in range(8):
        data = random_transactions(seed)
        config = MiningConfig(support=0.2, sets=kind, max_size=6, filters=6, least=1, strict=bool(seed % 2))
        found = frequent(data, Index(data), config)
        rows = [{int(i) for i in row if i >= 0} for row in data.items]
        for label in np.unique(data.labels).tolist():
            own = [row for row, one in zip(rows, data.labels, strict=True) if one == label]
            truth = brute_force(own, least_count(config, len(own)), kind == "closed")
            mined = {found.sets[i]: n for i, n in zip(found.mined[label], found.both[label], strict=True)}
            assert mined == truth
        for one, n_all in zip(found.sets, found.n_all, strict=True):
            assert n_all == sum(set(one) <= row for row in rows)
            single = min(sum(item in row for row in rows) for item in one)
            assert n_all <= single


def test_counts_of_the_classes_add_up_and_fall_with_size():
    data = random_transactions(3, patches=200)
    index = Index(data)
    for size in (1, 2, 3):
        for one in combinations(index.filters[:10].tolist(), size):
            (bits,) = index.every([one])
            held = [set(one) <= set(row.tolist()) for row in data.items]
            assert index.counts(bits).tolist() == [
                sum(h for h, label in zip(held, data.labels, strict=True) if label == c) for c in index.labels
            ]
            (smaller,) = index.every([one[:1]])
            assert index.counts(bits).sum() <= index.counts(smaller).sum()


def test_shared_sets_are_those_frequent_in_several_classes():
    items = np.array([[1, 2], [1, 2], [1, 3], [1, 4], [2, 9], [2, 8]], np.int32)
    data = Transactions(items, np.array([0, 0, 1, 1, 2, 2]))
    found = frequent(data, Index(data), MiningConfig(support=1.0, sets="all", strict=False))
    assert {found.sets[i]: classes for i, classes in found.shared.items()} == {
        (1,): [(0, 2), (1, 2)],
        (2,): [(0, 2), (2, 2)],
    }


def shared_by_force(data, config, closed):
    """Every set frequent in several classes with its counts there; closed, the largest of those that agree in them."""
    rows = [{int(i) for i in row if i >= 0} for row in data.items]
    found = {}
    for label in np.unique(data.labels).tolist():
        own = [row for row, one in zip(rows, data.labels, strict=True) if one == label]
        for one, n in brute_force(own, least_count(config, len(own)), False).items():
            found.setdefault(one, []).append((label, n))
    found = {one: classes for one, classes in found.items() if len(classes) > 1}
    if not closed:
        return found
    alike = {}
    for one, classes in found.items():
        alike.setdefault(tuple(classes), []).append(one)
    return {
        one: list(classes)
        for classes, sets in alike.items()
        for one in sets
        if not any(set(one) < set(other) for other in sets)
    }


@pytest.mark.parametrize("kind", ["closed", "all"])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_shared_sets_equal_brute_force(kind, classes):
    several = 0
    for seed in range(25):
        patches = int(np.random.default_rng([seed, classes]).integers(8, 150))  # at times more than 64 in one class
        data = random_transactions(seed, classes, patches, filters=9)
        config = MiningConfig(support=(0.2, 0.35, 0.6)[seed % 3], sets=kind, max_size=6, least=1 + seed % 2,
                              strict=bool(seed % 4))  # fmt: skip
        found = frequent(data, Index(data), config)
        truth = shared_by_force(data, config, kind == "closed")
        assert {found.sets[i]: one for i, one in found.shared.items()} == truth
        several += any(len(one) > 2 for one in truth.values())
    assert several or classes == 2


def test_closed_sets_lose_no_sharing():
    """Two classes may each have a larger set of their own, and share what is common to both alone."""
    data = Transactions(np.array([[1, 2], [1, 2], [1, 3], [1, 3]], np.int32), np.array([0, 0, 1, 1]))
    found = frequent(data, Index(data), MiningConfig(support=1.0, strict=False))
    assert {found.sets[i]: classes for i, classes in found.shared.items()} == {(1,): [(0, 2), (1, 2)]}
    assert found.n_all[found.sets.index((1,))] == 4
    own = {label: [found.sets[i] for i in sets] for label, sets in found.mined.items()}
    assert own == {0: [(1, 2)], 1: [(1, 3)]}, "what a class shares is no further set of its own"
    always = Transactions(np.array([[7, 1], [7, 2], [7, 3]], np.int32), np.array([0, 1, 2]))
    found = frequent(always, Index(always), MiningConfig(support=1.0, least=1, strict=False))
    assert [found.sets[i] for i in found.shared] == [(7,)]


def blocks(classes, each=40, items=8):
    """Classes whose transactions hold nearly all of the same filters: their closed sets are many, and shared."""
    rng = np.random.default_rng(0)
    rows = np.where(rng.random((classes * each, items)) < 0.85, np.arange(items), -1)
    return Transactions(rows.astype(np.int32), np.repeat(np.arange(classes), each))


def test_too_many_sets_over_all_classes_are_told():
    config = MiningConfig(support=0.5, limit=255)  # no class has more sets of eight filters
    for kind in ("closed", "all"):
        one, many = blocks(1), blocks(100)
        mined = frequent(one, Index(one), replace(config, sets=kind))
        assert 50 < len(mined.sets) <= 255
        with pytest.raises(TooLarge, match=r"The classes together have more than 6,375 .* support 0\.5\. Raise the"):
            frequent(many, Index(many), replace(config, sets=kind))


def test_too_many_shared_sets_are_told(monkeypatch):
    data = blocks(3)
    config = MiningConfig(support=0.5)
    whole = frequent(data, Index(data), config)
    mined, shared = sum(map(len, whole.mined.values())), len(whole.shared)
    assert shared > 20
    monkeypatch.setattr("core.mining.itemsets.TOTAL_FACTOR", 1)
    assert frequent(data, Index(data), replace(config, limit=mined + shared)).shared == whole.shared
    with pytest.raises(TooLarge, match=f"The classes together have more than {mined + shared - 1:,} "):
        frequent(data, Index(data), replace(config, limit=mined + shared - 1))


def test_mining_reports_every_class_and_can_be_stopped():
    data, seen = random_transactions(0), []
    config = MiningConfig(support=0.2)
    frequent(data, Index(data), config, report=lambda fraction, note: seen.append((fraction, note)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert len({note for _, note in seen if note.startswith("classes mined")}) == 5  # before, and after each of four
    for stop in range(len(seen)):
        calls = iter(range(len(seen)))

        def report(fraction, note, stop=stop, calls=calls):
            if next(calls) == stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            frequent(data, Index(data), config, report=report)


def test_explosion_is_foreseen_and_told_with_a_way_out():
    rng = np.random.default_rng(0)
    rows = [[i for i in range(24) if rng.random() > 0.08] for _ in range(150)]
    items = np.full((150, 24), -1, np.int32)
    for row, ones in zip(items, rows, strict=True):
        row[: len(ones)] = ones
    data = Transactions(items, np.zeros(150, np.int64))
    for kind, way in (("closed", "fewer filters"), ("all", "closed sets")):
        config = MiningConfig(support=0.5, sets=kind, max_size=12, limit=2_000)
        with pytest.raises(TooLarge, match=f"The class rose has more than 2,000 .* {way}"):
            frequent(data, Index(data), config, ["rose"])
    always = columns_of([list(range(60))] * 50)
    assert not explodes(always, 25, "closed", 5, 20_000)  # one closed set, though 2^60 sets


def test_all_sets_explode_where_closed_ones_do_not():
    """Filters with the same patches are one closed set, and as many others as they have subsets."""
    always = columns_of([list(range(12))] * 5)
    assert not explodes(always, 5, "closed", 5, 1)
    below = sum(math.comb(12, size) for size in range(1, 4))
    assert explodes(always, 5, "all", 3, below - 1)
    assert not explodes(always, 5, "all", 3, below)
    assert not explodes(always, 6, "all", 3, 1), "no set is frequent"
