"""Perturbation methods against additive networks, closed laws and captum."""

from dataclasses import replace

import captum.attr
import numpy as np
import pytest
import skimage.transform
import torch
from torch import nn

from core.errors import BadParameter
from core.explain import explain
from core.explain.baselines import baseline, blurred
from core.explain.methods.perturbation import bounding, random_masks, sliding
from core.explain.segments import blocks, pieces
from tests import nets
from tests.nets import SIDE, query

TILES = {"window": 56, "stride": 56, "score": "logit"}  # 8 px of 32, without overlap


class Constant(nn.Module):
    """The same scores for every image."""

    def forward(self, x):
        return torch.arange(5.0).expand(len(x), 5)


def test_occlusion_of_an_additive_network_is_what_each_tile_adds():
    net = nets.seeded(nets.Additive)
    q = query(net)
    found = explain("occlusion", q, TILES)
    tiles = net.terms(q.images, 1).unfold(1, 8, 8).unfold(2, 8, 8).sum((-1, -2))
    expected = tiles.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert torch.allclose(found.maps, expected, atol=2e-4)
    assert torch.allclose(found.maps.sum((1, 2)), 64 * found.scores, rtol=1e-4)
    assert found.forwards == 2 * (16 + 1)


@pytest.mark.parametrize("fill", ["grey", "black", "blur"])
@pytest.mark.parametrize(("window", "stride"), [(56, 56), (49, 28), (100, 35)])
def test_occlusion_equals_captum(fill, window, stride):
    q = query("residual")
    q.net.double()
    q = replace(q, images=q.images.double())
    found = explain("occlusion", q, {"window": window, "stride": stride, "fill": fill, "score": "logit"}).maps.double()
    w, s = round(window / 7), round(stride / 7)
    expected = captum.attr.Occlusion(q.net).attribute(
        q.images, (3, w, w), (3, s, s), baselines=baseline(q, fill).expand_as(q.images), target=q.targets.indices
    )
    assert torch.allclose(found, expected[:, 0].double(), atol=1e-6)


@pytest.mark.parametrize(("fill", "value"), [("grey", 0.0), ("blur", 0.3)])
def test_occlusion_finds_no_evidence_in_an_image_that_it_does_not_change(fill, value):
    """Not the rounding of passes that are computed in another way."""
    q = query("gap", count=1)
    found = explain("occlusion", replace(q, images=torch.full_like(q.images, value)), {"fill": fill})
    assert found.note() == "No evidence: the map is zero everywhere."
    assert found.forwards == 1


def test_a_box_that_changes_nothing_has_the_clean_score_and_no_pass():
    q = query("gap", count=2)
    fill = q.images.clone()
    fill[:, :, 4, 4] += 0.5
    fill[:, :, 9, 9] += 1e-7
    boxes = torch.tensor([[0, 0, 4, 4], [3, 3, 4, 4], [8, 8, 4, 4], [4, 4, 2, 2]])
    inside = torch.ones(4, *q.size, dtype=torch.bool)
    inside[3, 4, 4] = False
    clean = q.clean_scores("prob")
    for masks, changed in ((None, [1, 3]), (inside, [1])):
        before = q.log.forwards
        scores = q.windows(boxes, fill, "prob", masks)
        assert q.log.forwards - before == 2 * len(changed)
        assert [n for n in range(4) if not torch.equal(scores[:, n], clean)] == changed


def test_windows_of_an_image_that_is_not_square_are():
    """Their side is scaled to the shorter side of the image, whichever it is."""
    for shape in ((SIDE, 2 * SIDE), (2 * SIDE, SIDE)):
        q = query("residual", count=1)
        wide = replace(q, images=torch.randn(1, 3, *shape, generator=q.rng()))
        found = explain("occlusion", wide, TILES)
        tiles = found.maps[0].unfold(0, 8, 8).unfold(1, 8, 8)
        assert torch.equal(tiles.amax((2, 3)), tiles.amin((2, 3)))
        assert found.forwards == 2 * 16 + 1


def test_windows_cover_every_pixel_and_stay_inside():
    for window, stride in [(8, 8), (7, 3), (32, 5), (31, 30), (1, 1)]:
        cover = torch.zeros(SIDE, SIDE)
        for top, left, height, width in sliding((SIDE, SIDE), window, stride).tolist():
            assert min(top, left) >= 0
            assert max(top + height, left + width) <= SIDE
            cover[top : top + height, left : left + width] += 1
        assert float(cover.min()) >= 1


def test_occlusion_refuses_gaps_between_windows():
    with pytest.raises(BadParameter, match="gaps"):
        explain("occlusion", query("gap"), {"window": 16, "stride": 32})


def test_blur_keeps_a_constant_image_and_does_nothing_at_zero():
    constant = torch.full((1, 3, 20, 20), 0.7)
    assert torch.allclose(blurred(constant, 4.0), constant, atol=1e-6)
    image = nets.images(1)
    assert torch.equal(blurred(image, 0.0), image)


