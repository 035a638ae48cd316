"""The pages Averages and Filter."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.mining.averages import average
from core.mining.rules import mine
from core.models import load
from core.study import Study
from core.study.build import config_of
from core.workbench import Workbench
from pages.ui.study import open_study
from tests import small_study
from tests.mine_pages import charts, looked_at, said, visit
from tests.packets import packets


def test_an_average_opens_its_patches(app: AppTest) -> None:
    visit(app, "Averages", average="0", top="3", contrast="1")
    words = said(app)
    assert "largest weight first" in words
    assert "fewer than 10 patches" in words
    assert app.slider(key="averages.top").value == 3


def test_averages_are_those_of_the_core_with_their_number_and_their_patches(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    table, mined = study.table("averages"), mine(study, config_of(study).mining)
    for uniform, top in ((False, 0), (True, 0), (False, 2)):
        pictures, rows, weights = open_study.averaged(study, uniform, top)
        for row in table.iloc[::9].itertuples():
            picture, patches, weight = average(study, mined, row.label, row.filter, uniform=uniform, top=top)
            assert pictures[row.average] == pytest.approx(picture, abs=1e-6)
            assert rows[row.average].tolist() == patches.tolist()
            if not uniform:
                assert (weight >= weights[row.average] - 1e-9).all(), "at least once"
    visit(app, "Averages", average="1", top="2")
    shown, behind = packets(app, "patch_gallery")
    order = table.assign(name=[study.labels[k] for k in table["label"]]).sort_values(
        ["label", "weight"], ascending=[True, False], kind="stable"
    )
    assert shown["ids"] == order["average"].tolist()
    assert shown["titles"] == [f"F{k}" for k in order["filter"]]
    assert shown["notes"] == [f"n = {min(count, 2)}, small n" for count in order["patches"]]
    assert shown["groups"] == [[name, len(part)] for name, part in order.groupby("name", sort=False)]
    assert behind["ids"] == open_study.averaged(study, False, 2)[1][1].tolist()
    app.toggle(key="averages.contrast").set_value(True).run()
    stretched = packets(app, "patch_gallery")[0]
    assert (stretched["ids"], stretched["notes"]) == (shown["ids"], shown["notes"])
    assert stretched["token"] != shown["token"], "the pictures are others"


def test_a_filter_shows_its_averages_its_answers_and_where_it_answers_here(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    number = int(study.table("edges")["filter"][0])
    visit(app, "Filter", unit=str(number))
    table = study.table("averages").query("filter == @number").sort_values("weight", ascending=False)
    held = (study.array("items") == number).any(1)
    every = {packet["label"]: packet for packet in packets(app, "patch_gallery")}
    assert every["Average patches by class"]["ids"] == [-1, *table["label"]]
    assert every["Average patches by class"]["notes"] == [f"n = {k}" for k in (held.sum(), *table["patches"])]
    assert sorted(every[f"Patches of F{number}"]["ids"]) == np.flatnonzero(held).tolist()
    words = said(app)
    assert f"Among the strongest filters in {held.sum()} of {len(held)} patches" in words
    assert all(study.labels[k] in words for k in table["label"])
    own = [filters for filters in study.table("rules")["filters"] if number in filters]
    (rules,) = [table.value for table in app.dataframe if "Filters" in table.value]
    assert len(rules) == len(own)
    active = study.array("pooled")[:, number] > 0
    assert f"Mean activation, in the {active.sum()} of {len(active)} images where it is active" in words
    (bars,) = charts(app)
    assert {trace["name"] for trace in bars} - {"all others"} <= set(study.labels)
    answer = Workbench(load(study.manifest.model.name)).activations(looked_at(app), study.manifest.model.layer)[number]
    if float(answer.max()) > 0:
        assert f"Highest {float(answer.max()):.3g} here" in words


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


def test_a_dead_filter_says_so(app: AppTest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(home / "studies" / "small")
    facts = study.table("filters")
    facts.loc[7, ["patches", "classes", "rules", "mean", "deviation", "largest"]] = 0
    facts.loc[8, ["patches", "largest"]] = 1
    small_study.edited(study, tmp_path / "studies" / "dead", filters=facts)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Filter", unit="7")
    assert "F7 was never active in a patch of the 60 images" in said(app)
    app.selectbox(key="unit.unit").set_value(8).run()
    assert "· F8" in said(app)
    assert "was never active" not in said(app)
