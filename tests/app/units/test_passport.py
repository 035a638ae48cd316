"""The page Filter: one unit of a study's layer, of another layer, and of a model without a study."""

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.samples import samples
from core.errors import StudyError
from core.export.spreadsheet import as_csv
from core.models import load
from core.study import BUNDLED, Study
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.folder_images import FolderImages
from core.units.passport.audit import AuditSheet, Mark
from core.units.passport.effect import effect_on_folder, effect_on_study
from core.units.relevance import ClassUnit, average_visualisations
from core.units.resampling import METRICS, resample
from core.units.store import UnitStore
from core.workbench import Workbench
from tests.mine_pages import looked_at, said, visit
from tests.packets import packets
from tests.pages_list import SCRIPT
from tests.planted_units import planted_images
from tests.waiting import until

MODEL, LAYER = "flowers-double-12c", "relu3"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled examples of the model, in folders by class."""
    folder = tmp_path_factory.mktemp("photos")
    for one in samples():
        if one.model == MODEL:
            (folder / one.label).mkdir(exist_ok=True)
            shutil.copy(one.path, folder / one.label)
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """The folder of a user who has the three analyses of one layer."""
    folder, model = tmp_path_factory.mktemp("home"), load(MODEL)
    masked = planted_images(10).write(folder / "planted")
    for analysis, data, layers in (
        ("activating", photos, (LAYER,)),
        ("dissection", masked, (LAYER,)),
        ("relevance", photos, ("norm3",)),
    ):
        config = UnitsConfig(analysis=analysis, model=MODEL, data=str(data), layers=layers)
        build_analysis(config, folder / "units" / analysis, model=model)
    return folder


@pytest.fixture
def app(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    shutil.copytree(home / "units", tmp_path / "units")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr("pages.ui.units.analyses.BUNDLED", tmp_path / "none")
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def tables(app: AppTest) -> dict[str, Any]:
    """The tables of the page by their first column's heading and number of columns."""
    return {" ".join(map(str, table.value.columns[:2])): table.value for table in app.dataframe}


def test_a_unit_of_the_studys_layer_has_its_facts_in_one_sentence(app: AppTest) -> None:
    study, number = Study(BUNDLED / MODEL), 3
    visit(app, "Filter", study=MODEL, unit=str(number))
    held = (study.array("items") == number).any(1)
    effect = effect_on_study(study, load(MODEL), "relu4", number).per_class
    first = effect.iloc[0]
    assert effect["accuracy"].sum() == effect["accuracy_without"].sum(), "else the sentence is of accuracy"
    words = said(app)
    assert f"Among the strongest filters in {held.sum()} of {len(held)} patches" in words
    lost = f"ablating it costs {first['name']} {-100 * first['change']:.0f} points of probability"
    assert f"mostly blue-stem; {lost}. Used by the rules of blue-stem." in words
    assert tables(app)["Class Images"]["Change"].tolist() == pytest.approx(effect["change"].tolist())
    assert "has not been dissected" in words, "the analyses are of another layer"


def test_a_unit_of_another_layer_is_shown_by_its_analyses(app: AppTest, home: Path) -> None:
    stores = {name: UnitStore(home / "units" / name) for name in ("activating", "dissection", "relevance")}
    patches = stores["activating"].table("patches")
    number = int(patches["unit"].value_counts().index[0])
    own = patches[patches["unit"] == number]
    visit(app, "Filter", study=MODEL, layer=LAYER, unit=str(number))
    words = said(app)
    assert f"{LAYER} · F{number}" in words
    highest = float(stores["activating"].table("units")["highest"][number])
    images = len(stores["activating"].table("images"))
    assert f"Highest response {highest:.3g} in {images} images; {len(own)} strongest patches" in words
    (gallery,) = packets(app, "patch_gallery")
    assert gallery["titles"] == [f"response {value:.3g}" for value in own["value"]]
    assert f"The mean of the {len(own)} strongest patches of F{number}" in str([one.proto for one in app.get("image")])
    row = stores["dissection"].table("units").iloc[number]
    best = stores["dissection"].table("concepts")["name"][max(int(row["concept"]), 0)]
    assert (f"Detects {best}" in words) == bool(row["detector"])
    assert ("No concept reaches 0.04" in words) == (not row["detector"] and not row["dead"])
    weights = stores["relevance"].table("weights").query("unit == @number")
    assert ("Class Weight" in tables(app)) == bool(len(weights))
    assert ("Those of norm3, from whose channels relu3" in words) is True
    model = Workbench(load(MODEL))
    here = float(model.activations(looked_at(app), LAYER)[number].max())
    assert (f"Maximum {here:.3g} in this image" in words) == (here > 0)


