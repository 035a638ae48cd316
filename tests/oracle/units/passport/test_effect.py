"""The effect of ablating one unit, against the forwards of the planted network with that unit set to zero."""

import numpy as np
import pytest
import torch

from core.errors import Unsupported
from core.units.passport.effect import effect_on_folder
from tests.planted_units import CONCEPTS, UNITS, planted_images, planted_model


@pytest.fixture
def folder(tmp_path):
    return planted_images(20).write(tmp_path / "planted")


def by_hand(layer, unit):
    """Accuracy and probability of each class with and without the unit: the network is changed, nothing is hooked."""
    made, images = planted_model(), planted_images(20)
    shown = [row for row, name in enumerate(images.shown) if name in UNITS]
    inputs = (255 * images.inputs[shown]).round() / 255
    labels = torch.tensor([images.labels[row] for row in shown])
    results = []
    for ablated in (False, True):
        net = made.net
        if ablated:
            weights = {"relu": net.conv, "deep": net.copy}[layer]
            with torch.no_grad():
                weights.weight[unit] = 0
                if weights.bias is not None:
                    weights.bias[unit] = 0
        with torch.no_grad():
            logits = net(inputs)
        results.append((logits.argmax(1) == labels, logits.softmax(1)[range(len(labels)), labels]))
    return {
        UNITS[label]: [float(values[labels == label].double().mean()) for result in results for values in result]
        for label in set(labels.tolist())
    }


@pytest.mark.parametrize("layer", ["relu", "deep"])
def test_the_class_of_a_planted_unit_is_the_one_that_needs_it(folder, layer):
    unit = UNITS.index("blue")
    notes = []
    found = effect_on_folder(
        planted_model(), layer, unit, folder, report=lambda fraction, note: notes.append(str(note))
    )
    table = found.per_class.set_index("name")
    expected = by_hand(layer, unit)
    assert set(table.index) == set(expected) == set(CONCEPTS) - {"nothing"}
    for name, (right, chance, right_without, chance_without) in expected.items():
        row = table.loc[name]
        assert [row["accuracy"], row["accuracy_without"]] == [right, right_without]
        assert row["probability"] == pytest.approx(chance, abs=1e-5)
        assert row["probability_without"] == pytest.approx(chance_without, abs=1e-5)
        assert row["change"] == pytest.approx(chance_without - chance, abs=1e-5)
        assert row["low"] <= row["change"] <= row["high"]
    assert found.per_class["name"][0] == "blue", "the class that loses most is first"
    assert table.loc["blue", "high"] < 0
    assert (table.drop("blue")["change"] >= 0).all(), "the others lose a rival"
    assert (found.images, [*found.skipped]) == (16, ["nothing/"])
    assert notes[-1] == "images ablated 16 of 16"


def test_a_dead_unit_changes_nothing(folder):
    table = effect_on_folder(planted_model(), "relu", UNITS.index("dead"), folder).per_class
    assert (table[["change", "low", "high"]] == 0).all(axis=None)
    assert np.array_equal(table["accuracy"], table["accuracy_without"])


def test_images_of_no_class_are_a_sentence(folder, tmp_path):
    (tmp_path / "other" / "cats").mkdir(parents=True)
    picture = next(folder.rglob("*.png"))
    (tmp_path / "other" / "cats" / "a.png").write_bytes(picture.read_bytes())
    with pytest.raises(Unsupported, match="belongs to a class"):
        effect_on_folder(planted_model(), "relu", 0, tmp_path / "other")
