"""The search for the fewest removals, against all subsets of small networks where greedy is optimal."""

from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.edits.apply import cells_of, edited, scaled
from core.edits.edit import Filters, Segments
from core.edits.flip import MAX_STEPS, _Search, flip_by_filters, flip_by_segments
from core.errors import BadParameter, Cancelled, Unsupported
from core.images import Preprocess, picture_of
from core.models.model import as_model
from core.workbench import Workbench

SIDE = 24
TILES = np.random.default_rng(5).integers(60, 250, (3, 3, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
PICTURE = picture_of(Image.fromarray(TILES), "tiles.png")
PREPARED = Preprocess(crop=SIDE, resize=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)


def positions(seed=0):
    """Two classes, whose logits are sums over pixels: removals add up."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(3 * SIDE**2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3)[..., None, None])
        net[0].bias.zero_()
        parts = torch.randn(2, 3, 3, 3, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
        net[2].weight.copy_(parts.flatten(1) / SIDE)
        net[2].bias.copy_(torch.tensor([0.0, 0.0]))
    return as_model("positions", net, preprocess=PREPARED)


def pooled(seed=0, classes=2):
    """Two classes, whose logits are sums over the filters of a layer."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, classes))
    return as_model("pooled", net, preprocess=PREPARED)


def smallest(count, flips):
    """The size of the smallest subset that flips, by trying all; None if none does."""
    for size in range(1, count + 1):
        if any(flips(subset) for subset in combinations(range(count), size)):
            return size
    return None


@pytest.mark.parametrize("seed", range(4))
def test_superpixels_are_as_few_as_of_any_subset(seed):
    model = positions(seed)
    bench, cells = Workbench(model), cells_of(PICTURE, 9)
    first = bench.top(PICTURE, 1)[0][0]
    count = int(cells.max()) + 1
    assert count >= 6

    def flips(subset):
        one = edited(PICTURE, [Segments(9, subset, "zero")])
        with torch.no_grad():
            return int(model.net(model.preprocess.tensor(one.pixels)[None]).argmax()) != first

    found = flip_by_segments(bench, PICTURE, count=9, fill="zero")
    fewest = smallest(count, flips)
    assert found.flipped == (fewest is not None)
    assert found.label == first
    if found.flipped:
        assert len(found.edit.chosen) == fewest == len(found.steps) - len(found.dropped)
        assert flips(found.edit.chosen)
        assert len(found.steps) == 1 or not flips(tuple(step.removed for step in found.steps[:-1]))


@pytest.mark.parametrize("seed", range(4))
def test_filters_are_as_few_as_of_any_subset(seed):
    model = pooled(seed)
    first, inputs = Workbench(model).top(PICTURE, 1)[0][0], model.preprocess.tensor(PICTURE.pixels)[None]

    def flips(subset):
        with torch.no_grad():
            return int(scaled(model, [Filters("1", tuple(subset))]).net(inputs).argmax()) != first

    found, fewest = flip_by_filters(Workbench(model), PICTURE, "1"), smallest(7, flips)
    assert found.flipped == (fewest is not None)
    if found.flipped:
        assert len(found.edit.units) == fewest
        assert flips(found.edit.units)


@pytest.mark.parametrize("fill", ["zero", "mean", "blur"])
def test_every_step_is_that_of_the_edited_picture(fill):
    model = positions(1)
    found = flip_by_segments(Workbench(model), PICTURE, count=9, fill=fill, steps=3)
    for number in range(len(found.steps)):
        removed = tuple(step.removed for step in found.steps[: number + 1])
        one = edited(PICTURE, [Segments(9, removed, fill)])
        chances = Workbench(model).probabilities(one)
        assert found.steps[number].probability == pytest.approx(float(chances[found.label]), abs=1e-5)
        assert found.steps[number].first == int(chances.argmax())


def search(table, total=4):
    """A search over a table of margins by the set that is removed; the logits are the margin and zero."""
    model = pooled()

    def whole(removed):
        return torch.tensor([table(frozenset(removed)), 0.0])

    def trials(removed, others, report):
        report(0.5, "")
        return torch.stack([whole((*removed, other)) for other in others])

    return _Search(model, "filters", total, trials, whole, lambda chosen: Filters("1", chosen))


def quiet(fraction, note):
    pass


def test_the_first_of_equal_ones_is_removed():
    found = search(lambda removed: 1.0 - 0.4 * len(removed)).run(None, 4, quiet)
    assert [step.removed for step in found.steps] == [0, 1, 2]
    assert found.flipped
    assert found.why == "The prediction has changed."


def test_what_is_not_needed_in_the_end_is_put_back():
    # 3 is tempting at first, but 0 and 1 flip the prediction without it.
    found = search(lambda r: 1.0 - 0.5 * (3 in r) - 0.3 * (0 in r) - 0.3 * (1 in r) - 0.5 * ({0, 1} <= r)).run(
        None, 4, quiet
    )
    assert [step.removed for step in found.steps] == [3, 0, 1]
    assert found.dropped == (3,)
    assert found.edit == Filters("1", (0, 1))
    assert found.after < 0.5
    assert found.first == 1


def test_a_search_says_why_it_ended():
    assert search(lambda removed: 1.0).run(None, 4, quiet).why.startswith("None of the filters")
    assert search(lambda removed: 9.0 - len(removed)).run(None, 5, quiet).why == "All filters are removed."
    limited = search(lambda removed: 9.0 - len(removed)).run(None, 2, quiet)
    assert limited.why == "The limit of 2 steps is reached."
    assert not limited.flipped
    assert limited.edit == Filters("1", (0, 1))


def test_a_stopped_search_keeps_its_steps():
    def report(fraction, note):
        if fraction >= 0.5:
            raise Cancelled

    found = search(lambda removed: 9.0 - len(removed)).run(None, 4, report)
    assert [step.removed for step in found.steps] == [0, 1]
    assert found.why == "The search was stopped."
    assert not found.flipped


def test_what_cannot_be_searched_is_refused():
    bench = Workbench(pooled())
    first = bench.top(PICTURE, 1)[0][0]
    with pytest.raises(BadParameter, match="is not predicted for this image"):
        flip_by_filters(bench, PICTURE, label=1 - first)
    with pytest.raises(BadParameter, match="cannot have 0 steps"):
        flip_by_filters(bench, PICTURE, steps=0)
    with pytest.raises(BadParameter, match=f"Give 1 to {MAX_STEPS}"):
        flip_by_segments(bench, PICTURE, count=9, steps=MAX_STEPS + 1)
    with pytest.raises(BadParameter, match="cut into 2 segments"):
        flip_by_segments(bench, PICTURE, count=2)
    with pytest.raises(Unsupported, match="predicts values"):
        flip_by_filters(
            Workbench(as_model("values", pooled(classes=3).net, preprocess=PREPARED, output="regression")), PICTURE
        )
