"""The choice of classes: by groups, sorted by the probability for the current image."""

from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.models import load
from core.workbench import Workbench
from pages.ui.explore import class_choice
from pages.ui.session import location
from tests.pages_list import FILES, SCRIPT


@pytest.fixture
def app() -> AppTest:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    one.query_params.update({"m": "saliency", "model": "flowers-double-12c", "cls": ["0", "1"]})
    one.run()
    one.switch_page(FILES["Compare"]).run()
    return one


def pills(app: AppTest, key: str) -> Any:
    return next(group for group in app.get("button_group") if group.key == key)


def test_classes_are_added_and_removed_by_name(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = load("flowers-double-12c").labels
    assert not app.multiselect
    shown, top = pills(app, "classes.shown"), pills(app, "classes.top")
    assert sorted(shown.value) == [0, 1]
    chances = [float(option.content.rpartition(" · ")[2].strip("<% ")) for option in top.proto.options]
    assert chances == sorted(chances, reverse=True)
    assert len(chances) == class_choice.TOP == len(labels) - 2
    monkeypatch.setattr(class_choice, "TOP", 3)
    app.run()
    search = app.selectbox(key="classes.all")
    assert len(search.options) == len(labels) - 2
    search.set_value(5).run()
    assert app.session_state["location"].targets == (0, 1, 5)
    pills(app, "classes.shown").set_value([1, 5]).run()
    assert app.session_state["location"].targets == (1, 5)
    monkeypatch.setattr(class_choice, "TOP", 10)
    app.run()
    pills(app, "classes.top").set_value(7).run()
    assert app.session_state["location"].targets == (1, 5, 7)
    pills(app, "classes.shown").set_value([]).run()
    assert app.session_state["location"].targets == (1, 5, 7), "one class always stays"


def test_at_most_four_classes_and_a_sentence(app: AppTest) -> None:
    app.query_params["cls"] = ["0", "1", "2", "3"]
    app.run()
    assert any("At most 4 classes" in box.value for box in app.caption)
    assert [group for group in app.get("button_group") if group.key == "classes.top"] == []


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
