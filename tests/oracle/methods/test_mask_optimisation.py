"""Learned masks where the best mask is known."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from core.card import Passes
from core.errors import BadParameter, Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.baselines import blurred
from core.explain.methods.mask_optimisation import _roughness
from core.explain.methods.mask_search import GRID, Search, cut, off_area
from core.explain.methods.smooth_masks import SmoothMasks, levels_of, perturbed
from core.explain.targets import class_scores
from core.network.threads import single_threaded
from tests import nets
from tests.nets import SIDE, query


class Corner(nn.Module):
    """Looks at the contrast of the upper left quarter alone."""

    def forward(self, x):
        corner = x[:, :, : SIDE // 2, : SIDE // 2].square().mean((1, 2, 3))
        return torch.stack([torch.zeros_like(corner), 4 * corner], 1)


def halves(maps):
    """Means of the upper and the lower half; the extremal mask is also evaluated on the mirrored image."""
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
    assert found.backwards == 1 + 2 * 2 * 10
    needed = EXPLAINERS["extremal_perturbation"].passes(found.settings, SIDE)
    assert needed == Passes(found.forwards - 1, found.backwards)


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


@pytest.mark.parametrize("aim", ["delete", "preserve"])
def test_a_descent_equals_its_formula_step_by_step(aim):
    """The reward of the logit against a sorted area that weighs more and more, by gradient descent with momentum."""
    q, sign = query("cnn", count=1), 1 if aim == "preserve" else -1
    levels, maker = levels_of(q.images[0], "blur"), SmoothMasks((SIDE, SIDE), 21.0, torch.device("cpu"))
    steps = 19  # of which the last one counts, too, although it is not among each tenth
    free = torch.ones(1, maker.rows * maker.columns, requires_grad=True)
    descent = torch.optim.SGD([free], lr=8 / steps, momentum=0.9, dampening=0.9)
    for step in range(steps):
        small = maker(free)
        seen = perturbed(levels, nn.functional.interpolate(small[:, None], (SIDE, SIDE), mode="bilinear"))
        logit = q.net(seen.flip(-1) if step % 2 == 0 else seen)[0, 1]
        inside = (small if aim == "preserve" else 1 - small).flatten().sort(stable=True).values
        wanted = torch.zeros_like(inside)
        wanted[math.floor(len(inside) * 0.8) :] = 1
        weight = 300 * 1.0035 ** (800 * step / steps)
        free.grad = torch.autograd.grad(weight * (inside - wanted).square().mean() - sign * logit, free)[0]
        descent.step()
        free.data.clamp_(0, 1)
    small = maker(free.detach())
    large = nn.functional.interpolate(small[:, None], (SIDE, SIDE), mode="bilinear")[0]
    search = Search(q, maker, levels, (0.2,), aim, "logit")
    *_, ((_, ours),) = search.descend(torch.zeros(1, SIDE, SIDE), steps)
    shown = large if aim == "preserve" else 1 - large
    if abs(float(shown.mean()) - 0.2) > 0.02:  # cut off where the area is not reached yet
        shown = top(shown, 0.2)[0]
    assert float(large.std()) > 0.05
    assert float((ours - shown[0]).abs().mean()) < 1e-3


def under(q, aim, mask):
    """What the mask (1, 1, H, W) is worth: the logit with what it keeps, less, where asked for, that with the rest."""
    levels = levels_of(q.images[0], "blur")
    kept, left = (float(q.net(perturbed(levels, view))[0, 1]) for view in (mask, 1 - mask))
    return {"preserve": kept, "delete": -left, "dual": kept - left}[aim]


def top(values, area):
    """One at the largest values, as many as the area has; of equal ones the first. By Python's own sorting."""
    flat = values.flatten().tolist()
    inside = torch.zeros(len(flat))
    inside[sorted(range(len(flat)), key=lambda place: -flat[place])[: round(area * len(flat))]] = 1
    return inside.view(1, 1, *values.shape[-2:])


