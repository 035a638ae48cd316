"""The planted network responds where its concepts are, and nowhere else."""

import numpy as np
import torch

from core.network.hooks import capture
from tests.planted_units import LAYERS, UNITS, planted_images, planted_model


def responses(layer, images):
    model = planted_model()
    with torch.no_grad(), capture(model.net, layer) as outputs:
        model.net(images.inputs)
    return outputs[layer].numpy()


def test_units_respond_to_their_concepts_alone():
    images = planted_images(20)
    maps = responses("relu", images)
    for unit, name in enumerate(UNITS[:4]):
        active = maps[:, unit] > 0
        assert [bool(one.any()) for one in active] == [shown == name for shown in images.shown]
        assert not (active & ~images.masks[name]).any()
        for number in np.flatnonzero([shown == name for shown in images.shown]):
            assert active[number][tuple(images.centres[number])]
    assert np.array_equal(maps[:, 0] > 0, images.masks["red"])
    assert (maps[:, 3] > 0).sum() == images.shown.count("cross")


def test_the_dead_unit_is_dead_and_the_random_one_is_not():
    maps = responses(LAYERS[1], planted_images(10))
    assert not maps[:, UNITS.index("dead")].any()
    assert (maps[:, UNITS.index("random")] > 0).any((1, 2)).all()


def test_the_concept_is_the_predicted_class():
    model, images = planted_model(), planted_images(20)
    with torch.no_grad():
        logits = model.net(images.inputs)[:, :4]
    for row, label in enumerate(images.labels):
        assert label < 0 or int(logits[row].argmax()) == label


def test_the_first_images_are_the_same_for_any_number():
    assert np.array_equal(planted_images(7).pixels, planted_images(12).pixels[:7])
