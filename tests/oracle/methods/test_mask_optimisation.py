"""Learned masks where the best mask is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from core.errors import BadParameter, Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.baselines import blurred
from core.explain.methods.mask_optimisation import _roughness, strongest
from core.explain.targets import class_scores
from tests import nets
from tests.nets import SIDE, query


class Corner(nn.Module):
    """Looks at the contrast of the upper left quarter alone."""

    def forward(self, x):
        corner = x[:, :, : SIDE // 2, : SIDE // 2].square().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(corner), 4 * corner], 1)


def halves(maps):
    """Means of the upper and the lower half."""
    return float(maps[0, : SIDE // 2].mean()), float(maps[0, SIDE // 2 :].mean())


@pytest.mark.parametrize("aim", ["delete", "preserve", "dual"])
def test_both_methods_find_the_half_that_counts(aim):
    methods = [
        ("meaningful_perturbation", {"sparse": 0.3, "smooth": 0.05}),
        ("extremal_perturbation", {"areas": "0.2"}),
    ]
    for name, rest in methods[aim == "dual" :]:
        upper, lower = halves(explain(name, query(Corner(), count=1), {"aim": aim, "steps": 200, **rest}).maps)
        assert upper > lower + 0.25, name


def test_a_dual_mask_asks_about_what_it_keeps_and_about_what_it_leaves():
    found = explain("extremal_perturbation", query("gap", count=1), {"areas": "0.1, 0.3", "aim": "dual", "steps": 10})
    assert found.forwards == 1 + 2 * 2 * (1 + 4 * 10), "the score of the image itself is Grad-CAM's"
    assert found.backwards == 1
    cost = EXPLAINERS["extremal_perturbation"].cost
    assert cost(found.settings, SIDE) == found.forwards + 2 * found.backwards


class Shared(nn.Module):
    """Two classes live on the contrast of the upper half, the second one also, less so, on that of the lower half."""

    def forward(self, x):
        upper, lower = (half.square().mean((1, 2, 3)) for half in x.chunk(2, dim=2))
        return torch.stack([800 * upper, 800 * upper + 400 * lower], 1)


def test_contrast_looks_for_what_the_best_other_class_lacks():
    q = query(Shared(), count=1)
    plain, lead = (
        halves(explain("extremal_perturbation", q, {"areas": "0.2", "contrast": contrast, "steps": 60}).maps)
        for contrast in (False, True)
    )
    assert plain[0] > plain[1] + 0.1
    assert lead[1] > lead[0] + 0.1
    with pytest.raises(Unsupported, match="no other classes"):
        explain("extremal_perturbation", query("gap", unit_layer="features.5"), {"contrast": True})


def test_the_lead_is_over_the_best_other_class():
    logits = torch.tensor([[1.0, 4.0, 2.0], [5.0, 1.0, 2.0]])
    assert class_scores(logits, torch.tensor([1, 1]), "margin").tolist() == [2.0, -4.0]


def test_masks_of_several_areas_are_averaged_and_softened_on_demand():
    settings = {"areas": "0.1, 0.3", "steps": 10}
    plain = explain("extremal_perturbation", query("gap", count=1), settings).maps
    soft = explain("extremal_perturbation", query("gap", count=1), {**settings, "soften": 0.09}).maps
    assert torch.allclose(soft, blurred(plain, 0.09 * SIDE), atol=1e-6)
    assert not torch.allclose(soft, plain, atol=1e-3)


def test_roughness_is_a_mean_of_third_powers():
    mask = torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    down = [abs(float(mask[0, 0, i + 1, j] - mask[0, 0, i, j])) ** 3 for i in range(4) for j in range(7)]
    across = [abs(float(mask[0, 0, i, j + 1] - mask[0, 0, i, j])) ** 3 for i in range(5) for j in range(6)]
    assert float(_roughness(mask)) == pytest.approx(sum(down) / 28 + sum(across) / 30)
    assert "mean|∂m|³" in EXPLAINERS["meaningful_perturbation"].formula


@pytest.mark.parametrize("aim", ["delete", "preserve"])
def test_meaningful_perturbation_equals_its_formula_step_by_step(aim):
    """Differentiated as printed, from the mask to the probability, with the settings of its published port."""
    q = query("cnn", count=1, seed=2)
    soft = blurred(q.images, 10 * SIDE / 224)
    mask = torch.ones(1, 1, 4, 4, requires_grad=True)
    adam = torch.optim.Adam([mask], lr=0.1)
    for step in range(12):
        noise = 0.2 * torch.randn(3, SIDE, SIDE, generator=q.rng(step))
        large = nn.functional.interpolate(mask, (SIDE, SIDE), mode="bilinear")
        score = q.net(large * q.images + (1 - large) * soft + noise).softmax(1)[0, 1]
        in_half_precision = (mask.diff(dim=2).abs() ** 3).mean() + (mask.diff(dim=3).abs() ** 3).mean()
        loss = score + 0.02 * (1 - mask).abs().mean() if aim == "delete" else -score + 0.02 * mask.mean()
        mask.grad = torch.autograd.grad(loss + 0.2 * in_half_precision, mask)[0]
        adam.step()
        mask.data.clamp_(0, 1)
    large = nn.functional.interpolate(mask.detach(), (SIDE, SIDE), mode="bilinear")[0]
    ours = explain("meaningful_perturbation", q, {"aim": aim, "steps": 12, "sparse": 0.02}).maps
    assert 0.05 < float(large.std()) < 0.5
    assert torch.allclose(ours, 1 - large if aim == "delete" else large, atol=1e-3)


def test_nothing_is_deleted_where_the_blur_shows_the_same():
    q = query("gap", count=1)
    q.images.fill_(0.4)
    assert float(explain("meaningful_perturbation", q).maps.abs().max()) == 0


def test_a_heavy_price_on_the_area_closes_the_mask():
    found = explain("meaningful_perturbation", query("gap"), {"aim": "preserve", "sparse": 10, "steps": 50})
    assert float(found.maps.abs().max()) == 0
    assert found.backwards == 2 * 50


@pytest.mark.parametrize("aim", ["delete", "preserve"])
def test_extremal_masks_have_the_areas_asked_for(aim):
    found = explain("extremal_perturbation", query("gap", count=1), {"areas": "0.1, 0.3", "aim": aim, "steps": 30})
    reached = [float(area) for area in str(found.remarks["areas"]).split(",")]
    assert reached == pytest.approx([0.1, 0.3], abs=0.001)
    assert found.maps.unique().tolist() == [0, 0.5, 1]


def test_the_extremal_mask_of_a_linear_network_covers_its_largest_terms():
    net = nets.seeded(nets.LinearNet)
    q = query(net, count=1)
    terms = (net.fc.weight[1].view(3, SIDE, SIDE) * q.images[0]).sum(0).detach()
    best = terms.flatten().topk(round(0.2 * SIDE**2)).indices
    found = explain("extremal_perturbation", q, {"areas": "0.2", "smooth": 0, "hide": "fade", "steps": 10})
    chosen = found.maps[0].flatten().nonzero()[:, 0]
    assert len(chosen) == len(best)
    assert len(set(best.tolist()) & set(chosen.tolist())) >= 0.99 * len(best)


def value(q, mask, aim, kind="logit"):
    """What is sought, by its formula: the score of what the mask shows, minus that of the rest, or both."""
    soft = blurred(q.images[0], 20 * min(q.size) / 224)
    shown, rest = (keep * q.images[0] + (1 - keep) * soft for keep in (mask, 1 - mask))
    scores = [float(q.score(images[None], q.targets, kind)) for images in (shown, rest)]
    return {"preserve": scores[0], "delete": -scores[1], "dual": scores[0] - scores[1]}[aim]


def strongest_pixels(one, area):
    """The mask of that area with the strongest pixels of a map."""
    mask = np.zeros(one.numel(), np.float32)
    mask[np.argsort(-one.numpy().ravel(), kind="stable")[: round(area * one.numel())]] = 1
    return torch.from_numpy(mask).view(one.shape)


@pytest.mark.parametrize("net", ["gap", "residual", "vit"])
@pytest.mark.parametrize("aim", ["delete", "preserve", "dual"])
def test_a_mask_is_never_worse_than_that_of_grad_cam(net, aim):
    for target in range(3):
        q = query(net, count=1, target=target)
        grad_cam = value(q, strongest_pixels(explain("grad_cam", q).maps[0], 0.1), aim)
        found = explain("extremal_perturbation", q, {"aim": aim, "steps": 30})
        assert found.remarks["score of the masks"] == f"{value(q, found.maps[0], aim):.3f}"
        assert value(q, found.maps[0], aim) >= grad_cam - 1e-4
        assert value(q, found.maps[0], aim) > grad_cam or target, "it looks for a better one"


def test_the_result_is_the_best_mask_seen():
    """Step by step: whatever any mask of the search was worth, the last running map is worth as much."""
    q = query("gap", count=1)
    worth, seen = [], []
    known = type(q.targets).score

    class Listening(type(q.targets)):
        def score(self, outputs, kind, meaning="softmax"):
            found = known(self, outputs, kind, meaning)
            worth.extend(found.detach().tolist())
            return found

        def _with(self, indices):
            return Listening(indices)

    heard = replace(q, targets=Listening(q.targets.indices))
    found = explain("extremal_perturbation", heard, {"steps": 40}, lambda look: bool(seen.append(look.maps[0])))
    tried = worth[1:-1]  # without those of the image itself
    assert value(q, found.maps[0], "preserve") == pytest.approx(max(tried), rel=1e-5)
    values = [value(q, one, "preserve") for one in seen]
    assert values == sorted(values)


def test_a_mask_does_not_depend_on_how_many_threads_compute_it():
    """What rounding changes in a score, a comparison of scores hardly ever sees."""
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            q = query(nets.seeded(torchvision.models.resnet18), count=1, side=64)
            found.append(explain("extremal_perturbation", q, {"steps": 20}).maps[0] > 0)
    finally:
        torch.set_num_threads(before)
    one, two = found
    assert float((one & two).sum() / (one | two).sum()) >= 0.99


def test_the_strongest_pixels_are_counted_and_ties_go_by_position():
    fields = torch.zeros(2, 1, 2, 5)
    fields[:, 0, 1, 2] = 1
    masks = strongest(fields, (0.1, 0.3))
    assert masks[0, 0].flatten().nonzero()[:, 0].tolist() == [7]
    assert masks[1, 0].flatten().nonzero()[:, 0].tolist() == [0, 1, 7]


@pytest.mark.parametrize("areas", ["", "0", "1.5", "a lot", "0.1,,0.2", ", ".join(["0.1"] * 9)])
def test_senseless_areas_are_refused(areas):
    with pytest.raises(BadParameter, match="areas"):
        explain("extremal_perturbation", query("gap"), {"areas": areas})
