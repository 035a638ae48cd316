"""What the filters see, without a browser: every page empty and with a study, and the ways between them."""

import html
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

import core.study
from core.data.samples import samples
from core.errors import TooLarge
from core.images import Picture, decode
from core.mining.averages import average
from core.mining.overview import NODES, overview
from core.mining.rules import Mined, mine, transactions_of
from core.models import load
from core.models.sources.flower_networks import FOLDER
from core.progress import Report
from core.study import Study
from core.study.build import build_study, config_of
from core.study.config import MiningConfig, PatchConfig, StudyConfig
from core.study.tags import Tags
from core.units.ablation_study import run_ablation
from core.workbench import Workbench
from pages.ui.session import builds
from pages.ui.study import open_study
from pages.ui.study.rule_views import EACH, SHOWN, Rule
from tests import small_study
from tests.packets import packets
from tests.pages_list import FILES, SCRIPT

Plant = Callable[[Callable[[int, float], list[int]]], Study]
NUMBERS = count()
MINE = ("Patches", "Rules", "Averages", "Filter", "Studies")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    study = small_study.built(folder)
    files = sorted(file.name for file in study.path.iterdir())
    yield folder
    assert study.damaged() == [], "pages only read"
    assert sorted(file.name for file in study.path.iterdir()) == files


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user with one small study, without the bundled ones."""
    monkeypatch.setenv("VITRINE_HOME", str(home))
    monkeypatch.setattr("pages.ui.study.open_study.BUNDLED", home / "none")
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


def test_no_match_names_each_demand_and_takes_it_back(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Patches", label=study.labels[0], drop="1")
    assert "No patch matches" in said(app)
    app.button(key="without-drop").click().run()
    assert "vitrine_patch_gallery" in parts(app)
    assert app.selectbox(key="patches.label").value == 0


def test_every_facet_counts_what_it_would_leave(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    patches, images, items = study.table("patches"), study.table("images"), study.array("items")
    number = int(study.table("filters")["patches"].to_numpy().argmax())
    held = (items == number).any(1)
    visit(app, "Patches", filters=str(number))
    counts = patches["label"][held].value_counts()
    options = app.selectbox(key="patches.label").options
    assert options[0] == f"All classes ({held.sum()})"
    assert set(options[1:]) == {f"{study.labels[k]} ({counts.get(k, 0)})" for k in patches["label"].unique()}
    also = np.bincount(items[held][items[held] >= 0])
    assert app.multiselect(key="patches.filters").options == [
        f"F{k} ({also[k] if k < len(also) else 0})" for k in np.unique(items[items >= 0])
    ]
    right = (images["label"] == images["predicted"]).to_numpy()[patches["image"]]
    assert app.selectbox(key="patches.outcome").options == [
        f"Any ({held.sum()})", f"Correct ({(held & right).sum()})", f"Wrong ({(held & ~right).sum()})"
    ]  # fmt: skip
    (shown,) = packets(app, "patch_gallery")
    assert sorted(shown["ids"]) == np.flatnonzero(held).tolist()


def test_patches_in_every_order_in_their_images_with_all_windows(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    patches, windows = study.table("patches"), study.table("windows")
    size, side = study.manifest.model.size, study.manifest.window
    visit(app, "Patches")
    for order in ("score", "drop", "response"):
        app.selectbox(key="patches.sort").set_value(order).run()
        (shown,) = packets(app, "patch_gallery")
        assert shown["ids"] == np.argsort(-patches[order].to_numpy(), kind="stable").tolist()
    first, numbers = patches.iloc[shown["ids"][0]], np.unique(patches["image"])
    assert shown["boxes"][0] == pytest.approx(
        [first["x"] / size, first["y"] / size, side / size, side / size], abs=1e-4
    )
    assert numbers[shown["images"][0]] == first["image"]
    assert len(shown["windows"]) == len(numbers)
    for number, drawn in zip(numbers, shown["windows"], strict=True):
        own = windows[windows["image"] == number]
        assert [[x, y] for x, y, *_ in drawn] == pytest.approx(own[["x", "y"]].to_numpy() / size, abs=1e-4)
        assert [order for *_, order, _ in drawn] == list(range(1, len(own) + 1))
        assert [kept for *_, kept in drawn] == own["kept"].tolist()
    labels = [button.label for button in app.get("download_button")]
    assert f"CSV of {len(patches)} shown" in labels
    app.session_state["patches"] = {"selected": [0, 2]}
    app.run()
    assert "CSV of 2 selected" in [button.label for button in app.get("download_button")]


def test_selected_patches_get_tags_that_stay(app: AppTest, home: Path) -> None:
    visit(app, "Patches")
    app.session_state["patches"] = {"selected": [0, 2]}
    app.run()
    word = app.selectbox(key="word")
    assert not word.disabled
    next(button for button in app.button if button.label == "Tag selected patches").click().run()
    tags = Tags(home, Study(home / "studies" / "small").manifest.digest)
    assert tags.patches(word.value) == (0, 2)
    assert app.selectbox(key="patches.tag").options == ["Any tag", word.value]
    app.selectbox(key="patches.tag").set_value(word.value).run()
    assert "tag" in app.query_params


def shown_first(mined: Mined, *, few: bool = True) -> pd.DataFrame:
    """The rules in the order of the page."""
    return overview(mined.rules, (), few=few).rules


def test_rules_at_another_support_and_where_there_are_none(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Rules", support="0.8", few="1")
    for support in (0.8, 0.5):
        app.slider(key="rules.support").set_value(support).run()
        found = shown_first(mine(study, replace(config_of(study).mining, support=support), seed=study.manifest.seed))
        assert app.dataframe[0].value["n"].tolist() == found["n_both"].tolist()
    settings = replace(config_of(study).mining, support=0.5)
    for name, field, value in (("q", "best", 1), ("n", "filters", 3), ("confidence", "confidence", 0.9)):
        app.slider(key=f"rules.{name}").set_value(value).run()
        settings = replace(settings, **{field: value})
        found = shown_first(mine(study, settings, seed=study.manifest.seed))
        assert len(found)
        assert app.dataframe[0].value["n"].tolist() == found["n_both"].tolist()
        assert app.dataframe[0].value["Confidence"].tolist() == found["confidence"].tolist()
    assert found["label"].is_unique
    assert (found["confidence"] >= 0.9).all()
    assert not app.error


def test_rules_at_the_settings_of_the_study_are_read_not_mined(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "studies" / "small", home / "studies" / "read")  # nothing is cached of it
    monkeypatch.setattr("pages.ui.study.open_study.mine", lambda *_, **__: pytest.fail("mined again"))
    try:
        visit(app, "Rules", study="read", few="1")
        study = Study(home / "studies" / "read")
        expected = overview(study.table("rules"), (), few=True).rules
        assert app.dataframe[0].value["n"].tolist() == expected["n_both"].tolist()
        for view in ("shared", "graph"):
            visit(app, "Rules", study="read", show=view)
            assert not app.error
    finally:
        shutil.rmtree(home / "studies" / "read")


@pytest.fixture
def plant(home: Path) -> Iterator[Plant]:
    """The small study with other filters in its patches, given by class and position in the class (in [0, 1))."""
    made = []

    def planted(filters: Callable[[int, float], list[int]]) -> Study:
        folder = home / "studies" / f"planted-{next(NUMBERS)}"  # pages remember what they read of a path
        made.append(folder)
        small = Study(home / "studies" / "small")
        labels = small.table("patches")["label"].to_numpy()
        items = np.full_like(small.array("items"), -1)
        for row, label in enumerate(labels.tolist()):
            place = (labels[:row] == label).sum() / (labels == label).sum()
            held = filters(label, place)
            items[row, : len(held)] = held
        return small_study.edited(small, folder, items)

    yield planted
    for folder in made:
        shutil.rmtree(folder)


@pytest.mark.parametrize("title", ["Rules", "Patches", "Filter"])
def test_a_study_damaged_while_it_is_open_is_a_sentence(app: AppTest, plant: Plant, title: str) -> None:
    study = plant(lambda label, place: [label])
    size = (study.path / "items.npy").stat().st_size
    (study.path / "items.npy").write_bytes(bytes(size))
    visit(app, title, study=study.name)
    assert f"The study {study.name} is damaged: items.npy " in said(app)
    assert not app.exception


def test_no_rule_offers_the_support_that_gives_one(app: AppTest, plant: Plant) -> None:
    study = plant(lambda label, place: [label] if place < 0.6 else [])
    counts = study.table("patches")["label"].value_counts()
    label, total = int(counts.index[0]), int(counts.iloc[0])
    share = sum(place / total < 0.6 for place in range(total)) / total
    assert 0.5 < share < 1
    visit(app, "Rules", study=study.name, label=study.labels[label], support="1")
    shown = (math.ceil(share * 100 - 1e-9) - 1) / 100  # support must be higher
    assert f"No rule for {study.labels[label]} at support 1.00. The highest support that gives one is {shown:.2f}." in (
        said(app)
    )
    assert not app.dataframe
    next(button for button in app.button if button.label == f"Use {shown:.2f}").click().run()
    assert app.slider(key="rules.support").value == shown
    assert app.dataframe[0].value["Filters"].tolist() == [f"F{label}"]
    assert app.dataframe[0].value["Support"].tolist() == [pytest.approx(share)]


def test_no_rule_at_any_support_says_what_to_change(
    app: AppTest, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = plant(lambda label, place: [7])
    visit(app, "Rules", study=study.name, confidence="1")
    assert "No rule at support 0.60, nor at any lower one. Lower the confidence." in said(app)
    assert not [button for button in app.button if button.label.startswith("Use ")]

    def many(*_: object) -> float:
        raise TooLarge("Below support 0.31 there are too many filter sets.", "Use fewer filters per transaction.")

    monkeypatch.setattr("pages.ui.study.rule_views.highest_support", many)
    words = said(app.run())
    assert "No rule at support 0.60. Below support 0.31 there are too many filter sets. Use fewer filters" in words
    assert "nor at any lower one" not in words
    assert not app.error


def test_mining_that_takes_its_time_can_be_watched_and_what_is_too_much_is_a_sentence(
    app: AppTest, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, told = plant(lambda label, place: [label]), []

    def slow(source: Study, config: MiningConfig, *, seed: int, report: Report) -> Mined:
        told.append((seed, report))
        report(0.5, "mining classes")
        if config.support < 0.3:
            raise TooLarge(
                "The class red-petals has more than 20,000 frequent filter sets at support 0.2.", "Raise it."
            )
        return mine(source, config, seed=seed, report=report)

    monkeypatch.setattr("pages.ui.study.open_study.mine", slow)
    visit(app, "Rules", study=study.name, support="0.7")
    assert len(app.dataframe[0].value)
    app.slider(key="rules.support").set_value(0.2).run()
    assert "more than 20,000 frequent filter sets at support 0.2. Raise it." in said(app)
    assert not app.dataframe
    app.slider(key="rules.support").set_value(0.7).run()
    assert len(app.dataframe[0].value)
    assert [seed for seed, _ in told] == [study.manifest.seed] * 2, "what was mined once is kept"


def test_where_no_filter_repeats_the_confidence_is_not_blamed(app: AppTest, plant: Plant) -> None:
    study = plant(lambda label, place: [])
    visit(app, "Rules", study=study.name)
    assert "nor at any lower one: hardly any two patches of a class share an active filter." in said(app)


def test_what_classes_share_is_shown_although_confidence_hides_every_rule(app: AppTest, plant: Plant) -> None:
    study = plant(lambda label, place: [7])
    visit(app, "Rules", study=study.name, confidence="1", show="shared", sharing="itemsets")
    assert app.dataframe[0].value["Filters"].tolist() == ["F7"]
    assert "No rule" not in said(app)


def test_what_classes_share_is_listed_with_its_patches(app: AppTest, plant: Plant) -> None:
    study = plant(lambda label, place: [label, 120])  # in each class the larger set is the closed one
    visit(app, "Rules", study=study.name, show="shared")
    assert "No set of filters is shared at these settings." in said(app), "in the paper's sense: by rules"
    app.segmented_control(key="rules.sharing").set_value("itemsets").run()
    counts = study.table("patches")["label"].value_counts()
    several = int((counts >= 2).sum())
    assert app.dataframe[0].value["Filters"].tolist() == ["F120"]
    assert app.dataframe[0].value["Classes"].tolist() == [several]
    words = said(app)
    assert f"F120: active in patches of {len(counts)} classes" in words
    assert "No set of filters" not in words
    assert "vitrine_patch_gallery" in parts(app)


@pytest.mark.parametrize("view", ["shared", "graph", "ablation"])
def test_every_view_of_the_rules(app: AppTest, view: str) -> None:
    visit(app, "Rules", show=view)
    assert not app.error
    if view == "graph":
        assert "vitrine_rule_graph" in parts(app)
    if view == "ablation":
        values = {metric.label: metric.value for metric in app.metric}
        assert float(values["Rule filters removed"].rstrip("%")) < float(values["Random filters removed"].rstrip("%"))


def test_the_ablation_tells_spread_and_the_price_of_a_filter(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    mined = mine(study, config_of(study).mining)
    sets = {"mined": {int(label): mined.filters_of(int(label)) for label in mined.rules["label"].unique()}}
    facts = run_ablation(study, sets, load(study.manifest.model.name), random_filters=10).summary()
    visit(app, "Rules", study="small", show="ablation")
    words = said(app)
    spread = [f"{facts[f'{name}_std_over_classes']:.1%}" for name in ("baseline", "mined", "random")]
    assert (
        f"Standard deviation over classes: {spread[0]} with all filters, {spread[1]} without rule filters, {spread[2]}"
        in words
    )
    assert (
        f"accuracy falls by {100 * facts['mined_drop_per_filter']:.1f} percentage points per rule filter removed"
        in words
    )
    assert any(html.unescape(metric.delta).startswith("10.0 filters per class, ±") for metric in app.metric)
    table = app.dataframe[0].value
    assert table["drop_per_filter"].tolist() == pytest.approx(
        [row["drop_per_filter"] for row in facts["per_class"]], nan_ok=True
    )


def silenced(app: AppTest, folder: Path) -> AppTest:
    """The ablation on other images, waited for."""
    app.text_input(key="ablation-folder").set_value(str(folder)).run()
    assert not app.metric
    next(button for button in app.button if button.label == "Run ablation").click().run()
    assert app.session_state["ablating"][1].wait(60)
    return app.run()


def test_the_ablation_on_images_held_out(app: AppTest, home: Path, tmp_path: Path) -> None:
    visit(app, "Rules", show="ablation")
    own = {metric.label: metric.value for metric in app.metric}
    silenced(app, home / "flowers")
    assert {metric.label: metric.value for metric in app.metric} == own, "these are the very images"
    shutil.copytree(home / "flowers", tmp_path / "held-out")
    first = next((tmp_path / "held-out").iterdir())
    (first / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "held-out" / "zebra").mkdir()
    shutil.copy(first / "1.png", tmp_path / "held-out" / "zebra")
    silenced(app, tmp_path / "held-out")
    images = next(metric for metric in app.metric if metric.label == "Images")
    assert (images.value, html.unescape(images.delta)) == ("59", "of held-out")
    assert any(box.label == "Skipped: 2" for box in app.expander)
    assert not app.error


def test_a_folder_without_images_is_a_sentence(app: AppTest, tmp_path: Path) -> None:
    visit(app, "Rules", show="ablation")
    silenced(app, tmp_path)
    assert "There is no image in" in said(app)
    assert not app.metric


def test_a_node_of_the_graph_chooses_the_rules_beneath(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    number = int(study.table("edges")["filter"][0])
    visit(app, "Rules", show="graph", node=f"f{number}", few="1")
    rules = study.table("rules")
    assert len(app.dataframe[0].value) == sum(number in filters for filters in rules["filters"])


def marked(app: AppTest) -> dict[str, Any]:
    return next(packet for packet in packets(app, "packet") if packet["id"] == "graph-marks")


def test_a_link_of_the_graph_and_a_row_of_the_table_are_one_selection(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    rules, strongest = overview(study.table("rules"), (), few=True).rules, config_of(study).mining.filters
    every = [Rule(tuple(f.tolist()), k, strongest) for f, k in zip(rules["filters"], rules["label"], strict=True)]
    best, last = every[0], every[-1]
    link = f"{best.nodes[0]}-{best.nodes[-1]}"
    visit(app, "Rules", show="graph", node=link, few="1", whole="1")
    own = rules[rules["label"] == best.label]
    assert len(app.dataframe[0].value) == sum(best.filters[0] in filters for filters in own["filters"])
    assert marked(app) == {"id": "graph-marks", "chosen": link, "rule": best.nodes}

    visit(app, "Rules", show="graph", node="")
    assert len(app.dataframe[0].value) == len(rules)
    (before,) = packets(app, "rule_graph")
    row = {"selection": {"rows": [len(rules) - 1], "columns": [], "cells": []}}
    app.session_state[f"graph-rules-{hash(tuple(every))}"] = row
    app.run()
    assert marked(app)["rule"] == last.nodes
    assert packets(app, "rule_graph") == [before], "the graph itself is not sent again"
    assert app.query_params["rule"] == last.name


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


def test_a_rule_shows_the_patches_of_each_of_its_filters(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Rules")
    shown = next(
        packet
        for packet in packets(app, "patch_gallery")
        if packet["label"] == "Patches with the highest activation of each filter"
    )
    items = study.array("items")[:, : config_of(study).mining.filters]
    filters = overview(study.table("rules"), ()).rules["filters"].iloc[0]
    counts = [min(EACH, int((items == number).any(1).sum())) for number in filters]
    assert shown["groups"] == [[f"F{number}", count] for number, count in zip(filters, counts, strict=True)]
    first = [name.partition(":")[0] for name in shown["ids"]]
    assert [f"Open F{number}" for number in first] == shown["actions"][0][1]
    rows = [int(name.partition(":")[2]) for name in shown["ids"]]
    assert all(int(number) in items[row] for number, row in zip(first, rows, strict=True))
    app.session_state["rule-filters"] = {"opened": {"action": "unit", "id": shown["ids"][-1]}}
    app.run()
    assert f"· F{filters[-1]}" in said(app)


def test_a_rule_opens_its_patches_strongest_first(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    config = config_of(study).mining
    visit(app, "Rules")
    rule = overview(study.table("rules"), ()).rules.iloc[0]
    held = transactions_of(study).first(config.filters).holding(rule["filters"], rule["label"])
    items, responses = study.array("items")[held], study.array("responses")[held]
    strength = np.where(np.isin(items, rule["filters"]), responses, 0).sum(1, dtype=np.float64)
    shown = next(packet for packet in packets(app, "patch_gallery") if packet["label"] == "Patches of the rule")
    assert shown["ids"] == held[np.argsort(-strength, kind="stable")].tolist()[:SHOWN]
    assert len(shown["ids"]) == min(rule["n_both"], SHOWN)
    assert any(button.label == f"Show all {rule['n_both']} patches of the rule" for button in app.button)
    assert f"active in {rule['n_both']} of the {rule['n_class']} patches of {study.labels[rule['label']]} (" in said(
        app
    )


def many(filters: int, classes: int) -> Mined:
    """Rules of one filter each, the later the better, as a graph with its nodes on a line."""
    numbers = np.arange(filters)
    scores = (numbers + 1) / filters
    rules = pd.DataFrame(
        {"filters": [[k] for k in numbers.tolist()], "label": numbers % classes, "support": scores, "confidence": 1.0,
         "score": scores, "lift": 1.0, "n_both": 20, "n_class": 20, "rank": numbers // classes}
    )  # fmt: skip
    edges = pd.DataFrame({"filter": numbers, "label": numbers % classes, "weight": scores, "rules": 1})
    kinds = [("c", "class", classes), ("f", "filter", filters)]
    rows = [(f"{short}{k}", kind, k, f"{kind} {k}", 1, 1.0) for short, kind, count in kinds for k in range(count)]
    nodes = pd.DataFrame(rows, columns=["node", "kind", "number", "name", "degree", "weight"])
    return Mined(MiningConfig(), rules, rules, rules, nodes.assign(x=np.linspace(-1, 1, len(nodes)), y=0.0), edges)


def test_a_graph_of_too_many_nodes_shows_the_strongest_and_says_so(
    app: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = len(Study(home / "studies" / "small").labels)
    monkeypatch.setattr("pages.ui.study.open_study.mined", lambda *_: many(900, classes))
    visit(app, "Rules", show="graph")
    (shown,) = packets(app, "rule_graph")
    assert 50 < len(shown["nodes"]) <= NODES
    assert f"Shown: only edges of weight {shown['least']:.2f} or more." in said(app)
    assert min(weight for _, _, weight in shown["edges"]) >= shown["least"]
    app.toggle(key="rules.whole").set_value(True).run()
    (shown,) = packets(app, "rule_graph")
    assert f"{900 + classes} nodes are too many to display: the 600 with the strongest edges are shown." in said(app)
    assert [node["id"] for node in shown["nodes"]] == [
        *(f"c{k}" for k in range(classes)), *(f"f{k}" for k in range(300 + classes, 900))
    ]  # fmt: skip
    assert len(shown["edges"]) == 600 - classes
    app.selectbox(key="rules.label").set_value(0).run()
    assert "too many" not in said(app)
    assert len(packets(app, "rule_graph")[0]["nodes"]) == 1 + len(range(0, 900, classes))


def charts(app: AppTest) -> list[list[dict[str, Any]]]:
    """The traces of every chart."""
    return [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]


def looked_at(app: AppTest) -> Picture:
    """The picture of the header."""
    name = app.session_state["location"].image
    path = next(sample.path for sample in samples() if sample.path.name == name)
    return decode(path.read_bytes(), path.name)


def test_turning_a_rules_filters_off_shows_before_and_after(app: AppTest, home: Path) -> None:
    app.run()
    study, picture = Study(home / "studies" / "small"), looked_at(app)
    layer, bench = study.manifest.model.layer, Workbench(load(study.manifest.model.name))
    label = bench.top(picture)[0][0]
    visit(app, "Rules", label=study.labels[label])
    app.toggle(key="off-rule").set_value(True).run()
    filters = study.table("rules").query("label == @label")["filters"].iloc[0]
    before, after = bench.probabilities(picture), bench.without(picture, layer, filters)
    assert not torch.allclose(before, after, atol=1e-6)
    (chart,) = charts(app)
    for trace, values in zip(chart, (before, after), strict=True):
        assert len(trace["y"]) >= 5
        assert trace["x"] == pytest.approx([float(values[study.labels.index(name)]) for name in trace["y"]], abs=1e-4)
    assert chart[0]["y"][:5] == [study.labels[k] for k in before.topk(5).indices.tolist()]
    assert {study.labels[k] for k in after.topk(5).indices.tolist()} <= set(chart[0]["y"])
    assert re.search(r"Prediction (unchanged: |changes to )", said(app))
    assert not app.error


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
    assert len(app.dataframe[0].value) == len(own)
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


def test_an_ablation_of_images_without_classes_says_what_is_missing(
    app: AppTest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(home / "studies" / "small")
    images = study.table("images").assign(label=-1)
    small_study.edited(study, tmp_path / "studies" / "plain", images=images)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    visit(app, "Rules", show="ablation")
    assert "None of these images belongs to a class of the model. Put them into one sub-folder per class." in said(app)
    assert not app.metric


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
    assert "model passes" in said(app)
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
    study = Study(tmp_path / "studies" / "named")
    assert study.labels == tuple(f"sort {index}" for index in range(6))
    assert study.table("images")["label"].tolist() == [0, 1]
    assert config_of(study).labels == str(labels)


def test_bundled_studies_are_where_the_core_says() -> None:
    from pages.ui.study import open_study

    kept: Any = open_study.BUNDLED
    assert kept == core.study.BUNDLED
