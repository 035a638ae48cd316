from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadParameter, UnknownName, VitrineError
from core.params import (
    FilePath,
    Knob,
    LayerName,
    Numbers,
    UnitName,
    checked,
    expanded,
    finite,
    params_of,
    spelled,
    whole,
)
from tests import nets


def method(
    query: object,
    *,
    masks: Annotated[int, Knob("Masks.", 10, 100_000, 10)] = 1000,
    p: Annotated[float, Knob("Share kept.", 0, 1)] = 0.5,
    fill: Annotated[Literal["mean", "zero"], Knob("Fill.")] = "mean",
    signed: Annotated[bool, Knob("Signed.")] = False,
    note: Annotated[str, Knob("Note.")] = "",
    hidden: int = 3,
) -> None:
    pass


PARAMS = params_of(method)


def named(
    *,
    areas: Annotated[Numbers, Knob("Areas.", 0, 1)] = (0.1,),
    labels: Annotated[FilePath, Knob("Labels.")] = "",
    layer: Annotated[LayerName, Knob("Layer.")] = "",
    unit: Annotated[UnitName, Knob("Unit.")] = "",
) -> None:
    pass


NAMED = params_of(named)
DEFAULTS = {"masks": 1000, "p": 0.5, "fill": "mean", "signed": False, "note": ""}


def test_settings_are_read_from_the_signature() -> None:
    assert [(p.name, p.kind, p.default, p.choices) for p in PARAMS] == [
        ("masks", "int", 1000, ()),
        ("p", "float", 0.5, ()),
        ("fill", "choice", "mean", ("mean", "zero")),
        ("signed", "bool", False, ()),
        ("note", "text", "", ()),
    ]
    assert PARAMS[0].knob == Knob("Masks.", 10, 100_000, 10)


def test_lists_of_numbers_and_names_are_kinds_of_their_own() -> None:
    kinds = {"areas": "numbers", "labels": "path", "layer": "layer", "unit": "unit"}
    assert {param.name: param.kind for param in NAMED} == kinds
    assert checked(NAMED, {}, "x") == {"areas": (0.1,), "labels": "", "layer": "", "unit": ""}


@pytest.mark.parametrize(
    ("given_value", "value"),
    [
        ("0.05,0.1", (0.05, 0.1)),
        (" 0.05, 0.1 ", (0.05, 0.1)),
        ("1", (1.0,)),
        (0.5, (0.5,)),
        ([0, 1], (0.0, 1.0)),
        ((0.2,), (0.2,)),
    ],
)
def test_lists_of_numbers_are_read_and_spelled(given_value: object, value: tuple[float, ...]) -> None:
    found = checked(NAMED, {"areas": given_value}, "x")["areas"]
    assert found == value
    assert {type(number) for number in found} == {float}
    assert checked(NAMED, {"areas": spelled(found)}, "x")["areas"] == found


def test_values_are_spelled_as_a_command_line_has_them() -> None:
    assert [spelled(value) for value in ((0.05, 0.1), [0.1], 3, 0.5, True, "mean")] == [
        "0.05,0.1", "0.1", "3", "0.5", "True", "mean",
    ]  # fmt: skip


def test_paths_know_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert checked(NAMED, {"labels": "~/names.txt"}, "x")["labels"] == "/home/someone/names.txt"
    assert checked(NAMED, {"labels": Path("names.txt")}, "x")["labels"] == "names.txt"
    assert checked(NAMED, {"labels": ""}, "x")["labels"] == ""


