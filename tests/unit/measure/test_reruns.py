"""Runs of the method again: what they share with the measured query, and that no stopped map is measured."""

from dataclasses import replace

import pytest
import torch

from core.errors import Cancelled
from core.measure import Evidence, evaluate
from tests import nets


@pytest.fixture
def maps():
    return torch.rand(2, nets.SIDE, nets.SIDE)


@pytest.mark.parametrize(
    ("name", "shares", "same_images"),
    [("max_sensitivity", False, False), ("independent_randomisation", False, True), ("seed_stability", True, True)],
)
def test_the_cache_of_the_query_keeps_only_what_is_about_its_images_and_network(maps, name, shares, same_images):
    query, asked = nets.query("gap").identified(), []

    def again(changed):
        asked.append(changed)
        return maps[[0] * len(changed.images)]

    evaluate(name, Evidence(query, maps, explain_again=again))
    assert asked[-1].cache is query.cache if shares else asked[-1].cache is not query.cache
    assert (asked[-1].content == query.content) is same_images


@pytest.mark.parametrize("name", ["max_sensitivity", "cascading_randomisation", "seed_stability"])
def test_a_map_that_was_stopped_is_not_measured(maps, name):
    """Methods that yield running maps return the last one when they are cancelled."""

    def cancelled(fraction, note):
        raise Cancelled

    def again(changed):
        with pytest.raises(Cancelled):
            changed.report(0.5, "")
        return maps[[0] * len(changed.images)]

    query = nets.query("gap")
    query.clean_logits()
    evidence = Evidence(query, maps, explain_again=again)
    with pytest.raises(Cancelled):
        evaluate(name, replace(evidence, query=query.run_with(report=cancelled)))
