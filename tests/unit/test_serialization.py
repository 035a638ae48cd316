import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from core.errors import BadParameter, UnknownName
from core.params import Knob
from core.serialization import digest, dump, load, parse_json


@dataclass(frozen=True)
class Inner:
    sides: tuple[int, ...] = (1, 2)
    share: Annotated[float, Knob("Share.", 0, 1)] = 0.5


@dataclass(frozen=True)
class Outer:
    model: str
    seed: int = 0
    fast: bool = False
    inner: Inner = field(default_factory=Inner)
    settings: Mapping[str, Any] = field(default_factory=dict)


def test_there_and_back_through_json() -> None:
    config = Outer("m", 3, True, Inner((4, 5), 1.0), {"rise": {"masks": 5}})
    assert load(Outer, json.loads(json.dumps(dump(config)))) == config
    assert load(Outer, {"model": "m"}) == Outer("m")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([1], "Outer cannot be read from [1]."),
        ({}, "Outer lacks 'model'."),
        ({"model": 3}, "Outer.model cannot be 3. Give a text."),
        ({"model": "m", "seed": "x"}, "Outer.seed cannot be 'x'. Give a whole number."),
        ({"model": "m", "seed": True}, "Outer.seed cannot be True. Give a whole number."),
        ({"model": "m", "fast": 1}, "Outer.fast cannot be 1. Give true or false."),
        ({"model": "m", "inner": 3}, "Inner cannot be read from 3."),
        ({"model": "m", "inner": {"share": None}}, "Inner.share cannot be None. Give a number."),
    ],
)
def test_refused_in_one_sentence(data: object, sentence: str) -> None:
    with pytest.raises(BadParameter) as error:
        load(Outer, data)
    assert str(error.value).startswith(sentence)


def test_unknown_fields_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no field of Inner called 'side'\. Did you mean 'sides'"):
        load(Outer, {"model": "m", "inner": {"side": [1]}})


def test_a_whole_number_may_stand_for_a_number() -> None:
    assert load(Inner, {"share": 1}).share == 1


def test_digests_tell_content_not_order_or_identity() -> None:
    assert digest(Outer("m", settings={"a": 1, "b": 2})) == digest(Outer("m", settings={"b": 2, "a": 1}))
    assert digest(Inner((1, 2))) == digest(dump(Inner((1, 2)))) == digest(load(Inner, dump(Inner((1, 2)))))
    others = [Outer("m"), Outer("n"), Outer("m", 1), Outer("m", inner=Inner((1,))), Outer("m", settings={"é": 1})]
    assert len({digest(config) for config in others}) == len(others)
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1 is not JSON"),
        (b'{"a": 1,\n', "line 2 is not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"a":' * 51 + b"1" + b"}" * 51, "nested too deeply"),
        (b"[1e400]", "'1e400' is not finite"),
        (b"[-1e400]", "is not finite"),
        (b"[NaN]", "'NaN' is not finite"),
        (b"[-Infinity]", "is not finite"),
        (b"[1" + b"0" * 5000 + b"]", "is too large"),
        (b"[9223372036854775808]", "is too large"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        (b'{"\xff": 1}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'["\\ud800"]', "half of a character"),
        (b'{"\\uDFFF": 1}', "half of a character"),
        (b"\0" * 100, "line 1 is not JSON"),
    ],
)
def test_json_of_others_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse_json(content)
    assert len(str(error.value)) < 100


def test_json_of_others_is_read() -> None:
    value = {"a": [1, -(2**63) + 1, 0.5, None, True], "é": {"x": "😀"}}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse_json(text.encode()) == parse_json(text.encode("utf-8-sig")) == value
    assert parse_json(b"[" * 50 + b"]" * 50)


def test_a_name_that_is_not_utf_8_has_a_digest() -> None:
    assert digest(["a\udcff"]) != digest(["a\udcfe"])
