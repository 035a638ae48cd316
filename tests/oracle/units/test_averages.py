"""Average visualisations against planted patches and means written out with loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import UnknownName
from core.explain.filter_relevance import Features, Relevance
from core.network.hooks import capture
from core.network.receptive_field import receptive_fields
from core.units.relevance import ClassUnit, average_visualisations, relevant_units
from tests import nets
from tests.planted_units import InMemory, planted_images, planted_model

SIDE = 12
WIDTH = 3


def finder() -> nn.Sequential:
    """Two units with fields of 3 × 3 pixels: they respond to the red and to the green of the one in the middle."""
    net = nn.Sequential(nn.Conv2d(3, 2, WIDTH, padding=1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].weight[0, 0] = net[0].weight[1, 1] = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
    return net


def spots(places: list[tuple[int, int]], values: list[float]) -> torch.Tensor:
    """Black images with one red spot each, and blue beside it."""
    images = torch.zeros(len(places), 3, SIDE, SIDE)
    for image, (row, column), value in zip(images, places, values, strict=True):
        image[0, row, column] = value
        if column + 1 < SIDE:
            image[2, row, column + 1] = value / 2
    return images


def averaged(images: torch.Tensor, wanted: list[ClassUnit], **settings: object):
    model = nets.model(finder(), side=SIDE)
    model = replace(model, preprocess=replace(model.preprocess, mean=(0, 0, 0), std=(1, 1, 1)))
    return average_visualisations(model, InMemory(images, [0] * len(images)), wanted, **settings)


RED = ClassUnit(0, "0", 0)


def test_equal_patches_have_themselves_as_mean_wherever_they_lie():
    images = spots([(2, 3), (7, 5), (9, 9)], [0.8, 0.8, 0.8])
    (one,) = averaged(images, [RED])
    expected = np.zeros((3, 3, 3))
    expected[1, 1, 0], expected[1, 2, 2] = 0.8, 0.4
    assert np.allclose(one.picture, expected)
    assert (one.images, one.highest) == (3, pytest.approx(0.8))


@pytest.mark.parametrize("weighted", [True, False])
def test_patches_count_by_their_responses_or_alike(weighted):
    (one,) = averaged(spots([(2, 3), (7, 5)], [0.9, 0.3]), [RED], weighted=weighted)
    expected = (0.9**2 + 0.3**2) / 1.2 if weighted else 0.6
    assert one.picture[1, 1, 0] == pytest.approx(expected, rel=1e-6)


def test_only_the_strongest_images_count():
    (one,) = averaged(spots([(2, 3), (7, 5), (4, 4)], [0.2, 0.9, 0.5]), [RED], most=1)
    assert one.picture[1, 1, 0] == pytest.approx(0.9)
    assert one.images == 1


def test_what_lies_outside_the_image_counts_nothing():
    corner = spots([(0, 0), (5, 5)], [0.8, 0.8])
    (one,) = averaged(corner, [RED])
    assert one.picture[1, 2, 2] == pytest.approx(0.4), "not halved"
    (alone,) = averaged(corner[:1], [RED])
    assert (alone.picture[0] == 0.5).all(), "grey where no patch has a pixel"
    assert (alone.picture[:, 0] == 0.5).all()
    assert alone.picture[1, 1, 0] == pytest.approx(0.8)


def test_images_of_other_classes_and_silent_ones_are_left_out():
    images = torch.cat([spots([(2, 3)], [0.8]), spots([(4, 4)], [0.0])])
    images[1, 1] = 0.3  # green: the model predicts the other class
    assert [one.images for one in averaged(images, [RED])] == [1]
    both = averaged(images, [RED, ClassUnit(1, "0", 1), ClassUnit(1, "0", 0)])
    assert [(one.of.label, one.of.unit) for one in both] == [(0, 0), (1, 1)], "red never appears in a green image"
    (known,) = averaged(images, [ClassUnit(0, "0", 1)], classes="true")
    assert known.images == 1, "by the labels both images are of the first class"


def test_it_is_the_mean_of_receptive_fields_written_out():
    """Deep units of a network with strides, against crops of a padded image at the field's centre."""
    model, images = nets.model("gap"), nets.images(12)
    layer = "features.7"
    wanted = [ClassUnit(label, layer, unit) for label in range(5) for unit in range(0, 16, 3)]
    found = average_visualisations(model, InMemory(images, [-1] * 12), wanted, most=4, batch=5)
    field = receptive_fields(model.net, images[:1], [layer])[layer].rows
    with torch.no_grad(), capture(model.net, layer) as outputs:
        predicted = model.net(images).argmax(1).tolist()
    maps = outputs[layer]
    size = min(field.size, nets.SIDE)
    seen = 0
    for one in found:
        rows = [k for k in range(12) if predicted[k] == one.of.label]
        rows = sorted(rows, key=lambda k: -float(maps[k, one.of.unit].max()))[:4]
        total, weights = np.zeros((size, size, 3)), np.zeros((size, size, 1))
        for k in rows:
            own = maps[k, one.of.unit]
            value, (row, column) = float(own.max()), divmod(int(own.argmax()), own.shape[1])
            pixels = model.preprocess.colours(images[k]).numpy()
            for y in range(size):
                for x in range(size):
                    at = [field.first + cell * field.jump + (field.size - size) // 2 for cell in (row, column)]
                    at = [at[0] + y, at[1] + x]
                    if value > 0 and all(0 <= k < nets.SIDE for k in at):
                        total[y, x] += value * pixels[:, at[0], at[1]]
                        weights[y, x] += value
        expected = np.where(weights > 0, total / np.where(weights > 0, weights, 1), 0.5)
        np.testing.assert_allclose(one.picture, expected, atol=1e-6)
        seen += 1
    assert seen > 3


def test_planted_units_look_like_their_concepts():
    planted = planted_images(60)
    wanted = [ClassUnit(0, "relu", 0), ClassUnit(1, "relu", 1), ClassUnit(2, "relu", 4)]
    red, blue = average_visualisations(planted_model(), planted.image_set(), wanted, classes="true")
    assert red.picture.shape == (5, 5, 3), "the field of the convolution"
    assert red.picture[2, 2].argmax() == 0
    assert blue.picture[2, 2].argmax() == 2


def test_relevant_units_are_those_with_the_largest_weights_of_each_class():
    weights = np.zeros((2, 5))
    weights[0, [1, 3]], weights[1, [0, 2, 4]] = (0.5, 0.9), (-1, 0.1, 0.2)
    known = Relevance(Features((("a", 2), ("b", 3))), weights)
    assert relevant_units(known, 1) == [ClassUnit(0, "b", 1), ClassUnit(1, "b", 2)]
    assert relevant_units(known, 0) == [
        ClassUnit(0, "b", 1),
        ClassUnit(0, "a", 1),
        ClassUnit(1, "b", 2),
        ClassUnit(1, "b", 0),
    ]


def test_an_unknown_layer_is_a_sentence():
    with pytest.raises(UnknownName):
        averaged(spots([(2, 2)], [1.0]), [ClassUnit(0, "nowhere", 0)])


def test_it_stops_between_two_batches():
    class Stop(Exception):
        pass

    def report(fraction: float, note: str) -> None:
        if fraction > 0.2:
            raise Stop

    with pytest.raises(Stop):
        averaged(spots([(2, 2)] * 40, [1.0] * 40), [RED], batch=4, report=report)
