"""Where the evidence lies: planted maps, and the rules that fire in the images of a study."""

import numpy as np
import pytest
import torch

from core.errors import BadParameter
from core.images import resized
from core.review.evidence import DIFFUSE, boxes_of, fired, located, stored_evidence
from core.review.source import study_source
from core.study import BUNDLED, Study

SIDE = 40


def spot(y, x, deviation):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * deviation**2))


def box(top, left, side):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


OBJECT = box(4, 4, 12)


@pytest.fixture(scope="module")
def study():
    return Study(BUNDLED / "flowers-double-12c")


@pytest.mark.parametrize(
    ("values", "mask", "boxes", "place"),
    [
        (spot(10, 10, 2), OBJECT, (), "object"),
        (spot(30, 30, 2), OBJECT, (), "elsewhere"),
        (spot(30, 30, 2), OBJECT, [(24, 24, 12, 12)], "rule"),
        (spot(10, 10, 2), OBJECT, [(4, 4, 12, 12)], "object"),  # comes first
        (spot(30, 30, 2), None, (), "concentrated"),
        (spot(30, 30, 2), None, [(0, 0, 8, 8)], "elsewhere"),
        (np.ones((SIDE, SIDE)), OBJECT, (), "diffuse"),
        (np.ones((SIDE, SIDE)), box(0, 0, 36), (), "diffuse"),  # most of it, but no denser than outside
        (spot(10, 10, 2) - 5 * spot(30, 30, 2), OBJECT, (), "object"),  # negative evidence counts as none
        (-spot(10, 10, 2), OBJECT, (), "none"),
        (np.zeros((SIDE, SIDE)), None, (), "none"),
    ],
)
def test_planted_evidence_is_found(values, mask, boxes, place):
    found = located(values, mask, boxes)
    assert found.place == place
    assert str(found).endswith(".")
    assert (found.on_object is None) == (mask is None)
    assert (found.in_rule is None) == (not boxes)


def test_shares_and_area_are_those_of_a_count():
    values = np.zeros((SIDE, SIDE))
    values[5, 5], values[20, 20:23] = 6, 2  # half of the evidence in one pixel
    found = located(values, OBJECT, [(20, 20, 1, 2), (20, 21, 1, 1)])
    assert found.on_object == pytest.approx(0.5)
    assert found.in_rule == pytest.approx(4 / 12), "overlapping boxes count once"
    assert found.area == pytest.approx(1 / SIDE**2)


def test_the_area_of_spots_is_the_one_that_the_threshold_names():
    """Half of a Gaussian lies within 1.177 deviations: in 4.36 σ² of the image."""
    assert located(np.ones((SIDE, SIDE)), OBJECT).area == pytest.approx(0.5, abs=0.001)
    assert located(spot(20, 20, SIDE / 8), OBJECT).area == pytest.approx(4.356 / 64, abs=0.01)
    assert located(spot(20, 20, SIDE / 8), OBJECT).area < DIFFUSE


def test_what_does_not_fit_is_a_sentence():
    with pytest.raises(BadParameter, match="12 × 12 pixels, the map 40 × 40"):
        located(np.ones((SIDE, SIDE)), np.ones((12, 12), bool))
    with pytest.raises(BadParameter, match="not finite"):
        located(np.full((SIDE, SIDE), np.nan))


def test_rules_fire_where_all_their_filters_are_active(study):
    patches, items = study.table("patches"), study.array("items")
    expected = {
        (rule, label, image, y, x, size)
        for rule, label, filters in study.table("rules")[["rule", "label", "filters"]].itertuples(index=False)
        for own, (image, y, x, size) in zip(items, patches[["image", "y", "x", "size"]].to_numpy(), strict=True)
        if set(filters) <= set(own.tolist())
    }
    found = fired(study)
    assert {tuple(row) for row in found.to_numpy().tolist()} == expected
    assert expected


def test_the_evidence_of_a_study_is_that_of_its_maps_and_rules(study):
    images, maps, patches = study.table("images"), study.array("maps"), fired(study)
    found = stored_evidence(study_source(study, limit=40))
    assert list(found) == list(range(40))
    for number, evidence in list(found.items())[::8]:
        row = number * -(-len(images) // 40)
        own = patches[(patches["image"] == row) & (patches["label"] == images["predicted"][row])]
        values = torch.from_numpy(np.array(maps[row], np.float32))[None]
        assert evidence == located(resized(values, study.manifest.model.view)[0].numpy(), boxes=boxes_of(own))
    assert {one.place for one in found.values()} >= {"rule"}
    everywhere = np.ones(study.manifest.model.view, bool)
    assert all(
        one.on_object == 1 for one in stored_evidence(study_source(study), lambda image, size: everywhere).values()
    )