def test_layers_and_units_are_looked_up_where_a_model_is_given() -> None:
    model = nets.model("gap")
    layer = model.survey.default
    units = model.survey.layer(layer).units
    fitting = {"layer": layer, "unit": f"{layer}:{units - 1}"}
    assert checked(NAMED, fitting, "x", model=model) == {"areas": (0.1,), "labels": "", **fitting}
    assert checked(NAMED, {}, "x", model=model)["layer"] == ""
    assert model.resolve_unit(fitting["unit"]) == (layer, units - 1)
    for wrong, match in (
        ({"layer": "nowhere"}, "no layer called 'nowhere'"),
        ({"unit": "nowhere:1"}, "no layer called 'nowhere'"),
        ({"unit": f"{layer}:{units}"}, f"has no unit {units}. Its units are 0 to {units - 1}"),
    ):
        assert checked(NAMED, wrong, "x"), "without a model names are not looked up"
        with pytest.raises(VitrineError, match=match):
            checked(NAMED, wrong, "x", model=model)
    with pytest.raises(BadParameter, match="LAYER:NUMBER"):
        model.resolve_unit(layer)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("areas", "", "x.areas cannot be ''. Give one number or several, separated by commas."),
        ("areas", "0.1,,0.2", "x.areas cannot be '0.1,,0.2'. Give one number or several, separated by commas."),
        ("areas", "a lot", "x.areas cannot be 'a lot'. Give one number or several, separated by commas."),
        ("areas", [], "x.areas cannot be []. Give one number or several, separated by commas."),
        ("areas", [True], "x.areas cannot be [True]. Give one number or several, separated by commas."),
        ("areas", "0.1,2", "x.areas cannot be '0.1,2'. Each number must lie between 0 and 1."),
        ("labels", 3, "x.labels cannot be 3. Give the path of a file or folder."),
        ("labels", "a\0b", "x.labels cannot be 'a\\x00b'. Give the path of a file or folder."),
        ("layer", None, "x.layer cannot be None. Give the name of a layer."),
        ("unit", "layer4", "x.unit cannot be 'layer4'. Give LAYER:NUMBER, such as layer4:17."),
        ("unit", ":3", "x.unit cannot be ':3'. Give LAYER:NUMBER, such as layer4:17."),
        ("unit", "layer4:-1", "x.unit cannot be 'layer4:-1'. Give LAYER:NUMBER, such as layer4:17."),
        ("unit", 3, "x.unit cannot be 3. Give LAYER:NUMBER, such as layer4:17."),
    ],
)
def test_lists_and_names_are_refused_in_one_sentence(name: str, value: object, sentence: str) -> None:
    with pytest.raises(BadParameter) as error:
        checked(NAMED, {name: value}, "x")
    assert str(error.value) == sentence


def test_a_dataclass_declares_settings_alike() -> None:
    @dataclass(frozen=True)
    class Config:
        side: Annotated[int, Knob("Side.", 1)] = 7
        name: str = ""

    assert [(p.name, p.default) for p in params_of(Config)] == [("side", 7)]


def test_what_no_form_can_show_is_refused_at_registration() -> None:
    def without(a: Annotated[int, Knob("A.")]) -> None: ...

    def odd(a: Annotated[list[int], Knob("A.")] = []) -> None: ...  # noqa: B006

    with pytest.raises(TypeError, match=r"'a' .* needs a default"):
        params_of(without)
    with pytest.raises(TypeError, match="'a' has a type that no form can show"):
        params_of(odd)


