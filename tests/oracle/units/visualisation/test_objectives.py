"""Objectives against numpy on the outputs of a network, and what they refuse."""

import numpy as np
import pytest
import torch

from core.errors import BadParameter, UnknownName
from core.explain.targets import Classes, Difference
from core.units.visualisation.objectives import (
    Direction,
    Neuron,
    Scored,
    WholeLayer,
    channel,
    class_logit,
    similarity,
)
from core.units.visualisation.reading import LOGITS, read, unit_count
from tests.nets import CLASSES, images, model

LAYER = "features.4"  # (12, 16, 16), before its ReLU


@pytest.fixture(scope="module")
def seen():
    made = model("gap")
    with torch.no_grad():
        return read(made, images(3), [LAYER, "features.7", "fc", "pool", LOGITS])


def test_a_class_is_its_logit(seen):
    expected = model("gap").net(images(3))[:, 2]
    assert torch.allclose(class_logit(2).value(seen), expected)
    difference = Scored(Difference(Classes(torch.tensor([2])), Classes(torch.tensor([0]))))
    assert torch.allclose(difference.value(seen), seen[LOGITS][:, 2] - seen[LOGITS][:, 0])


def test_a_probability_is_no_objective():
    """A logit does not change when those of other classes do."""
    logits = torch.randn(1, CLASSES, generator=torch.Generator().manual_seed(0))
    lowered = logits.clone()
    lowered[:, 1:] -= 5
    assert class_logit(0).value({LOGITS: logits}) == class_logit(0).value({LOGITS: lowered})


def test_a_channel_is_the_mean_of_its_map(seen):
    assert channel(LAYER, 5).value(seen).numpy() == pytest.approx(seen[LAYER].numpy()[:, 5].mean((1, 2)))


def test_a_channel_of_a_layer_without_positions_is_its_output(seen):
    assert seen["fc"].shape == (3, CLASSES, 1, 1)
    assert torch.equal(channel("fc", 3).value(seen), seen[LOGITS][:, 3])
    assert torch.equal(channel("pool", 3).value(seen), seen["pool"][:, 3, 0, 0])


@pytest.mark.parametrize(("side", "centre"), [(16, 8), (5, 2), (1, 0), (2, 1)])
def test_a_neuron_is_at_the_centre(side, centre):
    maps = torch.randn(2, 4, side, side + 1)
    expected = maps[:, 3, centre, (side + 1) // 2]
    assert torch.equal(Neuron("x", 3).value({"x": maps}), expected)


def test_a_layer_is_its_mean_square(seen):
    assert WholeLayer(LAYER).value(seen).numpy() == pytest.approx((seen[LAYER].numpy() ** 2).mean((1, 2, 3)), rel=1e-5)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.5])
def test_a_direction_is_the_product_times_a_power_of_the_cosine(seen, power):
    vector = np.random.default_rng(0).normal(size=12)
    maps = seen[LAYER].double().numpy()
    expected = []
    for one in maps:
        positions = one.reshape(12, -1).T
        dots = positions @ vector
        cosines = dots / np.linalg.norm(positions, axis=1) / np.linalg.norm(vector)
        expected.append((dots * np.maximum(cosines, 0.1) ** power).mean())
    assert Direction(LAYER, tuple(vector), power).value(seen).numpy() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_objectives_add_up(seen):
    joint = class_logit(1) + 0.5 * channel(LAYER, 2) + Neuron("features.7", 0) * -2
    expected = seen[LOGITS][:, 1] + 0.5 * seen[LAYER][:, 2].mean((1, 2)) - 2 * seen["features.7"][:, 0, 4, 4]
    assert torch.allclose(joint.value(seen), expected, atol=1e-6)
    assert joint.layers == (LOGITS, LAYER, "features.7")


def test_similarity_is_the_sum_of_cosines_of_gram_matrices(seen):
    maps = seen[LAYER].double().numpy().reshape(3, 12, -1)
    grams = [(one @ one.T).ravel() for one in maps]
    cosines = [
        grams[i] @ grams[j] / np.linalg.norm(grams[i]) / np.linalg.norm(grams[j]) for i in range(3) for j in range(i)
    ]
    assert float(similarity(seen[LAYER])) == pytest.approx(sum(cosines), rel=1e-5)


def test_a_texture_is_the_same_wherever_it_lies():
    maps = torch.rand(1, 4, 6, 6)
    assert float(similarity(torch.cat([maps, maps.roll(2, 3)]))) == pytest.approx(1)


def test_the_network_runs_no_further_than_it_is_read():
    made, ran = model("gap"), []
    for name, module in made.net.named_modules():
        module.register_forward_hook(lambda module, given, output, name=name: ran.append(name))
    maps = read(made, images(1), ["features.4", "features.1"])
    assert ran == [f"features.{number}" for number in range(5)]
    assert list(maps) == ["features.4", "features.1"]
    assert torch.equal(maps["features.4"], read(made, images(1), ["features.4", LOGITS])["features.4"])
    assert ran[-1] == ""


@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "vit", "linear"])
def test_every_layer_is_read_as_maps(net):
    made = model(net)
    for facts in made.survey.layers:
        maps = read(made, images(2), [facts.name])[facts.name]
        assert maps.dim() == 4, facts.name
        assert maps.shape[:2] == (2, unit_count(facts)), facts.name


@pytest.mark.parametrize(
    ("objective", "kind", "message"),
    [
        (channel("feature.4", 0), UnknownName, "no layer called 'feature.4'"),
        (channel(LAYER, 12), UnknownName, "Layer 'features.4' has no unit 12. Its units are 0 to 11."),
        (Neuron(LAYER, -1), UnknownName, "has no unit -1"),
        (WholeLayer("nothing"), UnknownName, "nothing"),
        (Direction(LAYER, (1.0,) * 3), BadParameter, "A direction of 3 numbers does not fit"),
        (Direction(LAYER, (0.0,) * 12), BadParameter, "Give 12 numbers that are not all zero"),
        (class_logit(0) + channel(LAYER, 99), UnknownName, "has no unit 99"),
    ],
)
def test_what_the_network_lacks_is_said_in_one_sentence(objective, kind, message):
    with pytest.raises(kind) as raised:
        objective.check(model("gap"))
    assert message in str(raised.value)
