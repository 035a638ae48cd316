"""The facts of a unit in one sentence."""

import pandas as pd
import pytest

from core.units.passport.sentence import cost, sentence


def effect(*losses):
    names = [f"c{number}" for number in range(len(losses))]
    table = pd.DataFrame({"name": names, "accuracy": 0.9, "accuracy_without": [0.9 - loss for loss in losses]})
    return table.assign(probability=0.5, probability_without=0.5)


def test_the_sentence_of_the_drawing():
    table = effect(0, 0.12).assign(name=["red-petals", "blue-petals"])
    words = sentence("Active in 53 of 536 patches", {"blue-petals": 40, "red-petals": 13}, table)
    assert (
        words == "Active in 53 of 536 patches, mostly blue-petals; ablating it costs blue-petals 12 points of accuracy."
    )


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"a": 9, "b": 0}, ", all a"),
        ({"a": 6, "b": 3}, ", mostly a"),
        ({"b": 4, "a": 4, "c": 2}, ", mostly a and b"),
        ({"a": 2, "b": 2, "c": 2, "d": 2, "e": 0}, ", of 4 classes"),
        ({}, ""),
    ],
)
def test_classes_are_named_where_most_patches_are_theirs(classes, words):
    assert sentence("In 10 patches", classes) == f"In 10 patches{words}."


def test_a_unit_without_patches_or_loss():
    assert cost(effect(0.004, -0.2)) == "ablating it costs no class half a point"
    unsure = effect(0.0, 0.0).assign(probability_without=[0.5, 0.43])
    assert cost(unsure) == "ablating it costs c1 7 points of probability"
    assert cost(effect(0.1, 0.25)) == "ablating it costs c1 25 points of accuracy"
    assert sentence("In none of 536 patches", {}, effect()) == "In none of 536 patches."
