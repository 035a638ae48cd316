"""Metrics compared over images and epochs, against the parts they are made of."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from core.cli import main
from core.errors import BadParameter, Cancelled
from core.explain.query import Query
from core.explain.target_name import TargetName
from core.measure.intervals import interval
from core.units.resampling import patches, resample
from core.units.resampling.comparison import Example, compared, followed
from core.units.resampling.evaluation import expected_similarity, patch_localisation, set_similarity
from tests.planted_units import UNITS, planted_images, planted_model

SETTINGS = {"samples": 6}


@pytest.fixture(scope="module")
def examples():
    """Two images of each of three classes, each with the mask of its concept."""
    images = planted_images(60)
    chosen = [row for name in UNITS[:3] for row in np.flatnonzero(np.array(images.shown) == name)[:2]]
    return [Example(images.inputs[row], images.labels[row], images.masks[images.shown[row]][row]) for row in chosen]


def selected(model, example, metric, top, seed=0):
    query = Query(model, example.input[None], TargetName((example.label,)).targets(model.device), seed=seed)
    return resample(query, **SETTINGS).selected(metric, top=top, seed=seed), query


def test_rows_are_those_of_each_image_alone(examples):
    model = planted_model()
    table = compared(model, examples, ("act_sum", "act_var"), tops=(1, 2), settings=SETTINGS)
    assert table[["metric", "top"]].to_numpy().tolist() == [
        ["act_sum", 1],
        ["act_sum", 2],
        ["act_var", 1],
        ["act_var", 2],
    ]
    for row in table.itertuples():
        boxes = []
        for example in examples:
            own, query = selected(model, example, row.metric, row.top)
            boxes.append([one.box for one in patches(query, own) if one.box])
        alone = patch_localisation(boxes, [one.mask for one in examples])
        assert (row.localisation, row.area, row.patches) == (alone.share, pytest.approx(alone.area), alone.patches)
        assert 0 <= row.accuracy <= 1
    strongest = table[(table["metric"] == "act_sum") & (table["top"] == 1)].iloc[0]
    assert strongest["localisation"] == 1, "the planted filter looks at the planted concept"


def test_epochs_have_the_similarity_of_their_sets(examples):
    model = planted_model()
    found = followed([model, model], examples, ("act_sum", "prec"), top=2, settings=SETTINGS)
    assert found["epoch"].tolist() == [1, 2]
    assert found.drop(columns="epoch").iloc[0].equals(found.drop(columns="epoch").iloc[1])
    alike, random = [], []
    for example in examples:
        first, second = (selected(model, example, metric, 2)[0] for metric in ("act_sum", "prec"))
        sets = [{(layer, int(one)) for layer in own for one in own[layer]} for own in (first, second)]
        alike.append(set_similarity(*sets))
        counts = {"conv": 6, "copy": 6}
        random.append(expected_similarity([(counts[layer], len(first[layer]), len(second[layer])) for layer in first]))
    assert found["similarity"][0] == pytest.approx(np.mean(alike))
    around = interval(alike)
    assert (found["low"][0], found["high"][0]) == (around.low, around.high)
    assert found["random"][0] == pytest.approx(np.mean(random))
    logits = model.net(torch.stack([one.input for one in examples]))
    assert found["network"][0] == np.mean(logits.argmax(1).numpy() == [one.label for one in examples])
    rare = compared(model, examples, ("prec",), tops=(1,), settings=SETTINGS)
    assert rare["accuracy"].isna().all(), "few filters are above the threshold of precision"
    same = followed([model], examples, ("prec", "prec"), top=2, settings=SETTINGS)
    assert same["similarity"].tolist() == [1]


def test_bad_input_and_stopping(examples):
    model = planted_model()
    with pytest.raises(BadParameter, match="no metric called 'best'"):
        compared(model, examples, ("best",))
    with pytest.raises(BadParameter, match="no images"):
        compared(model, [], ("prec",))
    with pytest.raises(BadParameter, match="different classes"):
        followed([model, replace(model, labels=("a", "b"))], examples)

    def stop(fraction, note):
        if "secondary" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        compared(model, examples, ("act_sum",), tops=(1,), settings=SETTINGS, report=stop)


def test_the_command_writes_the_table_and_the_epochs(tmp_path, capsys):
    def told(*words, code=0):
        assert main(["units", "selections", *map(str, words)]) == code
        return capsys.readouterr()

    flowers = tmp_path / "flowers"
    assert main(["flowers", "--variant", "single-6c", "--per-class", "2", "--seed", "5", "--out", str(flowers)]) == 0
    capsys.readouterr()
    shared = ("--data", flowers, "--set", "samples=3", "--layers", "conv3,conv4")
    out = json.loads(
        told(
            "flowers-single-6c", *shared, "--metrics", "corr,prec", "--top", "1", "--out", tmp_path / "one", "--json"
        ).out
    )
    assert [row["metric"] for row in out["rows"]] == ["corr", "prec"]
    table = pd.read_csv(tmp_path / "one" / "metrics.csv")
    assert table["localisation"].between(0, 1).all()
    assert out["images"] == 12
    told("flowers-single-6c", "flowers-single-6c", *shared, "--top", "2", "--out", tmp_path / "two")
    epochs = pd.read_csv(tmp_path / "two" / "epochs.csv")
    numbers = ["accuracy_corr", "accuracy_prec", "similarity", "low", "high", "random"]
    assert epochs.columns.tolist() == ["epoch", "network", *numbers]
    assert epochs["network"].tolist() == [1, 1]
    for words, sentence in (
        (("flowers-single-6c", *shared, "--top", "some"), "Numbers of filters"),
        (("flowers-single-6c", "flowers-single-6c", *shared, "--metrics", "prec"), "two metrics"),
        (("flowers-single-6c", "--data", tmp_path / "one"), "one"),
    ):
        assert sentence in told(*words, "--out", tmp_path / "no", code=2).err
    assert not any((tmp_path / "no").iterdir())
