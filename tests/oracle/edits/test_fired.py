"""The rules that fire in a picture, against what a study stores for the same picture."""

from dataclasses import replace

import pytest

from core.edits.apply import scaled
from core.edits.edit import Filters
from core.edits.fired import rules_fired
from core.edits.what_if import what_if
from core.images import picture_file
from core.review.evidence import fired
from core.study.build import build_study
from core.study.config import TransactionConfig
from core.workbench import Workbench
from tests.nets import model
from tests.tiny_build import PATCHES, config, draw


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "set"
    for number in range(8):
        draw(root / f"class_{number % 2}" / f"{number}.png", number)
    return config(root, patches=replace(PATCHES, sampling="dense"), transactions=TransactionConfig(filters=8))


@pytest.fixture(scope="module", params=["raw", "zscore", "share"])
def study(request, settings, tmp_path_factory):
    ranked = replace(settings, transactions=TransactionConfig(filters=8, ranking=request.param))
    return build_study(ranked, tmp_path_factory.mktemp("studies") / "s", model=model("gap"))


def test_they_are_those_that_the_study_found_in_its_images(study):
    bench, stored, found = Workbench(model("gap")), fired(study), []
    for row, path in enumerate(study.table("images")["path"]):
        own = rules_fired(study, bench, picture_file(study.folder / path))
        assert set(own) == set(stored[stored["image"] == row]["rule"])
        found += own
    assert found


def test_no_rule_fires_without_its_filters_or_without_an_image(study):
    bench, stored = Workbench(model("gap")), fired(study)
    rule, image = stored[["rule", "image"]].iloc[0]
    picture = picture_file(study.folder / study.table("images")["path"][image])
    filters = study.table("rules").set_index("rule")["filters"][rule]
    layer = study.manifest.model.layer
    off = Workbench(scaled(bench.model, [Filters(layer, tuple(map(int, filters)))]))
    assert rule in rules_fired(study, bench, picture)
    assert rule not in rules_fired(study, off, picture)
    found = what_if(bench, picture, [Filters(layer, tuple(map(int, filters)))], study=study)
    assert found.rules_before == rules_fired(study, bench, picture)
    assert found.rules_after == rules_fired(study, off, picture)
    assert what_if(bench, picture, []).rules_after is None
