"""What becomes of numbers that are none, and what a map without anything to see says of itself."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.errors import Cancelled, Unsupported
from core.explain import EXPLAINERS, explain
from core.network.cancellation import EVERY
from tests import nets


class Overflowing(nn.Module):
    """Its scores leave the numbers for bright images."""

    def forward(self, x):
        return x.mean((2, 3)).exp() * torch.tensor([1.0, 2.0, 3.0])


class Rooted(nn.Module):
    """Its scores are numbers for a black image, and their slopes are not."""

    def forward(self, x):
        return x.square().sqrt().mean((2, 3))


@pytest.mark.parametrize("name", ["random", "saliency", "occlusion", "rise"])
def test_scores_that_are_no_numbers_are_a_sentence(name):
    q = nets.query(Overflowing(), count=1)
    q.images.fill_(1000)
    with pytest.raises(Unsupported, match="not finite"):
        explain(name, q)


def test_a_score_of_a_unit_that_is_no_number_is_a_sentence():
    q = nets.query(nets.model("gap"), count=1, unit_layer="features.5")
    q.net.features[5].register_forward_hook(lambda module, inputs, output: output / 0)
    with pytest.raises(Unsupported, match="not finite"):
        explain("random", q)


def test_a_map_that_is_no_numbers_is_a_sentence():
    q = nets.query(Rooted(), count=1)
    q.images.zero_()
    with pytest.raises(Unsupported, match="Saliency gave values that are not finite on this image"):
        explain("saliency", q)
    assert explain("random", q.fresh()).maps.any()


@pytest.mark.parametrize(
    ("value", "signed", "told"),
    [
        (0.0, False, "No evidence: the map is zero everywhere."),
        (0.0, True, "No evidence: the map is zero everywhere."),
        (-1.0, False, "No positive evidence for this target."),
        (-1.0, True, "The map has the same value everywhere."),
        (0.5, False, "The map has the same value everywhere."),
    ],
)
def test_a_map_without_anything_to_see_says_so(value, signed, told):
    found = replace(explain("random", nets.query("gap", count=2)), signed=signed)
    maps = found.maps.clone()
    maps[1] = value
    assert replace(found, maps=maps).note(1) == told
    assert replace(found, maps=maps).note(0) == ""


CAMS = ["grad_cam", "grad_cam_pp", "layer_cam", "hires_cam", "xgrad_cam", "guided_grad_cam"]


@pytest.mark.parametrize("name", CAMS)
def test_a_map_read_behind_the_layer_of_its_unit_says_so(name):
    net = nets.model("gap")
    layers = [layer.name for layer in net.survey.usable]
    unit, behind = layers[1], layers[-1]
    told = explain(name, nets.query(net, count=1, unit_layer=unit, layer=behind)).note()
    assert told == (
        f"No evidence: the unit's layer {unit} lies before the layer {behind} that the method reads; "
        "choose the unit's layer or an earlier one."
    )
    assert explain(name, nets.query(net, count=1, unit_layer=behind, layer=unit)).note() == ""
    assert explain(name, nets.query(net, count=1, unit_layer=unit, layer=unit)).note() == ""


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (2, 4, 4)])
def test_a_map_of_another_shape_is_a_defect_of_its_method(shape, monkeypatch):
    method = replace(EXPLAINERS["saliency"], run=lambda query, **settings: torch.zeros(shape))
    monkeypatch.setattr("core.explain.run.EXPLAINERS", {"saliency": method})
    with pytest.raises(RuntimeError, match=r"saliency returned .* instead of \(B, h, w\)"):
        explain("saliency", nets.query("gap", count=1))


def test_a_map_that_was_stopped_is_kept_when_later_reports_cancel():
    stopped = []

    def report(fraction, note):
        if stopped:
            raise Cancelled

    def watch(snapshot):
        stopped.append(snapshot)
        time.sleep(2 * EVERY)  # the last report is due to be repeated at the next operation
        return True

    found = explain("rise", nets.query("gap", count=1).with_report(report), {"masks": 400}, watch)
    assert not found.finished
    assert torch.equal(found.maps, stopped[0].maps)


class Brightness(nn.Module):
    """Its scores rise with every value of the image."""

    def forward(self, x):
        return x.mean((2, 3))


def test_a_map_is_signed_by_its_method_or_by_its_values():
    bright = nets.query(Brightness(), count=1)
    bright.images.fill_(1)
    positive = explain("input_x_gradient", bright)
    assert positive.signed
    assert (positive.maps >= 0).all()
    query = nets.query("gap", count=1)
    summed = explain("guided_grad_cam", query.fresh(), {"reduce": "sum"})
    assert summed.signed
    assert (summed.maps < 0).any()
    assert not explain("guided_grad_cam", query.fresh()).signed
