"""Links of a difference, a group or a unit on every page, and such targets for many images."""

import html
import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.explain.target_name import TargetName, target_name
from core.models import load
from core.workbench import Workbench
from pages.ui.session import state
from tests.packets import packets
from tests.pages_list import FILES, HEADERS, PAGES, SCRIPT
from tests.waiting import until

MODEL = "flowers-double-12c"
UNIT = f"{load(MODEL).survey.usable[0].name}:3"


pytestmark = pytest.mark.usefixtures("session")


def opened(title: str, **query: Any) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params.update({"m": "saliency", "model": MODEL, **query})
    app.run()
    return alive(app.switch_page(FILES[title]).run())


def alive(app: AppTest) -> AppTest:
    assert [fault.value for fault in app.exception] == []
    assert not app.error
    return app


def said(app: AppTest) -> str:
    return html.unescape(" ".join(box.value for box in [*app.warning, *app.info, *app.caption]))


def part(app: AppTest, name: str) -> Any:
    found = [one.proto.json for one in app.get("bidi_component") if one.proto.component_name == f"vitrine_{name}"]
    return json.loads(found[0]) if found else None


def pills(app: AppTest, key: str) -> Any:
    return next(group for group in app.get("button_group") if group.key == key)


@pytest.mark.parametrize("text", ["3-8", "2+5+7", "2+5-7", UNIT])
@pytest.mark.parametrize("title", list(PAGES.values()))
def test_every_page_opens_and_none_shows_another_target(title: str, text: str) -> None:
    app = opened(title, cls=[text])
    assert not app.warning
    target = target_name(text, load(MODEL))
    label = target.title(load(MODEL).labels)
    chips, grid = part(app, "class_chips"), part(app, "comparison_grid")
    assert (chips is not None) == ("classes" in HEADERS[title])
    if chips:
        assert chips["chosen"] == [text]
        assert [entry["label"] for entry in chips["classes"] if entry["target"] == text] == [label]
    if grid and chips:  # Three cases has targets of its own
        assert [(row["target"], row["label"]) for row in grid["rows"]] == [(text, label)]
        assert {one["label"] for one in packets(app, "packet") if "ask" in one} == {label}
    assert app.session_state["location"].targets == (target,)


@pytest.mark.parametrize("text", ["3-8", "2+5+7", UNIT])
def test_a_method_for_single_classes_says_so_in_its_tile(text: str) -> None:
    app = opened("Compare", cls=[text], m="saliency,contrastive_ebp")
    until(lambda: not state.session().comparison.running)
    app.run()
    tiles = {one["title"]: one for one in packets(app, "packet") if "ask" in one}
    assert "error" not in tiles["Saliency"]
    assert "explains single classes" in tiles["Contrastive excitation backprop"]["error"]


@pytest.mark.parametrize("text", ["3-8", "2+5+7", UNIT])
def test_many_images_are_explained_for_the_target_of_a_link(text: str) -> None:
    app = opened("Compare", by="images", method="saliency", **{"class": text})
    target, bench = target_name(text, load(MODEL)), Workbench(load(MODEL))
    shown = state.session().comparison
    assert shown
    until(lambda: not shown.running)
    app.run()
    rows = part(app, "comparison_grid")["rows"]
    assert len(rows) > 2
    for row, picture in zip(rows, shown.pictures, strict=True):
        assert (row["target"], row["label"]) == (text, target.title(bench.model.labels))
        number = bench.value(picture, target)
        if isinstance(row["chance"], str):
            assert float(row["chance"].rpartition(" ")[2]) == pytest.approx(number, rel=1e-3)
        else:
            assert row["chance"] == pytest.approx(number, abs=1e-6)
    assert f"--target {text} " in part(app, "image_strip")["command"]
    assert app.query_params["class"] == text
    assert alive(app).selectbox(key="compare.class").value == target


def test_a_target_for_many_images_is_made_and_taken_back() -> None:
    app = opened("Compare", by="images", method="saliency", cls=["0-1"])
    choice = app.selectbox(key="compare.class")
    assert choice.value is None
    assert choice.options[:2] == ["Predicted for each image", "blue-petals − blue-stem"], "the one of the other way"
    app.selectbox(key="classes.first").set_value(3).run()
    app.selectbox(key="classes.second").set_value(8).run()
    next(one for one in app.button if one.label == "Explain the difference").click().run()
    assert app.selectbox(key="compare.class").value == TargetName((3,), (8,))
    assert {row["target"] for row in part(app, "comparison_grid")["rows"]} == {"3-8"}
    assert app.query_params["class"] == "3-8"
    app.selectbox(key="compare.class").set_value(None).run()
    bench = Workbench(load(MODEL))
    predicted = [str(bench.target(picture)) for picture in state.session().comparison.pictures]
    assert [row["target"] for row in part(app, "comparison_grid")["rows"]] == predicted
    assert "class" not in app.query_params
    assert app.session_state["location"].targets == (TargetName((0,), (1,)),), "the other way keeps its own"
    alive(app)


@pytest.mark.parametrize(("text", "words"), [("3-99", "There is no class 99"), ("nowhere:1", "no layer called")])
def test_a_target_that_the_model_lacks_is_told_and_predictions_are_explained(text: str, words: str) -> None:
    app = opened("Compare", by="images", method="saliency", **{"class": text})
    assert words in said(app)
    assert app.selectbox(key="compare.class").value is None
