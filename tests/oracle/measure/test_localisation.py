"""Localisation against definitions written out pixel by pixel, and for maps whose number is known."""

import json
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.data.masks import mask_folder
from core.errors import Unsupported
from core.images import Preprocess
from core.measure import Evidence, Undefined, evaluate
from tests import nets

SIDE = nets.SIDE
BY_ORDER = ("auc_iou", "max_iou", "iou")
BY_MASK = (*BY_ORDER, "pointing_game", "energy_pointing", "box_iou", "localisation_error")


def evidence(maps, mask=None, boxes=(), net="linear", **query):
    maps, mask = (None if one is None else torch.as_tensor(np.array(one)) for one in (maps, mask))
    return Evidence(nets.query(net, count=len(maps), **query), maps, mask, boxes=boxes)


def number(name, one, mask=None, boxes=None, **settings):
    """The number of one map; a tensor per image is made of it here."""
    found = evaluate(name, evidence([one], None if mask is None else [mask], boxes or ()), settings)
    return found.result[0]


def disc(row, column, radius):
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.mark.parametrize("name", ["energy_pointing", "entropy", "auc_iou"])
def test_a_constant_that_values_are_defined_up_to_is_no_evidence(name, maps, mask):
    positive = maps[:2].astype(np.float32)
    raised = replace(evidence(positive + np.float32(0.5), [mask] * 2), offset=True)
    from_zero = evidence(positive - positive.min((1, 2), keepdims=True), [mask] * 2)
    found, expected = (evaluate(name, one).result for one in (raised, from_zero))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    counted = evaluate(name, replace(raised, offset=False)).result
    assert (name == "auc_iou") == np.allclose(counted, expected, rtol=1e-5)  # it scales each map to its range


@pytest.fixture
def maps():
    """Maps (3, 32, 32): one of noise, one with many ties, one signed."""
    found = np.random.default_rng(0).random((3, SIDE, SIDE))
    found[1] = np.round(3 * found[1])
    found[2] -= 0.4
    return found


@pytest.fixture
def mask():
    return disc(12, 20, 6)


def ious_by_sets(one, mask, kept):
    """The IoU of a mask with each set of pixels in `kept`, counted as sets."""
    object_pixels = set(np.flatnonzero(mask))
    return [len(object_pixels & pixels) / len(object_pixels | pixels) for pixels in kept]


def above(one, threshold):
    """The pixels of a map, scaled to its minimum and maximum, at or above a threshold."""
    least, most = min(one.flat), max(one.flat)
    return {place for place, value in enumerate(one.flat) if (value - least) / (most - least) >= threshold}


def trapezoids(y, x):
    return sum((x[k + 1] - x[k]) * (y[k] + y[k + 1]) / 2 for k in range(len(x) - 1))


@pytest.mark.parametrize("magnitude", [False, True])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_three_of_iou_are_their_definitions(maps, mask, row, magnitude):
    one = np.abs(maps[row]) if magnitude else np.maximum(maps[row], 0)
    steps = [k / 20 for k in range(21)]
    ious = ious_by_sets(one, mask, [above(one, t) for t in steps])
    found = number("auc_iou", maps[row], mask, thresholds=21, magnitude=magnitude)
    assert found == pytest.approx(100 * trapezoids(ious, steps), abs=1e-9)
    every = [above(one, t) for t in {(value - one.min()) / (one.max() - one.min()) for value in one.flat}]
    assert number("max_iou", maps[row], mask, magnitude=magnitude) == pytest.approx(max(ious_by_sets(one, mask, every)))
    half = ious_by_sets(one, mask, [above(one, 0.5)])[0]
    assert number("iou", maps[row], mask, magnitude=magnitude) == pytest.approx(half)


