"""Concepts against planted factors, and their importance against the ablation of single filters."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import nnls

from core.errors import BadParameter, Cancelled, Unsupported
from core.study import BUNDLED, Study
from core.units.ablation import from_images
from core.units.concepts import (
    concept_maps,
    factorised,
    importance,
    matched,
    responses,
    strengths,
    study_concepts,
    tables,
)
from tests.nets import images, model
from tests.planted_units import UNITS, planted_images, planted_model


def planted(count=4, patches=60, filters=20, seed=0):
    """Strengths and directions of a sum that has one factorisation alone: each has patches and filters of its own."""
    rng = np.random.default_rng(seed)
    weights, directions = rng.random((patches, count)), rng.random((count, filters))
    weights[rng.random(weights.shape) < 0.4] = 0
    directions[rng.random(directions.shape) < 0.4] = 0
    weights[:count], directions[:, :count] = np.eye(count), np.eye(count)
    return weights, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_planted_factors_are_recovered():
    weights, directions = planted()
    found = factorised(weights @ directions, 4)
    assert found.converged
    assert found.error < 1e-4
    alike = directions @ found.directions.T
    order = alike.argmax(1)
    assert sorted(order) == [0, 1, 2, 3], "a permutation"
    assert np.allclose(found.directions[order], directions, atol=5e-3)
    assert np.allclose(found.strengths[:, order], weights, atol=2e-2)
    assert np.allclose(np.linalg.norm(found.directions, axis=1), 1)
    assert (np.diff(found.strengths.sum(0)) <= 0).all(), "the strongest first"


def test_the_error_is_that_of_the_product_and_falls_with_more_concepts():
    values = np.random.default_rng(1).random((30, 12))
    found = [factorised(values, count) for count in (1, 3, 12)]
    for one in found:
        rest = values - one.strengths @ one.directions
        assert one.error == pytest.approx(np.linalg.norm(rest) / np.linalg.norm(values))
    assert found[0].error > found[1].error > found[2].error
    best = np.linalg.svd(values, compute_uv=False)
    assert found[0].error == pytest.approx(np.linalg.norm(best[1:]) / np.linalg.norm(best), abs=1e-6)


def test_it_can_be_cancelled_and_reports_how_much_is_done():
    notes = []

    def stopping(fraction, note):
        notes.append((fraction, str(note)))
        if len(notes) > 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        factorised(np.random.default_rng(1).random((30, 12)), 4, report=stopping)
    assert notes[3] == (15 / 2000, "sweeps of the factorisation 15 of 2,000")


def test_the_same_seed_gives_the_same_concepts():
    values = np.random.default_rng(2).random((40, 15))
    first, second = factorised(values, 5, seed=3), factorised(values.copy(), 5, seed=3)
    assert (first.directions == second.directions).all()
    assert (first.strengths == second.strengths).all()


def test_filters_that_never_respond_are_in_no_concept():
    weights, directions = planted()
    values = np.zeros((60, 30))
    values[:, 5:25] = weights @ directions
    found = factorised(values, 4)
    assert (found.directions[:, [*range(5), *range(25, 30)]] == 0).all()


def test_concepts_that_no_patch_needs_are_left_out():
    values = np.zeros((8, 6))
    values[:, 2] = 3
    values[0, 4] = 0
    with pytest.raises(BadParameter, match="1 active filters do not have 3 concepts"):
        factorised(values, 3)
    values[:, 4] = 6
    found = factorised(values, 2)
    assert found.error < 1e-6
    assert (found.strengths.sum(0) > 0).all()
    assert (found.strengths @ found.directions).round(4) == pytest.approx(values)


@pytest.mark.parametrize(
    ("values", "count", "error", "words"),
    [
        (np.ones((5, 9)), 6, BadParameter, "Choose 1 to 5"),
        (np.ones((9, 5)), 6, BadParameter, "Choose 1 to 5"),
        (np.ones((9, 5)), 0, BadParameter, "Choose 1 to 5"),
        (np.zeros((9, 5)), 2, Unsupported, "No filter is active"),
        (-np.ones((9, 5)), 2, BadParameter, "not negative"),
        (np.full((9, 5), np.nan), 2, BadParameter, "finite"),
    ],
)
def test_bad_input_is_one_sentence(values, count, error, words):
    with pytest.raises(error, match=words):
        factorised(values, count)


def test_the_strongest_filters_make_up_nine_tenths():
    direction = np.sqrt([0.05, 0.5, 0.0, 0.38, 0.07])
    found = factorised(np.outer([1.0, 2.0], direction), 1)
    assert found.filters(0).tolist() == [1, 3, 4]
    assert found.patches(0).tolist() == [1, 0]
    assert found.by_class(np.array([2, 0]), 3)[:, 0] == pytest.approx([2, np.nan, 1], nan_ok=True)


def test_strengths_are_those_of_non_negative_least_squares():
    rng = np.random.default_rng(4)
    directions, rows = rng.random((5, 12)), rng.normal(0.3, 1, (40, 12))
    found = strengths(torch.from_numpy(rows), torch.from_numpy(directions)).numpy()
    truth = np.array([nnls(directions.T, row)[0] for row in rows])
    assert (truth == 0).any()
    assert np.allclose(found, truth, atol=1e-6)


def test_a_patch_has_the_strengths_that_the_factorisation_gave_it():
    weights, directions = planted()
    found = factorised(weights @ directions, 4)
    maps = torch.from_numpy((weights @ directions).T.reshape(20, 6, 10))
    drawn = concept_maps(maps, found.directions)
    assert drawn.shape == (4, 6, 10)
    assert np.allclose(drawn.reshape(4, 60).T, found.strengths, atol=1e-4)


def test_a_unit_vector_is_a_filter():
    made, planted_set = planted_model(), planted_images(20)
    rows = [k for k, label in enumerate(planted_set.labels) if label >= 0]
    inputs, labels = planted_set.inputs[rows], [planted_set.labels[k] for k in rows]
    directions = np.eye(len(UNITS))[[3, 0]]
    found = importance(made, "deep", directions, [(inputs[:7], labels[:7]), (inputs[7:], labels[7:])], draws=0)
    keep = torch.ones(2, len(UNITS))
    keep[0, 3], keep[1, 0] = 0, 0
    truth = from_images(made, "deep", shortcut=False)(inputs, keep)
    clean = from_images(made, "deep", shortcut=False)(inputs, torch.ones(1, len(UNITS)))
    assert len(found.per_class) == 2 * len(set(labels))
    for row in found.per_class.itertuples():
        own = [k for k, label in enumerate(labels) if label == row.label]
        without, before = (
            logits[own].softmax(-1)[..., row.label] for logits in (truth[:, row.concept : row.concept + 1], clean)
        )
        assert row.probability_without == pytest.approx(float(without.mean()), abs=1e-6)
        assert row.probability == pytest.approx(float(before.mean()), abs=1e-6)
        assert row.accuracy_without == float((truth[own, row.concept].argmax(-1) == row.label).float().mean())
    drops = found.drops().set_index("concept")
    assert drops["name"].tolist() == ["cross", "red"], "the classes of these filters"
    assert (drops["drop"] > 1e-5).all()
    assert drops["drop_random"].isna().all()


def test_random_directions_are_as_long_and_depend_on_their_index_alone():
    made, rows = model("cnn"), images(4)
    directions = np.abs(np.random.default_rng(0).normal(size=(3, made.survey.layer(made.survey.default).units)))
    directions[:, 4:] = 0
    few, many = (
        importance(made, made.survey.default, directions, [(rows, [0, 1, 1, 2])], draws=draws).per_class
        for draws in (1, 40)
    )
    assert few["probability_without"].tolist() == pytest.approx(many["probability_without"].tolist())
    assert (many["probability_random_std"] > 0).any()
    assert few["probability_random_std"].max() == 0
    again = importance(made, made.survey.default, directions, [(rows[:1], [0]), (rows[1:], [1, 1, 2])], draws=1)
    assert again.per_class["probability_random"].tolist() == pytest.approx(few["probability_random"].tolist())


@pytest.mark.parametrize("name", ["vit", "cnn"])
def test_directions_are_removed_in_every_layout(name):
    made, rows = model(name), images(2)
    layer, count = made.survey.default, made.survey.layer(made.survey.default).units
    found = importance(made, layer, np.eye(count)[[1]], [(rows, [0, 1])], draws=2).per_class
    with torch.no_grad():
        outputs = {}
        handle = made.net.get_submodule(layer).register_forward_hook(lambda _module, _in, out: outputs.update(out=out))
        made.net(rows)
        handle.remove()
        last = made.survey.layer(layer).layout != "grid"

        def edit(_module, _inputs, output):
            changed = output.clone()
            part = changed[..., 1] if last else changed[:, 1]
            part.clamp_(max=0)  # of a filter alone, the contribution is its positive part
            return changed

        handle = made.net.get_submodule(layer).register_forward_hook(edit)
        truth = made.net(rows).softmax(-1)
        handle.remove()
    assert found["probability_without"].tolist() == pytest.approx([float(truth[k, k]) for k in range(2)], abs=1e-6)


def test_a_concept_is_matched_with_the_rule_of_its_filters():
    values = np.zeros((6, 9))
    values[:3, [0, 1]], values[3:, [4, 5]] = 2, 1
    found = factorised(values, 2)
    items = np.array([[0, 1], [0, 1], [1, 0], [4, 5], [5, 4], [4, 5]], np.int32)
    rules = pd.DataFrame({"rule": [0, 1, 2], "label": [7, 8, 8], "filters": [[0, 1], [4], [8]]})
    result = matched(found, rules, items, np.array([7, 7, 7, 8, 8, 8]))
    assert result.by_concept.values.tolist() == [[0, 0, 1, 1], [1, 1, 0.5, 1]]
    assert result.by_rule["rule"].tolist() == [0, 1], "no concept has filter 8"
    assert result.rule(1)["rule"] == 1
    alone = matched(found, rules.iloc[2:], items, np.array([7, 7, 7, 8, 8, 8]))
    assert alone.rule(0) is None
    assert not len(alone.by_rule)


def test_a_bundled_study_has_concepts_of_its_classes():
    study = Study(BUNDLED / "flowers-double-12c")
    found = study_concepts(study, 12)
    assert found.complete
    assert found.concepts.error < 0.1
    result = tables(found)
    assert set(result) == {"concepts", "filters", "patches", "rules"}
    first = result["patches"].query("concept == 0")
    assert first["patch"].tolist() == found.concepts.patches(0).tolist()
    assert (first["strength"].diff().dropna() <= 0).all()
    assert first["path"].iloc[0] == study.table("images")["path"][first["image"].iloc[0]]
    assert result["concepts"]["patches"].sum() <= len(found.patches)
    assert len(result["rules"]) == len(study.table("rules"))
    row = result["concepts"].dropna(subset="rule").iloc[0]
    filters, own = set(row["filters"].split()), set(row["rule_filters"].split())
    assert row["shared_filters"] == pytest.approx(len(filters & own) / len(filters | own))
    assert f"in {row['rule_class']}" in result["concepts"]


def test_of_a_study_without_all_responses_the_strongest_are_used(monkeypatch):
    study = Study(BUNDLED / "flowers-double-12c")
    every = responses(study)
    monkeypatch.delitem(study.manifest.arrays, "matrix")
    some = responses(study)
    assert (every.complete, some.complete) == (True, False)
    known = some.values > 0
    assert known.sum() == (np.asarray(study.array("items")) >= 0).sum()
    assert some.values[known] == pytest.approx(every.values[known], rel=2e-3, abs=1e-6)
    assert every.values[~known].max() < every.values[known].mean()


def test_a_study_without_patches_is_refused(monkeypatch):
    study = Study(BUNDLED / "flowers-double-12c")
    facts = study.manifest.tables["patches"]
    monkeypatch.setitem(study.manifest.tables, "patches", replace(facts, rows=0))
    with pytest.raises(Unsupported, match="flowers-double-12c has no patches"):
        study_concepts(study)
