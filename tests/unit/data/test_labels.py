"""One lookup for every text that means a class."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.labels import class_index
from core.errors import BadParameter, UnknownName

LABELS = ("tabby", "Tiger_Cat", "1", "crane", "crane", "Crane", "cardigan", "Cardigan")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("tabby", 0),
        ("TABBY", 0),
        ("tiger cat", 1),
        ("1", 2),
        (1, 1),
        ("0", 0),
        ("007", 7),
        ("Crane", 5),
        ("Cardigan", 7),
        ("cardigan", 6),
    ],
)
def test_exact_labels_come_first_then_indices_then_other_spellings(wanted, index):
    assert class_index(wanted, LABELS, "m") == index


def test_a_text_that_is_no_label_gets_the_nearest():
    with pytest.raises(UnknownName, match=r"no class called 'cardi-gan'\. Did you mean 'Cardigan'"):
        class_index("cardi-gan", LABELS, "m")


@pytest.mark.parametrize(("wanted", "indices"), [("crane", "3 and 4"), ("CRANE", "3 and 4 and 5")])
def test_a_label_of_several_classes_names_their_numbers(wanted, indices):
    with pytest.raises(BadParameter, match=f"^The label '{wanted}' is shared by the classes {indices}") as error:
        class_index(wanted, LABELS, "m")
    assert error.value.hint == "Give the number of the one you mean."


def test_numbers_beyond_the_last_class():
    for wanted in ("8", 8):
        with pytest.raises(UnknownName, match=r"There is no class 8\. m has classes 0 to 7\."):
            class_index(wanted, LABELS, "m")
    with pytest.raises(UnknownName):
        class_index(-1, LABELS, "m")


@given(st.lists(st.text(), min_size=1))
def test_every_label_is_found_or_ambiguous(labels):
    for index, label in enumerate(labels):
        if labels.count(label) == 1:
            assert class_index(label, labels, "m") == index
        else:
            with pytest.raises(BadParameter, match="is shared by the classes"):
                class_index(label, labels, "m")