def test_a_constant_network_gives_rise_nothing_to_choose():
    q = query(Constant(), count=1)
    settings = {"masks": 300, "score": "logit", "keep": 0.3}
    whole = explain("rise", q, {**settings, "divisor": "mean"}).maps
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-6)  # its score is 1
    plain = explain("rise", q, settings).maps[0].double()
    assert torch.allclose(plain, random_masks(q, range(300), 7, 0.3).double().mean(0) / 0.3, atol=1e-6)
    assert float(explain("rise", q, {"masks": 200, "score": "logit", "centred": True}).maps.abs().max()) < 1e-9


class Cells(nn.Module):
    """Linear in the means of a 4 × 4 grid of cells of 8 px."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        score = (x.mean(1).unfold(1, 8, 8).unfold(2, 8, 8).mean((-1, -2)) * self.weight).sum((1, 2))
        return torch.stack([score, 2 * score], 1)


def test_rise_obeys_its_laws_on_independent_masks(monkeypatch):
    """With independent cells the plain map tends to p·Σw + (1 − p)·w, the centred one to w."""
    import core.explain.methods.perturbation as family

    def independent(q, span, cells, keep):
        draws = torch.stack([torch.rand(4, 4, generator=q.rng(i)) < keep for i in span]).float()
        return draws.repeat_interleave(8, 1).repeat_interleave(8, 2)

    monkeypatch.setattr(family, "random_masks", independent)
    net = nets.seeded(Cells)
    q = query(nets.model(net), count=1, target=0, batch=500)
    q.images.fill_(1.0)
    w = net.weight.detach().repeat_interleave(8, 0).repeat_interleave(8, 1)
    settings = {"masks": 8000, "keep": 0.5, "score": "logit"}
    plain = explain("rise", q, settings)
    expected = 0.5 * net.weight.sum() + 0.5 * w
    error = plain.remarks["standard error"]
    assert float((plain.maps[0] - expected).abs().mean()) < 2 * error
    assert 0 < error < 0.1
    centred = explain("rise", q, {**settings, "centred": True}).maps[0]
    assert float((centred - w).abs().max()) < 6 * float(w.std()) * 4 / 8000**0.5


def test_rise_equals_its_formula_mask_by_mask():
    q = query("gap", count=1, seed=3, batch=7)
    drawn = random_masks(q, range(100), 7, 0.5).double()
    scores = q.net(q.images * drawn[:, None].float()).softmax(1)[:, 1].double()
    weighed = scores[:, None, None] * drawn
    found = explain("rise", q, {"masks": 100})
    assert torch.allclose(found.maps[0].double(), weighed.mean(0) / 0.5, atol=1e-6)
    error = float((weighed.std(0, correction=0) / (100**0.5 * 0.5)).mean())
    assert found.remarks["standard error"] == pytest.approx(error, rel=1e-4)
    assert torch.allclose(explain("rise", q, {"masks": 100, "errors": True}).maps.mean(), torch.tensor(error).float())
    whole = explain("rise", q, {"masks": 100, "divisor": "mean"})
    assert torch.allclose(whole.maps[0].double(), weighed.mean(0) / drawn.mean(0), atol=1e-6)
    products = (scores - scores.mean())[:, None, None] * (drawn - drawn.mean(0)) / drawn.var(0, correction=0)
    centred = explain("rise", q, {"masks": 100, "centred": True})
    assert torch.allclose(centred.maps[0].double(), products.mean(0), atol=1e-6)
    spread = products.std(0, correction=0) / 100**0.5
    assert centred.remarks["standard error"] == pytest.approx(float(spread.mean()), rel=1e-4)
    found = explain("rise", q, {"masks": 100, "centred": True, "errors": True})
    assert torch.allclose(found.maps[0].double(), spread, atol=1e-6)


@pytest.mark.parametrize("centred", [False, True])
def test_the_standard_error_of_rise_is_the_spread_over_other_draws(centred):
    settings = {"masks": 200, "centred": centred}
    found = [explain("rise", query("gap", count=1, seed=seed), settings) for seed in range(16)]
    spread = torch.cat([one.maps for one in found]).double().std(0).mean()
    told = sum(one.remarks["standard error"] for one in found) / len(found)
    assert told == pytest.approx(float(spread), rel=0.25)


def enlarged(grid, side):
    """A grid of cells as the authors enlarge it (RISE, explanations.py)."""
    return skimage.transform.resize(grid, (side, side), order=1, mode="reflect", anti_aliasing=False)


@pytest.mark.parametrize("cells", [2, 7])
def test_masks_vary_at_border_and_centre_as_those_of_the_authors(cells):
    """By position: the mean is p, the variance p (1 − p) Σ w² over the cells' weights w, averaged over the crops."""
    side, keep = 35, 0.3
    cell = -(-side // cells)
    units = np.eye(cells * cells).reshape(-1, cells, cells)
    weights = np.stack([enlarged(unit, (cells + 1) * cell) for unit in units])
    squares = (weights**2).sum(0)
    crops = [squares[y : y + side, x : x + side] for y in range(cell) for x in range(cell)]
    expected = torch.from_numpy(keep * (1 - keep) * np.mean(crops, 0))
    masks = random_masks(query("gap", seed=1, side=side), range(20_000), cells, keep).double()
    for y, x in [(0, 0), (0, side // 2), (side // 2, 0), (side - 1, 0), (side - 1, side - 1), (side // 2, side // 2)]:
        assert float(masks[:, y, x].mean()) == pytest.approx(keep, abs=0.01), (y, x)
        assert float(masks[:, y, x].var()) == pytest.approx(float(expected[y, x]), rel=0.05), (y, x)


@pytest.mark.parametrize("side", [SIDE, 50])
def test_masks_are_coarse_grids_enlarged_and_cropped(side):
    """Every mask is some crop of its grid enlarged as in the authors' code, to one cell more than the image."""
    q = query("gap", seed=5, side=side)
    cell = -(-side // 7)
    grids = (blocks(q, range(40), 51)[:, 2:] < 0.4).float().view(40, 7, 7)
    large = torch.from_numpy(np.stack([enlarged(grid.numpy(), 8 * cell) for grid in grids]))
    places = []
    for mask, one in zip(random_masks(q, range(40), 7, 0.4), large, strict=True):
        crops = one.unfold(0, side, 1).unfold(1, side, 1)
        off = (crops - mask).abs().amax((2, 3))[:cell, :cell]
        assert float(off.min()) <= 1e-6
        places.append(divmod(int(off.argmin()), cell))
    assert len(set(places)) > 10, "the crop moves"
    assert {row for row, _ in places} == {column for _, column in places} == set(range(cell))


def test_masks_depend_on_seed_and_number_alone():
    q = query("gap", seed=5)
    whole = random_masks(q, range(200), 7, 0.3)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1
    for span in [range(1), range(63, 66), range(130, 200), range(64, 128)]:
        assert torch.equal(random_masks(q, span, 7, 0.3), whole[span.start : span.stop])
    assert not torch.equal(random_masks(query("gap", seed=6), range(200), 7, 0.3), whole)
    assert float(random_masks(q, range(3000), 7, 0.3).mean()) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(
    ("masks", "batch", "expected"), [(150, 10, [71, 131, 151]), (128, 64, [65, 129]), (100, 200, [101])]
)
def test_running_maps_of_rise_come_with_each_block_of_masks_and_at_the_end(masks, batch, expected):
    seen = []
    explain("rise", query("gap", count=1, batch=batch), {"masks": masks}, lambda look: bool(seen.append(look)))
    assert [look.passes.forward for look in seen] == expected


def test_boxes_around_masks_are_the_smallest():
    draws = np.random.default_rng(0)
    masks = torch.from_numpy(draws.random((60, 13, 22)) < draws.choice([0.004, 0.02, 0.5], (60, 1, 1)))
    masks[
        torch.arange(60), torch.from_numpy(draws.integers(0, 13, 60)), torch.from_numpy(draws.integers(0, 22, 60))
    ] = True
    for mask, box in zip(masks, bounding(masks).tolist(), strict=True):
        rows, columns = np.nonzero(mask.numpy())
        assert box == [rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1]


def test_feature_ablation_is_the_drop_of_the_score_without_each_segment():
    q = query("cnn")
    q.images.mul_(0.1).add_(nets.images(2, seed=8, side=4).repeat_interleave(8, 2).repeat_interleave(8, 3))
    found = explain("feature_ablation", q, {"cut": "slic", "segments": 12, "hide": "grey", "score": "logit"}).maps
    for row in range(2):
        one = q.subset(slice(row, row + 1), q.report)
        cells = pieces(one, "slic", 12, "grey").cells
        expected = torch.zeros(q.size)
        for number in cells.unique().tolist():
            without = torch.where(cells == number, baseline(one, "grey"), one.images)
            expected[cells == number] = (q.net(one.images) - q.net(without))[0, 1].detach()
        assert len(cells.unique()) > 4
        assert torch.allclose(found[row], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["occlusion", "feature_ablation"])
def test_a_drop_of_the_score_has_a_sign_even_where_all_are_positive(name):
    net = nets.seeded(nets.Additive)
    net.weight.data.abs_()
    q = query(net, count=1)
    q.images.abs_()
    found = explain(name, q, {"score": "logit"})
    assert float(found.maps.min()) > 0
    assert found.signed


def test_what_every_mask_shows_is_worth_nothing_to_centred_rise(monkeypatch):
    """Its mask never varies, so neither do mask and score together."""
    import core.explain.methods.perturbation as family

    def shown(q, span, cells, keep):
        masks = random_masks(q, span, cells, keep)
        masks[:, :9] = 1
        return masks

    monkeypatch.setattr(family, "random_masks", shown)
    found = explain("rise", query("gap", count=1), {"masks": 100, "centred": True, "score": "logit"}).maps[0]
    assert float(found[:9].abs().max()) < 1e-3
    assert float(found[9:].abs().max()) > 1e-3
