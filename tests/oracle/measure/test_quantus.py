"""The same numbers from quantus, where it is installed and asks the same; the docstrings say what differs.

`make bench` and `.ci/run` put quantus into .venv/quantus, without what it depends on. Some of its measures resemble
ours and are others, so they are not compared:

- Infidelity removes block after block without showing them again, and weighs the map by the change of the pixels; ours
  removes one square at a time and fits the scale of the map. It equals captum's (test_stability).
- FaithfulnessCorrelation correlates random sets of pixels, by Pearson; occlusion correlation takes windows and ranks.
- IROF deletes segments, but of a segmentation of its own, and its area is relative to the unmodified probability.
- SSIM of its MPRT has uniform windows along a map's values in one row, and one range for both maps; ours has Gaussian
  windows of pixels and scales each map.
- RelevanceRankAccuracy and TopKIntersection fix how many pixels count by the mask or by a number; our IoU measures go
  over thresholds. AUC is the area under a ROC curve.
- RandomLogit compares the maps of two classes without asking which of them is right, as part contrastivity does.

ROAD, sensitivity-n, monotonicity, continuity, consistency and the axiomatic measures have no counterpart here.
"""

import warnings
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.explain import explain
from core.measure import Evidence, evaluate
from core.measure.robustness.randomisation import _models, _parts
from core.measure.robustness.stability import noise
from tests import nets

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[3] / ".venv" / "quantus"
COUNT, SIDE = 3, nets.SIDE
PLAIN = {"abs": False, "normalise": False, "disable_warnings": True}  # maps as they are: it scales them otherwise


@pytest.fixture
def quantus(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantus", reason="needs quantus, which `make bench` installs")


@pytest.fixture
def query():
    return nets.query("cnn", count=COUNT)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(COUNT, SIDE, SIDE))


@pytest.fixture
def mask():
    found = np.zeros((COUNT, SIDE, SIDE), bool)
    for row in range(COUNT):
        found[row, 4 + row : 20, 6 : 20 + 3 * row] = True
    return found


