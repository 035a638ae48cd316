"""What a measure is: declared by a signature, checked, and held to a result for each image."""

import math
from typing import Annotated

import numpy as np
import pytest
import torch

from core.errors import BadParameter, UnknownName
from core.measure import MEASURES, Curve, Evidence, Undefined, evaluate
from core.measure.measure import measure
from core.params import Knob, LayerName
from core.registry import Registry
from tests import nets

FACTS = {
    "family": "test", "source": "here", "formula": "y", "caution": "None.", "cost": lambda settings, side: 0,
    "kind": "map", "better": "lower", "unit": "share",
}  # fmt: skip


@pytest.fixture
def evidence():
    return Evidence(nets.query("gap", count=2), torch.rand(2, nets.SIDE, nets.SIDE))


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """A registry of this test alone."""
    fresh = Registry("measure")
    monkeypatch.setattr("core.measure.measure.MEASURES", fresh)
    return fresh


def returning(result):
    @measure("Given", **FACTS)
    def given(evidence, *, layer: Annotated[LayerName, Knob("Layer.")] = ""):
        """A result that is given."""
        return result


def test_agreement_is_registered():
    assert MEASURES["agreement"].scale == "rank correlation from -1 to 1; higher is better"


def test_its_card_is_read_from_its_signature_and_docstring(registry):
    returning([1.0, 2.0])
    entry = registry["given"]
    assert (entry.title, entry.summary, entry.about) == ("Given", "A result that is given.", "")
    assert (entry.defaults, entry.scale) == ({"layer": ""}, "share; lower is better")


def test_a_number_for_each_image_and_their_mean(evidence):
    returning([0.25, 0.75])
    assert evaluate("given", evidence).mean == 0.5


def test_images_without_a_number_are_left_out_of_the_mean(evidence):
    returning([0.25, Undefined("No mask.")])
    assert evaluate("given", evidence).mean == 0.25


def test_a_curve_has_a_row_for_each_image(evidence):
    curve = Curve("masked share", np.linspace(0, 1, 5), "probability", np.ones((2, 5)))
    returning(curve)
    found = evaluate("given", evidence)
    assert found.result is curve
    assert found.mean is None


def test_a_row_of_a_curve_may_be_undefined(evidence):
    rows = [np.ones(5), Undefined("No mask.")]
    returning(Curve("masked share", np.linspace(0, 1, 5), "probability", rows))
    assert evaluate("given", evidence).result.y is rows


def test_runs_of_the_method_are_told_before_them(registry):
    returning([1.0, 2.0])
    assert registry["given"].reruns({}) == 0

    @measure("Again", **{**FACTS, "kind": "method"}, reruns=lambda settings: 2 * settings["draws"])
    def again(evidence, *, draws: Annotated[int, Knob("Draws.", 1, 9)] = 3):
        """A measure that runs the method again."""

    assert registry["again"].reruns(registry["again"].defaults) == 6


@pytest.mark.parametrize(
    "result",
    [
        Curve("x", np.zeros(1), "y", [np.array([np.nan]), Undefined("No mask.")]),
        [0.5],
        [0.5, math.nan],
        [0.5, math.inf],
        Curve("x", np.zeros(1), "y", np.zeros((1, 1))),
        Curve("x", np.zeros(1), "y", np.array([[0], [np.nan]])),
    ],
)
def test_a_result_that_is_no_finite_number_for_each_image_is_a_defect(evidence, result):
    returning(result)
    with pytest.raises(RuntimeError):
        evaluate("given", evidence)


def test_settings_are_checked_against_the_model(evidence):
    returning([1.0, 1.0])
    layer = evidence.query.model.survey.default
    assert evaluate("given", evidence, {"layer": layer}).settings == {"layer": layer}
    with pytest.raises(UnknownName, match="no layer called 'nowhere'"):
        evaluate("given", evidence, {"layer": "nowhere"})
    with pytest.raises(UnknownName, match="no setting of given"):
        evaluate("given", evidence, {"size": 3})
    with pytest.raises(BadParameter):
        evaluate("given", evidence, {"layer": 3})
    with pytest.raises(UnknownName):
        evaluate("agreement", evidence)
