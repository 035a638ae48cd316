"""Names of targets: what a text means, how a target is written, and what it is called."""

from dataclasses import replace

import pytest
import torch

from core.errors import BadParameter, UnknownName, Unsupported
from core.explain.target_name import TargetName, linked_target, target_name, target_note
from tests import nets

LABELS = ("cat", "dog", "black-and-tan dog", "T-shirt", "5")


@pytest.fixture(scope="module")
def model():
    return replace(nets.model("gap"), labels=LABELS)


def named(model, *labels):
    return replace(model, labels=labels)


@pytest.mark.parametrize(
    ("text", "numbers", "title"),
    [
        ("1", "1", "dog"),
        ("Cat", "0", "cat"),
        ("T-shirt", "3", "T-shirt"),
        ("t shirt", "3", "T-shirt"),
        ("1-0", "1-0", "dog − cat"),
        ("cat-dog", "0-1", "cat − dog"),
        ("cat − dog", "0-1", "cat − dog"),
        ("cat - black and tan dog", "0-2", "cat − black-and-tan dog"),
        ("black-and-tan dog-T-shirt", "2-3", "black-and-tan dog − T-shirt"),
        ("0+1+3", "0+1+3", "cat + dog + T-shirt"),
        ("cat+2-1-3", "0+2-1-3", "cat + black-and-tan dog − dog − T-shirt"),
        ("0-1+2", "0+2-1", "cat + black-and-tan dog − dog"),
        ("features.5:11", "features.5:11", "features.5 · F11"),
    ],
)
def test_a_text_means_a_target_and_is_written_in_numbers(model, text, numbers, title):
    target = target_name(text, model)
    assert str(target) == numbers
    assert target.title(LABELS) == title
    assert target.known(model)
    for written in (target.text(LABELS), title.replace(" · F", ":")):
        assert target_name(written, model) == target
    assert linked_target(str(target), model) == target


def test_an_int_is_a_class(model):
    assert target_name(3, model) == TargetName((3,))
    assert TargetName((3,)).index == 3
    assert TargetName((3, 1)).index is TargetName((3,), (1,)).index is TargetName((3,), layer="a").index is None
    with pytest.raises(UnknownName, match="There is no class 9"):
        target_name(9, model)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("1-9", UnknownName, "There is no class 9"),
        ("cat-dgo", UnknownName, "'dgo'.*Did you mean 'dog'"),
        ("cat+", UnknownName, "'cat.'"),
        ("", UnknownName, "''"),
        ("+", UnknownName, "'.'"),
        ("-8", UnknownName, "no class called '-8'"),
        ("cat-0", BadParameter, "cat is named twice"),
        ("1+0+1", BadParameter, "dog is named twice"),
        ("features.5:12", UnknownName, "no unit 12"),
        ("feature.5:1", UnknownName, "no layer called 'feature.5'"),
        ("features.5:x", UnknownName, "no class called 'features.5:x'"),
        ("fc:1", Unsupported, "Layer 'fc' of gap has no spatial positions"),
    ],
)
def test_a_text_without_a_meaning_gets_a_sentence(model, text, error, words):
    for read in (target_name, linked_target):
        with pytest.raises(error) as raised:
            read(text, model)
        raised.match(words)


def test_two_meanings_are_said(model):
    either = named(model, "a", "b-c", "a-b", "c", "d")
    with pytest.raises(BadParameter, match="'a-b-c' may be a − b-c or a-b − c"):
        target_name("a-b-c", either)
    label = named(model, "a", "b", "a-b", "d", "5")
    assert target_name("a-b", label) == TargetName((2,))
    assert target_note("a-b", label) == "'a-b' is the label of class 2, and could mean a − b; the label was taken."
    assert target_note("a+b", label) == target_note("b", label) == target_note("x", label) == ""


def test_labels_come_before_numbers_and_in_links_after(model):
    digits = named(model, "1", "0", "10", "2", "3")
    assert target_name("1-0", digits) == TargetName((0,), (1,))
    assert linked_target("1-0", digits) == TargetName((1,), (0,))
    note = "'1' is the label of class 0; class number 1 is 0; the label was taken."
    assert target_note("1-2", digits).startswith(note)
    for target in (TargetName((1,), (0,)), TargetName((2, 4)), TargetName((3,))):
        assert target_name(target.text(digits.labels), digits) == target
        assert linked_target(str(target), digits) == target
    assert linked_target("cat", model) == TargetName((0,))


def test_many_terms_are_read_in_short_time(model):
    many = named(model, *(f"label {index}" for index in range(1000)))
    text = "+".join(map(str, range(1000)))
    assert target_name(text, many) == linked_target(text, many) == TargetName(tuple(range(1000)))
    with pytest.raises(UnknownName):
        target_name("-" * 20_000, many)


def test_titles_and_files_of_large_groups_are_short():
    labels = tuple(f"label {index}" for index in range(100))
    group = TargetName(tuple(range(100)))
    assert group.title(labels) == "100 classes (label 0, …)"
    assert TargetName((7,), tuple(range(50, 70))).title(labels) == "label 7 − 20 classes (label 50, …)"
    assert TargetName((0, 1, 2), (3, 4)).title(labels) == "label 0 + label 1 + label 2 − label 3 − label 4"
    files = {TargetName(tuple(range(count))).file for count in range(1, 101)}
    assert len(files) == 100
    assert max(map(len, files)) <= 60
    assert TargetName((7,)).file == "7"
    assert TargetName((7,), layer="a/b:c.d").file == "a%2Fb%3Ac.d.7"


def test_quantities():
    assert TargetName((1,)).quantity("softmax") == TargetName((1, 2)).quantity("softmax") == "probability"
    assert TargetName((1,), (2,)).quantity("softmax") == TargetName((1,), (2,)).quantity("sigmoid") == "log-odds"
    assert TargetName((1, 2)).quantity("multilabel") == "expected labels"
    assert TargetName((1,), (2,)).quantity("multilabel") == "log-ratio", "the odds of each label are its own"
    assert TargetName((1, 2)).quantity("regression") == TargetName((1,), (2,)).quantity("regression") == "value"
    assert TargetName((1,), layer="a").quantity("regression") == "activation"


def test_a_model_may_lack_what_another_has(model):
    known = [TargetName((4,)), TargetName((0,), (4,)), TargetName((11,), layer="features.5")]
    unknown = [
        TargetName((5,)),
        TargetName((0,), (5,)),
        TargetName((12,), layer="features.5"),
        TargetName((0,), layer="x"),
    ]
    assert all(one.known(model) for one in known)
    assert not any(one.known(model) for one in unknown)


def test_tensors():
    for name in (TargetName((4,)), TargetName((0, 3)), TargetName((0, 3), (1,)), TargetName((2,), layer="a")):
        targets = name.targets()
        assert len(targets) == 1
        assert targets.layer == name.layer
    assert torch.equal(TargetName((4,)).targets().indices, torch.tensor([4]))