def theirs(metric, query, maps, mask=None, **more):
    """The numbers of one of its metrics, an array with a row for each image."""
    masks = None if mask is None else mask[:, None]
    given = {"x_batch": query.images.numpy(), "y_batch": query.targets.indices.numpy(), "a_batch": maps[:, None]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array(metric(query.net, **given, s_batch=masks, device="cpu", **more), dtype=np.float64)


def ours(name, query, maps, mask=None, **settings):
    evidence = Evidence(query, torch.from_numpy(maps), mask=None if mask is None else torch.from_numpy(mask))
    result = evaluate(name, evidence, settings).result
    return getattr(result, "y", result)


def test_sparseness_is_the_same_but_for_what_it_adds(quantus, query, maps):
    """It adds 1e-7 to every magnitude, so that a map of zeros has a number too; large values show no trace of it."""
    found = theirs(quantus.Sparseness(**{**PLAIN, "abs": True}), query, 1000 * maps)
    assert ours("sparseness", query, maps) == pytest.approx(found, abs=1e-6)


def test_entropy_is_its_complexity(quantus, query, maps):
    found = theirs(quantus.Complexity(**{**PLAIN, "abs": True}), query, maps)
    assert ours("entropy", query, maps) == pytest.approx(found, abs=1e-6)


def test_pointing_game_is_the_same_without_tolerance_and_ties(quantus, query, maps, mask):
    """It has no tolerance, and counts a hit if any of several maxima hits, where ours counts the share that does."""
    maps = np.abs(maps)
    maps[0, 10, 10], maps[1, 1, 1] = 100, 100
    maps[2, 10, 10] = maps[2, 1, 1] = 100
    found = theirs(quantus.PointingGame(**PLAIN), query, maps, mask)
    assert ours("pointing_game", query, maps, mask, tolerance=0)[:2] == found[:2].tolist() == [1, 0]
    assert (found[2], ours("pointing_game", query, maps, mask, tolerance=0)[2]) == (1, 0.5)


def test_energy_pointing_is_two_of_its_measures(quantus, query, maps, mask):
    """AttributionLocalisation can be told what ours does with negative values: count them as zero, or by magnitude.

    RelevanceMassAccuracy cannot, and they cancel positive ones. So it agrees on maps without them.
    """
    mass = quantus.RelevanceMassAccuracy(**PLAIN)
    for magnitude, settings in ((False, {"positive_attributions": True}), (True, {"abs": True})):
        found = ours("energy_pointing", query, maps, mask, magnitude=magnitude)
        peer = quantus.AttributionLocalisation(**{**PLAIN, **settings})
        assert found == pytest.approx(theirs(peer, query, maps, mask), abs=1e-6)
        without_sign = np.abs(maps) if magnitude else np.maximum(maps, 0)
        assert found == pytest.approx(theirs(mass, query, without_sign, mask), abs=1e-6)
        assert np.abs(theirs(mass, query, maps, mask) - found).min() > 0.01


def test_deletion_of_pixels_is_its_pixel_flipping(quantus):
    """Its curve begins after the first step, and takes a pixel's values one by one: a step has to be whole pixels.

    Its area has steps of length one and leaves out the unmodified image; with numpy 2.4 it computes none.
    """
    query = nets.query("gap", count=COUNT, side=24)
    query = replace(query, images=20 * query.images)
    maps = np.random.default_rng(1).normal(size=(COUNT, 24, 24))
    flipping = quantus.PixelFlipping(features_in_step=3 * 64, perturb_baseline=0.0, **PLAIN)
    found = theirs(flipping, query, maps)
    curve = ours("deletion_curve", query, maps, steps=9, fill="grey")
    assert curve[:, 1:] == pytest.approx(found, abs=1e-6)
    assert np.ptp(found, axis=1).min() > 0.001
    area = ours("deletion_auc", query, maps, steps=9, fill="grey")
    whole = np.concatenate([query.clean_scores("prob").numpy()[:, None], found], 1)
    assert area == pytest.approx(np.trapezoid(whole, dx=1 / 9, axis=1), abs=1e-6)


def test_deletion_of_patches_is_its_selectivity(quantus, query, maps):
    """One patch at a time and without the unmodified image; ours has at most 224 steps, here two patches in each."""
    found = theirs(quantus.Selectivity(patch_size=2, perturb_baseline=0.0, **PLAIN), query, maps)
    curve = ours("deletion_curve", query, maps, steps=128, features="patches")
    assert curve[:, 1:] == pytest.approx(found[:, 1::2], abs=1e-6)


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_aopc_of_patches_is_its_region_perturbation(quantus, query, maps, order):
    """The drops, most relevant first; least relevant first are those of the negative map."""
    settings = {"patch_size": 2, "perturb_baseline": 0.0, "regions_evaluation": 256, "order": order}
    found = theirs(quantus.RegionPerturbation(**settings, **PLAIN), query, maps, softmax=True)
    signed = maps if order == "morf" else -maps
    curve = ours("deletion_aopc_curve", query, signed, steps=128, features="patches")
    assert curve[:, 1:] == pytest.approx(found[:, 1::2], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "peer"), [("max_sensitivity", "MaxSensitivity"), ("mean_sensitivity", "AvgSensitivity")]
)
@pytest.mark.parametrize("method", ["saliency", "grad_cam"])
def test_sensitivities_are_its_own_for_the_same_noise(quantus, query, method, name, peer):
    """In double precision. It draws Gaussian or uniform noise from numpy's global generator; here it gets ours."""
    query, samples, radius = nets.doubled(query), 4, 0.1
    drawn = iter([noise(query, sample, radius).numpy() for sample in range(samples)])

    def perturbed(arr, indices, **settings):
        return arr + next(drawn).reshape(1, -1)

    def explained(model, inputs, targets, **settings):
        return again(replace(query, images=torch.as_tensor(inputs), content=""))[:, None].numpy()

    def again(changed):
        return explain(method, changed.fresh()).maps.double()

    maps = again(query)
    metric = getattr(quantus, peer)(nr_samples=samples, perturb_func=perturbed, **PLAIN)
    found = theirs(metric, query, maps.numpy(), explain_func=explained)
    evidence = Evidence(query, maps, explain_again=again)
    result = evaluate(name, evidence, {"samples": samples, "radius": radius}).result
    assert result == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "order"), [("cascading_randomisation", "top_down"), ("independent_randomisation", "independent")]
)
def test_similarity_under_random_weights_is_its_mprt_for_the_same_networks(quantus, query, name, order, monkeypatch):
    """It draws as a layer is initialised, layer by layer, and leaves running statistics; here it gets our networks."""
    from quantus.helpers.model.pytorch_model import PyTorchModel

    def again(changed):
        return explain("saliency", changed.fresh()).maps

    parts = _parts(query, 3)
    # Copies, as cascading randomisation changes one network from stage to stage.
    drawn = _models(query, parts, 0, False, cascading=order == "top_down")
    models = [replace(model, net=deepcopy(model.net)) for model in drawn]
    by_net = {id(model.net): model for model in (query.model, *models)}

    def networks(self, order, seed):
        yield from ((str(number), model.net) for number, model in enumerate(models))

    def explained(model, inputs, targets, **settings):
        return again(replace(query, model=by_net[id(model)]))[:, None].numpy()

    monkeypatch.setattr(PyTorchModel, "get_random_layer_generator", networks)
    mprt = quantus.MPRT(layer_order=order, similarity_func=quantus.similarity_func.correlation_spearman, **PLAIN)
    maps = again(query).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mprt(
            query.net, query.images.numpy(), np.ones(COUNT, int), maps[:, None], device="cpu", explain_func=explained
        )
    evidence = Evidence(query, torch.from_numpy(maps), explain_again=again)
    curve = evaluate(name, evidence, {"stages": 3, "draws": 1}).result.y
    assert np.stack(curve) == pytest.approx(np.array(list(found.values())).T, abs=1e-6)
