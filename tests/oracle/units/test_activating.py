"""Activating patches against brute force, and against where concepts were planted."""

import numpy as np
import pytest
import torch

from core.errors import UnknownName, Unsupported
from core.network.hooks import capture
from core.units.activating import activating  # noqa: F401 - registers it
from core.units.analysis import Subject, analyse
from core.units.signal import signal_boxes
from tests import nets
from tests.planted_units import CONCEPTS, LAYERS, UNITS, InMemory, planted_images, planted_model


def planted(count=40, **settings):
    images = planted_images(count)
    subject = Subject(planted_model(), LAYERS, images.image_set())
    return images, analyse("activating", subject, settings)


def test_planted_concepts_are_found_where_they_are():
    images, found = planted(top=3)
    patches = found.tables["patches"]
    for layer, scale in enumerate((1, 2)):
        for unit, name in enumerate(CONCEPTS[:4]):
            own = patches[(patches["layer"] == layer) & (patches["unit"] == unit)]
            assert len(own) == 3
            assert [images.shown[row] for row in own["image"]] == [name] * 3
            assert own["image"].is_unique
            for image, row, column in own[["image", "row", "column"]].itertuples(index=False):
                shown = np.argwhere(images.masks[name][image]) // scale
                assert [row, column] in shown.tolist()
                if name == "cross":
                    assert [row, column] == (images.centres[image] // scale).tolist()


def test_boxes_hold_the_planted_cross():
    images, found = planted(top=3)
    patches = found.tables["patches"]
    own = patches[(patches["layer"] == 0) & (patches["unit"] == UNITS.index("cross"))]
    for one in own.itertuples():
        row, column = images.centres[one.image]
        assert (one.top, one.left, one.height, one.width, one.clipped) == (row - 2, column - 2, 5, 5, False)


def test_the_signal_of_a_unit_stays_in_its_field():
    _, found = planted(10, top=2, signal=True)
    patches = found.tables["patches"]
    assert (patches["signal_height"] > 0).all()
    assert (patches["signal_top"] >= patches["top"]).all()
    assert (patches["signal_left"] + patches["signal_width"] <= patches["left"] + patches["width"]).all()
    red = patches[patches["unit"] == 0]
    assert (red["signal_height"] == 1).all()  # its filter reads one pixel of the five by five


def test_a_dead_unit_has_no_patches_and_is_named():
    _, found = planted(10)
    units = found.tables["units"]
    assert units[units["dead"]]["unit"].tolist() == [UNITS.index("dead")] * 2
    assert (units[units["dead"]]["patches"] == 0).all()
    assert found.notes[0] == "1 of the 6 units of relu are dead: their response is the same in all images."


def test_a_unit_active_in_few_images_has_no_more_patches():
    _, found = planted(40)
    units = found.tables["units"]
    assert units[units["unit"] == 0]["patches"].tolist() == [8, 8]  # red in every fifth image


@pytest.mark.parametrize("settings", [{"top": 4}, {"top": 7, "per_image": 3}])
def test_patches_are_those_of_brute_force(settings):
    model, count, layers = nets.model("gap"), 40, ("features.2", "features.7")
    images = InMemory(nets.images(count))
    found = analyse("activating", Subject(model, layers, images, batch=8), settings).tables["patches"]
    with torch.no_grad(), capture(model.net, *layers) as outputs:
        model.net(images.inputs)
    for layer, name in enumerate(layers):
        maps = outputs[name].numpy()
        for unit in (0, 3, maps.shape[1] - 1):
            candidates = []
            for image in range(count):
                one, peaks = maps[image, unit], []
                for row in range(one.shape[0]):
                    for column in range(one.shape[1]):
                        around = one[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                        if one[row, column] == around.max():
                            peaks.append((-one[row, column], image, row, column))
                candidates += sorted(peaks)[: settings.get("per_image", 1)]
            lowest = maps[:, unit].min()
            expected = [one for one in sorted(candidates)[: settings["top"]] if -one[0] > lowest]
            own = found[(found["layer"] == layer) & (found["unit"] == unit)]
            given = list(own[["image", "row", "column"]].itertuples(index=False, name=None))
            assert given == [one[1:] for one in expected]
            assert np.allclose(own["value"], [-one[0] for one in expected], atol=1e-5)


def test_one_image_is_enough():
    _, found = planted(1)
    assert found.tables["patches"]["image"].eq(0).all()


def test_layers_that_have_no_maps_are_one_sentence():
    model, images = planted_model(), planted_images(2).image_set()
    with pytest.raises(Unsupported, match=r"Layer 'fc' of planted has no spatial positions\."):
        analyse("activating", Subject(model, ("fc",), images))
    with pytest.raises(UnknownName, match="no layer called 'relo'"):
        analyse("activating", Subject(model, ("relo",), images))


def test_a_transformer_has_patches_too():
    layer = "encoder.layers.encoder_layer_1"
    found = analyse("activating", Subject(nets.model("vit"), (layer,), InMemory(nets.images(3))), {"top": 2})
    patches = found.tables["patches"]
    assert len(patches) == 2 * 16
    assert {*patches[["top", "left", "height", "width"]].itertuples(index=False, name=None)} == {(0, 0, 32, 32)}


def test_the_signal_is_empty_where_a_unit_is_not_active():
    images = planted_images(1)
    boxes = signal_boxes(planted_model(), images.inputs, "relu", [(UNITS.index("dead"), 3, 3)])
    assert boxes.tolist() == [[0, 0, 0, 0]]


def test_each_image_is_passed_once():
    model = planted_model()
    seen = []
    model.net.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    analyse("activating", Subject(model, LAYERS, planted_images(40).image_set()))
    assert sum(seen) == 40 + 1  # one of zeros, for receptive fields


def test_crops_show_the_squares_of_the_patches():
    images = planted_images(40)
    subject = Subject(planted_model(), LAYERS, images.image_set())
    found = analyse("activating", subject, {"top": 3, "side": 10})
    patches, crops = found.tables["patches"], found.arrays["crops"]
    assert crops.shape == (len(patches), 10, 10, 3)
    inner = patches[(patches["height"] == 10) & (patches["width"] == 10)]  # need no resizing
    assert len(inner) > 10
    for number, one in inner.iterrows():
        pixels = subject.model.preprocess.colours(subject.images.input(int(one["image"]))).permute(1, 2, 0).numpy()
        expected = pixels[one["top"] : one["top"] + 10, one["left"] : one["left"] + 10]
        assert np.array_equal(crops[number], np.round(255 * expected).astype(np.uint8))
