"""Network dissection against planted units, chance, and a computation with everything in memory."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.data.concepts import Concept
from core.errors import Unsupported
from core.measure.intervals import samples
from core.network.hooks import capture
from core.units.analysis import Subject, analyse
from core.units.dissection import categories, detectors, summary
from core.units.dissection.quantiles import exact_quantiles
from tests import nets
from tests.planted_units import CATEGORIES, LAYERS, SIDE, UNITS, InMemory, planted_images, planted_model

SIZE = nets.SIDE


def named(findings, concepts, layers):
    import pandas as pd

    return {
        **findings.tables,
        "concepts": pd.DataFrame(
            [(k, c.name, c.category) for k, c in enumerate(concepts)], columns=["concept", "name", "category"]
        ),
        "layers": pd.DataFrame({"layer": range(len(layers)), "name": layers}),
    }


def test_planted_units_are_named():
    images = planted_images(40).image_set()
    found = analyse("dissection", Subject(planted_model(), ("relu",), images), {"quantile": 0.02})
    units = found.tables["units"]
    names = [images.concepts[k].name if k >= 0 else "" for k in units["concept"]]
    assert names[:4] == list(UNITS[:4])
    assert units["detector"].tolist()[:5] == [True] * 4 + [False]
    assert units["iou"][0] == units["iou"][1] == 1.0  # its positions are the mask
    assert np.isclose(units["iou"][2], 5 / 9)  # two rows of the edge less at each end
    assert np.isclose(units["iou"][3], 1 / 9)  # the middle of the cross
    assert units["sparse"].tolist()[:4] == [True] * 4
    assert units["dead"].tolist() == [name == "dead" for name in UNITS]
    assert (units["concept"][4], units["iou"][4]) == (-1, 0)


def test_units_of_half_the_resolution_are_named_too():
    images = planted_images(40).image_set()
    units = analyse("dissection", Subject(planted_model(), LAYERS, images)).tables["units"]
    deep = units[units["layer"] == 1].reset_index()
    assert [images.concepts[k].name for k in deep["concept"][:2]] == ["red", "blue"]
    assert (deep["iou"][:2] > 0.4).all()


def test_the_report_counts_detectors_and_concepts():
    images = planted_images(40).image_set()
    found = analyse("dissection", Subject(planted_model(), ("relu",), images), {"quantile": 0.02, "least": 0.2})
    tables = named(found, images.concepts, ("relu",))
    best = detectors(tables)
    assert best["concept"].tolist() == ["red", "blue", "edge"]
    assert best["layer"].unique().tolist() == ["relu"]
    rows = categories(tables).itertuples(index=False, name=None)
    assert list(rows) == [("relu", "colour", 2, 2), ("relu", "object", 1, 1)]


def brute_force(model, layer, images, quantile):
    """(K, C) IoU by definition, with everything in memory."""
    with torch.no_grad(), capture(model.net, layer) as outputs:
        model.net(images.inputs)
    maps = outputs[layer]
    flat = maps.permute(1, 0, 2, 3).flatten(1)
    ordered = flat.sort(1, descending=True).values
    thresholds = ordered[:, int(quantile * flat.shape[1])]
    large = F.interpolate(maps, (SIZE, SIZE), mode="bilinear", align_corners=False) > thresholds[:, None, None]
    iou = np.zeros((maps.shape[1], len(images.given)))
    for column, (concept, mask) in enumerate(images.given.items()):
        shown = [other[:] for one, other in images.given.items() if one.category == concept.category]
        rows = np.flatnonzero(np.any(shown, 0).any((1, 2)))
        for unit in range(maps.shape[1]):
            one, other = large[rows, unit].numpy(), mask[rows]
            iou[unit, column] = (one & other).sum() / (one | other).sum()
    return thresholds.numpy(), iou


def noisy(count=40):
    rng = np.random.default_rng(0)
    masks = {}
    for number, category in enumerate(("part", "part", "colour")):
        mask = rng.random((count, SIZE, SIZE)) < 0.2
        mask[rng.random(count) < 0.5] = False
        masks[Concept(f"c{number}", category)] = mask
    return InMemory(nets.images(count), given=masks)


def test_samples_of_the_images_are_counted_as_dissections_of_their_own():
    """Every draw against the definition, with each image as often as the draw has it and thresholds unchanged."""
    model, images = nets.model("gap"), noisy(12)
    subject = Subject(model, ("features.1", "features.4"), images, seed=3)
    least, quantile = 0.08, 0.1
    found = analyse("dissection", subject, {"quantile": quantile, "least": least})
    draws, times = found.arrays["draws"], samples(12, 1000, 3)
    assert draws.shape == (1000, 2, 2)
    for layer, name in enumerate(subject.layers):
        thresholds, _ = brute_force(model, name, images, quantile)
        with torch.no_grad(), capture(model.net, name) as outputs:
            model.net(images.inputs)
        large = F.interpolate(outputs[name], (SIZE, SIZE), mode="bilinear", align_corners=False).numpy()
        for draw in (0, 1, 500, 999):
            rows = np.repeat(np.arange(12), times[draw])
            best = []
            for unit in range(large.shape[1]):
                strong = large[rows, unit] > thresholds[unit]
                scores = []
                for concept, mask in images.given.items():
                    kin = [other[rows] for one, other in images.given.items() if one.category == concept.category]
                    kept = np.any(kin, 0).any((1, 2))
                    one, other = strong[kept], mask[rows][kept]
                    scores.append((one & other).sum() / max((one | other).sum(), 1))
                best.append(int(np.argmax(scores)) if max(scores) > least else -1)
            assert draws[draw, layer].tolist() == [sum(k >= 0 for k in best), len({*best} - {-1})]
    assert draws.std(0).max() > 0, "else every sample is alike"


def test_the_summary_has_shares_of_live_units_with_intervals():
    images = planted_images(40).image_set()
    found = analyse("dissection", Subject(planted_model(), ("relu",), images), {"quantile": 0.02, "least": 0.2})
    tables, draws = named(found, images.concepts, ("relu",)), found.arrays["draws"]
    (row,) = summary(tables, draws).to_dict("records")
    assert (row["units"], row["live"], row["detectors"], row["unique"]) == (6, 5, 3, 3)
    assert row["share"] == 3 / 5
    low, high = np.quantile(draws[:, 0, 0], [0.025, 0.975]) / 5
    assert (row["share_low"], row["share_high"]) == (low, high)
    assert low <= 3 / 5 <= high
    assert row["unique_low"] <= 3 <= row["unique_high"]
    (bare,) = summary(tables).to_dict("records")
    assert np.isnan(bare["share_low"])
    assert bare["share"] == row["share"]


@pytest.mark.parametrize("quantile", [0.005, 0.1])
def test_scores_are_those_of_the_definition(quantile):
    model, images = nets.model("gap"), noisy()
    found = analyse("dissection", Subject(model, ("features.7",), images, batch=40), {"quantile": quantile})
    thresholds, iou = brute_force(model, "features.7", images, quantile)
    assert np.allclose(found.tables["units"]["threshold"], thresholds, atol=1e-5)
    assert np.allclose(found.arrays["iou"], iou, atol=2e-3)


def test_images_without_the_category_do_not_count():
    """The same images once more, without masks or with one of another category: thresholds stay what they are."""
    model, images = nets.model("gap"), noisy(20)
    twice = torch.cat([images.inputs, images.inputs])
    none = {concept: np.concatenate([mask, 0 * mask]) for concept, mask in images.given.items()}
    elsewhere = np.concatenate([np.zeros((20, SIZE, SIZE), bool), np.ones((20, SIZE, SIZE), bool)])
    expected, *others = (
        analyse("dissection", Subject(model, ("features.7",), one, batch=1), {"quantile": 0.25}).arrays["iou"]
        for one in (
            images,
            InMemory(twice, given=none),
            InMemory(twice, given={**none, Concept("sky", "scene"): elsewhere}),
        )
    )
    assert all(np.array_equal(expected, one[:, :3]) for one in others)
    assert np.allclose(others[1][:, 3], 0.25, atol=0.1)  # of whole images, a unit marks a quarter


def test_a_random_unit_overlaps_as_chance_says():
    rng = np.random.default_rng(1)
    p, q = 0.3, 0.1
    images = InMemory(nets.images(40), given={Concept("noise", "any"): rng.random((40, SIZE, SIZE)) < p})
    found = analyse("dissection", Subject(nets.model("gap"), ("features.0",), images), {"quantile": q})
    assert np.allclose(found.arrays["iou"], q * p / (q + p - q * p), atol=0.01)


def test_the_order_of_images_changes_nothing():
    images = noisy(20)
    order = np.random.default_rng(0).permutation(20)
    other = InMemory(images.inputs[order], given={concept: mask[order] for concept, mask in images.given.items()})
    model = nets.model("gap")
    one, two = (analyse("dissection", Subject(model, ("features.7",), each, batch=1)) for each in (images, other))
    assert np.array_equal(one.arrays["iou"], two.arrays["iou"])


def test_a_concept_that_no_image_shows_is_named():
    images = replace(
        planted_images(10).image_set(),
        concepts=(*(Concept(n, c) for n, c in CATEGORIES.items()), Concept("dog", "object")),
    )
    images.images.masks["dog"] = np.zeros((10, SIDE, SIDE), bool)
    found = analyse("dissection", Subject(planted_model(), ("relu",), images))
    assert found.notes[0] == "No image shows dog: 1 of the concepts cannot be found."
    assert (found.arrays["iou"][:, 4] == -1).all()
    assert (found.tables["units"]["concept"] < 4).all()


def test_nothing_to_name_is_one_sentence():
    planted = planted_images(5)
    with pytest.raises(Unsupported, match="needs masks of concepts"):
        analyse("dissection", Subject(planted_model(), ("relu",), replace(planted.image_set(), concepts=())))
    for mask in planted.masks.values():
        mask[:] = False
    with pytest.raises(Unsupported, match="None of the images shows a concept"):
        analyse("dissection", Subject(planted_model(), ("relu",), planted.image_set()))


def test_one_image_is_enough():
    units = analyse("dissection", Subject(planted_model(), ("relu",), planted_images(1).image_set())).tables["units"]
    assert units["concept"][0] == 0
    assert np.isclose(units["iou"][0], 5 / 25)  # half a percent of its positions are five pixels of the square


@pytest.mark.parametrize("share", [0.0, 0.005, 0.1, 0.5])
def test_quantiles_are_exact(share):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 70, 4, 3)).astype(np.float32)
    values[:, 1] = np.maximum(values[:, 1], 0)
    values[:, 2] = np.round(values[:, 2])
    values[:, 3] = -0.0
    values[:, 4] = values[:, 4] * 1e-30
    flat = np.sort(values.transpose(1, 0, 2, 3).reshape(70, -1), 1)[:, ::-1]
    found = exact_quantiles(lambda: iter([values[:20], values[20:21], values[21:]]), share)
    assert np.array_equal(found, flat[:, int(share * flat.shape[1])])
    assert ((flat > found[:, None]).mean(1) <= share).all()


def test_memory_of_quantiles_does_not_grow_with_the_images():
    def peak(count):
        def parts():
            return (np.random.default_rng(k).random((8, 64, 8, 8), np.float32) for k in range(count))

        tracemalloc.start()
        exact_quantiles(parts, 0.005)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(20) < 1.05 * peak(2)


def test_each_image_is_passed_once():
    model, seen = planted_model(), []
    model.net.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    analyse("dissection", Subject(model, LAYERS, planted_images(40).image_set()))
    assert sum(seen) == 40
