"""Texts of edits: read back exactly, limited, and one sentence for each that is wrong."""

import pytest

from core.edits.edit import (
    MAX_EDITS,
    MAX_POINTS,
    Box,
    Brightness,
    Filters,
    Jpeg,
    Noise,
    Rotation,
    Segments,
    Stroke,
    read,
    read_all,
)
from core.errors import BadParameter, VitrineError

EDITS = {
    "box=1,2,30,40:blur": Box(1, 2, 30, 40),
    "box=1,2,30,40:image a b:c, d.png": Box(1, 2, 30, 40, "image a b:c, d.png"),
    "stroke=8,10,20,40,50:mean": Stroke(8, ((10, 20), (40, 50)), "mean"),
    "segments=50,3,7:zero": Segments(50, (3, 7), "zero"),
    "brightness=1.4": Brightness(1.4),
    "rotate=-15": Rotation(-15),
    "noise=0.1": Noise(0.1),
    "noise=0.1,3": Noise(0.1, 3),
    "jpeg=30": Jpeg(30),
    "filters=layer1.0:conv*2:43,57*0": Filters("layer1.0:conv*2", (43, 57)),
    "filters=relu4:43*0.30000000000000004": Filters("relu4", (43,), 0.1 + 0.2),
}


@pytest.mark.parametrize("text", EDITS)
def test_a_text_and_its_edit_are_the_same(text):
    assert read(text) == EDITS[text]
    assert str(EDITS[text]) == text


def test_a_fill_left_out_is_blur():
    assert read("box=1,2,3,4") == Box(1, 2, 3, 4, "blur")


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "": "no edit called ''",
        "bxo=1,2,3,4": "Did you mean 'box'?",
        "box=1,2,3": "box=X,Y,WIDTH,HEIGHT:FILL",
        "box=1,2,0,4": "no area",
        "box=-1,2,3,4": "cannot be read",
        "box=1,2,3,4:blurr": "Did you mean 'blur'?",
        "box=1,2,3,4:image  ": "cannot be called",
        "box=1,2,3,4:image a\x00b": "cannot be called",
        "box=1,2,3,99999999": "not in whole pixels",
        "stroke=0,1,2": "radius cannot be 0",
        "stroke=3": "at least one point",
        "stroke=3,1,2,3": "cannot be read",
        "segments=3,1": "3 segments",
        "segments=50": "0 segments",
        "brightness=nan": "cannot be read",
        "brightness=6": "Brightness cannot be 6",
        "rotate=361": "361",
        "rotate=٣": "cannot be read",
        "noise=2": "deviation of noise cannot be 2",
        "noise=0.1,": "cannot be read",
        "jpeg": "jpeg=QUALITY",
        "jpeg=0": "quality of a JPEG cannot be 0",
        "jpeg=101": "101",
        "filters=relu4:1": "cannot be read",
        "filters=relu4:1*3.5": "Give a factor from 0 to 3",
        "filters=:1*0": "name of a layer",
        "filters=relu4:*0": "cannot be read",
        f"stroke=3,{','.join(['1'] * (2 * MAX_POINTS + 2))}": f"{MAX_POINTS:,} is the limit",
        f"segments=50,{'1,' * 20_000}1": "too long",
    }.items(),
    ids=lambda text: text[:24],
)
def test_a_bad_text_gives_one_sentence(text, said):
    with pytest.raises(VitrineError) as error:
        read(text)
    assert said in str(error.value)
    assert len(str(error.value)) < 300


def test_the_number_of_edits_is_limited():
    assert len(read_all(["jpeg=30"] * MAX_EDITS)) == MAX_EDITS
    with pytest.raises(BadParameter, match="33 edits are too many"):
        read_all(["jpeg=30"] * (MAX_EDITS + 1))


def test_an_edit_from_python_is_checked_as_well():
    with pytest.raises(BadParameter, match="not in whole pixels"):
        Box(1.5, 0, 3, 3)
    with pytest.raises(BadParameter, match="Brightness cannot be"):
        Brightness(float("nan"))
