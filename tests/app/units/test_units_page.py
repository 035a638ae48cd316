"""The page Units: its strip of layers, its views and filters, and what is done with selected units."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.flowers import write
from core.errors import Unsupported
from core.models import load
from core.study import BUNDLED, Study
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.dissection import categories, summary
from core.units.overview import Profiles, projected
from core.units.store import UnitStore
from core.units.visualisation import Visualisation, channel, invert, maximise
from core.workbench import Workbench
from tests.mine_pages import charts, looked_at, said, visit
from tests.packets import packets
from tests.pages_list import SCRIPT
from tests.waiting import until

MODEL, LAYERS = "flowers-double-12c", ("relu3", "relu4")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a user who has analysed two layers."""
    folder = tmp_path_factory.mktemp("home")
    write("double-12c", folder / "flowers", per_class=1)
    for name in ("activating", "dissection", "profiles", "relevance"):
        config = UnitsConfig(analysis=name, model=MODEL, data=str(folder / "flowers"), layers=LAYERS)
        build_analysis(config, folder / "units" / name)
    return folder


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setenv("VITRINE_HOME", str(home))
    monkeypatch.setattr("pages.ui.units.analyses.BUNDLED", home / "none")
    yield from opened()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user without analyses, and without the bundled ones."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr("pages.ui.units.analyses.BUNDLED", tmp_path / "none")
    yield from opened()


