"""Pages about a study, without a browser: each empty and with a study, and the ways between them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import core.study
from core.mining.rules import transactions_of
from core.study import Study
from core.study.build import config_of
from pages.ui.study import open_study
from tests.mine_pages import Plant, parts, said, visit
from tests.packets import packets
from tests.pages_list import FILES

MINE = ("Patches", "Rules", "Averages", "Class", "Concepts", "Filter", "Studies")


@pytest.mark.parametrize("title", [title for title in MINE if title != "Filter"])
def test_without_a_study_the_page_says_the_way_to_one(
    app: AppTest, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, title)
    assert not app.error
    offers = [box.label for box in app.expander] + [link.proto.label for link in app.get("page_link")]
    assert "Build a study" in offers


def test_without_a_study_a_unit_of_the_current_model_is_shown(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Filter")
    assert not app.error
    assert any("F0" in one.value for one in app.title)


@pytest.mark.parametrize("title", MINE)
def test_with_a_study_the_page_is_alive(app: AppTest, title: str) -> None:
    visit(app, title)
    assert not app.error
    assert not app.warning
    if title != "Studies":
        assert "vitrine_patch_gallery" in parts(app)


def test_a_link_says_study_class_and_filters(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    number = int(study.array("items")[0, 0])
    label = study.labels[int(study.table("patches")["label"][0])]
    visit(app, "Patches", study="small", label=label, filters=str(number))
    assert app.selectbox(key="patches.label").value == study.labels.index(label)
    assert app.multiselect(key="patches.filters").value == [number]
    assert app.query_params["label"] == label
    visit(app, "Rules")
    assert app.selectbox(key="rules.label").value == study.labels.index(label), "the class stays chosen"


def test_two_pages_keep_their_own_values_of_a_parameter(app: AppTest, home: Path) -> None:
    labels = Study(home / "studies" / "small").labels

    def turn_to(title: str) -> AppTest:
        app.query_params.clear()  # as a browser does where a link says nothing else
        return app.switch_page(FILES[title]).run()

    app.run()
    visit(app, "Patches", study="small", label=labels[1], strongest="3")
    turn_to("Rules")
    assert app.selectbox(key="rules.label").value == -1, "no class is chosen here"
    assert "label" not in app.query_params
    app.selectbox(key="rules.label").set_value(0).run()
    assert app.query_params["label"] == labels[0]
    turn_to("Averages")
    assert app.selectbox(key="averages.label").value == -1
    turn_to("Patches")
    assert app.selectbox(key="patches.label").value == 1
    assert app.slider(key="patches.strongest").value == 3
    assert (app.query_params["label"], app.query_params["strongest"]) == (labels[1], "3")
    turn_to("Rules")
    assert app.selectbox(key="rules.label").value == 0
    assert app.query_params["label"] == labels[0]


def test_the_open_study_is_the_same_on_every_page(app: AppTest, plant: Plant) -> None:
    other = plant(lambda label, place: [label])
    visit(app, "Patches", study=other.name)
    app.selectbox(key="study").set_value("small").run()
    app.query_params.clear()
    app.switch_page(FILES["Rules"]).run()
    assert app.selectbox(key="study").value == "small"
    assert app.query_params["study"] == "small"


def test_a_way_to_a_page_passes_what_it_is_to_show(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    table = study.table("averages")
    label, number = int(table["label"][0]), int(table["filter"][0])
    visit(app, "Rules", study="small", label=study.labels[(label + 1) % len(study.labels)], confidence="0.5")
    visit(app, "Filter", unit=str(number))
    app.session_state["unit-averages"] = {"opened": {"action": "rules", "id": label}}
    app.run()
    assert app.selectbox(key="rules.label").value == label, "not the one that was chosen there before"
    assert app.query_params["label"] == study.labels[label]
    assert app.slider(key="rules.confidence").value == 0.5, "of which nothing was said"


def test_what_a_link_names_wrongly_is_said_and_the_rest_kept(app: AppTest) -> None:
    visit(app, "Patches", label="no such class", filters="3,nonsense", sort="drop")
    words = said(app)
    assert "no class called 'no such class'" in words
    assert "no filters called 'nonsense'" in words
    assert app.selectbox(key="patches.sort").value == "drop"


def test_a_node_opens_its_filter_or_its_class(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    edges = study.table("edges")
    number, label = int(edges["filter"][0]), int(edges["label"][0])
    for node in (f"f{number}", f"c{label}"):
        visit(app, "Rules", show="graph")
        app.session_state["graph"] = {"opened": node}
        app.run()
        if node[0] == "f":
            assert f"· F{number}" in said(app)
        else:
            (shown,) = packets(app, "patch_gallery")
            assert shown["label"] == "Patches of small"
            assert app.selectbox(key="patches.label").value == label
            assert len(shown["ids"]) == (study.table("patches")["label"] == label).sum()


def test_what_a_way_to_another_page_says_wins_over_the_choices_here(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    rules, patches = study.table("rules"), study.table("patches")
    rule = next(rules[rules["rank"] == 0].iloc[[1]].itertuples())
    visit(app, "Patches", image="0", outcome="right", drop="0.3", strongest="1")
    app.query_params.clear()
    visit(app, "Rules", rule=f"{'+'.join(map(str, rule.filters))}>{rule.label}")
    app.button(key="rule-all").click().run()
    held = transactions_of(study).first(config_of(study).mining.filters).holding(rule.filters, rule.label)
    (shown,) = packets(app, "patch_gallery")
    assert sorted(shown["ids"]) == held.tolist(), "of one class, though all were chosen, and of all images"
    visit(app, "Rules", label=study.labels[rule.label], rule="", show="rules")
    app.selectbox(key="rules.label").set_value(rule.label).run()
    other = int(np.flatnonzero(patches["label"] != rule.label)[0])
    app.session_state["rule-patches"] = {"opened": {"action": "image", "id": other}}
    app.run()
    (shown,) = packets(app, "patch_gallery")
    image = patches["image"][other]
    assert sorted(shown["ids"]) == np.flatnonzero(patches["image"] == image).tolist(), "of all classes, though one was"


def test_the_image_of_one_study_is_none_of_another(app: AppTest, plant: Plant) -> None:
    other = plant(lambda label, place: [label])
    visit(app, "Patches", study="small", image="3")
    (shown,) = packets(app, "patch_gallery")
    assert len(shown["ids"]) < 10
    app.selectbox(key="study").set_value(other.name).run()
    (shown,) = packets(app, "patch_gallery")
    assert len(shown["ids"]) == len(other.table("patches"))
    assert "image" not in app.query_params


def test_a_node_without_a_rule_is_said(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Rules", show="graph", node="f1-c²", few="1")
    assert "No rule at these settings contains 'f1-c²'." in said(app)
    assert len(app.dataframe[0].value) == len(study.table("rules"))


@pytest.mark.parametrize("title", ["Rules", "Patches", "Filter"])
def test_a_study_damaged_while_it_is_open_is_a_sentence(app: AppTest, plant: Plant, title: str) -> None:
    study = plant(lambda label, place: [label])
    size = (study.path / "items.npy").stat().st_size
    (study.path / "items.npy").write_bytes(bytes(size))
    visit(app, title, study=study.name)
    assert f"The study {study.name} is damaged: items.npy " in said(app)
    assert not app.exception


def test_bundled_studies_are_where_the_core_says() -> None:

    kept: Any = open_study.BUNDLED
    assert kept == core.study.BUNDLED
