"""The studies that come with Vitrine: whole, small, of the bundled models, and with the rules the data set plants."""

import pytest

from core.mining.rules import mine
from core.models import load
from core.study import BUNDLED, Study, list_studies
from core.study.build import config_of
from core.units.ablation_study import run_ablation

NAMES = ("flowers-double-12c", "flowers-shortcut-6c")


def test_both_are_there_and_nothing_else():
    assert [(one.path.name, one.problem) for one in list_studies(BUNDLED)] == [(name, "") for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_small_whole_and_of_the_bundled_model(name):
    study = Study(BUNDLED / name)
    assert sum(file.stat().st_size for file in study.path.iterdir()) < 8_000_000
    assert study.damaged() == []
    assert study.manifest.model.sha == load(name).sha, "the weights changed: build the bundled studies again"
    assert study.manifest.data.skipped == 0
    assert study.config["data"] == name  # no path of the machine it was built on


@pytest.mark.parametrize("name", NAMES)
def test_every_class_has_a_strong_rule_and_needs_its_filters(name):
    study = Study(BUNDLED / name)
    mined = mine(study)
    best = mined.rules[(mined.rules["support"] >= 0.8) & (mined.rules["confidence"] >= 0.9)]
    assert set(best["label"]) == set(range(len(study.labels)))
    sets = {"mined": {label: mined.filters_of(label) for label in range(len(study.labels))}}
    found = run_ablation(study, sets, load(name)).summary()
    assert found["baseline"] - found["mined"] >= 0.4
    assert found["baseline"] - found["random_mean"] <= 0.1


@pytest.mark.parametrize("name", NAMES)
def test_they_store_what_mining_gives_now(name):
    study = Study(BUNDLED / name)
    mined = mine(study, config_of(study).mining)
    for table in ("itemsets", "rules", "shared"):
        stored, again = study.table(table), getattr(mined, table)
        assert list(stored) == list(again), "mining changed: build the bundled studies again"
        assert [list(one) for one in stored["filters"]] == again["filters"].tolist()


def test_filters_that_classes_share_are_found():
    assert len(mine(Study(BUNDLED / "flowers-double-12c")).shared) > 0