@pytest.mark.parametrize("name", ["gap", "cnn"])
@pytest.mark.parametrize("aim", ["delete", "preserve", "dual"])
def test_no_mask_is_worse_than_grad_cam_or_a_window_of_its_area(name, aim):
    """Whatever the descents do in ten steps: under the mask and under its largest values alone."""
    for seed in range(3):
        q = query(name, count=1, seed=seed)
        found = explain("extremal_perturbation", q, {"areas": "0.15", "aim": aim, "steps": 10}).maps
        corner = torch.zeros(SIDE, SIDE)
        corner[:13, :12] = 1
        corner[12, 10:12] = 0
        others = [
            top(explain("grad_cam", q).maps, 0.15),
            *(corner.roll((19 * i, 20 * j), (0, 1))[None, None] for i in (0, 1) for j in (0, 1)),
        ]
        assert (
            min(under(q, aim, mask) for mask in (found[None], top(found, 0.15)))
            >= max(under(q, aim, mask) for mask in others) - 1e-4
        )


class Spot(nn.Module):
    """Looks at the contrast in one box, against that in all of the image: the best mask is the box."""

    def __init__(self, box):
        super().__init__()
        self.register_buffer("sign", -torch.ones(SIDE, SIDE))
        self.sign[box] = 1

    def forward(self, x):
        inside = 40 * (x.square().mean(1) * self.sign).mean((1, 2))
        return torch.stack([torch.zeros_like(inside), inside], 1)


@pytest.mark.parametrize("place", [(4, 18), (16, 4)])
def test_the_mask_of_a_spot_is_the_spot(place):
    box = tuple(slice(start, start + 10) for start in place)
    q = query(Spot(box), count=1)
    area = 100 / SIDE**2
    found = explain("extremal_perturbation", q, {"areas": str(area), "hide": "fade", "smooth": 6, "steps": 100}).maps
    assert float(top(found, area)[0, 0][box].sum()) > 80


def test_windows_have_their_areas_exactly_and_reach_all_sides():
    q = nets.query("gap", count=1)
    areas = (0.001, 0.1, 0.3, 0.99)
    search = Search(q, SmoothMasks((SIDE, SIDE), 21.0, torch.device("cpu")), q.images[0], areas, "preserve", "logit")
    grid = torch.stack([search.windows(down).view(GRID, len(areas), SIDE, SIDE) for down in range(GRID)])
    for number, area in enumerate(areas):
        windows = grid[:, :, number]
        assert (windows.sum((2, 3)) == round(area * SIDE**2)).all()
        reached = windows.amax((0, 1))
        assert all(side.any() for side in (reached[0], reached[-1], reached[:, 0], reached[:, -1]))
    scores = torch.rand(GRID, GRID, len(areas), generator=torch.Generator().manual_seed(1))
    wanted = ((scores - scores.mean((0, 1)))[..., None, None] * grid).sum((0, 1)).clamp_min(0)
    assert torch.allclose(search.above_mean(scores), wanted, atol=1e-5)


