"""Windows, their selection and their filter responses against planted maps and plain slicing."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.errors import BadParameter
from core.explain import Query
from core.explain.execution import Execution
from core.mining.patches import Candidates, candidates, integral, relevant
from core.mining.transactions import Transactions, responses, strongest, window_weights
from core.study.config import MiningConfig, PatchConfig, StudyConfig, TransactionConfig
from tests import nets
from tests.nets import model


def planted(*squares, size=40):
    """A map of zeros with squares (y, x, side, value)."""
    made = np.zeros((1, size, size), np.float32)
    for y, x, side, value in squares:
        made[0, y : y + side, x : x + side] += value
    return made


def naive(one, side, config, number, seed=0):
    """Candidates by slicing, one window at a time."""
    one = one.astype(float).copy()
    rng = np.random.default_rng([seed, number])
    top = np.array(one.shape) - side
    numbers = rng.integers(0, (top + 1).prod(), (config.count, config.draws))
    draws = np.stack(np.divmod(numbers, top[1] + 1), 2)
    everywhere = [(y, x) for y in range(top[0] + 1) for x in range(top[1] + 1)]
    found = []
    for round_ in range(config.count):
        where = everywhere if config.sampling == "dense" else draws[round_ if config.sampling == "redraw" else 0]
        scored = []
        for y, x in where:
            covered = max((max(0, side - abs(y - b)) * max(0, side - abs(x - a)) for b, a, _ in found), default=0)
            if covered / side**2 <= config.max_overlap:
                scored.append((-one[y : y + side, x : x + side].sum(), int(y), int(x)))
        score, y, x = min(scored, default=(0, 0, 0))
        if -score <= 1e-9:
            break
        found.append((y, x, -score))
        one[y : y + side, x : x + side] = 0
    return found


def test_integral_image_gives_window_sums():
    maps = np.random.default_rng(0).random((2, 13, 17))
    sums = integral(maps)
    for y, x, side in ((0, 0, 5), (8, 12, 5), (3, 4, 7)):
        window = sums[:, y + side, x + side] - sums[:, y, x + side] - sums[:, y + side, x] + sums[:, y, x]
        assert window == pytest.approx(maps[:, y : y + side, x : x + side].sum((1, 2)))


@pytest.mark.parametrize("sampling", ["redraw", "fixed", "dense"])
@pytest.mark.parametrize("overlap", [1.0, 0.3])
def test_candidates_equal_slicing(sampling, overlap):
    # whole numbers, so that sums are exact and ties are real
    maps = np.random.default_rng(1).integers(0, 4, (3, 24, 24)).astype(np.float32)
    config = PatchConfig(sampling=sampling, count=5, draws=200, max_overlap=overlap)
    # without redrawing, the first round's draws serve all rounds
    windows = candidates(maps, 6, config, [7, 8, 9], seed=3)
    for i, number in enumerate([7, 8, 9]):
        if sampling == "fixed":
            rng = np.random.default_rng([3, number])
            draws = np.stack(np.divmod(rng.integers(0, 19 * 19, (1, 200)), 19), 2)
            truth = naive_fixed(maps[i], 6, config, draws[0])
        else:
            truth = naive(maps[i], 6, config, number, 3)
        got = [(int(y), int(x), s) for (y, x), s in zip(windows.corners[i], windows.scores[i], strict=True)][
            : windows.counts[i]
        ]
        assert got == truth


def naive_fixed(one, side, config, draws):
    one, found = one.astype(float).copy(), []
    for _ in range(config.count):
        scored = [
            (-one[y : y + side, x : x + side].sum(), int(y), int(x))
            for y, x in draws
            if max((max(0, side - abs(y - b)) * max(0, side - abs(x - a)) for b, a, _ in found), default=0)
            <= config.max_overlap * side**2
        ]
        score, y, x = min(scored)
        if score >= 0:
            break
        found.append((y, x, -score))
        one[y : y + side, x : x + side] = 0
    return found


def test_first_window_covers_the_bright_square_and_the_second_lies_elsewhere():
    maps = planted((5, 6, 6, 9.0), (28, 25, 6, 4.0))
    windows = candidates(maps, 8, PatchConfig(sampling="dense"), [0])
    (y, x), (second_y, second_x) = windows.corners[0, :2]
    assert y <= 5
    assert x <= 6
    assert y + 8 >= 11
    assert x + 8 >= 12
    assert second_y <= 28 <= second_y + 2
    assert second_x <= 25 <= second_x + 2
    assert windows.counts[0] == 2  # nothing is left for a third
    assert windows.scores[0, :2].tolist() == [36 * 9, 36 * 4]


def test_dense_scores_never_rise_and_ties_go_up_and_left():
    maps = np.random.default_rng(2).random((4, 30, 30)).astype(np.float32)
    windows = candidates(maps, 7, PatchConfig(sampling="dense", count=12), range(4))
    assert (np.diff(windows.scores, axis=1) <= 1e-9).all()
    flat = candidates(np.ones((1, 20, 20), np.float32), 5, PatchConfig(sampling="dense", count=2), [0])
    assert flat.corners[0].tolist() == [[0, 0], [0, 5]]


def test_random_windows_depend_on_the_image_alone():
    maps = np.random.default_rng(3).random((4, 30, 30)).astype(np.float32)
    config = PatchConfig(count=4, draws=50)
    together = candidates(maps, 7, config, [10, 11, 12, 13], seed=5)
    alone = candidates(maps[2:3], 7, config, [12], seed=5)
    assert (together.corners[2] == alone.corners[0]).all()
    assert (together.corners != candidates(maps, 7, config, [10, 11, 12, 13], seed=6).corners).any()


def test_blank_map_has_no_window():
    assert candidates(np.zeros((1, 20, 20), np.float32), 5, PatchConfig(), [0]).counts.tolist() == [0]


def test_window_larger_than_the_image_is_refused():
    assert PatchConfig().side(224) == 64
    assert PatchConfig().side(128) == 37
    with pytest.raises(BadParameter, match="A window of 300 pixels does not fit into the 224 pixels"):
        PatchConfig(window=300).side(224)


def test_what_nobody_sets_is_as_the_paper_has_it_or_as_is_said():
    patches = PatchConfig()
    assert (patches.count, patches.draws, patches.tau) == (10, 1000, 0.1)
    assert (patches.sampling, patches.max_overlap, patches.perturbation) == ("redraw", 1.0, "cumulative")
    assert (patches.score, patches.target, patches.difference, patches.fill) == (
        "prob",
        "predicted",
        "absolute",
        "mean",
    )
    assert (patches.correct_only, patches.from_clean, patches.keep_last) == (False, True, True)
    mining = MiningConfig()
    assert (mining.support, mining.best, mining.filters, mining.sets) == (0.5, 10, 10, "closed")
    assert (TransactionConfig().filters, TransactionConfig().ranking) == (25, "raw")
    assert StudyConfig("m", "d").explainer == "grad_cam"


class Squares(nn.Module):
    """The logit of class 1 is the share of bright quarters; class 0 is fixed. A layer to satisfy the survey."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.scale = nn.Parameter(torch.tensor(8.0))
        type(self).calls = []  # of its copies for inference, too

    def forward(self, x):
        bright = F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 2).flatten(1)
        self.calls.append(len(x))
        logit = self.scale * (bright * torch.tensor([0.5, 0.3, 0.15, 0.05])).sum(1)
        return torch.stack([torch.zeros_like(logit), logit - 3], 1) + 0 * self.conv(x).mean()


