"""Surrogates on networks whose answer is known, and against captum and brute force."""

from dataclasses import replace
from itertools import permutations

import captum.attr
import numpy as np
import pytest
import torch
from skimage.segmentation import quickshift
from sklearn.linear_model import Ridge
from torch import nn

from core.explain import EXPLAINERS, explain, segments
from core.explain.methods.surrogate import _shapley, coalitions, coins, exact_shapley, subsets
from core.explain.segments import pieces
from tests import nets
from tests.nets import SIDE, query

SLIC = {"cut": "slic", "segments": 12, "score": "logit"}


def patchwork(net, **rest):
    """A query about an image of sixteen noisy tiles, which SLIC can tell apart."""
    q = query(net, count=1, **rest)
    tiles = nets.images(1, seed=8, side=4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    q.images.mul_(0.1).add_(tiles)
    return q


class Constant(nn.Module):
    """The same scores for every image."""

    def forward(self, x):
        return torch.arange(5.0).expand(len(x), 5)


def shares(net, q, cut_up):
    """What each segment of an additive network adds when it is shown instead of its mean colour."""
    gain = (net.terms(q.images, 1) - net.terms(cut_up.hidden[None], 1))[0].detach()
    return torch.stack([gain[cut_up.cells == number].sum() for number in range(cut_up.count)])


@pytest.fixture
def additive():
    net = nets.seeded(nets.Additive)
    q = patchwork(net)
    cut_up = pieces(q, "slic", 12, "mean")
    assert 6 <= cut_up.count <= 20
    return q, cut_up, shares(net, q, cut_up)


def test_segments_are_numbered_and_hidden_by_their_mean(additive):
    q, cut_up, _ = additive
    assert cut_up.cells.unique().tolist() == list(range(cut_up.count))
    for number in range(cut_up.count):
        own = cut_up.cells == number
        expected = q.images[0][:, own].mean(1, keepdim=True).expand(-1, int(own.sum()))
        assert torch.allclose(cut_up.hidden[:, own], expected, atol=1e-5)
    black = pieces(q, "slic", 12, "black").hidden
    assert torch.allclose(q.model.preprocess.pixels(black), torch.zeros_like(black), atol=1e-6)


def test_quickshift_does_not_cross_a_border_of_colours():
    q = query("gap", count=1)
    q.images[:, :, :, :16], q.images[:, :, :, 16:] = -1.5, 1.5
    cells = pieces(q, "quickshift", 50, "mean").cells
    assert not set(cells[:, :16].unique().tolist()) & set(cells[:, 16:].unique().tolist())


def test_quickshift_is_called_as_in_the_reference_of_lime():
    q = query("gap", count=1, side=96)
    q.images.mul_(0.1).add_(nets.images(1, seed=8, side=6).repeat_interleave(16, 2).repeat_interleave(16, 3))
    pixels = q.model.preprocess.pixels(q.images[0]).clamp(0, 1).permute(1, 2, 0).numpy()
    known = quickshift(pixels, kernel_size=4, max_dist=200, ratio=0.2, rng=0)
    cells = pieces(q, "quickshift", 50, "mean").cells.numpy()
    assert cells.max() > 20
    assert len(set(zip(cells.ravel(), known.ravel(), strict=True))) == len(np.unique(known)) == cells.max() + 1


def test_lime_without_penalty_finds_a_linear_network(additive):
    q, cut_up, expected = additive
    found = explain("lime_image", q, {**SLIC, "samples": 300, "alpha": 0})
    assert torch.allclose(found.maps[0], expected[cut_up.cells], atol=1e-3)
    assert found.remarks["weighted R²"] == pytest.approx(1, abs=1e-6)
    assert found.remarks["local prediction"] == pytest.approx(float(found.scores[0]), abs=1e-3)
    penalised = explain("lime_image", q, {**SLIC, "samples": 300}).maps[0]
    assert 0 < float((penalised - expected[cut_up.cells]).abs().max()) < 0.3 * float(expected.abs().max())


def test_lime_is_the_weighted_ridge_of_its_definition():
    q = patchwork("gap", seed=2)
    cut_up = pieces(q, "slic", 12, "mean")
    rng = torch.cat([torch.rand(64, cut_up.count, generator=q.rng(block)) for block in range(2)])[:100]
    visible = (rng < 0.5).numpy()
    visible[0] = True
    scores = []
    for row in visible:
        shown = torch.where(torch.tensor(row)[cut_up.cells], q.images[0], cut_up.hidden)
        scores.append(float(q.net(shown[None]).softmax(1)[0, 1]))
    distance = 1 - np.sqrt(visible.sum(1) / cut_up.count)
    line = Ridge(alpha=1.0).fit(visible, scores, sample_weight=np.sqrt(np.exp(-(distance**2) / 0.25**2)))
    found = explain("lime_image", q, {**SLIC, "samples": 100, "score": "prob"})
    assert torch.allclose(found.maps[0], torch.tensor(line.coef_).float()[cut_up.cells], atol=1e-6)


def test_lime_shows_the_few_segments_that_speak_most_for_the_class():
    q = patchwork("gap", seed=2)
    whole, few = (explain("lime_image", q, {**SLIC, "samples": 100, "top": top}).maps[0] for top in (0, 2))
    best = whole.unique().topk(2).values
    assert float(best[1]) > 0
    assert torch.equal(few, torch.where(whole >= best[1], whole, 0))
    assert not explain("lime_image", query(Constant(), count=1), {**SLIC, "samples": 50, "top": 2}).maps.any()


def test_lime_of_a_network_that_says_always_the_same_is_zero():
    found = explain("lime_image", query(Constant(), count=1), {**SLIC, "samples": 100})
    assert float(found.maps.abs().max()) < 1e-12
    assert found.remarks["local prediction"] == pytest.approx(1)


def test_the_ridge_of_lime_bends_a_linear_network_by_no_more_than_its_penalty(additive):
    """|w − w_α| ≤ α / (λ + α) · |w|, with λ the least eigenvalue of what the weighted copies span."""
    q, cut_up, expected = additive
    found = explain("lime_image", q, {**SLIC, "samples": 300, "alpha": 1}).maps[0]
    visible = coins(cut_up)(range(300)).double()
    weights = (-(1 - visible.mean(1).sqrt()).square() / (2 * 0.25**2)).exp()
    away = visible - (weights[:, None] * visible).sum(0) / weights.sum()
    least = float(torch.linalg.eigvalsh(away.T @ (weights[:, None] * away))[0])
    ours = torch.stack([found[cut_up.cells == number][0] for number in range(cut_up.count)])
    missed = float((ours - expected).norm() / expected.norm())
    assert 0.1 / (least + 1) < missed <= 1 / (least + 1) + 1e-4
    assert missed < 0.05


@pytest.mark.parametrize("name", ["lime_image", "extremal_perturbation"])
def test_remarks_tell_of_each_image(name):
    settings = {"lime_image": {**SLIC, "samples": 50}, "extremal_perturbation": {"steps": 10}}[name]
    both = query("gap", count=2)
    alone = [
        explain(name, replace(both, images=both.images[i : i + 1], targets=both.targets[i : i + 1]), settings).remarks
        for i in range(2)
    ]
    found = explain(name, both, settings).remarks
    assert found.keys() == alone[0].keys()
    for key, value in found.items():
        first, second = (one[key] for one in alone)
        words = [one if isinstance(one, str) else f"{one:.4g}" for one in (first, second)]
        assert value == (first if first == second else "; ".join(words))


def test_shapley_values_of_an_additive_network_are_its_terms(additive):
    q, cut_up, expected = additive
    found = explain("kernel_shap", q, {**SLIC, "samples": 100})
    assert torch.allclose(found.maps[0], expected[cut_up.cells], atol=1e-3)


def shapley_by_orders(cut_up):
    """The average over all orders of what each segment adds, and the scores by the segments' binary digits."""
    expected = torch.zeros(cut_up.count, dtype=torch.float64)
    orders = list(permutations(range(cut_up.count)))
    value = {}
    for code in range(2**cut_up.count):
        row = torch.tensor([[bool(code >> bit & 1) for bit in range(cut_up.count)]])
        value[code] = float(cut_up.score(row, "logit"))
    for order in orders:
        code = 0
        for segment in order:
            expected[segment] += (value[code | 1 << segment] - value[code]) / len(orders)
            code |= 1 << segment
    return expected, value


def test_shapley_values_tend_to_the_average_over_all_orders():
    q = patchwork("gap")
    cut_up = pieces(q, "slic", 4, "mean")
    assert 3 <= cut_up.count <= 6
    expected, value = shapley_by_orders(cut_up)
    draw, full, empty = coalitions(cut_up), value[2**cut_up.count - 1], value[0]
    *_, (visible, scores) = cut_up.sampled(4000, "logit", draw)
    found = _shapley(visible, scores - empty, full - empty)
    assert torch.allclose(found, expected, atol=0.05 * float(expected.abs().max()))
    assert float(found.sum()) == pytest.approx(full - empty, abs=1e-4)


@pytest.fixture
def striped(monkeypatch):
    """A query about an image cut into as many stripes as asked for, in double precision, and its segmentation."""

    def made(count):
        rows = torch.arange(SIDE).mul(count).div(SIDE, rounding_mode="floor")
        monkeypatch.setattr(segments, "_cells", lambda q, cut, wanted: rows[:, None].expand(SIDE, SIDE))
        q = query("gap", count=1)
        q.net.double()
        q = replace(q, images=q.images.double())
        return q, pieces(replace(q), "slic", 4, "mean")

    return made


@pytest.mark.parametrize("count", [2, 4, 6])
def test_few_segments_get_their_exact_shapley_values(count, striped):
    q, cut_up = striped(count)
    expected, value = shapley_by_orders(cut_up)
    *_, (visible, scores) = cut_up.sampled(2**count, "logit", subsets(cut_up))
    exact = exact_shapley(visible, scores)
    assert torch.allclose(exact, expected, atol=1e-12)
    assert float(exact.sum()) == pytest.approx(value[2**count - 1] - value[0], abs=1e-12)
    seen = []
    found = explain("kernel_shap", q, {**SLIC, "samples": 100}, lambda look: bool(seen.append(look)))
    assert torch.equal(found.maps[0], exact.float()[cut_up.cells])
    assert len(seen) == 1, "a part of the coalitions gives no map"
    assert found.forwards == 2**count + 1
    assert found.remarks["coalitions"] == f"all {2**count}, the values are exact"
    assert torch.equal(explain("kernel_shap", replace(q, seed=9), {**SLIC, "samples": 200}).maps, found.maps)


def test_coalitions_are_drawn_once_there_are_more_of_them_than_copies(striped):
    for samples, forwards in ((61, 61 + 2), (62, 2**6)):
        found = explain("kernel_shap", striped(6)[0], {**SLIC, "samples": samples})
        assert found.forwards == forwards + 1
        assert ("coalitions" in found.remarks) == (samples == 62)


def test_kernel_shap_equals_captum_on_the_same_coalitions():
    """Captum imposes the two ends with a weight of a million, here they are a constraint."""
    q = patchwork("residual", seed=3)
    q.net.double()
    q = replace(q, images=q.images.double())
    cut_up = pieces(q, "slic", 12, "mean")
    peer = captum.attr.KernelShap(q.net)

    def drawn(original, **rest):
        yield from torch.tensor([[True], [False]]).expand(2, cut_up.count).long().split(1)
        yield from coalitions(cut_up)(range(120)).long().split(1)

    peer.perturb_func = drawn
    theirs = peer.attribute(
        q.images,
        baselines=cut_up.hidden[None],
        target=q.targets.indices,
        feature_mask=cut_up.cells[None, None],
        n_samples=122,
    )
    ours = explain("kernel_shap", q, {**SLIC, "samples": 120}).maps
    assert float((ours - theirs[:, 0]).abs().max() / theirs.abs().max()) <= 1e-4


def test_coalitions_come_in_pairs_with_the_sizes_of_the_kernel(additive):
    _, cut_up, _ = additive
    draw = coalitions(cut_up)
    whole = draw(range(4000))
    assert torch.equal(whole[0::2], ~whole[1::2])
    for span in (range(1), range(7, 130), range(127, 129)):
        assert torch.equal(draw(span), whole[span.start : span.stop])
    sizes = torch.arange(1, cut_up.count)
    expected = 1 / (sizes * (cut_up.count - sizes))
    found = torch.bincount(whole.sum(1), minlength=cut_up.count)[1 : cut_up.count] / len(whole)
    assert torch.allclose(found, expected / expected.sum(), atol=0.03)


def test_one_segment_takes_everything(monkeypatch):
    monkeypatch.setattr(segments, "_cells", lambda q, cut, count: torch.zeros(q.size, dtype=torch.long))
    q = query("gap", count=1)
    whole, hidden = (q.score(images, q.targets) for images in (q.images, torch.zeros_like(q.images)))
    settings = {"hide": "grey", "score": "logit"}
    for name in ("kernel_shap", "feature_ablation"):
        found = explain(name, q, settings).maps
        assert torch.allclose(found, (whole - hidden).expand_as(found), atol=1e-5)
    found = explain("lime_image", q, {**settings, "alpha": 0}).maps
    assert torch.allclose(found, (whole - hidden).expand_as(found), atol=1e-5)
    found = explain("superpixel_tree", q, settings).maps
    assert torch.equal(found, torch.ones_like(found))


def test_segments_that_show_what_hides_them_are_worth_nothing():
    q = query("gap", count=1)
    q.images.fill_(0.3)
    for name in ("kernel_shap", "lime_image", "superpixel_tree", "feature_ablation"):
        found = explain(name, q, {"cut": "quickshift"}).maps
        assert torch.allclose(found, torch.zeros_like(found), atol=1e-5)  # its mean colour is what it shows


def test_feature_ablation_equals_captum():
    q = patchwork("residual")
    cut_up = pieces(q, "slic", 12, "blur")
    found = explain("feature_ablation", q, {**SLIC, "hide": "blur"})
    expected = captum.attr.FeatureAblation(q.net).attribute(
        q.images, baselines=cut_up.hidden[None], target=q.targets.indices, feature_mask=cut_up.cells[None, None]
    )
    assert torch.allclose(found.maps, expected[:, 0], atol=1e-5)
    assert found.forwards == cut_up.count + 1


def test_feature_ablation_of_an_additive_network_is_its_terms(additive):
    q, cut_up, expected = additive
    assert torch.allclose(explain("feature_ablation", q, SLIC).maps[0], expected[cut_up.cells], atol=1e-3)


def test_a_tree_asks_first_about_the_segment_that_decides(additive):
    q, cut_up, expected = additive
    found = explain("superpixel_tree", q, {**SLIC, "samples": 500}).maps[0]
    values = torch.stack([found[cut_up.cells == number][0] for number in range(cut_up.count)])
    assert float(values.sum()) == pytest.approx(1, abs=1e-5)
    assert int(values.argmax()) == int(expected.abs().argmax())


def test_the_card_of_the_tree_says_that_it_fails():
    card = EXPLAINERS["superpixel_tree"]
    assert "negative example" in card.caution
    assert "a negative example" in card.summary
    assert "review" in card.about