def test_the_mask_itself_overlaps_at_every_threshold_but_the_first(mask):
    """The curve is |G| / HW at t = 0 and one beyond it."""
    share = mask.mean()
    assert number("auc_iou", mask.astype(float), mask) == pytest.approx(100 * (0.99 + 0.01 * (1 + share) / 2))
    assert number("max_iou", mask.astype(float), mask) == number("iou", mask.astype(float), mask) == 1
    inverted = 1.0 - mask
    assert number("iou", inverted, mask) == 0
    assert number("auc_iou", inverted, mask) == pytest.approx(100 * 0.01 * share / 2)
    assert number("max_iou", inverted, mask) == pytest.approx(share)  # the whole image


def test_over_areas_the_curve_is_that_of_the_strongest_pixels(maps, mask):
    """Without ties, by sorting; at the areas where a whole number of pixels is kept."""
    order = np.argsort(-maps[0], axis=None)
    kept = [set(order[: k * SIDE * SIDE // 16]) for k in range(17)]
    expected = trapezoids(ious_by_sets(maps[0], mask, kept), [k / 16 for k in range(17)])
    found = evaluate("auc_iou", evidence(maps[:1], [mask]), {"axis": "area", "thresholds": 257}).result[0]
    fine = [set(order[: 4 * k]) for k in range(257)]
    exact = trapezoids(ious_by_sets(maps[0], mask, fine), [k / 256 for k in range(257)])
    assert found == pytest.approx(100 * exact, abs=1e-9)
    assert found == pytest.approx(100 * expected, abs=0.5)


def test_over_areas_only_the_order_counts(maps, mask):
    for name, settings in (("auc_iou", {"axis": "area"}), ("max_iou", {})):
        plain, cubed = (number(name, one, mask, **settings) for one in (maps[0], maps[0] ** 3))
        assert plain == pytest.approx(cubed, abs=1e-12)
    plain, cubed = (number("auc_iou", one, mask) for one in (maps[0], maps[0] ** 3))
    assert abs(plain - cubed) > 0.5


def test_the_best_area_under_kept_areas_is_the_one_of_the_card(mask):
    share = mask.mean()
    found = number("auc_iou", mask.astype(float), mask, axis="area", thresholds=1001)
    assert found == pytest.approx(100 * (share / 2 - share * np.log(share)), abs=0.01)


def test_tied_values_are_kept_in_equal_shares():
    """Half of the pixels tie at the maximum, a quarter of them on the mask: wherever they stand, a quarter hits."""
    one, mask = np.zeros((2, SIDE, SIDE))
    one[:16], mask[:4] = 1, 1
    for flipped in (one, one[:, ::-1]):
        found = number("auc_iou", flipped, mask > 0, axis="area", thresholds=11)
        area = np.arange(11) / 10
        hit = np.minimum(area / 4, 1 / 8)
        assert found == pytest.approx(100 * trapezoids(hit / (area + 1 / 8 - hit), area))


@pytest.mark.parametrize("tolerance", [0, 15, 40])
def test_the_pointing_game_measures_the_distance_to_every_pixel_of_the_mask(maps, mask, tolerance):
    for number_of_map in range(40):
        one = np.random.default_rng(number_of_map).random((SIDE, SIDE))
        row, column = np.unravel_index(one.argmax(), one.shape)
        nearest = min(np.hypot(row - r, column - c) for r, c in np.argwhere(mask))
        expected = float(nearest == 0 or nearest < tolerance * SIDE / 224)
        assert number("pointing_game", one, mask, tolerance=tolerance) == expected


def test_the_pointing_game_at_the_border_of_its_tolerance():
    """At 32 px a tolerance of 21 is one of 3 px, and a distance of 3 px is none below it."""
    one, mask = np.zeros((2, SIDE, SIDE))
    one[10, 10] = 1
    for column, hit in ((12, 1), (13, 0)):
        mask[:] = 0
        mask[10, column] = 1
        assert number("pointing_game", one, mask > 0, tolerance=21) == hit


def test_maxima_that_tie_are_hit_in_part(mask):
    one = np.zeros((SIDE, SIDE))
    one[12, 20] = one[0, 0] = one[0, 1] = one[31, 31] = 1
    assert number("pointing_game", one, mask) == 0.25
    assert number("pointing_game", -one, mask) == 0
    assert number("pointing_game", -one, mask, magnitude=True) == 0.25


def test_a_map_that_points_nowhere_is_a_miss(mask):
    for one in (np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), 3.0), np.full((SIDE, SIDE), -3.0)):
        assert number("pointing_game", one, mask) == 0


def test_energy_is_the_share_of_the_positive_mass(maps, mask):
    one = maps[2]
    inside = sum(value for value, on in zip(one.flat, mask.flat, strict=True) if on and value > 0)
    assert number("energy_pointing", one, mask) == pytest.approx(inside / sum(v for v in one.flat if v > 0))
    inside = sum(abs(value) for value, on in zip(one.flat, mask.flat, strict=True) if on)
    expected = inside / sum(map(abs, one.flat))
    assert number("energy_pointing", one, mask, magnitude=True) == pytest.approx(expected)
    assert number("energy_pointing", mask.astype(float), mask) == 1
    assert number("energy_pointing", 1.0 - mask, mask) == 0
    assert number("energy_pointing", np.full((SIDE, SIDE), 2.0), mask) == pytest.approx(mask.mean())


def largest_box(kept, one):
    """Top, left, bottom, right of the largest part of `kept`, found by walking from pixel to pixel."""
    left, parts = {tuple(place) for place in np.argwhere(kept)}, []
    while left:
        part, queue = set(), deque([left.pop()])
        while queue:
            row, column = queue.popleft()
            part.add((row, column))
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            queue += around
        parts.append(part)
    best = max(parts, key=lambda part: (len(part), sum(one[place] for place in part)))
    rows, columns = zip(*best, strict=True)
    return min(rows), min(columns), max(rows) + 1, max(columns) + 1


def box_overlap(first, second):
    pixels = [{(r, c) for r in range(box[0], box[2]) for c in range(box[1], box[3])} for box in (first, second)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@pytest.mark.parametrize("share", [0.15, 0.8])
def test_boxes_are_those_of_a_walk_over_pixels(mask, share):
    target = largest_box(mask, mask)
    for seed in range(10):
        one = np.random.default_rng(seed).random((SIDE, SIDE)) ** 6
        expected = box_overlap(largest_box(one >= share * one.max(), one), target)
        assert number("box_iou", one, mask, share=share) == pytest.approx(expected)


def box_map(top, left, height, width, value=1.0):
    one = np.zeros((SIDE, SIDE))
    one[top : top + height, left : left + width] = value
    return one


def test_a_box_that_is_shifted():
    """A box of 10 × 10 shifted by s columns overlaps in 10 (10 − s) of 10 (10 + s) pixels."""
    mask = box_map(5, 5, 10, 10) > 0
    for shift in range(10):
        expected = (10 - shift) / (10 + shift)
        one = box_map(5, 5 + shift, 10, 10)
        assert number("box_iou", one, mask) == pytest.approx(expected)
        assert number("localisation_error", one, mask) == (expected < 0.5)
        assert number("localisation_error", one, mask, limit=0.8) == (expected < 0.8)


def test_of_equal_parts_the_heavier_one_counts():
    mask = box_map(20, 20, 5, 5) > 0
    light, heavy = box_map(20, 20, 5, 5, 0.9), box_map(2, 2, 5, 5, 1.0)
    assert number("box_iou", light + heavy, mask) == 0
    assert number("box_iou", 2 * light + heavy, mask) == 1
    assert number("box_iou", light + box_map(2, 2, 5, 6, 0.2), mask) == 0  # larger before heavier


def test_pixels_below_the_share_do_not_count():
    mask = box_map(5, 5, 4, 4) > 0
    one = box_map(5, 5, 4, 4) + box_map(20, 0, 10, 30, 0.14)
    assert number("box_iou", one, mask) == 1
    assert number("box_iou", one, mask, share=0.1) == 0
    assert number("box_iou", box_map(5, 5, 4, 4) + box_map(20, 0, 10, 30, 0.5), mask, share=0.5) == 0  # not below it


def test_an_overlap_at_the_limit_is_right():
    one, mask = box_map(5, 5, 10, 5), box_map(5, 5, 10, 10) > 0
    assert number("box_iou", one, mask) == 0.5
    assert number("localisation_error", one, mask) == 0


def test_of_several_objects_the_best_one_counts():
    """Given as boxes, which may overlap and lie between pixels; the mask alone is one object."""
    boxes = [np.array([[0, 0, 8, 8], [4, 4, 10, 10], [20.5, 20.5, 4, 4]])]
    one = box_map(4, 4, 10, 10)
    assert number("box_iou", one, None, boxes) == 1
    assert number("box_iou", one, np.ones((SIDE, SIDE)), boxes) == 1
    assert number("box_iou", box_map(20, 20, 5, 5), None, boxes) == pytest.approx(16 / 25)
    both = box_map(0, 0, 8, 8) + box_map(4, 4, 10, 10) > 0
    assert number("box_iou", one, both) == pytest.approx(100 / 196)
    assert number("box_iou", one, both, [np.empty((0, 4))]) == pytest.approx(100 / 196)


def test_boxes_of_a_coco_file_are_found_in_what_the_model_sees(tmp_path):
    """The picture is 80 × 80 px, resized to 40 × 40 and cropped to 32 × 32: 4 px are lost on each side."""
    entry = {"image_id": 1, "bbox": [20, 8, 16, 24]}
    known = {"images": [{"id": 1, "file_name": "x.jpg", "width": 80, "height": 80}], "annotations": [entry]}
    (tmp_path / "all.json").write_text(json.dumps(known))
    paths = ["x.jpg", "y.jpg"]
    masks = mask_folder(tmp_path, paths).masks(paths, [(80, 80)] * 2, Preprocess(crop=SIDE, resize=40))
    one = box_map(0, 6, 12, 8)
    given = evidence([one, one], masks.masks, masks.boxes)
    for name in ("box_iou", "iou", "energy_pointing"):
        assert evaluate(name, given).result == [1, Undefined("The image has no mask.")]
    assert list(masks.missing) == ["y.jpg"]


def test_top_1_counts_wrong_predictions():
    query = nets.query("linear", count=20)
    predicted = query.clean_logits().argmax(1)
    maps = torch.from_numpy(np.stack([box_map(5, 5, 8, 8)] * 20))
    given = Evidence(query, maps, maps > 0)
    assert evaluate("localisation_error", given).result == [0] * 20
    expected = [float(one != 1) for one in predicted.tolist()]
    assert 0 < sum(expected) < 20
    assert evaluate("localisation_error", given, {"top_1": True}).result == expected
    unit = Evidence(nets.query("gap", count=20, unit_layer="features.7"), maps, maps > 0)
    with pytest.raises(Unsupported):
        evaluate("localisation_error", unit, {"top_1": True})


@pytest.mark.parametrize("name", BY_MASK)
def test_an_image_without_a_mask_or_a_usable_map_says_why(name, maps, mask):
    damaged = maps[0].copy()
    damaged[3, 3] = np.nan
    given = evidence(np.stack([maps[0], damaged, -maps[0] - 1]), np.stack([mask * False, mask, mask]))
    first, second, third = evaluate(name, given).result
    assert first == Undefined("The image has no mask.")
    assert second == Undefined("The map has values that are not finite.")
    assert third == (0 if name == "pointing_game" else Undefined("The map has no positive value."))
    assert evaluate(name, evidence(maps)).result == [first] * 3


@pytest.mark.parametrize("name", BY_ORDER)
def test_a_constant_map_has_no_threshold(name, mask):
    assert number(name, np.full((SIDE, SIDE), 2.0), mask) == Undefined("The map has the same value everywhere.")


@pytest.mark.parametrize("name", BY_MASK)
def test_the_batch_makes_no_difference(name, maps, mask):
    whole = evaluate(name, evidence(maps, [mask] * 3)).result
    assert whole == [number(name, one, mask) for one in maps]
    assert all(isinstance(one, float) for one in whole)
