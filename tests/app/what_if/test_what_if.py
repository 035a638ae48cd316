"""What if on Compare and Failures, without a browser: edits of the link, dials, undo, and what cannot be done."""

import html
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.edits.apply import edited
from core.edits.edit import Box, Jpeg, Segments, read
from core.edits.flip import flip_by_filters
from core.edits.what_if import what_if
from core.errors import BadParameter
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.images import Picture
from core.models import load
from core.workbench import Workbench
from pages.ui import components
from pages.ui.session import state
from pages.ui.what_if.edit_list import MOST, EditList
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until

MODEL, IMAGE = "flowers-double-12c", "double-red-petals.png"
EDITS = ["box=90,30,110,120:mean", "jpeg=30"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the component is given, run by run."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(components, "what_if", lambda data, key, acted: given.append(dict(data)))
    return given


def page(edits: list[str], **query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for name, value in {"model": MODEL, "img": IMAGE, **query}.items():
        app.query_params[name] = value
    app.run()
    app.query_params["by"] = "what-if"
    app.query_params["edit"] = edits
    app.switch_page(FILES["Compare"]).run()
    assert not app.exception
    return app


def picture() -> Picture:
    return state.sample(state.samples()[IMAGE].path)


def said(app: AppTest) -> str:
    return html.unescape(" ".join(str(box.value) for box in [*app.error, *app.warning, *app.info]))


def texts(app: AppTest) -> list[str]:
    return [html.unescape(one.label) for one in app.button if (one.key or "").startswith("what-if-edit-")]


def test_the_edits_of_a_link_are_made(session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page(EDITS)
    assert texts(app) == EDITS
    bench = Workbench(load(MODEL))
    found = what_if(bench, picture(), [read(text) for text in EDITS])
    bars = {one["name"]: (one["before"], one["after"]) for one in sent[-1]["bars"]}
    wanted = {one.label: (one.before, one.after) for one in found.changes}
    assert bars.keys() == wanted.keys()
    for name, values in bars.items():
        assert values == pytest.approx(wanted[name], abs=1e-5)
    assert sent[-1]["photo"] != sent[-1]["edited"]
    command = next(code.value for code in app.code if "explain" in code.value)
    assert command.endswith(f"--edit {EDITS[0]} --edit {EDITS[1]}")


def test_an_edit_is_taken_away_and_the_link_follows(session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page(EDITS)
    app.button(key="what-if-edit-0").click().run()
    assert texts(app) == EDITS[1:]
    assert app.query_params["edit"] in (EDITS[1:], EDITS[1])
    assert sent[-1]["undo"]
    ways = next(one for one in app.get("button_group") if one.label == "Compare")
    ways.set_value("methods").run()
    assert "edit" not in app.query_params


def test_a_dial_puts_one_edit_into_the_list(session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page(["brightness=2"])
    (dial,) = (one for one in app.slider if one.label == "Brightness")
    assert dial.value == 2
    dial.set_value(0.5).run()
    assert texts(app) == ["brightness=0.5"]
    next(one for one in app.slider if one.label == "Brightness").set_value(1.0).run()
    assert texts(app) == []
    assert sent[-1]["photo"] == sent[-1]["edited"]


def test_a_filter_is_turned_off(session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page([])
    layer = next(one for one in app.selectbox if one.label == "Layer").value
    strongest = int(Workbench(load(MODEL)).activations(picture(), layer).amax((1, 2)).argmax())
    next(one for one in app.multiselect if one.label == "Filters").set_value([strongest]).run()
    (dial,) = (one for one in app.slider if one.label.endswith(f"F{strongest}"))
    dial.set_value(0.0).run()
    assert texts(app) == [f"filters={layer}:{strongest}*0"]
    assert any(one["before"] != one["after"] for one in sent[-1]["bars"])


HOSTILE = ["", "box", "box=1,2", "box=nan,1,1,1:blur", "boxx=1,2,3,4:blur", "jpeg=²", "segments=50,9999:blur",
           "box=9000,9000,5,5:blur", "box=1,1,9,9:image <b>", "filters=nope:1*0", "é" * 5000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_edit_gives_one_sentence(text: str, session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page([text, "jpeg=40"], dials="²", turned="²", rule="²", flip="²", method="²")
    assert "defect" not in said(app)
    assert len(said(app)) < 1800
    assert text == "" or said(app)
    assert "jpeg=40" in texts(app)


def test_undo_and_redo() -> None:
    shown = EditList("a picture")
    box, jpeg = Box(1, 2, 3, 4), Jpeg(30)
    shown.change((box,))
    shown.change((box, jpeg))
    shown.undo()
    assert (shown.edits, bool(shown.future)) == ((box,), True)
    shown.redo()
    assert shown.edits == (box, jpeg)
    shown.undo()
    shown.undo()
    assert (shown.edits, shown.undoable) == ((), False)
    shown.undo()
    shown.change((jpeg,))
    assert not shown.future
    linked = EditList("a picture", (box, jpeg))
    linked.undo()
    assert linked.edits == (box,)
    with pytest.raises(BadParameter, match="more edits than fit"):
        shown.change((box,) * (MOST + 1))


def test_superpixels_join_and_leave_the_last_edit() -> None:
    shown = EditList("a picture")
    for segment in (7, 3, 7):
        shown.toggle(Segments(50, (segment,), "blur"))
    assert shown.edits == (Segments(50, (3,), "blur"),)
    shown.toggle(Segments(50, (3,), "mean"))
    assert shown.edits == (Segments(50, (3,), "blur"), Segments(50, (3,), "mean"))
    shown.toggle(Segments(50, (3,), "mean"))
    assert shown.edits == (Segments(50, (3,), "blur"),)


def test_the_smallest_change_is_searched_and_used(session: state.Session, sent: list[dict[str, Any]]) -> None:
    app = page([], flip="filters")
    next(one for one in app.button if one.label == "Find the smallest change").click().run()
    until(lambda: [one for one in app.run().button if one.label == "Use this change"])
    next(one for one in app.button if one.label == "Use this change").click().run()
    assert texts(app)[0].startswith("filters=")
    assert not app.exception


def test_the_search_starts_from_the_image_as_edited(session: state.Session, sent: list[dict[str, Any]]) -> None:
    edits = ["brightness=0.8", "jpeg=40"]
    app = page(edits, flip="filters")
    start = "from the image with these edits: brightness=0.8, jpeg=40."
    assert start in captions(app)
    next(one for one in app.button if one.label == "Find the smallest change").click().run()
    until(lambda: [one for one in app.run().button if one.label == "Use this change"])
    app = next(one for one in app.button if one.label == "Use this change").click().run()
    *before, change = texts(app)
    assert before == edits
    found = flip_by_filters(Workbench(load(MODEL)), edited(picture(), [read(text) for text in edits]))
    assert change == str(found.edit)
    assert found.flipped
    made = [what_if(Workbench(load(MODEL)), picture(), [read(one) for one in some]) for some in (edits, texts(app))]
    assert found.before == pytest.approx(float(made[0].after[found.label]), abs=1e-5)
    assert made[0].top_after[0] == found.label != made[1].top_after[0]
    assert "Use this change" in [one.label for one in app.button], "the steps remain to be tried"
    assert f"The search started {start}" in captions(app)
    app = next(one for one in app.button if one.label == "Search on from here").click().run()
    assert f"brightness=0.8, jpeg=40, {change}." in captions(app)
    assert "Find the smallest change" in [one.label for one in app.button]


def captions(app: AppTest) -> str:
    return html.unescape(" ".join(one.value for one in app.caption))
