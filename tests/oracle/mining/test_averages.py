"""Average patches against sums by hand."""

from dataclasses import replace

import numpy as np
import pytest

from core.mining.averages import all_averages, contributing, weighted
from core.mining.rules import mine
from core.mining.transactions import Transactions
from core.study.config import MiningConfig

ITEMS = np.array([[1, 2], [1, 2], [1, 3], [4, 5]], np.int32)
RESPONSES = np.array([[1, 9], [2, 9], [5, 9], [9, 9]], np.float32)
DATA = Transactions(ITEMS, np.array([0, 0, 0, 1]))
CONFIG = MiningConfig(support=0.3, sets="all", fold=False, least=1)


def test_a_patch_counts_once_for_each_rule_or_once():
    """Section 4.1: "we collect the image patches from each rule for a given filter appearing in the antecedent"."""
    per_rule = mine(DATA, CONFIG)
    assert sorted(per_rule.sets_of[0]) == [(1,), (1, 2), (1, 3), (2,), (3,)]
    patches, responses, counts = contributing(per_rule, DATA, RESPONSES, 0, 1)
    # Rules with filter 1: {1} in patches 0, 1, 2; {1, 2} in patches 0, 1; {1, 3} in patch 2.
    assert dict(zip(patches.tolist(), counts.tolist(), strict=True)) == {0: 2, 1: 2, 2: 2}
    assert (patches.tolist(), responses.tolist()) == ([2, 1, 0], [5, 2, 1])
    best = mine(DATA, replace(CONFIG, best=2))
    assert best.sets_of[0] == [(1,), (1, 2)]
    patches, responses, counts = contributing(best, DATA, RESPONSES, 0, 1)
    assert (patches.tolist(), responses.tolist(), counts.tolist()) == ([2, 1, 0], [5, 2, 1], [1, 2, 2])
    once = replace(best, config=replace(best.config, per_rule=False))
    assert contributing(once, DATA, RESPONSES, 0, 1)[2].tolist() == [1, 1, 1]
    assert MiningConfig().per_rule, "the paper's reading"


@pytest.mark.parametrize("per_rule", [True, False])
def test_the_average_of_all_patches_by_hand(per_rule):
    crops = np.zeros((4, 1, 1, 3), np.uint8)
    crops[:, 0, 0, 0] = [0, 51, 102, 255]
    mined = mine(DATA, replace(CONFIG, best=2, per_rule=per_rule))
    table, parts = all_averages(mined, DATA, RESPONSES, crops)
    pictures = np.concatenate(list(parts))
    row = table.query("label == 0 and filter == 1").iloc[0]
    weights = np.array([1, 2, 5]) * ([2, 2, 1] if per_rule else 1)
    assert (row["patches"], row["weight"]) == (3, weights.sum())
    truth = (weights * np.array([0, 0.2, 0.4])).sum() / weights.sum()
    assert float(pictures[int(row["average"]), 0, 0, 0]) == pytest.approx(truth, abs=1e-3)
    assert weighted(crops[:3], weights.astype(float))[0, 0] == pytest.approx([truth, 0, 0])
