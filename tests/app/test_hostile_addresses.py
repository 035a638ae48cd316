"""Whatever an address says: every page keeps its head, and says what it could not read."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import VitrineError
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui.session import parameters, url
from tests.pages_list import FILES, HEADERS, PAGES, SCRIPT

PARAMETERS = {
    "Start": (),
    "Compare": ("trust", "by", "edit", "dials", "turned", "flip", "method"),
    "Measure": ("metrics", "curve", "step", "method", "target"),
    "Exam": ("exam", "measure", "family", "methods", "cases", "of"),
    "Failures": (
        "of",
        "folder",
        "which",
        "pair",
        "place",
        "order",
        "open",
        "case",
        "method",
        "what-if",
        "edit",
        "invite",
        "reliability",
        "roc",
        "threshold",
        "alike",
        "masks",
    ),
    "Bias": ("of", "folder", "left", "top", "width", "height", "fill", "groups", "file", "column", "region", "masks"),
    "Two models": ("of", "folder", "second", "blind", "where", "case", "method", "class"),
    "Patches": ("study", "label", "filters", "outcome", "tag", "strongest", "drop", "image", "sort"),
    "Rules": ("study", "support", "confidence", "q", "n", "label", "show", "rule", "node"),
    "Averages": ("study", "label", "top", "weights", "contrast", "average"),
    "Class": ("study", "class", "rule"),
    "Concepts": ("study", "count"),
    "Units": (
        "study",
        "layer",
        "show",
        "find",
        "which",
        "dead",
        "pictures",
        "sort",
        "like",
        "shared",
        "colour",
        "picked",
        "every",
    ),
    "Filter": ("study", "layer", "unit", "rule"),
    "Studies": ("study",),
    "Storage": ("kind",),
    "Methods": ("family",),
    "Three cases": ("flowers",),
    "Tables": ("table", "above", "row", "by", "all", "of", "class"),
    "Filter selection": ("left", "right", "training"),
}
DIGITS = ("²", "F²", "½", "٣", "nan", "-inf", "1e999", "-1", "9" * 20, "F" + "9" * 5000, "0x10", "1_0", "1.5")
WORDS = ("", " ", "\0", ",", "<b>x</b> ![x](http://example.com/x.png)", "f1-c", "1+2>²", "rise.masks:²", "é" * 5000)


def test_no_page_is_forgotten() -> None:
    assert set(PARAMETERS) == set(PAGES.values())


def superscript(name: str, _: int) -> str:
    return {"unit": "F²", "node": "f²", "set": "rise.masks:²"}.get(name, "²")


def numbers(name: str, place: int) -> str:
    return "nan" if name in {"drop", "support", "confidence"} else DIGITS[(place + 4) % len(DIGITS)]


def words(name: str, place: int) -> str:
    return WORDS[place % len(WORDS)]


@pytest.mark.parametrize("hostile", [superscript, numbers, words])
@pytest.mark.parametrize("title", PARAMETERS)
def test_a_hostile_address_leaves_the_page_alive(title: str, hostile: Callable[[str, int], str]) -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    names = [*PARAMETERS[title], *url.OWN]
    for place, name in enumerate(names):
        app.query_params[name] = hostile(name, place)
    app.query_params["show"] = "graph"  # the view that reads the most
    app.switch_page(FILES[title]).run()
    said = html.unescape(" ".join(box.value for box in [*app.error, *app.warning, *app.info]))
    assert [fault.value for fault in app.exception] == []
    assert "defect" not in said
    assert bool(app.error) == ("isn't available here" in said)
    assert bool(app.error) >= ("classes" in HEADERS[title])
    assert len(said) < 250 * len(names)


PARSERS: dict[str, parameters.Parameter[Any]] = {
    "share": parameters.number("Support", 0.02, 1.0, "support", default=0.5, step=0.01),
    "count": parameters.number("q", 1, 50, "q", default=10, step=1),
    "choice": parameters.choice("Class", [-1, 0, 1], "label"),
    "several": parameters.several("Filters", [3, 17], "filters"),
    "switch": parameters.switch("Contrast", "contrast"),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parameter_reads_what_is_possible_or_refuses_in_a_sentence(name: str) -> None:
    asked = PARSERS[name]
    for text in (*DIGITS, *WORDS, "3,3", "F3,f17", "1", "0"):
        try:
            found = asked.read(text)
        except VitrineError as error:
            sentence = str(error)
        else:
            sentence = ""
            assert asked.valid(found) == found, text
        assert len(sentence) < 200


def test_what_numbers_mean() -> None:
    share, several = PARSERS["share"], PARSERS["several"]
    assert (share.read("0.3"), share.read("7"), share.read("-7")) == (0.3, 1.0, 0.02)
    assert several.read("F3, 17,3") == [3, 17]
    assert PARSERS["count"].read("99") == 50
    for text in ("nan", "inf", "1e999"):
        with pytest.raises(VitrineError, match="Support cannot be"):
            share.read(text)
