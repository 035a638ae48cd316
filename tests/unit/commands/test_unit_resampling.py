"""`vitrine units resample` from end to end, with planted filters and with a bundled network."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.errors import Cancelled
from core.resources import ASSETS
from core.units.resampling import METRICS
from tests.planted_units import UNITS, planted_images, planted_model

MODEL, PHOTO = "flowers-single-6c", ASSETS / "images" / "single-violet.png"
FILES = ["boxes.png", "boxes.svg", "patches.png", "patches.svg", "result.json", "result.npz", "scores.csv",
         "selected.csv"]  # fmt: skip


def told(capsys, *words, code=0):
    assert main(["units", "resample", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code == 2 else out


def rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.mark.parametrize("concept", ["red", "blue", "edge", "cross"])
def test_the_planted_filter_is_selected_and_its_box_holds_what_was_planted(concept, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("core.commands.units.resampling.opened", lambda args: planted_model())
    images = planted_images(5)
    number = images.shown.index(concept)
    Image.fromarray(images.pixels[number]).save(tmp_path / "image.png")
    words = ("planted", "--image", tmp_path / "image.png", "--target", concept, "--layers", "conv", "--top", 1)
    # The logit is the mean of that filter alone; its probability also falls with the random filter, a class of its own.
    settings = ("--metric", "corr_pooled", "--set", "samples=20", "--set", "score=logit")
    told(capsys, *words, *settings, "--out", tmp_path / "out")
    (best,) = rows(tmp_path / "out" / "selected.csv")
    assert UNITS[int(best["filter"])] == concept
    top, left, height, width = (int(best[name]) for name in ("top", "left", "height", "width"))
    row, column = images.centres[number]
    assert top <= row + 3
    assert top + height > row - 3
    inside = images.masks[concept][number][top : top + height, left : left + width]
    assert inside.any()
    if concept == "cross":
        assert (top, left, height, width) == (row - 2, column - 2, 5, 5)


def test_every_filter_has_a_score_by_every_metric(capsys, tmp_path):
    words = (MODEL, "--image", PHOTO, "--layers", "conv3,conv4", "--top", 3, "--set", "samples=12")
    text = told(capsys, *words, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert all(str(tmp_path / "out" / name) in text for name in FILES)
    scores, arrays = rows(tmp_path / "out" / "scores.csv"), np.load(tmp_path / "out" / "result.npz")
    assert [row["layer"] for row in scores] == ["conv3"] * 64 + ["conv4"] * 128
    for metric in METRICS:
        values = [float(row[metric]) for row in scores]
        assert values == pytest.approx([*arrays[f"{metric}-conv3"], *arrays[f"{metric}-conv4"]])
    assert arrays["outputs"].shape == (12,)
    selected = rows(tmp_path / "out" / "selected.csv")
    facts = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    for layer in ("conv3", "conv4"):
        own = [int(row["filter"]) for row in selected if row["layer"] == layer]
        assert own == facts["selected"][layer]
        assert set(arrays[f"corr-{layer}"][own]) == set(np.sort(arrays[f"corr-{layer}"])[-3:])
    boxes = [row for row in selected if row["height"]]
    assert [int(row["number"]) for row in boxes] == list(range(1, 1 + len(boxes)))
    assert (facts["target"], facts["settings"]["samples"], facts["finished"]) == ("4", 12, True)
    legend = (tmp_path / "out" / "boxes.svg").read_text("utf-8")
    assert all(f"{row['layer']} · F{row['filter']}" in legend for row in selected), "names, not colours alone"
    assert "conv4: maps of 16 × 16" in legend
    said = json.loads(told(capsys, *words, "--json", "--out", tmp_path / "again"))
    assert said == facts
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_scores_are_kept_when_the_patches_are_interrupted(capsys, tmp_path, monkeypatch):
    def stopping(notes):
        def report(fraction, note):
            if notes in note:
                raise Cancelled

        return report

    words = (MODEL, "--image", PHOTO, "--layers", "conv4", "--set", "samples=4", "--out", tmp_path)
    monkeypatch.setattr("core.commands.units.resampling.printed", lambda stream: stopping("layers projected"))
    told(capsys, *words, code=130)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES[4:]
    assert not json.loads((tmp_path / "result.json").read_text("utf-8"))["finished"]
    monkeypatch.setattr("core.commands.units.resampling.printed", lambda stream: stopping("copies of the image"))
    told(capsys, *words[:-1], tmp_path / "none", code=130)
    assert not list((tmp_path / "none").iterdir())


def test_a_layer_of_which_no_filter_reaches_the_threshold_is_named(capsys, tmp_path):
    words = (MODEL, "--image", PHOTO, "--layers", "conv4", "--metric", "prec", "--set", "threshold=1e6")
    text = told(capsys, *words, "--set", "samples=2", "--out", tmp_path)
    assert "No filter of conv4 reaches the threshold of prec." in text
    assert not (tmp_path / "boxes.png").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--layers", "relu4"), "Layer 'relu4' of flowers-single-6c is a ReLU and has no filters"),
        (("--layers", "conv9"), "conv9"),
        (("--metric", "precision"), "metric"),
        (("--top", "0"), "--top cannot be '0'"),
        (("--set", "samples=1"), "samples"),
        (("--set", "sampels=9"), "samples"),
        (("--target", "blau"), "blau"),
        (("--image", "{photo}.png"), "cannot be opened"),
        (("--image", "{text}"), "text.png"),
    ],
)
def test_bad_input_is_one_sentence(words, problem, capsys, tmp_path):
    (tmp_path / "text.png").write_text("no image", "utf-8")
    given = [word.replace("{photo}", str(PHOTO)).replace("{text}", str(tmp_path / "text.png")) for word in words]
    text = told(capsys, MODEL, "--image", PHOTO, *given, "--out", tmp_path / "out", code=2)
    assert problem in text
    assert text.count("\n") == 1
