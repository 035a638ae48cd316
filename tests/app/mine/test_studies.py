"""The page Studies: opened, compared, broken and new ones."""

import json
import re
import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data.samples import samples
from core.models.sources.flower_networks import FOLDER
from core.study import Study
from core.study.build import build_study, config_of
from core.study.config import PatchConfig, StudyConfig
from pages.ui.session import builds
from tests.mine_pages import said, visit


def test_studies_are_compared(app: AppTest, home: Path) -> None:
    shutil.copytree(home / "studies" / "small", home / "studies" / "spare")
    visit(app, "Studies")
    app.session_state["studies"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    app.run()
    assert "0 settings differ" in said(app)
    manifest = json.loads((home / "studies" / "spare" / "study.json").read_text())
    manifest["config"]["patches"]["tau"] = 0.2
    (home / "studies" / "spare" / "study.json").write_text(json.dumps(manifest))
    app.run()
    shutil.rmtree(home / "studies" / "spare")
    assert "1 setting differs" in said(app)
    table = next(frame.value for frame in app.dataframe if "Setting" in frame.value)
    assert table.to_dict("records") == [{"Setting": "patches.tau", "small": "0.1", "spare": "0.2"}]


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
    assert "broken was deleted" in said(app)


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


def test_an_open_study_has_a_report(app: AppTest) -> None:
    offers = [one.label for one in chosen(app).get("download_button")]
    assert offers == ["Report"]


@pytest.mark.usefixtures("session")
def test_the_report_has_the_ablation_that_was_shown_last(app: AppTest) -> None:
    def words() -> str:
        (offer,) = chosen(app).get("download_button")
        return str(offer.proto.help)

    before = words()
    visit(app, "Rules", study="small", show="ablation", support="0.7")
    other = words()
    app.query_params.pop("support", None)
    visit(app, "Rules", study="small", show="ablation", support="0.6")
    assert ["With the ablation" in said for said in (before, other, words())] == [False, False, True]
    assert "An ablation run on Rules, with the study's own settings, is added" in other


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
    app.toggle(key="show-paths").set_value(True).run()
    asked_for = said(app)
    away.rename(flowers)
    assert f"1 of its 60 images are not in …/flowers: {first}" in some
    assert "Its images are not in …/flowers; the study's thumbnails are shown" in every
    assert str(home) not in every
    assert f"Its images are not in {flowers}; the study's thumbnails are shown" in asked_for
    assert "are not in" not in said(app.run())


def test_images_that_were_not_read_are_listed_and_not_counted(
    app: AppTest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "flowers", tmp_path / "flowers")
    first = next(iter(sorted((tmp_path / "flowers").iterdir())))
    (first / "0.png").write_bytes((first / "0.png").read_bytes()[:200])
    (first / "0.heic").write_bytes(b"\0\0\0\x14ftypheic\0\0\0\0mif1")
    config = StudyConfig(
        "flowers-double-12c", str(tmp_path / "flowers"), patches=PatchConfig(count=2, draws=50), limit=12
    )
    build_study(config, tmp_path / "studies" / "few")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Filter")
    assert "of 11 images where it is active" in said(app)
    chosen(app)
    assert any(box.label == "Images that could not be read: 1" for box in app.expander)
    assert "Left out: HEIC images, which are not read (0.heic): 1." in said(app)


def test_a_new_study_is_checked_before_it_is_built(app: AppTest, home: Path) -> None:
    visit(app, "Studies")
    app.text_input(key="new-folder").set_value(str(home / "nowhere")).run()
    next(button for button in app.button if button.label == "Check").click().run()
    assert app.error
    app.text_input(key="new-folder").set_value(str(home / "flowers")).run()
    app.selectbox(key="new-model").set_value("flowers-double-12c").run()
    next(button for button in app.button if button.label == "Check").click().run()
    assert "60 images" in said(app)
    assert re.search(r"on this server: [\d,]+ forward \+ [\d,]+ backward\.", said(app))
    assert any(button.label == "Build" for button in app.button)


@pytest.mark.parametrize("given", ["form", "app"])
def test_a_study_built_here_of_own_weights_has_the_class_names_that_were_given(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    name, labels = f"flowers:{tmp_path / 'own.safetensors'}", tmp_path / "labels.txt"
    shutil.copy(FOLDER / "flowers-single-6c.safetensors", tmp_path / "own.safetensors")
    labels.write_text("\n".join(f"sort {index}" for index in range(6)))
    for index in range(2):
        (tmp_path / "images" / f"sort {index}").mkdir(parents=True)
        shutil.copy(samples()[index].path, tmp_path / "images" / f"sort {index}" / "one.png")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setenv("VITRINE_MODEL", name)
    if given == "app":
        monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"labels": str(labels)}))
    visit(app, "Studies")
    assert app.selectbox(key="new-model").value == name
    app.text_input(key="new-folder").set_value(str(tmp_path / "images"))
    app.text_input(key="new-name").set_value("named")
    if given == "form":
        app.text_input(key="set.study.labels").set_value(str(labels))
    app.run()
    next(button for button in app.button if button.label == "Check").click().run()
    assert "2 images, layer" in said(app), "both folders are named like a class of the file"
    next(button for button in app.button if button.label == "Build").click().run()
    (build,) = (one for one in builds.builds() if one.path == tmp_path / "studies" / "named")
    assert build.job.wait(60)
    assert build.job.error is None
    study = Study(tmp_path / "studies" / "named")
    assert study.labels == tuple(f"sort {index}" for index in range(6))
    assert study.table("images")["label"].tolist() == [0, 1]
    assert config_of(study).labels == str(labels)