@pytest.mark.parametrize("dead", [True, False])
def test_only_a_dead_unit_is_said_to_be_dead(app: AppTest, home: Path, dead: bool) -> None:
    units = UnitStore(home / "units" / "activating").table("units")
    number = int(units.index[units["dead"] == dead][0])
    visit(app, "Filter", layer=LAYER, unit=str(number))
    assert ("Dead: its response is 0 everywhere in all" in said(app)) == dead
    assert ("is active in none of the images" in said(app)) == dead


def test_a_model_without_a_study(app: AppTest) -> None:
    visit(app, "Filter", study="none", layer="relu2", unit="31")
    words = said(app)
    assert "relu2 · F31" in words
    assert "They have not been found for this layer yet" in words
    assert "The mu-lasso has not been computed" in words
    assert next(button for button in app.button if button.label == "Next").disabled
    app.selectbox(key="unit.layer").set_value("relu1").run()
    assert "relu1 · F15" in said(app), "the nearest unit of the smaller layer"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"layer": "relu9"}, "This link"),
        ({"layer": LAYER, "unit": "99"}, f"{LAYER} has no F99: its filters are F0 to F63"),
        ({"unit": "petal"}, "There is no filter called 'petal'"),
    ],
)
def test_an_address_of_nothing_is_a_sentence(app: AppTest, query: dict[str, str], words: str) -> None:
    visit(app, "Filter", study=MODEL, **query)
    assert words in said(app)
    assert app.title[0].value


