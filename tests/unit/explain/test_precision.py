"""Half precision: requested by methods that combine many scores, allowed by the caller."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from core.explain import EXPLAINERS, Query, explain
from core.explain.baselines import baseline
from core.explain.query import TOLERANCE
from core.explain.targets import Units
from core.images import decode
from core.models import load
from core.workbench import Workbench
from tests import nets

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
PHOTO = 200  # of those in the folder: one that the network recognises
ROUGH = ("meaningful_perturbation", "extremal_perturbation", "rise", "lime_image", "kernel_shap", "superpixel_tree")

with_data = pytest.mark.skipif(
    not (DATA / "models").is_dir(), reason="the folder ../shared/data with real weights and photos is not here"
)


def dtypes(model):
    """The kinds of numbers that a network's layers put out from now on."""
    seen = set()
    for module in model.net.modules():
        module.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    return seen


@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name != "vebi"])  # this network has no relevance
def test_who_computes_roughly_where_it_is_allowed(name):
    model = nets.model("gap")
    method, seen = EXPLAINERS[name], dtypes(model)
    exact = explain(name, nets.query(model, count=1), nets.quick(method))
    assert seen <= {torch.float32}
    assert "precision" not in exact.remarks
    half = explain(name, nets.query(model, count=1, precision="half"), nets.quick(method))
    assert (torch.bfloat16 in seen) == (name in ROUGH) == ("precision" in half.remarks)
    assert half.maps.dtype == torch.float32
    assert torch.allclose(half.scores, exact.scores, rtol=1e-5), "the explained score itself is exact"
    if name not in ROUGH:
        assert torch.equal(half.maps, exact.maps)


def test_scores_come_back_as_single_numbers_within_their_tolerance():
    exact = nets.query("gap", count=4)
    half = exact.run_with(precision="half").in_half_precision()
    assert exact.in_half_precision() is exact
    wanted, found = (query.score(query.images, query.targets, "prob") for query in (exact, half))
    assert found.dtype == torch.float32
    assert 0 < float((wanted - found).abs().max()) <= TOLERANCE
    slope, whole = (query.gradient(query.images, query.targets) for query in (half, exact))
    assert slope.dtype == torch.float32
    assert 0 < float((slope - whole).norm() / whole.norm()) < 0.2  # numbers of eight bits, and ReLUs that they switch


def test_rough_numbers_are_never_taken_for_exact_ones():
    exact = nets.query("gap", count=2)
    half = exact.run_with(precision="half").in_half_precision()
    told = half.clean_logits()
    assert not torch.equal(exact.clean_logits(), told)
    unit = half.with_targets(Units(torch.ones(2, dtype=torch.int64), "features.5"))
    assert unit.score(unit.images, unit.targets).dtype == torch.float32


def test_what_overflows_is_computed_again_in_full():
    class Narrow(torch.nn.Module):
        """Overflows in half precision alone."""

        def forward(self, x):
            whole = x.mean((2, 3))
            return torch.where(torch.tensor(torch.is_autocast_enabled("cpu")), whole / 0, whole)

    query = nets.query(Narrow(), count=2, precision="half")
    assert torch.equal(query.in_half_precision().logits(query.images), query.logits(query.images))


def test_a_network_that_half_precision_moves_too_far_is_asked_in_full():
    class Fine(torch.nn.Module):
        """Its answer hangs on digits that half precision drops."""

        def forward(self, x):
            small = x.mean((2, 3)) if not torch.is_autocast_enabled("cpu") else x.mean((2, 3)) + 1
            return small * torch.tensor([1.0, 2.0, 3.0])

    query = nets.query(Fine(), count=1, precision="half")
    exact = explain("rise", query.run_with(precision="full"), {"masks": 50})
    found = explain("rise", query, {"masks": 50})
    assert torch.equal(found.maps, exact.maps)
    assert found.remarks["precision"].startswith("full, as half would be off by 0.")


def test_where_only_scores_may_be_rough_learned_masks_are_exact():
    for name in ROUGH:
        found = explain(name, nets.query("gap", count=1, precision="scores"), nets.quick(EXPLAINERS[name]))
        assert ("precision" in found.remarks) == (name not in ("meaningful_perturbation", "extremal_perturbation"))


def asked_of(name, side=128, photo=PHOTO):
    """A question to real weights about a photo they recognise; small, as half precision is slow without a GPU."""
    model = load(f"{name}:{DATA / 'models' / name}.safetensors", device="cpu")
    model = replace(model, preprocess=replace(model.preprocess, crop=side, resize=side))
    file = sorted((DATA / "photos").rglob("*.JPEG"))[photo]
    bench = Workbench(model)
    picture = decode(file.read_bytes(), file.name)
    return Query(model, model.preprocess.tensor(bench.view(picture))[None], bench.target(picture).targets("cpu"))


@pytest.fixture
def _as_on_a_gpu(monkeypatch):
    """Half precision is float16, whose error is an eighth of bfloat16's."""
    monkeypatch.setattr(Query, "half_type", torch.float16)


@with_data
@pytest.mark.slow
@pytest.mark.usefixtures("_as_on_a_gpu")
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rise", {"masks": 150}),
        ("lime_image", {"samples": 150}),
        ("kernel_shap", {"samples": 150}),
    ],
)
def test_rough_maps_rank_the_places_of_a_photo_as_exact_ones(name, settings):
    query = asked_of("squeezenet1_0")
    exact, half = (explain(name, query.run_with(precision=how), settings) for how in ("full", "half"))
    found = spearmanr(exact.maps.flatten(), half.maps.flatten()).statistic
    print(f"\n{name}: rank correlation of half with full precision {found:.4f}; {half.remarks['precision']}")
    assert half.remarks["precision"].startswith("half")
    assert found >= 0.99


