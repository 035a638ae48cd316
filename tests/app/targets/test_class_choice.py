"""The choice of classes: by groups, sorted by the probability for the current image; and of an upload's true one."""

import csv
import html
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.explain.target_name import TargetName
from core.images import decode
from core.models import load
from core.workbench import Workbench
from pages.ui.explore import class_choice
from pages.ui.session import location, state
from pages.ui.session.shared_images import shared_images
from pages.ui.widgets import downloads
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until


@pytest.fixture
def app() -> AppTest:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    one.query_params.update({"m": "saliency", "model": "flowers-double-12c", "cls": ["0", "1"]})
    one.run()
    one.switch_page(FILES["Compare"]).run()
    return one


def named(*classes: int) -> tuple[TargetName, ...]:
    return tuple(TargetName((index,)) for index in classes)


def pills(app: AppTest, key: str) -> Any:
    return next(group for group in app.get("button_group") if group.key == key)


def test_classes_are_added_and_removed_by_name(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = load("flowers-double-12c").labels
    assert not app.multiselect
    shown, top = pills(app, "classes.shown"), pills(app, "classes.top")
    assert sorted(map(str, shown.value)) == ["0", "1"]
    chances = [float(option.content.rpartition(" · ")[2].strip("<% ")) for option in top.proto.options]
    assert chances == sorted(chances, reverse=True)
    assert len(chances) == class_choice.TOP == len(labels) - 2
    monkeypatch.setattr(class_choice, "TOP", 3)
    app.run()
    search = app.selectbox(key="classes.all")
    assert len(search.options) == len(labels) - 2
    search.set_value(5).run()
    assert app.session_state["location"].targets == named(0, 1, 5)
    pills(app, "classes.shown").set_value(list(named(1, 5))).run()
    assert app.session_state["location"].targets == named(1, 5)
    monkeypatch.setattr(class_choice, "TOP", 10)
    app.run()
    pills(app, "classes.top").set_value(7).run()
    assert app.session_state["location"].targets == named(1, 5, 7)
    pills(app, "classes.shown").set_value([]).run()
    assert app.session_state["location"].targets == named(1, 5, 7), "one class always stays"


def rows(app: AppTest) -> list[tuple[str, str, float | str]]:
    """Target, label and number of every row of maps."""
    grid = next(one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_comparison_grid")
    return [(row["target"], row["label"], row["chance"]) for row in json.loads(grid.proto.json)["rows"]]


def test_differences_groups_and_units_are_added_shown_and_linked(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    session, model = state.Session(), load("flowers-double-12c")
    monkeypatch.setattr(state, "session", lambda: session)
    kind, shown = pills(app, "classes.kind"), named(0, 1)
    assert [option.content for option in kind.proto.options] == ["Class", "Difference…", "Group…", "Unit…"]

    pills(app, "classes.kind").set_value("Difference…").run()
    assert app.selectbox(key="classes.first").value == 0, "the first class that is shown"
    app.selectbox(key="classes.first").set_value(3).run()
    app.selectbox(key="classes.second").set_value(8).run()
    next(one for one in app.button if one.label == "Add the difference").click().run()
    difference = TargetName((3,), (8,))
    assert app.session_state["location"].targets == (*shown, difference)

    pills(app, "classes.kind").set_value("Group…").run()
    add = next(one for one in app.button if one.label == "Add the group")
    assert add.disabled, "a group has several classes"
    app.multiselect(key="classes.group").set_value([2, 5, 7]).run()
    next(one for one in app.button if one.label == "Add the group of 3 classes").click().run()
    group = TargetName((2, 5, 7))
    assert app.session_state["location"].targets == (*shown, difference, group)
    assert app.query_params["cls"] == ["0", "1", "3-8", "2+5+7"]
    assert [one[:2] for one in rows(app)][2:] == [
        ("3-8", f"{model.labels[3]} − {model.labels[8]}"),
        ("2+5+7", " + ".join(model.labels[index] for index in (2, 5, 7))),
    ]
    said = [one[2] for one in rows(app)]
    assert all(isinstance(one, float) for one in (said[0], said[1], said[3]))
    assert str(said[2]).startswith("log-odds ")

    pills(app, "classes.shown").set_value([difference, group]).run()
    assert app.session_state["location"].targets == (difference, group)
    pills(app, "classes.kind").set_value("Unit…").run()
    name = model.survey.usable[0].name
    app.selectbox(key="classes.layer").set_value(name).run()
    app.number_input(key=f"classes.unit.{name}").set_value(3).run()
    next(one for one in app.button if one.label == "Add the unit").click().run()
    assert app.query_params["cls"] == ["3-8", "2+5+7", f"{name}:3"]
    target, label, number = rows(app)[-1]
    assert (target, label) == (f"{name}:3", f"{name} · F3")
    assert str(number).startswith("activation ")
    until(lambda: session.comparison is not None and not session.comparison.running)
    app.run()
    strip = next(one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_image_strip")
    assert f"--target 3-8 --target 2+5+7 --target {name}:3" in json.loads(strip.proto.json)["command"]


def test_a_link_of_a_difference_and_of_what_the_model_lacks(app: AppTest) -> None:
    app.query_params["cls"] = ["3-8", "3-99", "nowhere:1"]
    app.run()
    assert app.session_state["location"].targets == (TargetName((3,), (8,)),)
    text = html.unescape(" ".join(box.value for box in app.warning))
    assert "There is no class 99" in text
    assert "no layer called 'nowhere'" in text


def test_at_most_four_classes_and_a_sentence(app: AppTest) -> None:
    app.query_params["cls"] = ["0", "1", "2", "3"]
    app.run()
    assert any("At most 4 classes" in box.value for box in app.caption)
    assert [group for group in app.get("button_group") if group.key == "classes.top"] == []


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> Iterator[Callable[..., AppTest]]:
    """Open a page with an upload of a new visitor, or of the last one."""
    visitor = [state.Session()]
    monkeypatch.setattr(state, "session", lambda: visitor[0])

    def make(title: str, *, fresh: bool = False, **query: Any) -> AppTest:
        if fresh:
            visitor[0] = state.Session()
        app = AppTest.from_file(str(SCRIPT), default_timeout=120)
        app.query_params.update({"m": "saliency", "model": "flowers-double-12c", **query})
        app.run()
        if not query.get("img"):
            app.file_uploader[0].set_value([("rose-petals.png", photo, "image/png")]).run()
        return app if title == "Start" else app.switch_page(FILES[title]).run()

    yield make
    shared_images.cache_clear()


def said(app: AppTest) -> str:
    return html.unescape(" ".join(box.value for box in app.error))


def chips(app: AppTest) -> dict[int, str]:
    """The marks of the classes in the header."""
    found = next(one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_class_chips")
    return {int(entry["target"]): entry["mark"] for entry in json.loads(found.proto.json)["classes"]}


def say(app: AppTest, wanted: object) -> AppTest:
    """Choose a true class, or type a text that is none of the options."""
    box = app.selectbox(key="classes.true")
    if isinstance(wanted, str):
        box.options.append(wanted)
    return box.set_value(wanted).run()


def ranked(photo: bytes, model: str = "flowers-double-12c") -> list[int]:
    bench = Workbench(load(model))
    return bench.logits(decode(photo, "photo.png")).argsort(descending=True).tolist()


@pytest.mark.parametrize("title", ["Start", "Compare"])
def test_the_true_class_of_an_upload_marks_the_predicted_ones(
    own: Callable[..., AppTest], photo: bytes, title: str
) -> None:
    app, order = own(title), ranked(photo)
    labels = load("flowers-double-12c").labels
    assert set(chips(app).values()) == {""}, "the file's name is no label"
    box = app.selectbox(key="classes.true")
    assert box.value is None
    assert [option.rpartition(" · ")[0] for option in box.options] == [labels[index] for index in order]
    say(app, order[0])
    assert {index: mark for index, mark in chips(app).items() if mark} == {order[0]: "right"}
    say(app, labels[order[-1]])  # as text
    assert list(chips(app))[-1] == order[-1], "also a class that is not among the most probable ones"
    assert {index: mark for index, mark in chips(app).items() if mark} == {order[0]: "wrong", order[-1]: "true"}
    assert app.session_state["location"].targets == (), "what is explained is not changed"
    say(app, labels[order[1]].upper()[:-1])
    assert f"There is no class called '{labels[order[1]].upper()[:-1]}'. Did you mean '{labels[order[1]]}'" in said(app)
    assert chips(app)[order[-1]] == "true", "a text that means nothing changes nothing"
    say(app, None)
    assert set(chips(app).values()) == {""}
    assert not app.exception


def test_a_true_class_belongs_to_its_image_and_its_label_to_every_model(
    own: Callable[..., AppTest], photo: bytes
) -> None:
    app = own("Start")
    session = state.session()
    sha = app.session_state["location"].image
    say(app, 4)  # red-petals
    assert session.true == {sha: ("red-petals", 4)}
    app.session_state["location"] = replace(app.session_state["location"], image="double-violet-stem.png", targets=())
    app.run()
    labels = load("flowers-double-12c").labels
    assert [labels[index] for index, mark in chips(app).items() if mark in {"right", "true"}] == ["violet-stem"]
    assert "classes.true" not in [box.key for box in app.selectbox], "an example knows its label"
    app.session_state["location"] = replace(app.session_state["location"], image=sha, model="flowers-single-6c")
    app.run()
    assert set(chips(app).values()) == {""}, "this model has no such class"
    app.session_state["location"] = replace(app.session_state["location"], model="flowers-double-12c")
    app.run()
    assert chips(app)[4] in {"right", "true"}


def test_a_true_class_goes_into_the_table_and_the_command(
    own: Callable[..., AppTest], photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, order = own("Compare"), ranked(photo)
    say(app, order[2])
    until(lambda: not state.session().comparison.running)
    app.run()
    strip = next(one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_image_strip")
    assert f"--label {order[2]} " in json.loads(strip.proto.json)["command"]
    files: list[bytes] = []
    monkeypatch.setattr(downloads, "_offer", lambda name, kind, content: files.append(content))
    downloads.whole({"kind": "csv"}, lambda shown: {})
    (line,) = csv.DictReader(io.StringIO(files[0].decode()))
    name = load("flowers-double-12c").labels[order[2]]
    assert (line["true_label"], line["right"]) == (name, "False")
    downloads.whole({"kind": "html"}, lambda shown: {})
    report = files[1].decode()
    assert f"<dt>true class</dt><dd>{name}</dd>" in report
    assert f"--label {order[2]} " in report


def test_a_true_class_is_there_after_a_reload_where_the_image_is(own: Callable[..., AppTest]) -> None:
    app = own("Start")
    sha = app.session_state["location"].image
    state.session().share(sha)
    say(app, 4)
    again = own("Compare", fresh=True, img=sha)
    assert chips(again)[4] in {"right", "true"}
    assert again.selectbox(key="classes.true").value == 4
    say(again, 5)
    assert chips(own("Compare", fresh=True, img=sha))[4] in {"right", "true"}, "its owner said so"


@pytest.mark.parametrize(("output", "marked"), [("multilabel", [4]), ("regression", [])])
def test_labels_beside_the_known_one_are_not_wrong_and_values_have_no_class(
    own: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, output: str, marked: list[int]
) -> None:
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"output": output}))
    app = own("Start")
    assert ("classes.true" in [box.key for box in app.selectbox]) == (output == "multilabel")
    state.session().label(app.session_state["location"].image, ("red-petals", 4))
    app.run()
    assert [index for index, mark in chips(app).items() if mark] == marked


def test_labels_that_are_numbers_of_other_classes_say_so(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of each class stands beside such a label, and a caption tells what a search finds."""
    monkeypatch.setattr(class_choice, "TOP", 3)
    app.run()
    assert not any("numbers" in box.value for box in app.caption)
    model = load("flowers-double-12c")
    renamed = replace(model, labels=("7", *model.labels[1:]))
    monkeypatch.setattr(location, "bench", lambda: Workbench(renamed))
    app.run()
    assert any("A search finds labels" in box.value for box in app.caption)
    options = [option.content for option in pills(app, "classes.shown").proto.options]
    assert [text.startswith("7 (0) · ") for text in options].count(True) == 1
