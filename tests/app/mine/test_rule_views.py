"""The graph of rules and the ablation of their filters."""

import html
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.mining.overview import NODES, overview
from core.mining.rules import Mined, mine
from core.models import load
from core.study import Study
from core.study.build import config_of
from core.study.config import MiningConfig
from core.units.ablation_study import compared_sets, run_ablation
from core.workbench import Workbench
from pages.ui.study.rule_views import Rule
from tests import small_study
from tests.mine_pages import charts, looked_at, parts, said, visit
from tests.packets import packets


@pytest.mark.parametrize("view", ["shared", "graph", "ablation"])
def test_every_view_of_the_rules(app: AppTest, view: str) -> None:
    visit(app, "Rules", show=view)
    assert not app.error
    if view == "graph":
        assert "vitrine_rule_graph" in parts(app)
    if view == "ablation":
        values = {metric.label: metric.value for metric in app.metric}
        assert float(values["Rule filters removed"].rstrip("%")) < float(values["Random filters removed"].rstrip("%"))


def test_without_relevance_the_ablation_says_so(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.explain.filter_relevance.BUNDLED", Path("/nowhere"))
    visit(app, "Rules", study="small", show="ablation")
    assert "Relevant filters (VEBI) are not compared. No relevance of the filters of" in said(app)
    assert "Relevant filters removed" not in {metric.label for metric in app.metric}
    assert "relevant" not in app.dataframe[0].value


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
    assert "10.0 filters per class" in [metric.delta for metric in app.metric]
    assert f"their mean accuracy varies by ± {facts['random_std']:.1%}." in words
    model = load(study.manifest.model.name)
    both, _ = compared_sets(model, study.manifest.model.layer, sets["mined"])
    relevant = run_ablation(study, both, model, random_filters=10).summary()
    metrics = {metric.label: metric for metric in app.metric}
    assert metrics["Relevant filters removed"].value == f"{relevant['relevant']:.1%}"
    assert f"falls by {100 * relevant['relevant_drop_per_filter']:.1f} points per filter" in words
    assert "relevant" in app.dataframe[0].value
    table = app.dataframe[0].value
    assert table["drop_per_filter"].tolist() == pytest.approx(
        [row["drop_per_filter"] for row in facts["per_class"]], nan_ok=True
    )


def silenced(app: AppTest, folder: Path) -> AppTest:
    """The ablation on other images, waited for."""
    app.text_input(key="ablation-folder").set_value(str(folder)).run()
    assert not app.metric
    next(button for button in app.button if button.label == "Run ablation").click().run()
    assert app.session_state["on demand"]["ablation"][1].wait(60)
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