@with_data
@pytest.mark.slow
def test_bfloat16_is_used_where_it_ranks_the_places_of_a_photo_as_float32_does():
    """It moves the probabilities of some photos too far: these are computed in full."""
    found, settings = [], {"masks": 60}
    for photo in (50, 0):
        query = asked_of("squeezenet1_0", 224, photo)
        exact, half = (explain("rise", query.run_with(precision=how), settings) for how in ("full", "scores"))
        correlation = spearmanr(exact.maps.flatten(), half.maps.flatten()).statistic
        found.append((half.remarks["precision"].startswith("half (bfloat16)"), correlation))
    print(f"\nhalf precision and rank correlations {found}")
    assert [used for used, _ in found] == [True, False]
    assert all(correlation >= (0.99 if used else 1 - 1e-9) for used, correlation in found)


@with_data
@pytest.mark.slow
@pytest.mark.usefixtures("_as_on_a_gpu")
def test_a_rough_mask_does_what_the_exact_one_does():
    """Its steps amplify any rounding, so two masks differ; how much of the score they take does not."""
    query = asked_of("squeezenet1_0")
    masks = [
        explain("meaningful_perturbation", query.run_with(precision=how), {"steps": 100}).maps[:, None]
        for how in ("full", "half")
    ]
    soft = baseline(query, "blur")
    left = [float(query.score(query.images + mask * (soft - query.images), query.targets, "prob")) for mask in masks]
    print(f"\nprobability {float(query.clean_scores('prob')):.3f}, without what either mask hides {left}")
    assert max(left) < 0.2 * float(query.clean_scores("prob"))
    assert abs(left[0] - left[1]) < 0.05


@with_data
@pytest.mark.slow
@pytest.mark.usefixtures("_as_on_a_gpu")
def test_a_rough_extremal_mask_has_the_area_of_the_exact_one():
    """Neither its positions nor the probability under it: 80 steps that amplify rounding end at masks that differ."""
    query = asked_of("squeezenet1_0", side=96)
    found = [explain("extremal_perturbation", query.run_with(precision=how), {"steps": 80}) for how in ("full", "half")]
    areas = [float(one.remarks["areas"]) for one in found]
    print(f"\nareas {areas}; {found[1].remarks['precision']}")
    assert areas[0] == pytest.approx(areas[1], abs=0.01)
    assert areas == pytest.approx([0.1, 0.1], abs=0.03)


@with_data
@pytest.mark.slow
def test_an_extremal_mask_of_a_photo_is_the_same_for_any_number_of_threads():
    query, before, maps = asked_of("squeezenet1_0", side=224), torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            maps.append(explain("extremal_perturbation", query.fresh(), {"steps": 20}).maps)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*maps)


def test_a_learned_mask_says_that_it_may_differ_more():
    for name in ("extremal_perturbation", "meaningful_perturbation"):
        found = explain(name, nets.query("gap", count=1, precision="half"), {"steps": 10})
        assert found.remarks["precision"].endswith("the mask itself may differ more")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ROUGH)
def test_on_a_gpu(name):
    query = nets.query(nets.model("gap"), count=1)
    query.net.to("cuda")
    query = replace(query, images=query.images.cuda(), targets=query.targets.to("cuda"))
    exact, half = (explain(name, query.run_with(precision=p), nets.quick(EXPLAINERS[name])) for p in ("full", "half"))
    assert "precision" in half.remarks
    if "mask itself" not in half.remarks["precision"]:
        assert spearmanr(exact.maps.flatten(), half.maps.flatten()).statistic >= 0.95


class OneClassOverflows(torch.nn.Module):
    """In half precision one of its scores, or their slope, is out of range, and the others are not."""

    def forward(self, x):
        whole = x.mean((2, 3))
        rough = torch.is_autocast_enabled("cpu")
        return torch.where(torch.tensor([rough, False, False]), torch.inf, whole)


def test_one_score_that_overflows_is_enough_to_compute_all_again():
    exact = nets.query(OneClassOverflows(), count=2)
    half = exact.run_with(precision="half", half_precision=True)
    assert torch.equal(half.logits(half.images), exact.logits(exact.images))


class SteepInHalf(torch.autograd.Function):
    """A mean whose slope at the first pixel overflows in half precision."""

    @staticmethod
    def forward(ctx, x, rough):
        ctx.shape, ctx.rough = x.shape, rough
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx, received):
        slope = (received / (ctx.shape[2] * ctx.shape[3]))[:, :, None, None].expand(ctx.shape).clone()
        if ctx.rough:
            slope[:, :, 0, 0] = torch.inf
        return slope, None


def test_one_slope_that_overflows_is_enough_to_compute_all_again():
    class Steep(torch.nn.Module):
        def forward(self, x):
            return SteepInHalf.apply(x, torch.is_autocast_enabled("cpu"))

    exact = nets.query(Steep(), count=2)
    half = exact.run_with(precision="half", half_precision=True)
    assert torch.equal(half.gradient(half.images, half.targets), exact.gradient(exact.images, exact.targets))


class Faint(torch.nn.Module):
    """A linear network whose gradients are too small for half precision."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3 * nets.SIDE**2, nets.CLASSES)

    def forward(self, x):
        return self.fc(x.flatten(1)).float() * 1e-7


def test_small_gradients_are_not_lost_in_half_precision():
    exact = nets.query(nets.seeded(Faint), count=2)
    half = exact.run_with(precision="half").in_half_precision()
    assert half.half_precision
    wanted, found = (query.gradient(query.images, query.targets) for query in (exact, half))
    assert 0 < float(wanted.abs().max()) < torch.finfo(torch.float16).smallest_normal / 1000
    assert 0 < float((found - wanted).norm() / wanted.norm()) < 0.01
