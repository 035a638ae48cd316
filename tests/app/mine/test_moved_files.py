"""Studies whose weights or images are not found: the user of this machine can say where they are."""

import html
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.study import Study
from core.workbench import study_model
from tests.pages_list import FILES, SCRIPT
from tests.tiny_build import of_own_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return of_own_weights(tmp_path_factory.mktemp("made") / "a", "studies/own")


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a user with one study, whose weights and images are in other folders now."""
    shutil.copytree(made / "studies", tmp_path / "home" / "studies")
    for name in ("two.safetensors", "other.safetensors"):
        shutil.copy(made / name, tmp_path / f"new-{name}")
    shutil.copytree(made / "two", tmp_path / "new-two")
    made.rename(made.with_name("away"))
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("pages.ui.study.open_study.BUNDLED", tmp_path / "none")
    yield tmp_path
    made.with_name("away").rename(made)


@pytest.fixture
def app(home: Path) -> Iterator[AppTest]:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    one.run()
    yield one
    assert [fault.value for fault in one.exception] == []


def said(app: AppTest) -> str:
    return html.unescape(" ".join(str(box.value) for boxes in (app.error, app.info, app.caption) for box in boxes))


def opened(app: AppTest) -> AppTest:
    app.switch_page(FILES["Studies"]).run()
    app.session_state["studies"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    return app.run()


def tell(app: AppTest, key: str, path: Path) -> str:
    app.text_input(key=key).set_value(str(path))
    next(button for button in app.button if button.label == "Use" and key in str(button.proto.form_id)).click().run()
    return said(app)


def test_a_study_is_told_where_its_weights_and_images_are(app: AppTest, home: Path) -> None:
    assert "Its weights cannot be found" in said(opened(app))
    assert "is not the model" in tell(app, "moved-weights", home / "new-other.safetensors")
    assert "finds them there from now on" in tell(app, "moved-weights", home / "new-two.safetensors")
    assert "Its weights cannot be found" not in said(app)
    assert "are not in" in tell(app, "moved-images", home)
    tell(app, "moved-images", home / "new-two")
    assert "Its images are not in" not in said(app.run())
    study = Study(home / "home" / "studies" / "own")
    assert study.lost() == []
    assert study_model(study).sha == study.manifest.model.sha


def test_the_page_that_needs_the_weights_asks_for_them(app: AppTest, home: Path) -> None:
    app.query_params["show"] = "ablation"
    app.switch_page(FILES["Rules"]).run()
    assert "Say where they are now" in said(app)
    tell(app, "ablation-weights", home / "new-two.safetensors")
    assert "Say where they are now" not in said(app)
    assert not app.error


def test_the_page_that_needs_the_images_asks_for_them(
    app: AppTest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = of_own_weights(tmp_path_factory.mktemp("other") / "a", "other", layer="relu3")
    shutil.copytree(other / "other", home / "home" / "studies" / "inner")
    (other / "two").rename(home / "inner-two")
    app.query_params["show"], app.query_params["study"] = "ablation", "inner"
    app.switch_page(FILES["Rules"]).run()
    assert "The images of the study are not in …/two." in said(app)
    tell(app, "ablation-images", home / "inner-two")
    assert "are not in" not in said(app.run())
    assert "Run ablation" in [button.label for button in app.button]


def test_the_weights_that_the_app_was_started_with_are_those_of_a_study(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_MODEL", f"flowers@{home / 'new-two.safetensors'}")
    app.query_params["show"] = "ablation"
    app.switch_page(FILES["Rules"]).run()
    assert "Say where they are now" not in said(app)
    assert not app.error
    assert "accuracy, mean over classes" in str([metric.proto.delta for metric in app.metric])


def test_the_current_image_is_opened_in_a_study_s_own_weights(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.query_params["study"] = "own"
    app.switch_page(FILES["Concepts"]).run()
    switch = next(button for button in app.button if button.label == "Switch to this study's model")
    switch.click().run()
    assert "The weights two.safetensors of the study own cannot be found" in said(app)
    tell(opened(app), "moved-weights", home / "new-two.safetensors")
    (home / "home" / "studies" / "two.txt").write_text("cat\ndog\n")
    app.switch_page(FILES["Concepts"]).run()
    next(button for button in app.button if button.label == "Switch to this study's model").click().run()
    assert not app.error
    assert "The current image is open in" not in said(app)
    app.switch_page(FILES["Compare"]).run()
    assert app.selectbox(key="model").value == "flowers@two.safetensors"
    chips = next(one.proto.json for one in app.get("bidi_component") if "class_chips" in one.proto.component_name)
    assert {one["label"] for one in json.loads(chips)["classes"]} == {"cat", "dog"}
    monkeypatch.setenv("VITRINE_SHARED", "1")
    app.switch_page(FILES["Concepts"]).run()
    assert "Switch to this study's model" not in [button.label for button in app.button]


def test_a_shared_server_asks_for_no_paths(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    assert "Its weights cannot be found" in said(opened(app))
    assert [field.key for field in app.text_input if str(field.key).startswith("moved")] == []
