"""The page Concepts."""

import html
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.models import load
from core.study import Study
from core.units.concepts import concept_maps, study_concepts
from core.workbench import Workbench
from tests.mine_pages import Plant, looked_at, said, visit
from tests.packets import packets


def headings(app: AppTest) -> list[str]:
    return [box.value for box in app.header]


def test_every_concept_has_its_patches_filters_and_rule(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    found = study_concepts(study, 4)
    visit(app, "Concepts", count="4")
    assert headings(app) == [f"Concept {k}" for k in range(4)]
    words = said(app)
    assert "A concept here is a group of filters that respond together" in words
    assert f"Sums of 4 concepts differ from the responses by {found.concepts.error:.1%} of their norm" in words
    assert "stores only the strongest filters" in words, "as it is built by default"
    galleries = {packet["label"]: packet for packet in packets(app, "patch_gallery")}
    for concept in range(4):
        shown = galleries[f"Strongest patches of concept {concept}"]
        rows = found.concepts.patches(concept)[:12]
        assert shown["ids"] == rows.tolist()
        assert shown["notes"][0] == f"strength {found.concepts.strengths[rows[0], concept]:.3g}"
        match = found.matches.rule(concept)
        if match is not None:
            assert f"{match['filters']:.0%} of filters and {match['patches']:.0%} of patches in common" in words
    links = [element.proto.label for element in app.get("page_link")]
    filters = [f"F{number}" for k in range(4) for number in found.concepts.filters(k)[:6]]
    assert [label for label in links if label.startswith("F")] == filters


def test_the_maps_are_those_of_the_current_image(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    found = study_concepts(study, 3)
    visit(app, "Concepts", count="3")
    bench = Workbench(load(study.manifest.model.name))
    maps = concept_maps(bench.activations(looked_at(app), study.manifest.model.layer), found.concepts.directions)
    captions = [html.unescape(element.proto.imgs[0].caption) for element in app.get("image")]
    assert len(captions) == 3
    for concept, caption in enumerate(captions):
        high, usual = float(maps[concept].max()), float(found.concepts.strengths[:, concept].max())
        if high == 0:
            assert caption == f"Concept {concept} is not active in this image."
        elif high < 0.05 * usual:
            assert caption.startswith("Hardly active: less than 5%")
        else:
            assert caption == f"{high / usual:.0%} of its highest strength in a patch"


def test_a_concept_without_a_rule_says_so(app: AppTest, plant: Plant) -> None:
    study = plant(lambda label, place: [label * 5 + int(5 * place)])  # no two patches of a class share a filter
    visit(app, "Concepts", count="3", study=study.name)
    words = said(app)
    assert words.count("No rule has these filters.") == 3
    assert "This study has no rules." in words


def test_importance_is_measured_on_a_click_and_said_of_each_concept(app: AppTest) -> None:
    visit(app, "Concepts", count="2")
    next(button for button in app.button if button.label == "Measure importance").click().run()
    assert app.session_state["on demand"]["importance"][1].wait(120)
    app.run()
    words = said(app)
    assert words.count("Without it the probability of") == 2
    (table,) = [frame.value for frame in app.dataframe if "drop" in frame.value]
    assert table["concept"].tolist() == [0, 1]


def test_the_rules_name_their_concepts(app: AppTest, home: Path) -> None:
    study = Study(home / "studies" / "small")
    visit(app, "Concepts", count="4")
    (table,) = [frame.value for frame in app.dataframe if "Rule" in frame.value]
    assert len(table) == len(study.table("rules"))
    best = study_concepts(study, 4).matches.by_rule
    named = [int(name.split()[1]) for name in table["Concept"] if name != "none"]
    assert named == best.sort_values("rule")["concept"].tolist()


@pytest.mark.parametrize(("asked", "shown"), [("1", 2), ("500", 30), ("nan", 12)])
def test_a_number_that_is_not_possible_gives_the_nearest(asked: str, shown: int, app: AppTest) -> None:
    visit(app, "Concepts", count=asked)
    assert app.slider(key="concepts.count").value == shown
