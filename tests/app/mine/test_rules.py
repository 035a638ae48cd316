"""The page Rules: rules at other settings, what classes share, and studies without any."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.errors import TooLarge
from core.mining.overview import overview
from core.mining.rules import Mined, mine, transactions_of
from core.progress import Report
from core.study import Study
from core.study.build import config_of
from core.study.config import MiningConfig
from pages.ui.study.rule_views import EACH, SHOWN
from tests.mine_pages import Plant, parts, said, shown_first, visit
from tests.packets import packets


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
