"""What belongs to one run and what starts another: logs are shared only where that is said."""

from dataclasses import replace

import torch

from core.explain.execution import Execution, Prefetch, RunLog
from core.explain.single_images import per_image
from core.explain.targets import Classes
from tests import nets


def test_replace_starts_another_run():
    query = nets.query("gap")
    query.logits(query.images)
    other = replace(query, layer="features.5")
    assert other.log is not query.log
    assert (query.log.forwards, other.log.forwards) == (2, 0)
    other.log.remarks["x"] = 1.0
    assert not query.log.remarks


def test_what_is_derived_for_the_same_run_is_counted_with_it():
    query = nets.query("gap", precision="half")
    other = Classes(torch.tensor([0, 4]))
    derived = [
        query.with_targets(other),
        query.subset(slice(1, 2), query.report),
        query.with_report(lambda fraction, note: None),
        query.with_prefetch(Prefetch((other,))),
        query.in_half_precision(),
        query.identified(),
    ]
    assert all(one.log is query.log for one in derived)
    assert all(one.cache is query.cache for one in derived)
    before = query.log.forwards
    for one in derived:
        one.logits(one.images)
    assert query.log.forwards == before + 2 + 1 + 2 + 2 + 2 + 2


def test_a_run_of_its_own_is_neither_counted_nor_cached_with_others():
    query = nets.query("gap")
    known = query.clean_logits()
    fresh, other = query.fresh(), query.run_with(batch=1)
    assert fresh.log is not query.log is not other.log
    assert fresh.cache is not query.cache
    assert other.cache is query.cache
    assert other.batch == 1
    assert torch.equal(fresh.clean_logits(), known)
    assert torch.equal(other.clean_logits(), known)
    assert (query.log.forwards, fresh.log.forwards, other.log.forwards) == (2, 2, 0)


def test_runs_can_share_a_log_that_somebody_holds():
    log = RunLog()
    for count in (1, 2):
        query = nets.query("gap", count=count).counted_in(log)
        query.logits(query.images)
    assert log.forwards == 3


def test_some_images_are_another_question_to_the_cache():
    query = replace(nets.query("gap"), content="known")
    part = query.subset(slice(0, 1), query.report)
    assert len(query.clean_logits()) == 2
    assert len(part.clean_logits()) == 1
    assert part.targets.key == query.targets[:1].key


def test_the_batch_is_asked_for_or_suits_the_device():
    for asked, full, half in ((0, 8, 8), (3, 3, 6)):
        query = nets.query("gap", batch=asked, precision="half")
        assert query.batch == full
        assert query.in_half_precision().batch == half, "half the size, so twice as many have room in a CPU's cache"


def test_announcements_add_up():
    one = Prefetch((Classes(torch.tensor([1])),), ("plain",), ("a", "b"))
    both = one + Prefetch(relu_rules=("guided",), layers=("b", "c"))
    assert (len(both.targets), both.relu_rules, both.layers) == (1, ("plain", "guided"), ("a", "b", "c"))
    assert Execution().prefetch == Prefetch()


def reported(**changes):
    """A query that keeps the fractions it reports."""
    seen = []
    return nets.query("gap", report=lambda fraction, note: seen.append(round(fraction, 9)), **changes), seen


def test_each_image_has_an_equal_part_of_the_progress_of_windows():
    query, seen = reported(count=2, batch=2)
    boxes = torch.tensor([[0, 0, 4, 4], [8, 0, 4, 4], [0, 8, 4, 4], [8, 8, 4, 4]])
    query.windows(boxes, torch.zeros(1, 3, nets.SIDE, nets.SIDE))
    assert seen == [0, 0.25, 0.5, 0.5, 0.75, 1]


def test_each_image_has_an_equal_part_of_the_progress_of_a_method_for_one():
    query, seen = reported(count=4)

    def run(one):
        for fraction in (0, 0.5, 1):
            one.report(fraction, "")
        yield torch.ones(1, *one.size)

    maps = list(per_image(query, run))
    assert seen == [0, 0.125, 0.25, 0.25, 0.375, 0.5, 0.5, 0.625, 0.75, 0.75, 0.875, 1]
    assert [one.sum((1, 2)).bool().sum().item() for one in maps] == [1, 2, 3, 4]


def test_remarks_about_images_are_one_where_they_are_equal():
    query = nets.query("gap", count=2)
    numbers = iter([0.5, 0.25])

    def run(one):
        one.log.remarks |= {"level": "black", "share": next(numbers)}
        yield torch.ones(1, *one.size)

    for maps in per_image(query, run):
        assert maps.shape == (2, *query.size)
    assert query.log.remarks == {"level": "black", "share": "0.5; 0.25"}