def test_defaults_fill_up_in_declared_order() -> None:
    assert checked(PARAMS, {}, "rise") == DEFAULTS
    assert list(checked(PARAMS, {"p": 1, "masks": 10}, "rise")) == list(DEFAULTS)


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("masks", "20", 20),
        ("masks", 1e3, 1000),
        ("masks", "1e3", 1000),
        ("masks", np.int64(50), 50),
        ("masks", 10, 10),
        ("masks", 100_000, 100_000),
        ("p", "0.25", 0.25),
        ("p", 1, 1.0),
        ("p", 0, 0.0),
        ("fill", "zero", "zero"),
        ("signed", "Yes", True),
        ("signed", "off", False),
        ("signed", 1, True),
        ("note", 3, "3"),
    ],
)
def test_texts_and_numbers_become_the_declared_type(name: str, given_value: Any, value: Any) -> None:
    found = checked(PARAMS, {name: given_value}, "rise")[name]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("masks", 9, "rise.masks cannot be 9. It must lie between 10 and 100,000."),
        ("masks", "100001", "rise.masks cannot be '100001'. It must lie between 10 and 100,000."),
        ("masks", 10.5, "rise.masks cannot be 10.5. Give a whole number."),
        ("masks", True, "rise.masks cannot be True. Give a whole number."),
        ("masks", "many", "rise.masks cannot be 'many'. Give a whole number."),
        ("masks", None, "rise.masks cannot be None. Give a whole number."),
        ("p", 1.01, "rise.p cannot be 1.01. It must lie between 0 and 1."),
        ("p", "nan", "rise.p cannot be 'nan'. Give a number."),
        ("p", float("inf"), "rise.p cannot be inf. Give a number."),
        ("p", [1], "rise.p cannot be [1]. Give a number."),
        ("fill", "blur", "rise.fill cannot be 'blur'. Choose one of mean, zero."),
        ("signed", "maybe", "rise.signed cannot be 'maybe'. Use true or false."),
    ],
)
def test_refused_in_one_sentence(name: str, value: object, sentence: str) -> None:
    with pytest.raises(BadParameter) as error:
        checked(PARAMS, {name: value}, "rise")
    assert str(error.value) == sentence


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no setting of rise called 'mask'\. Did you mean 'masks'"):
        checked(PARAMS, {"mask": 3}, "rise")
    with pytest.raises(UnknownName):
        checked(PARAMS, {"hidden": 3}, "rise")


def test_large_whole_numbers_are_exact() -> None:
    def seeded(seed: Annotated[int, Knob("Seed.", 0)] = 0) -> None: ...

    large = 2**60 + 1
    for value in (large, str(large)):
        assert checked(params_of(seeded), {"seed": value}, "x")["seed"] == large
    with pytest.raises(BadParameter, match="must be at least 0"):
        checked(params_of(seeded), {"seed": -1}, "x")
    with pytest.raises(BadParameter):
        checked(params_of(seeded), {"seed": 10**400}, "x")


@pytest.mark.parametrize(
    "text", ["²", "٣", "½", "-1", "+1", " 1", "1\n", "1.0", "1e3", "0x1", "1_0", "", "9" * 16, "nan"]
)
def test_only_plain_digits_spell_a_whole_number(text: str) -> None:
    assert whole(text) is None


def test_whole_and_finite_numbers() -> None:
    assert [whole(text) for text in ("0", "007", "9" * 15)] == [0, 7, 10**15 - 1]
    assert [finite(value) for value in ("-1.5", " 2 ", 3, "1e3")] == [-1.5, 2, 3, 1000]
    assert {finite(value) for value in ("nan", "-inf", "1e999", float("nan"), 10**400, "²", "", None, [1])} == {None}


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(list(DEFAULTS)), ANYTHING)
def test_any_value_is_valid_or_refused(name: str, value: object) -> None:
    try:
        found = checked(PARAMS, {name: value}, "rise")
    except VitrineError as error:
        sentence = str(error)
    else:
        sentence = ""
        assert 10 <= found["masks"] <= 100_000
        assert 0 <= found["p"] <= 1
        assert found["fill"] in {"mean", "zero"}
        assert {key: type(entry) for key, entry in found.items()} == {k: type(v) for k, v in DEFAULTS.items()}
        assert checked(PARAMS, found, "rise") == found, "what was checked once passes again"
    assert len(sentence) < 200


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([param.name for param in NAMED]), ANYTHING)
def test_any_list_or_name_is_valid_or_refused(name: str, value: object) -> None:
    try:
        found = checked(NAMED, {name: value}, "x")
    except VitrineError:
        return
    assert all(0 <= number <= 1 for number in found["areas"])
    assert checked(NAMED, {name: spelled(found[name])}, "x") == found, "what is spelled out is read again"


def test_a_path_with_a_zero_byte_is_a_sentence():
    with pytest.raises(BadParameter, match="contains a zero byte, which no path can"):
        expanded("a\0b")