QUARTERS = np.array([[0, 0], [0, 16], [16, 0], [16, 16]])


def selected(net, count=2, found=(4, 4), **config):
    made = model(net)
    made.inference  # noqa: B018 - it is made in passes of its own
    net.calls.clear()
    images = torch.ones(count, 3, 32, 32)
    images[1:] *= torch.tensor([1.0, 1, 1])[:, None, None]
    query = Query(made, images, torch.ones(count, dtype=torch.int64))
    clean = made.net(images).softmax(1)[:, 1]
    net.calls.clear()
    windows = Candidates(np.tile(QUARTERS, (count, 1, 1)), np.ones((count, 4)), np.array(found), 16)
    return relevant(query, clean, windows, PatchConfig(count=4, **config)), clean, windows


def by_hand(covered):
    logit = 8 * sum(w for i, w in enumerate((0.5, 0.3, 0.15, 0.05)) if i not in covered) - 3
    return 1 / (1 + np.exp(-logit))


def test_cumulative_selection_follows_the_scores():
    chosen, clean, _ = selected(Squares(), tau=0.1)
    after = [by_hand(range(n)) for n in range(5)]
    assert float(clean[0]) == pytest.approx(after[0])
    # |differences|: 0.27, 0.54, 0.12 …: the first below tau ends it and is kept
    steps = [abs(a - b) for a, b in pairwise(after)]
    ended = next((i for i, step in enumerate(steps) if step < 0.1), 4)
    assert chosen.kept.tolist() == [min(ended + 1, 4)] * 2
    n = int(chosen.kept[0])
    assert chosen.after[0, :n] == pytest.approx(after[1 : n + 1], abs=1e-6)
    assert chosen.before[0, :n] == pytest.approx(after[:n], abs=1e-6)
    assert np.isnan(chosen.after[0, n:]).all()
    without_last, _, _ = selected(Squares(), tau=0.2, keep_last=False)
    assert without_last.kept.tolist() == [2, 2], "the third changes too little"