def opened() -> Iterator[AppTest]:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def strip(app: AppTest) -> dict[str, Any]:
    """The data of the strip of layers."""
    (part,) = [one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_layer_strip"]
    data: dict[str, Any] = json.loads(part.proto.json)
    return data


def grid(app: AppTest) -> dict[str, Any]:
    return next(one for one in packets(app, "patch_gallery") if one["label"].startswith("Units of"))


def pick(app: AppTest, *units: int) -> None:
    """Select these units in the grid."""
    app.session_state["units-grid"] = {"selected": list(units)}
    app.run()


def test_the_layer_of_a_study_shows_what_the_study_knows(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL)
    study = Study(BUNDLED / MODEL)
    profiles, facts = Profiles.of_study(study), study.table("filters")
    assert profiles
    assert bare.title[0].value == "Units of relu4"
    shown = grid(bare)
    live = np.flatnonzero(~profiles.dead).tolist()
    assert shown["ids"] == live
    assert shown["titles"] == [f"F{unit}" for unit in live]
    assert shown["notes"][0] == profiles.classes[profiles.best[live[0]]]
    known = dict(shown["facts"])
    assert known["Patches"] == [f"{facts['patches'][unit]:,} of the study" for unit in live]
    assert [name for name, _ in shown["facts"]] == ["Class", "Selectivity", "Patches", "Rules"]  # and nothing else
    assert "Known from the study" in said(bare)
    bare.toggle(key="units.dead").set_value(True).run()
    assert grid(bare)["ids"] == list(range(128))


def test_the_strip_names_all_layers_in_order_and_opens_another(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL)
    survey = load(MODEL).survey
    layers = [layer for group in strip(bare)["groups"] for layer in group["layers"]]
    assert [layer["name"] for layer in layers] == [layer.name for layer in survey.usable]
    assert [layer["units"] for layer in layers] == [layer.units for layer in survey.usable]
    assert [group["size"] for group in strip(bare)["groups"]] == ["128 × 128", "64 × 64", "32 × 32", "16 × 16"]
    assert [layer["name"] for layer in layers if layer["note"] == "study"] == ["relu4"]
    bare.selectbox(key="units.layer").set_value("conv2").run()
    assert strip(bare)["chosen"] == "conv2"
    assert bare.query_params["layer"] == "conv2"
    assert len(grid(bare)["ids"]) == 32
    assert bare.title[0].value == "Units of conv2"


def test_a_layer_without_analyses_has_its_maps_of_the_current_image(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL, layer="conv2")
    maps = Workbench(load(MODEL)).activations(looked_at(bare), "conv2").numpy()
    order = np.argsort(-maps.max((1, 2)), kind="stable").tolist()
    shown = grid(bare)
    assert shown["ids"] == order
    assert [float(note) for note in shown["notes"][:5]] == pytest.approx(maps.max((1, 2))[order[:5]], rel=5e-3)
    offers = [box.label for box in bare.expander if box.label.startswith("Compute")]
    assert len(offers) == 4
    assert "Known from" not in said(bare)


def test_a_model_without_a_study(bare: AppTest) -> None:
    visit(bare, "Units", model="flowers-single-6c", study="none")
    assert bare.title[0].value == "Units of relu4"
    assert "study" not in {layer["note"] for group in strip(bare)["groups"] for layer in group["layers"]}
    assert grid(bare)["ids"]
    pick(bare, grid(bare)["ids"][0])
    assert "There are no patches of these units yet" in said(bare)


def test_analyses_join_in_the_grid_and_in_the_table(app: AppTest, home: Path) -> None:
    visit(app, "Units", study=MODEL, layer="relu3")
    stores = {one.analysis.name: one for one in map(UnitStore, sorted((home / "units").iterdir()))}
    units = stores["activating"].tables["units"].query("layer == 0")
    shown = grid(app)
    assert shown["ids"] == units.loc[~units["dead"], "unit"].tolist()
    assert [name for name, _ in shown["facts"]] == [
        "Maximum",
        "Class",
        "Selectivity",
        "Concept",
        "Relevant for",
    ]
    assert not [box for box in app.expander if box.label.startswith("Compute")]
    app.selectbox(key="units.sort").set_value("highest").run()
    ranked = units[~units["dead"]].sort_values(["highest", "unit"], ascending=[False, True])
    assert grid(app)["ids"] == ranked["unit"].tolist()
    app.segmented_control(key="units.show").set_value("table").run()
    frame = app.dataframe[0].value
    assert frame["Unit"].tolist() == [f"F{unit}" for unit in shown["ids"]]
    dissected = stores["dissection"].tables
    own = dissected["units"].query("layer == 0").set_index("unit").loc[shown["ids"]]
    assert frame["IoU"].tolist() == pytest.approx(own["iou"].tolist())
    assert "Rules" not in frame


def test_a_dissected_layer_has_its_report(app: AppTest, home: Path) -> None:
    visit(app, "Units", study=MODEL, layer="relu3")
    store = UnitStore(home / "units" / "dissection")
    row = summary(store.tables, store.array("draws")).iloc[0]
    words = said(app)
    assert f"{row['detectors']} of {row['live']} live units are detectors: {row['share']:.1%}" in words
    assert f"({row['share_low']:.1%} to {row['share_high']:.1%})" in words
    assert f"They detect {row['unique']} different concepts ({row['unique_low']:.0f} to" in words
    counts = categories(store.tables).query("layer == 'relu3'")
    units, concepts = charts(app)[-1]
    assert units["y"] == counts["category"].tolist()
    assert decoded(units["x"]) == counts["detectors"].tolist()
    assert decoded(concepts["x"]) == counts["unique"].tolist()
    assert {"detectors-csv", "detectors-png", "detectors-svg"} <= {one.key for one in app.get("download_button")}
    assert any("vitrine units dissect" in code.value for code in app.code)


def test_a_dissection_of_an_earlier_version_has_no_intervals(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnitStore, "known_array", lambda self, name: None)
    visit(app, "Units", study=MODEL, layer="relu3")
    words = said(app)
    assert "live units are detectors" in words
    assert "Intervals are missing, as an earlier version" in words
    assert "nan" not in words


def test_similar_units_come_first(app: AppTest, home: Path) -> None:
    visit(app, "Units", study=MODEL, layer="relu3", sort="likeness", like="5")
    profiles = Profiles.of_store(UnitStore(home / "units" / "profiles"), "relu3")
    assert profiles
    likeness = np.nan_to_num(profiles.likeness(5), nan=-2)
    shown = grid(app)["ids"]
    assert shown[0] == 5
    assert [likeness[unit] for unit in shown] == sorted((likeness[unit] for unit in shown), reverse=True)


def test_filters_by_text_and_by_what_is_known(app: AppTest, home: Path) -> None:
    visit(app, "Units", study=MODEL, layer="relu3")
    every = grid(app)["ids"]
    tables = UnitStore(home / "units" / "dissection").tables
    units = tables["units"].query("layer == 0")
    app.segmented_control(key="units.which").set_value("concept").run()
    assert grid(app)["ids"] == units.loc[units["detector"] & ~units["dead"], "unit"].tolist()
    app.segmented_control(key="units.which").set_value("all").run()
    app.text_input(key="units.find").set_value("F12").run()
    assert grid(app)["ids"] == [12]
    app.text_input(key="units.find").set_value("no such class").run()
    assert "No unit matches" in said(app)
    app.button(key="units-clear").click().run()
    assert grid(app)["ids"] == every
    app.text_input(key="units.find").set_value("RED").run()
    found = dict(grid(app)["facts"])
    assert 0 < len(found["Class"]) < len(every)
    assert all(
        "red" in " ".join(texts)
        for texts in zip(*(found[k] for k in ("Class", "Concept", "Relevant for")), strict=True)
    )


def test_the_map_has_a_point_for_every_unit_with_a_profile(app: AppTest, home: Path) -> None:
    visit(app, "Units", study=MODEL, layer="relu3", show="map")
    profiles = Profiles.of_store(UnitStore(home / "units" / "profiles"), "relu3")
    assert profiles
    places = projected(profiles)
    drawn = {
        unit: (x, y)
        for trace in charts(app)[0]
        for unit, x, y in zip(*(decoded(trace[k]) for k in ("customdata", "x", "y")), strict=True)
    }
    assert set(drawn) == set(places.units.tolist())
    for unit, place in zip(places.units.tolist(), places.places, strict=True):
        assert drawn[unit] == pytest.approx(tuple(place))
    assert [one.label for one in app.get("download_button")][:2] == ["PNG", "SVG"]


def decoded(values: Any) -> list[float]:
    """The numbers of a trace, which plotly may write in base64."""
    if isinstance(values, dict):
        import base64

        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return list(values)


def test_a_layer_without_profiles_says_what_the_map_needs(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL, layer="conv2", show="map")
    assert "Compute class profiles below" in said(bare)


def test_several_units_are_ablated_and_compared(app: AppTest) -> None:
    visit(app, "Units", study=MODEL, layer="relu3")
    chosen = [0, 5, 9]
    pick(app, *chosen)
    assert "Selected: F0 + F5 + F9" in [box.value.replace("&#43;", "+").replace("&#58;", ":") for box in app.header]
    side = next(one for one in packets(app, "patch_gallery") if one["label"].startswith("Patches with"))
    assert [name for name, _ in side["groups"]] == ["F0", "F5", "F9"]
    code = next(one.value for one in app.code if "visualise" in one.value).splitlines()
    assert code[1] == f"vitrine units visualise {MODEL} --target relu3:5 --out relu3-F5"
    app.toggle(key="off-units").set_value(True).run()
    bench, picture = Workbench(load(MODEL)), looked_at(app)
    after = bench.without(picture, "relu3", chosen)
    bars = charts(app)[0]
    ablated = bars[1]
    labels = bench.model.labels
    for name, value in zip(ablated["y"], decoded(ablated["x"]), strict=True):
        assert value == pytest.approx(float(after[labels.index(name)]), abs=1e-6)
    assert any(abs(a - b) > 1e-6 for a, b in zip(decoded(bars[0]["x"]), decoded(bars[1]["x"]), strict=True))


@pytest.mark.usefixtures("session")  # with a cache of its own
def test_selected_units_are_visualised_side_by_side_and_on_their_pages(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(model: Any, objective: Any, **settings: Any) -> Visualisation:
        if int(objective.target.indices[0]) == 9:
            raise Unsupported("Its gradient is zero.", "Choose another unit.")
        return maximise(model, objective, **settings)

    monkeypatch.setattr("pages.ui.units.visualisations.MAXIMISATIONS", {"fourier": {"steps": 3}})
    monkeypatch.setattr("pages.ui.units.visualisations.maximise", made)
    visit(app, "Units", study=MODEL, layer="relu3")
    pick(app, 0, 5, 9)
    app.button(key="visualised-several-start").click().run()
    until(lambda: "visualised-several-npz" in [one.key for one in app.run().get("download_button")])
    shown = html.unescape(str([one.proto for one in app.get("image")]))
    for unit in (0, 5):
        response = maximise(load(MODEL), channel("relu3", unit), steps=3).responses[0]
        assert f"F{unit}: 3 steps; mean activation {response:.3g}" in shown
        assert f"An image made by optimisation that relu3 · F{unit} responds to strongly" in shown
    assert "F9: Its gradient is zero. Choose another unit." in said(app)
    assert not [one for one in app.button if one.key == "visualised-several-again"], "nothing is left to do"
    visit(app, "Filter", study=MODEL, layer="relu3", unit="5")
    assert "3 steps; mean activation" in said(app)


def stopped_with_pictures(app: AppTest, part: str, title: str) -> None:
    """Start the work of a part of the page, and stop it once there are pictures."""
    app.button(key=f"{part}-start").click().run()
    _, job = app.session_state["on demand"][part]
    until(lambda: app.session_state["pictures so far"][part])
    app.run().button(key=f"stop-{title}").click().run()
    until(lambda: not job.running)
    app.run()


@pytest.mark.usefixtures("session")  # with a cache of its own
def test_units_visualised_before_a_stop_are_kept(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ui.units.visualisations.MAXIMISATIONS", {"fourier": {"steps": 5000}})
    visit(app, "Units", study=MODEL, layer="relu3")
    pick(app, 0, 5)
    stopped_with_pictures(app, "visualised-several", "Feature visualisation")
    assert "of 5,000 steps; mean activation" in said(app)
    app.button(key="visualised-several-again").click().run()
    assert [one.label for one in app.button if one.key == "visualised-several-start"] == ["Visualise 2 units"]


@pytest.mark.usefixtures("session")
def test_the_current_image_is_inverted_at_a_layer_with_several_restarts(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL, layer="relu2")
    assert bare.number_input(key="inversion-restarts").value == 3
    bare.selectbox(key="inversion-preset").set_value("adam")
    bare.number_input(key="inversion-restarts").set_value(2)
    bare.number_input(key="set.invert.steps").set_value(4).run()
    bare.button(key="inversion-start").click().run()
    until(lambda: "inversion-npz" in [one.key for one in bare.run().get("download_button")])
    bench, picture = Workbench(load(MODEL)), looked_at(bare)
    found = invert(
        bench.model, bench.inputs(picture)[0], "relu2", optimiser="adam", rate=0.02, steps=4, restarts=2
    )  # fmt: skip
    shown = html.unescape(str([one.proto for one in bare.get("image")]))
    for number, errors in enumerate(found.errors, 1):
        assert f"Restart {number}: error {errors[-1]:.3g}" in shown
        assert f"Restart {number} of an image that relu2 encodes like {picture.name}" in shown
    assert "The current image" in shown
    command = next(one.value for one in bare.code if "units invert" in one.value)
    assert command == (
        f"vitrine units invert {MODEL} --image {picture.name} --layers relu2 --preset adam --set steps=4 "
        "--set restarts=2 --out relu2-inversion"
    )


@pytest.mark.usefixtures("session")
def test_an_inversion_that_is_stopped_keeps_its_pictures_and_another_layer_has_its_own(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL)
    bare.number_input(key="set.invert.steps").set_value(5000).run()
    stopped_with_pictures(bare, "inversion", "Inversion")
    assert "Stopped in restart 1 of 3. The error is the squared distance of both encodings at relu4" in said(bare)
    head = next(layer.name for layer in load(MODEL).survey.layers if layer.layout == "vector")
    bare.selectbox(key="inversion-layer-relu4").set_value(head).run()
    assert "Stopped in restart" not in said(bare)
    bare.number_input(key="set.invert.steps").set_value(2).run()
    bare.button(key="inversion-start").click().run()
    until(lambda: f"both encodings at {head}" in said(bare.run()))


def test_an_inversion_that_is_impossible_is_a_sentence(bare: AppTest) -> None:
    visit(bare, "Units", study=MODEL)
    bare.number_input(key="set.invert.neighbourhood").set_value(99).run()
    bare.button(key="inversion-start").click().run()
    until(lambda: "too few for a neighbourhood of 99" in said(bare.run()))


def test_rows_of_the_table_are_selected_too(app: AppTest) -> None:
    visit(app, "Units", study=MODEL, layer="relu3", show="table")
    frame = app.dataframe[0]
    app.session_state[frame.key] = {"selection": {"rows": [1, 2], "columns": [], "cells": []}}
    app.run()
    units = frame.value["Unit"].tolist()
    assert f"Selected: {units[1]} + {units[2]}" in said(app)


def test_one_selection_lasts_over_the_views_and_is_in_the_address(app: AppTest) -> None:
    visit(app, "Units", study=MODEL, layer="relu3")
    pick(app, 5, 9)
    assert app.query_params["picked"] == "5,9"

    def shows(view: str) -> AppTest:
        app.segmented_control(key="units.show").set_value(view).run()
        assert "Selected: F5 + F9" in said(app), view
        return app

    table = shows("table").dataframe[0]
    assert [table.value["Unit"].iloc[row] for row in selected_rows(app)] == ["F5", "F9"]
    assert ringed(shows("map")) == ["F5", "F9"]
    assert grid(shows("grid"))["selected"] == [5, 9]
    frame = shows("table").dataframe[0]
    units = frame.value["Unit"].tolist()
    app.session_state[frame.key] = {"selection": {"rows": [units.index("F9")], "columns": [], "cells": []}}
    app.run()
    assert "Selected: F9" in said(app)
    assert app.query_params["picked"] == "9"
    app.segmented_control(key="units.show").set_value("map").run()
    assert ringed(app) == ["F9"]
    app.button(key="units-deselect").click().run()
    assert "Selected:" not in said(app)
    assert "picked" not in app.query_params
    app.segmented_control(key="units.show").set_value("table").run()
    assert selected_rows(app) == []


def selected_rows(app: AppTest) -> list[int]:
    """The rows that the table shows as selected at first."""
    rows: list[int] = json.loads(app.dataframe[0].proto.selection_default)["selection"]["rows"]
    return rows


def ringed(app: AppTest) -> list[str]:
    """The names of the units that the map marks."""
    return [name for trace in charts(app)[0] if trace["name"] == "picked" for name in trace["text"]]


def test_an_address_selects_units_and_another_layer_has_none(app: AppTest) -> None:
    visit(app, "Units", study=MODEL, layer="relu3", picked="9,F5")
    assert "Selected: F9 + F5" in said(app)
    app.selectbox(key="units.layer").set_value("relu4").run()
    assert "Selected:" not in said(app)
    assert "picked" not in app.query_params


def test_an_address_of_no_unit_selects_none_and_says_so(app: AppTest) -> None:
    visit(app, "Units", study=MODEL, layer="relu3", picked="5,99")
    app.run()
    assert "There is no unit called '99'" in said(app)
    assert "Selected:" not in said(app)


def test_an_address_names_no_more_units_than_it_may(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ui.units.selection.MOST", 3)
    visit(app, "Units", study=MODEL, layer="relu3")
    pick(app, 0, 1, 5, 9)
    assert app.query_params["picked"] == "0,1,5"
    assert "names the first 3 of 4" in said(app)
    app.segmented_control(key="units.show").set_value("table").run()
    assert "Selected: F0 + F1 + F5 + F9" in said(app)


@pytest.mark.parametrize(
    ("layer", "problem"),
    [("nowhere", "There is no layer called 'nowhere'"), ("head", "has no spatial positions")],
)
def test_a_layer_that_cannot_be_shown_is_one_sentence(bare: AppTest, layer: str, problem: str) -> None:
    visit(bare, "Units", study=MODEL, layer=layer)
    bare.run()
    assert problem in said(bare)
    assert bare.title[0].value == "Units of relu4"


def test_a_network_of_many_layers_shows_those_outside_blocks_first(bare: AppTest) -> None:
    visit(bare, "Units", model="efficientnet_lite0", study="none")
    first = [layer["name"] for group in strip(bare)["groups"] for layer in group["layers"]]
    assert "stage3" in first
    assert len(first) < 45
    bare.toggle(key="units.every").set_value(True).run()
    every = [layer["name"] for group in strip(bare)["groups"] for layer in group["layers"]]
    assert every == [layer.name for layer in load("efficientnet_lite0").survey.usable]


def test_a_tile_opens_the_filter(app: AppTest) -> None:
    visit(app, "Units", study=MODEL)
    app.session_state["units-grid"] = {"opened": {"action": "unit", "id": 7}}
    app.run()
    assert app.query_params["unit"] == "7"
    assert "F7" in app.title[0].value