def test_a_model_that_cannot_be_opened_leaves_what_the_study_stores(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(study: Study) -> None:
        raise StudyError("The weights cannot be found.", "Say where they are.")

    monkeypatch.setattr("pages.ui.study.open_study.model", missing)
    visit(app, "Filter", study=MODEL, unit="3")
    words = said(app)
    assert "Among the strongest filters in" in words
    assert "The weights cannot be found. Say where they are" in words
    assert words.count("cannot be opened") >= 5


def test_ablation_on_a_folder_is_that_of_the_core(app: AppTest, photos: Path) -> None:
    visit(app, "Filter", study=MODEL, layer=LAYER, unit="43")
    app.text_input(key="unit-effect-data").set_value(str(photos)).run()
    app.button(key="effect-start").click().run()
    until(lambda: "Class Images" in tables(app.run()))
    expected = effect_on_folder(load(MODEL), LAYER, 43, photos).per_class
    shown = tables(app)["Class Images"]
    assert shown["Class"].tolist() == expected["name"].tolist()
    assert shown["Change"].tolist() == pytest.approx(expected["change"].tolist(), abs=1e-6)
    assert "ablating it costs" in said(app)


def test_resampling_ranks_the_unit_among_those_of_its_convolution(app: AppTest) -> None:
    visit(app, "Filter", study=MODEL, layer=LAYER, unit="43")
    app.button(key="resampled-start").click().run()
    until(lambda: "Metric Score" in tables(app.run()))
    bench, picture = Workbench(load(MODEL)), looked_at(app)
    found = resample(bench.query(picture, bench.target(picture)), ["conv3"])
    shown = tables(app)["Metric Score"].set_index("Metric")
    for name, metric in METRICS.items():
        scores = found.scores[name]["conv3"]
        assert shown["Score"][metric.title] == pytest.approx(scores[43], rel=1e-3)
        assert shown["Rank"][metric.title] == 1 + int(np.sum(scores > scores[43]))


def test_what_a_unit_responds_to_is_averaged_by_class(app: AppTest, home: Path, photos: Path) -> None:
    store = UnitStore(home / "units" / "relevance")
    weights = store.table("weights").query("weight > 0")
    number = int(weights["unit"].value_counts().index[0])
    labels = weights.loc[weights["unit"] == number, "label"].tolist()
    wanted = [ClassUnit(label, "norm3", number) for label in labels]
    model = load(MODEL)
    expected = average_visualisations(model, FolderImages(str(photos), model), wanted)
    visit(app, "Filter", study=MODEL, layer=LAYER, unit=str(number))
    app.button(key="averages-start").click().run()
    until(lambda: "averages-contrast" in [one.key for one in app.run().toggle])
    shown = html.unescape(str([one.proto for one in app.get("image")]))
    for one in expected:
        assert f"{model.labels[one.of.label]}, n = {one.images}" in shown
    command = next(code.value for code in app.code if "units averages" in code.value)
    assert f"--unit norm3:{number}" in command
    assert {"averages-png", "averages-npz"} <= {one.key for one in app.get("download_button")}


def test_patches_are_compared_on_demand(app: AppTest) -> None:
    visit(app, "Filter", study=MODEL, unit="3")
    app.button(key="alike-start").click().run()
    until(lambda: "Clarity" in said(app.run()) and "Most similar unit" in said(app))
    assert "; chance " in said(app)


def test_a_visualisation_is_started_stopped_and_kept(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    presets = {"fourier": {"steps": 5000}}
    monkeypatch.setattr("pages.ui.units.visualisations.MAXIMISATIONS", presets)
    visit(app, "Filter", study=MODEL, layer=LAYER, unit="43")
    app.button(key="visualised-start").click().run()
    _, job = app.session_state["on demand"]["visualised"]
    until(lambda: app.session_state["pictures so far"]["visualised"])
    assert job.running
    app.run()
    stop = app.button(key="stop-Feature visualisation")
    assert job.note.endswith("of 5,000")
    stop.click().run()
    assert job.wait(60), "at the next step"
    app.run()
    assert "Stopped after " in said(app)
    assert "of 5,000 steps; mean activation" in said(app)
    command = next(code.value for code in app.code if "visualise" in code.value)
    assert f"vitrine units visualise {MODEL} --target {LAYER}:43 --out {LAYER}-F43" in command
    next(button for button in app.button if button.label == "Next").click().run()
    assert "Stopped after " not in said(app)
    next(button for button in app.button if button.label == "Previous").click().run()
    assert "Stopped after " in said(app), "kept by unit"
    app.button(key="visualised-again").click().run()
    assert "Stopped after " not in said(app)


def test_a_mark_is_kept_listed_exported_and_removed(app: AppTest, tmp_path: Path) -> None:
    study = Study(BUNDLED / MODEL)
    sheet = AuditSheet(tmp_path, study.manifest.model.sha)
    visit(app, "Filter", study=MODEL, unit="3")

    def mark(label: int, verdict: str, note: str) -> None:
        app.selectbox(key="audit-class").set_value(label)
        app.session_state["audit-mark"] = verdict
        app.text_input(key="audit-note").set_value(note)
        next(button for button in app.button if button.label == "Keep mark").click().run()

    mark(2, "unexpected", "the pot")
    assert sheet.marks() == (Mark(2, "relu4", 3, "unexpected", "the pot"),)
    assert tables(app)["Class Mark"].to_dict("records") == [
        {"Class": study.labels[2], "Mark": "unexpected", "Note": "the pot"}
    ]
    assert "the pot" in as_csv(sheet.table(study.labels))
    assert [one.label for one in app.get("download_button")].count("CSV") >= 1
    app.session_state["marks-relu4-3"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    app.button(key="audit-remove").click().run()
    assert sheet.marks() == ()
    assert "Class Mark" not in tables(app)


def test_damaged_marks_are_a_sentence(app: AppTest, tmp_path: Path) -> None:
    (tmp_path / "vitrine.sqlite").write_bytes(b"no database" * 400)
    visit(app, "Filter", study=MODEL, unit="3")
    assert "is damaged and cannot be read" in said(app)
    assert "Among the strongest filters in" in said(app)