def test_independent_selection_covers_one_window_at_a_time():
    chosen, _, _ = selected(Squares(), perturbation="independent", tau=0.001)
    assert chosen.after[0] == pytest.approx([by_hand([i]) for i in range(4)], abs=1e-6)
    assert chosen.before[0] == pytest.approx([by_hand([])] * 4, abs=1e-6)


def test_a_model_that_ignores_the_image_keeps_exactly_one_patch():
    net = Squares()
    net.scale.data.zero_()
    chosen, _, _ = selected(net)
    assert chosen.kept.tolist() == [1, 1]
    assert chosen.stop == ["tau", "tau"]
    assert selected(net, keep_last=False)[0].kept.tolist() == [0, 0]
    assert selected(net, from_clean=False)[0].kept.tolist() == [2, 2]  # the literal reading tests from the second


def test_no_image_is_pushed_again_once_its_selection_has_ended():
    net = Squares()
    chosen, _, _ = selected(net, found=(1, 4), tau=0.0)
    assert chosen.kept.tolist() == [1, 4]
    assert chosen.stop == ["map exhausted", "k exhausted"]
    assert net.calls == [2, 1, 1, 1]
    net = Squares()
    chosen, _, _ = selected(net, tau=0.1)
    assert sum(net.calls) == chosen.kept.sum()
    assert selected(Squares(), found=(0, 4))[0].stop[0] == "map empty"


@pytest.mark.parametrize(
    ("score", "tau", "kept"), [("prob", 0.3, 1), ("logprob", 0.3, 4), ("logprob", 0.31, 1), ("logit", 0.39, 4)]
)
def test_the_watched_score_is_the_one_named(score, tau, kept):
    """Steps of the probability are 0.26, 0.53 …, of its logarithm 0.307, 1.3, 1.05, 0.38, of the logit 4 … 0.4."""

    def of(covered):
        chance = by_hand(covered)
        return {"prob": chance, "logprob": math.log(chance), "logit": math.log(chance / (1 - chance))}[score]

    query = Query(model(Squares()), torch.ones(1, 3, 32, 32), torch.ones(1, dtype=torch.int64))
    windows = Candidates(QUARTERS[None], np.ones((1, 4)), np.array([4]), 16)
    config = PatchConfig(count=4, score=score, tau=tau)
    chosen = relevant(query, query.clean_scores(score), windows, config)
    values = [of(range(n)) for n in range(5)]
    assert chosen.kept.tolist() == [kept]
    assert float(chosen.clean[0]) == pytest.approx(values[0], abs=1e-5)
    assert chosen.after[0, :kept] == pytest.approx(values[1 : kept + 1], abs=1e-5)
    assert chosen.before[0, :kept] == pytest.approx(values[:kept], abs=1e-5)


def test_signed_drop_ends_where_covering_raises_the_score():
    class Rising(Squares):
        def forward(self, x):
            return super().forward(x) * torch.tensor([1.0, -1.0])

    assert selected(Rising(), difference="drop", tau=0.01)[0].kept.tolist() == [1, 1]
    assert selected(Rising(), difference="absolute", tau=0.01)[0].kept.tolist() != [1, 1]


@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "vit"])
@pytest.mark.parametrize("config", [{"tau": 0.0}, {"tau": 0.01, "score": "logit"}, {"tau": 0.0, "fill": "blur"}])
def test_covering_step_by_step_equals_whole_passes(net, config):
    rows, settings = nets.images(11), PatchConfig(count=4, **config)
    found = np.array([4, 4, 0, 1, 2, 3, 4, 4, 4, 4, 4])
    corners = np.random.default_rng(0).integers(0, 24, (11, 4, 2))
    windows = Candidates(corners, np.ones((11, 4)), found, 8)
    results = []
    for stepwise in (False, True):
        query = Query(model(net), rows, torch.arange(11) % nets.CLASSES, execution=Execution(batch=5))
        clean = query.clean_scores(settings.score)
        query.log.forwards = 0
        results.append((relevant(query, clean, windows, settings, stepwise=stepwise), query.log.forwards))
    (whole, passes), (steps, same) = results
    assert passes == same
    assert steps.after == pytest.approx(whole.after, abs=1e-5, nan_ok=True)
    assert steps.before == pytest.approx(whole.before, abs=1e-5, nan_ok=True)
    assert steps.kept.tolist() == whole.kept.tolist()
    assert steps.stop == whole.stop


