"""Studies whose rules are known beforehand: of a network made by hand, and of one trained on flowers."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.data import flowers
from core.mining.rules import mine
from core.models import load
from core.study.build import build_study
from core.study.config import MiningConfig, PatchConfig, StudyConfig
from core.units.ablation_study import run_ablation
from tests.nets import SIDE, colour_reader, model


def by_hand():
    """Filter k answers to colour k, and class k reads filter k alone; of the other three, one answers to everything."""
    net = colour_reader()
    with torch.no_grad():
        net[4].weight.mul_(8)
        net[0].bias[5] = 1
    return model(net)


@pytest.fixture
def squares(tmp_path):
    """Four images of each class, black but for a square of its colour, whose corner is that of its number."""
    rng = np.random.default_rng(0)
    places = {}
    for label in range(3):
        for number in range(4):
            pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
            y, x = rng.integers(0, SIDE - 8, 2).tolist()
            pixels[y : y + 8, x : x + 8, label] = 255
            name = f"{label}/{number}.png"
            (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "data" / name)
            places[name] = (y, x)
    return tmp_path / "data", places


def test_one_filter_per_class_is_found_from_the_images_on(squares, tmp_path):
    data, places = squares
    made = by_hand()
    config = StudyConfig(
        "by hand", str(data), patches=PatchConfig(window=10, sampling="dense"), mining=MiningConfig(filters=5)
    )
    study = build_study(config, tmp_path / "s", model=made)
    images, patches = study.table("images"), study.table("patches")
    assert (images["predicted"] == images["label"]).all()
    first = patches[patches["rank"] == 0]
    assert len(first) == 12
    for patch in first.itertuples():
        y, x = places[images["path"][patch.image]]
        assert patch.y <= y
        assert patch.x <= x
        assert y + 8 <= patch.y + 10
        assert x + 8 <= patch.x + 10
        assert patch.drop > 0.1
    rules = study.table("rules")
    best = rules[rules["rank"] == 0]
    assert [(rule.label, rule.filters.tolist(), rule.support, rule.confidence) for rule in best.itertuples()] == [
        (label, [label, 5], 1, 1) for label in range(3)
    ]
    assert study.table("shared")["filters"].map(list).tolist() == [[5]]
    assert study.table("shared")["labels"].map(list).tolist() == [[0, 1, 2]]
    for row in study.table("averages").query("filter < 3").itertuples():
        bright = np.asarray(study.array("averages")[row.average], float).max((0, 1))
        assert bright.argmax() == row.label == row.filter
        assert np.delete(bright, row.label).max() == 0
    mined = mine(study)
    sets = {
        "mined": {label: mined.filters_of(label) for label in range(3)},
        "useless": dict.fromkeys(range(3), (3, 4, 5)),
    }
    table = run_ablation(study, sets, made, draws=3).per_class
    assert table["baseline"].tolist() == table["useless"].tolist() == [1, 1, 1]
    assert table["mined"].tolist() == [1, 0, 0]  # all scores alike: the first class is named


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_six_hundred_fresh_flowers(tmp_path):
    name = "flowers-double-12c"
    flowers.write("double-12c", tmp_path / "data", per_class=50, seed=4711)
    net = load(name)
    study = build_study(StudyConfig(name, str(tmp_path / "data")), tmp_path / "s", model=net)
    assert study.manifest.data.labelled == 600
    rules = study.table("rules")
    strong = rules[(rules["support"] >= 0.8) & (rules["confidence"] >= 0.9)]
    assert set(strong["label"]) == set(range(12))
    mined = mine(study)
    facts = run_ablation(study, {"mined": {label: mined.filters_of(label) for label in range(12)}}, net).summary()
    shown = {
        key: round(facts[key], 3) for key in ("baseline", "mined", "random_mean", "random_std", "filters_per_class")
    }
    print(f"{len(rules)} rules, {shown}")
    assert facts["baseline"] - facts["mined"] >= 0.4
    assert facts["baseline"] - facts["random_mean"] <= 0.1
