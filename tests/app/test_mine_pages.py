"""What the filters see, without a browser: every page empty and with a study, and the ways between them."""

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import core.study
from core.mining.settings import PatchConfig, StudyConfig
from core.pipeline import build_study
from core.study import Study
from core.tags import Tags
from tests import small_study
from tests.pages_list import FILES, SCRIPT

MINE = ("Patches", "Rules", "Averages", "Filter", "Studies")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    small_study.built(folder)
    return folder


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user with one small study, without the bundled ones."""
    monkeypatch.setenv("VITRINE_HOME", str(home))
    monkeypatch.setattr("pages.ui.shelf.BUNDLED", home / "none")
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def visit(app: AppTest, title: str, **query: str) -> AppTest:
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    return app.switch_page(FILES[title]).run()


def said(app: AppTest) -> str:
    kinds = (app.error, app.warning, app.info, app.caption, app.markdown, app.header, app.title)
    return html.unescape(" ".join(str(box.value) for boxes in kinds for box in boxes))


def parts(app: AppTest) -> list[str]:
    return [element.proto.component_name for element in app.get("bidi_component")]


@pytest.mark.parametrize("title", MINE)
def test_without_a_study_the_page_says_the_way_to_one(
    app: AppTest, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, title)
    assert not app.error
    offers = [box.label for box in app.expander] + [link.proto.label for link in app.get("page_link")]
    assert "Build a study" in offers


@pytest.mark.parametrize("title", MINE)
def test_with_a_study_the_page_is_alive(app: AppTest, title: str) -> None:
    visit(app, title)
    assert not app.error
    assert not app.warning
    if title != "Studies":
        assert "vitrine_gallery" in parts(app)


def test_a_link_says_study_class_and_filters(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    number = int(study.array("items")[0, 0])
    label = study.labels[int(study.table("patches")["label"][0])]
    visit(app, "Patches", study="small", label=label, filters=str(number))
    assert app.selectbox(key="label").value == study.labels.index(label)
    assert app.multiselect(key="filters").value == [number]
    assert app.query_params["label"] == label
    visit(app, "Rules")
    assert app.selectbox(key="label").value == study.labels.index(label), "the class stays chosen"


def test_what_a_link_names_wrongly_is_said_and_the_rest_kept(app: AppTest) -> None:
    visit(app, "Patches", label="no such class", filters="3,nonsense", sort="drop")
    words = said(app)
    assert "no class called 'no such class'" in words
    assert "no filters called 'nonsense'" in words
    assert app.selectbox(key="sort").value == "drop"


def test_no_match_names_each_demand_and_takes_it_back(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Patches", label=study.labels[0], drop="1")
    assert "No patch matches" in said(app)
    app.button(key="without-drop").click().run()
    assert "vitrine_gallery" in parts(app)
    assert app.selectbox(key="label").value == 0


def test_selected_patches_get_tags_that_stay(app: AppTest, home: Path) -> None:
    visit(app, "Patches")
    app.session_state["patches"] = {"selected": [0, 2]}
    app.run()
    word = app.selectbox(key="word")
    assert not word.disabled
    next(button for button in app.button if button.label == "Tag the selection").click().run()
    tags = Tags(home / "tags", Study(home / "studies" / "small").manifest["digest"])
    assert tags.patches(word.value) == (0, 2)
    assert app.selectbox(key="tag").options == ["Any tag", word.value]
    app.selectbox(key="tag").set_value(word.value).run()
    assert "tag" in app.query_params


def test_rules_at_another_support_and_where_there_are_none(app: AppTest) -> None:
    visit(app, "Rules", support="0.8")
    before = len(app.dataframe[0].value)
    app.slider(key="support").set_value(0.5).run()
    assert len(app.dataframe[0].value) > before
    app.slider(key="n").set_value(1).run()
    app.slider(key="confidence").set_value(1.0)
    app.slider(key="support").set_value(1.0).run()
    if "No rule" in said(app):
        app.button[-1].click().run()
    assert not app.error


def test_no_rule_offers_the_support_that_gives_one(app: AppTest) -> None:
    visit(app, "Rules", support="1", n="25", confidence="0.99")
    if "No rule" not in said(app):
        visit(app, "Rules", support="1", n="1", confidence="1")
    words = said(app)
    if "highest support" in words:
        offer = next(button for button in app.button if button.label.startswith("Use 0."))
        offer.click().run()
        assert app.slider(key="support").value == float(offer.label.removeprefix("Use "))
        assert len(app.dataframe) == 1


@pytest.mark.parametrize("view", ["shared", "graph", "ablation"])
def test_every_view_of_the_rules(app: AppTest, view: str) -> None:
    visit(app, "Rules", show=view)
    assert not app.error
    if view == "graph":
        assert "vitrine_graph" in parts(app)
    if view == "ablation":
        values = {metric.label: metric.value for metric in app.metric}
        assert float(values["Without mined ones"].rstrip("%")) < float(values["Without random ones"].rstrip("%"))


def silenced(app: AppTest, folder: Path) -> AppTest:
    """The ablation on other images, waited for."""
    app.text_input(key="ablation-folder").set_value(str(folder)).run()
    assert not app.metric
    next(button for button in app.button if button.label == "Silence them").click().run()
    assert app.session_state["ablating"][1].wait(60)
    return app.run()


def test_the_ablation_on_images_held_out(app: AppTest, home: Path, tmp_path: Path) -> None:
    visit(app, "Rules", show="ablation")
    own = {metric.label: metric.value for metric in app.metric}
    silenced(app, home / "flowers")
    assert {metric.label: metric.value for metric in app.metric} == own, "these are the very images"
    shutil.copytree(home / "flowers", tmp_path / "held-out")
    first = next((tmp_path / "held-out").iterdir())
    (first / "0.png").write_bytes(b"x")
    (tmp_path / "held-out" / "zebra").mkdir()
    shutil.copy(first / "1.png", tmp_path / "held-out" / "zebra")
    silenced(app, tmp_path / "held-out")
    images = next(metric for metric in app.metric if metric.label == "Images")
    assert (images.value, html.unescape(images.delta)) == ("59", "of held-out")
    assert any(box.label == "Left out: 2" for box in app.expander)
    assert not app.error


def test_a_folder_without_images_is_a_sentence(app: AppTest, tmp_path: Path) -> None:
    visit(app, "Rules", show="ablation")
    silenced(app, tmp_path)
    assert "There is no image in" in said(app)
    assert not app.metric


def test_a_node_of_the_graph_chooses_the_rules_beneath(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    number = int(study.table("edges")["filter"][0])
    visit(app, "Rules", show="graph", node=f"f{number}")
    rules = study.table("rules")
    assert len(app.dataframe[0].value) == sum(number in filters for filters in rules["filters"])


def test_turning_a_rules_filters_off_shows_before_and_after(app: AppTest) -> None:
    visit(app, "Rules")
    app.toggle(key="off-rule").set_value(True).run()
    assert "Without" in said(app)
    assert not app.error


def test_an_average_opens_its_patches(app: AppTest) -> None:
    visit(app, "Averages", average="0", top="3", contrast="1")
    words = said(app)
    assert "heaviest first" in words
    assert "fewer than 10 patches" in words
    assert app.slider(key="top").value == 3


@pytest.mark.parametrize(("asked", "shown"), [("5", 5), ("F5", 5), ("999", 127)])
def test_a_filter_by_its_number(app: AppTest, asked: str, shown: int) -> None:
    visit(app, "Filter", unit=asked)
    assert f"· F{shown}" in said(app)
    assert ("has no F999" in said(app)) == (asked == "999")


def test_the_neighbours_of_a_filter(app: AppTest) -> None:
    visit(app, "Filter", unit="0")
    previous, following = (next(b for b in app.button if b.label == text) for text in ("Previous", "Next"))
    assert previous.disabled
    following.click().run()
    assert "· F1" in said(app)
    assert app.query_params["unit"] == "1"


def test_a_dead_filter_says_so(app: AppTest, home: Path) -> None:
    facts = Study(home / "studies" / "small").table("filters")
    dead = facts[(facts["largest"] == 0) & (facts["patches"] == 0)]["filter"]
    if not len(dead):
        pytest.skip("every filter of the small study answers somewhere")
    visit(app, "Filter", unit=str(dead.iloc[0]))
    assert "was never active" in said(app)


def test_studies_are_compared(app: AppTest, home: Path) -> None:
    shutil.copytree(home / "studies" / "small", home / "studies" / "spare")
    visit(app, "Studies")
    app.session_state["studies"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    app.run()
    shutil.rmtree(home / "studies" / "spare")
    assert "0 settings differ" in said(app)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rules.parquet", b"", "rules.parquet is missing or incomplete"),
        ("build.json", b"{", "build.json cannot be read"),
        ("study.json", b"{", "study.json cannot be read"),
    ],
)
def test_a_broken_study_gets_a_sentence_and_can_be_deleted(
    app: AppTest, home: Path, name: str, content: bytes, sentence: str
) -> None:
    broken = home / "studies" / "broken"
    shutil.copytree(home / "studies" / "small", broken)
    (broken / name).write_bytes(content)
    visit(app, "Studies")
    assert sentence in said(app)
    assert len(app.dataframe[0].value) == 1, "the sound one is shown"
    app.button(key="delete-broken").click().run()
    assert broken.exists(), "it is asked first"
    app.button(key="delete-broken").click()  # a dialog is open only in a run of its button here
    app.button(key="delete-now").click().run()
    assert not broken.exists()
    assert "broken is deleted" in said(app)


def chosen(app: AppTest) -> AppTest:
    """The Studies page with the small study opened."""
    visit(app, "Studies")
    app.session_state["studies"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    return app.run()


def test_an_open_study_counts_the_patches_that_images_kept(app: AppTest, home: Path) -> None:
    images = Study(home / "studies" / "small").table("images")
    chosen(app)
    table = next(frame.value for frame in app.dataframe if "Patches" in frame.value and "Images" in frame.value
                 and "Study" not in frame.value)  # fmt: skip
    counts = images["patches"].value_counts()
    assert dict(zip(table["Patches"], table["Images"], strict=True)) == counts.to_dict()
    assert "no longer in" not in said(app)


def test_images_that_are_gone_are_said(app: AppTest, home: Path) -> None:
    flowers, away = home / "flowers", home / "away"
    first = Study(home / "studies" / "small").table("images")["path"][0]
    (flowers / first).rename(home / "one.png")
    chosen(app)
    some = said(app)
    (home / "one.png").rename(flowers / first)
    flowers.rename(away)
    app.run()
    every = said(app)
    away.rename(flowers)
    assert f"1 of its 60 images are no longer in {flowers}: {first}" in some
    assert f"Its images are no longer in {flowers}; the study shows its own small copies" in every
    assert "no longer in" not in said(app.run())


def test_images_that_were_not_read_are_listed_and_not_counted(
    app: AppTest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "flowers", tmp_path / "flowers")
    first = next(iter(sorted((tmp_path / "flowers").iterdir())))
    (first / "0.png").write_bytes(b"no picture")
    (first / "0.heic").write_bytes(b"x")
    config = StudyConfig(
        "flowers-double-12c", str(tmp_path / "flowers"), patches=PatchConfig(count=2, draws=50), limit=12
    )
    build_study(config, tmp_path / "studies" / "few")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Filter")
    assert "of 11 images where it answers" in said(app)
    chosen(app)
    assert any(box.label == "Images that could not be read: 1" for box in app.expander)
    assert "Left out of the folder: .heic files, which cannot be read (1)." in said(app)


def test_a_new_study_is_checked_before_it_is_built(app: AppTest, home: Path) -> None:
    visit(app, "Studies")
    app.text_input(key="new-folder").set_value(str(home / "nowhere")).run()
    next(button for button in app.button if button.label == "Check").click().run()
    assert app.error
    app.text_input(key="new-folder").set_value(str(home / "flowers")).run()
    app.selectbox(key="new-model").set_value("flowers-double-12c").run()
    next(button for button in app.button if button.label == "Check").click().run()
    assert "60 images" in said(app)
    assert "model passes" in said(app)
    assert any(button.label == "Build" for button in app.button)


def test_bundled_studies_are_where_the_core_says() -> None:
    from pages.ui import shelf

    kept: Any = shelf.BUNDLED
    assert kept == core.study.BUNDLED