@pytest.mark.parametrize(("fill", "value"), [("mean", 0.0), ("black", None)])
def test_fill_is_what_covers(fill, value):
    net = Squares()
    chosen, _, _ = selected(net, fill=fill, tau=0.0)
    preprocess = model(net).preprocess
    black = float(preprocess.normalised(torch.zeros(3, 1, 1)).mean())
    level = 0.0 if value == 0.0 else black
    logit = 8 * (0.5 * level + 0.5) - 3
    assert chosen.after[0, 0] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    blurred, _, _ = selected(Squares(), fill="blur", tau=0.0)
    assert blurred.after[0] == pytest.approx([by_hand([])] * 4, abs=1e-5)  # a flat image blurs to itself


@pytest.mark.parametrize(
    ("cells", "size"), [((7, 7), 224), ((14, 14), 224), ((13, 13), 224), ((5, 9), 96), ((1, 1), 33)]
)
def test_window_operator_equals_summing_the_enlarged_map(cells, size):
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.random((2, 5, *cells)))
    side = size // 3
    corners = torch.from_numpy(rng.integers(0, size - side, (2, 6, 2), endpoint=True))
    large = F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
    fast = responses(maps, corners, side, (size, size))
    for image in range(2):
        for patch in range(6):
            y, x = corners[image, patch].tolist()
            truth = large[image, :, y : y + side, x : x + side].sum((1, 2))
            assert torch.allclose(fast[image, patch], truth, rtol=1e-12)
    whole = (
        window_weights(torch.zeros(1, 2, dtype=torch.int64), size, (size, size), cells)
        if cells[0] == cells[1]
        else None
    )
    if whole is not None:
        assert float(whole.sum()) == pytest.approx(size * size)


def test_strongest_filters_are_positive_and_ties_go_to_the_lower():
    sums = np.array([[3.0, 5, 5, 0, -1], [0, 0, 2, 0, 0]])
    items, values = strongest(sums, sums, 4)
    assert items.tolist() == [[1, 2, 0, -1], [2, -1, -1, -1]]
    assert values.tolist() == [[5, 5, 3, 0], [2, 0, 0, 0]]
    items, values = strongest(sums, -sums, 2)
    assert items.tolist() == [[0, 1], [2, -1]]
    assert values.tolist() == [[3, 5], [2, 0]]


def test_patches_holding_filters():
    data = Transactions(np.array([[1, 2, -1], [2, 3, 1], [3, 1, 2]], np.int32), np.array([0, 0, 1]))
    assert data.holding([1, 2]).tolist() == [0, 1, 2]
    assert data.holding([1, 2], 0).tolist() == [0, 1]
    assert data.first(2).holding([1, 2]).tolist() == [0]


@pytest.mark.parametrize("sampling", ["dense", "redraw"])
def test_no_window_is_made_of_rounding_errors(sampling):
    """Differences of large sums are not exactly zero where a map is, and where its windows were taken."""
    maps = np.zeros((1, 40, 40))
    maps[0, 4:13, 20:31] = np.random.default_rng(0).random((9, 11))
    config = PatchConfig(count=12, sampling=sampling, draws=1500, max_overlap=1)
    found = candidates(maps, 8, config, [0])
    left = maps[0].copy()
    for (y, x), score in zip(found.corners[0, : found.counts[0]], found.scores[0], strict=False):
        assert left[y : y + 8, x : x + 8].any(), "nothing is left there"
        assert score > 0
        left[y : y + 8, x : x + 8] = 0
    assert 1 <= found.counts[0] < 12


@pytest.mark.parametrize("stepwise", [False, True])
def test_every_rank_has_an_equal_part_of_the_progress_of_masking(stepwise):
    seen = []
    execution = Execution(batch=4, report=lambda fraction, note: seen.append(round(fraction, 9)))
    query = Query(model("gap"), nets.images(8), torch.ones(8, dtype=torch.int64), execution=execution)
    windows = Candidates(np.tile(QUARTERS[:2], (8, 1, 1)), np.ones((8, 2)), np.full(8, 2), 16)
    clean = query.run_with(report=lambda fraction, note: None).clean_scores()
    relevant(query, clean, windows, PatchConfig(count=2, tau=0.0, score="logit"), stepwise=stepwise)
    # Whole passes: two batches for each rank. Step by step: two ranks for each group of four images.
    assert seen == ([0, 0.25, 0.5, 0.5, 0.75, 1] if not stepwise else [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1])