def test_of_equal_values_the_first_are_inside():
    values = torch.tensor([[[1.0, 2.0, 1.0], [1.0, 0.0, 2.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert cut(values, (0.5, 1 / 3)).tolist() == [[[1, 1, 0], [0, 0, 1]], [[1, 1, 0], [0, 0, 0]]]


def test_of_equal_values_the_last_are_pulled_up():
    masks = torch.full((1, 4, 5), 0.5, requires_grad=True)
    slope = torch.autograd.grad(off_area(masks, (0.25,)), masks)[0].flatten()
    assert slope.tolist() == pytest.approx([2 * 0.5 / 20] * 15 + [-2 * 0.5 / 20] * 5)


@pytest.mark.parametrize("aim", ["preserve", "delete", "dual"])
def test_the_cost_of_an_extremal_mask_is_that_of_its_passes(aim):
    method = EXPLAINERS["extremal_perturbation"]
    for areas, steps in (("0.1", 10), ("0.1,0.2,0.3", 45)):
        found = explain(method.name, query("gap", count=1), {"areas": areas, "aim": aim, "steps": steps})
        assert method.passes(found.settings, SIDE) == Passes(
            found.forwards - 1, found.backwards
        )  # the score itself is one


def test_workers_leave_other_threads_as_they_are():
    """Also those that begin later: each computes on as many threads as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        workers = single_threaded(2)
        assert set(workers.map(lambda _: torch.get_num_threads(), range(20))) == {1}
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


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
    found = explain("extremal_perturbation", query("gap", count=1), {"areas": "0.1, 0.3", "aim": aim, "steps": 300})
    reached = [float(area) for area in str(found.remarks["areas"]).split(",")]
    assert reached == pytest.approx([0.1, 0.3], abs=0.02)
    assert float(found.maps.min()) >= 0
    assert float(found.maps.max()) <= 1


def test_the_extremal_mask_of_a_linear_network_covers_its_largest_terms():
    net = nets.seeded(nets.LinearNet)
    q = query(net, count=1)
    with torch.no_grad():
        net.fc.weight.mul_(100)  # the terms must outweigh the first pull towards the area
    q.images.copy_(q.images.add(q.images.flip(-1)))  # the optimiser also sees the image mirrored
    weight = net.fc.weight[1].view(3, SIDE, SIDE)
    terms = ((weight + weight.flip(-1)) * q.images[0]).sum(0).detach()
    best = terms.flatten().topk(int(0.2 * SIDE**2)).indices
    found = explain("extremal_perturbation", q, {"areas": "0.2", "smooth": 0, "hide": "fade", "steps": 400})
    chosen = found.maps[0].flatten().topk(len(best)).indices
    assert len(set(best.tolist()) & set(chosen.tolist())) > 0.75 * len(best)  # a fifth by chance


def test_open_masks_are_nearly_one_and_closed_ones_zero():
    for side in (32, 64, 224):
        masks = SmoothMasks((side, side), 21.0, torch.device("cpu"))
        ones = masks(torch.ones(1, masks.rows * masks.columns))
        assert float(ones.min()) >= 0.97
        assert float(ones.max()) <= 1
        assert float(masks(torch.zeros(1, masks.rows * masks.columns)).abs().max()) == 0


@pytest.mark.parametrize("side", [32, 224])
def test_a_mask_is_the_soft_maximum_of_the_values_around(side):
    """By position: Σ v softmax(20 v) over the weighed values v = p exp(−2 max(distance / σ − ½, 0)²) around it."""
    masks = SmoothMasks((side, side), 21.0, torch.device("cpu"))
    free = torch.rand(1, masks.rows * masks.columns, generator=torch.Generator().manual_seed(3))
    found = masks(free)[0]
    grid, step, block = free.view(masks.rows, masks.columns), masks.step, max(1, masks.step // 3)
    reach = 1 + math.ceil(masks.sigma / step)
    assert found.shape == (math.ceil(side / block),) * 2
    middle = found.shape[0] // 2
    for row, column in ((middle, middle), (middle + 1, middle - 2), (middle - 3, middle + 2)):
        y, x = (block * place + (block - 1) / 2 for place in (row, column))
        near = [int(place // step) for place in (y, x)]
        values = []
        for i in range(near[0] - reach, near[0] + reach + 1):
            for j in range(near[1] - reach, near[1] + reach + 1):
                far = math.hypot(y - ((i + 0.5) * step - 0.5), x - ((j + 0.5) * step - 0.5))
                values.append(float(grid[i, j]) * math.exp(-2 * max(far / masks.sigma - 0.5, 0) ** 2))
        values = torch.tensor(values)
        assert float(found[row, column]) == pytest.approx(float((values * (20 * values).softmax(0)).sum()), rel=1e-5)


def test_levels_lead_from_the_blur_to_the_image():
    image = nets.images(1)[0]
    levels = levels_of(image, "blur")
    assert torch.equal(levels[-1], image)
    for number in range(8):
        assert torch.allclose(levels[number], blurred(image, 20 * 32 / 224 * (1 - number / 7)))
    masks = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    seen = perturbed(levels_of(image, "fade"), masks)
    assert torch.allclose(seen, masks * image, atol=1e-6)
    assert torch.allclose(perturbed(levels, torch.ones(1, 1, 32, 32))[0], image, atol=1e-6)


@pytest.mark.parametrize("areas", ["", "0", "1.5", "a lot", "0.1,,0.2", ", ".join(["0.1"] * 9)])
def test_senseless_areas_are_refused(areas):
    with pytest.raises(BadParameter, match="areas"):
        explain("extremal_perturbation", query("gap"), {"areas": areas})


@pytest.mark.parametrize("smooth", [21.0, 70.0])
def test_masks_of_a_wide_image_are_those_of_a_high_one_turned(smooth):
    wide, high = (SmoothMasks(size, smooth, torch.device("cpu")) for size in ((32, 52), (52, 32)))
    assert (wide.rows, wide.columns) == (high.columns, high.rows)
    assert wide.columns > wide.rows > 1
    free = torch.rand(2, wide.rows, wide.columns, generator=torch.Generator().manual_seed(0))
    turned = high(free.mT.flatten(1)).mT
    assert torch.allclose(wide(free.flatten(1)), turned, atol=1e-5)
    assert float(turned.std()) > 0.01
