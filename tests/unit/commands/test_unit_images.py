"""`vitrine units visualise` and `vitrine units invert` from end to end, with few steps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.data.flowers import draw
from core.errors import Cancelled

MODEL = "flowers-single-6c"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "flower.png"
    Image.fromarray(draw("single-6c", 0, 0).image).save(path)
    return path


def told(capsys, *words, code=0):
    assert main(["units", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code == 2 else out


def content(out: Path):
    return json.loads((out / "result.json").read_text("utf-8")), np.load(out / "result.npz")


def test_an_image_drives_its_class(capsys, tmp_path):
    words = ("visualise", MODEL, "--target", "red", "--set", "steps=24", "--set", "pictures=2", "--out", tmp_path)
    text = told(capsys, *words)
    facts, arrays = content(tmp_path)
    assert (facts["title"], facts["settings"]["steps"], facts["finished"]) == ("red", 24, True)
    assert arrays["objective"].shape == (24, 2)
    assert arrays["objective"][-1].min() > arrays["objective"][0].max()
    for number in range(2):
        path = tmp_path / f"{facts['target']}-{number}.png"
        assert str(path) in text
        shown = np.asarray(Image.open(path))
        assert np.abs(shown / 255 - arrays[path.stem]).max() < 0.5 / 255 + 1e-6
    again = tmp_path / "again"
    told(capsys, *words[:-1], again)
    assert {one.name: one.read_bytes() for one in again.iterdir()} == {
        one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()
    }


def test_components_need_examples(capsys, tmp_path, photo):
    words = ("visualise", MODEL, "--target", "relu3:5", "--set", "image=components", "--set", "steps=4")
    assert "Name their folder with --examples" in told(capsys, *words, "--out", tmp_path / "out", code=2)
    Image.fromarray(draw("single-6c", 1, 1).image).save(photo.with_name("second.png"))
    told(capsys, *words, "--examples", photo.parent, "--out", tmp_path / "out")
    assert content(tmp_path / "out")[0]["title"] == "relu3 · F5"


def test_layers_are_inverted_one_after_the_other(capsys, tmp_path, photo):
    words = ("invert", MODEL, "--image", photo, "--layers", "relu1,relu2", "--set", "steps=20", "--json")
    said = json.loads(told(capsys, *words, "--out", tmp_path / "out"))
    facts, arrays = content(tmp_path / "out")
    assert facts == said
    assert [one["layer"] for one in facts["layers"]] == ["relu1", "relu2"]
    for layer in ("relu1", "relu2"):
        errors = arrays[f"errors-{layer}"]
        assert errors.shape == (1, 21)
        assert errors[0, -1] < 0.5 * errors[0, 0]
        assert (tmp_path / "out" / f"{layer}-0.png").is_file()


def test_what_was_made_before_an_interruption_is_kept(capsys, tmp_path, monkeypatch):
    def stopped(fraction, note):
        if "12 of 24" in note:
            raise Cancelled

    monkeypatch.setattr("core.commands.units.images.printed", lambda stream: stopped)
    words = ("visualise", MODEL, "--target", "red", "--set", "steps=24", "--out", tmp_path)
    told(capsys, *words, code=130)
    facts, arrays = content(tmp_path)
    assert not facts["finished"]
    assert 10 <= len(arrays["objective"]) <= 13


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("visualise", MODEL, "--target", "rde"), "red"),
        (("visualise", MODEL, "--target", "red", "--preset", "lucid"), "preset"),
        (("visualise", MODEL, "--target", "red", "--set", "steps"), "SETTING=VALUE"),
        (("visualise", MODEL, "--target", "red", "--set", "steps=0"), "steps"),
        (("visualise", MODEL, "--target", "red", "--set", "decay=0.1"), "changes pixels"),
        (("visualise", MODEL, "--target", "relu4:999"), "999"),
        (("invert", MODEL, "--image", "{photo}", "--layers", "nothing"), "nothing"),
        (("invert", MODEL, "--image", "{photo}x"), "cannot be opened"),
    ],
)
def test_bad_input_is_one_sentence(capsys, tmp_path, photo, words, problem):
    given = [word.replace("{photo}", str(photo)) for word in words]
    text = told(capsys, *given, "--out", tmp_path / "out", code=2)
    assert problem in text
    assert text.count("\n") == 1
