"""`vitrine units` from end to end on the smallest data."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.data.flowers import write
from core.study import BUNDLED, Study
from core.units.store import UnitStore


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    out = tmp_path_factory.mktemp("flowers") / "set"
    write("single-6c", out, per_class=2)
    return out


@pytest.fixture(scope="module")
def dissected(flowers):
    words = ["dissect", "flowers-single-6c", "--data", str(flowers), "--layers", "relu3,relu4"]
    assert main(["units", *words, "--out", str(flowers.parent / "dissected")]) == 0
    return flowers.parent / "dissected"


def told(capsys, *words, code=0):
    assert main(["units", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_detectors_are_printed(dissected, capsys):
    text = told(capsys, "dissect", "--out", dissected)
    units = UnitStore(dissected).tables["units"]
    assert f"{units['detector'].sum()} of 192 units are detectors" in text
    assert "Network dissection, flowers-single-6c, 12 images" in text
    assert "relu4: 128 units, maps of 16 × 16, field 38 × 38 px" in text
    notes = UnitStore(dissected).manifest.notes
    assert "No image shows" in notes[0]
    assert all(note in text for note in notes)


def test_json_and_csv_hold_the_same(dissected, capsys, tmp_path):
    content = json.loads(told(capsys, "dissect", "--out", dissected, "--json"))
    told(capsys, "dissect", "--out", dissected, "--csv", tmp_path / "units.csv")
    rows = list(csv.DictReader((tmp_path / "units.csv").open()))
    assert [row["concept"] for row in rows] == [unit["concept"] for unit in content["units"]]
    assert {row["layer"] for row in rows} == {"relu3", "relu4"}
    assert sum(one["detectors"] for one in content["categories"]) == sum(unit["detector"] for unit in content["units"])
    petals = next(one for one in content["concepts"] if one["name"] == "petals")
    assert (petals["category"], petals["images"], petals["annotated"]) == ("part", 12, 12)


def test_patches_are_printed_and_written(flowers, capsys, tmp_path):
    out = tmp_path / "patches"
    words = ("activating", "flowers-single-6c", "--data", flowers, "--set", "top=2", "--images", 6, "--out", out)
    text = told(capsys, *words, "--csv", tmp_path / "patches.csv")
    assert "Maximally activating patches, flowers-single-6c, 6 images" in text
    rows = list(csv.DictReader((tmp_path / "patches.csv").open()))
    assert {row["rank"] for row in rows} == {"0", "1"}
    assert all((flowers / "images" / row["image"]).is_file() for row in rows)
    assert json.loads(told(capsys, "activating", "--out", out, "--json"))["units"][0]["layer"] == 0


def test_relevant_units_are_printed_by_class(flowers, capsys, tmp_path):
    out = tmp_path / "relevance"
    words = ("relevance", "flowers-single-6c", "--data", flowers, "--set", "mu=2", "--out", out)
    text = told(capsys, *words, "--csv", tmp_path / "weights.csv")
    assert "Filter relevance, flowers-single-6c, 12 images" in text
    classes = UnitStore(out).tables["classes"]
    rows = list(csv.DictReader((tmp_path / "weights.csv").open()))
    for one in classes.itertuples():
        own = [row for row in rows if row["class"] == one.name]
        assert len(own) == one.units > 0
        assert f"{one.name}  {one.units} units, {own[0]['layer']}:{own[0]['unit']}" in text
    content = json.loads(told(capsys, "relevance", "--out", out, "--json"))
    assert [one["mu"] for one in content["path"]][:5] == pytest.approx([0.1, 0.2, 0.4, 1, 2])


def test_profiles_are_printed_and_written(flowers, capsys, tmp_path):
    out = tmp_path / "profiles"
    words = ("profiles", "flowers-single-6c", "--data", flowers, "--layers", "relu3,relu4", "--out", out)
    text = told(capsys, *words, "--set", "classes=true", "--csv", tmp_path / "units.csv")
    assert "Class profiles, flowers-single-6c, 12 images" in text
    store, rows = UnitStore(out), list(csv.DictReader((tmp_path / "units.csv").open()))
    classes = store.tables["classes"]
    assert classes["images"].tolist() == [2] * 6
    means = store.array("profiles")
    assert len(rows) == len(means) == 192
    for row, own in zip(rows, means, strict=True):
        assert [float(row[f"{one.label} {one.name}"]) for one in classes.itertuples()] == pytest.approx(own.tolist())
        assert row["class"] == classes["name"][own.argmax()]
    most = max((row for row in rows if row["dead"] == "False"), key=lambda row: float(row["selectivity"]))
    assert f"{most['layer']}:{most['unit']}  {most['class']}, selectivity" in text
    assert json.loads(told(capsys, "profiles", "--out", out, "--json"))["units"][0]["class"] == rows[0]["class"]


def test_profiles_of_one_class_have_no_selectivity(flowers, capsys, tmp_path):
    words = ("profiles", "flowers-single-6c", "--data", flowers, "--images", 1, "--out", tmp_path / "out")
    text = told(capsys, *words, "--csv", tmp_path / "units.csv")
    assert "selectivity" not in text
    assert "selectivity" not in (tmp_path / "units.csv").read_text()


def test_a_study_gives_model_and_layer(flowers, capsys, tmp_path):
    study = Study(BUNDLED / "flowers-double-12c")
    words = ("activating", study.path, "--data", flowers, "--images", 6, "--set", "top=1", "--out", tmp_path / "out")
    assert f"{study.manifest.model.layer}: {study.manifest.model.filters} units" in told(capsys, *words)
    assert UnitStore(tmp_path / "out").manifest.model.sha == study.manifest.model.sha


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("activating", "flowers-single-6c"), "needs images"),
        (("activating", "flowers-single-6c", "--data", "{flowers}", "--layers", "head"), "has no spatial positions"),
        (("activating", "flowers-single-6c", "--data", "{flowers}", "--set", "top"), "cannot be read"),
        (("activating", "flowers-single-6c", "--data", "{flowers}", "--set", "top=0"), "top"),
        (("dissect", "flowers-single-6c", "--data", "{flowers}/images/red"), "has no masks of concepts"),
        (("dissect",), "no analysis of units"),
    ],
)
def test_bad_input_is_one_sentence(flowers, capsys, tmp_path, words, problem):
    given = [word.replace("{flowers}", str(flowers)) for word in words]
    text = told(capsys, *given, "--out", tmp_path / "out", code=2)
    assert problem in text
    assert text.count("\n") == 1


def test_the_other_command_is_refused(dissected, capsys):
    assert "holds network dissection" in told(capsys, "activating", "--out", dissected, code=2)


def test_the_price_of_relevant_units_is_printed_and_written(flowers, capsys, tmp_path):
    stored = BUNDLED.parent / "units" / "flowers-single-6c-relevance"
    words = ("ablate", stored, "--data", flowers, "--top", 8, "--draws", 3)
    text = told(capsys, *words)
    assert "all  12 images, 100.0%; 8 units cost " in text
    assert ", random units " in text
    rows = json.loads(told(capsys, *words, "--json"))
    told(capsys, *words, "--csv", tmp_path / "lost.csv")
    assert [row["name"] for row in csv.DictReader((tmp_path / "lost.csv").open())] == [row["name"] for row in rows]
    assert [row["units"] for row in rows] == [8] * 7
    assert rows[-1]["lost"] > rows[-1]["random"] + 0.2
    without = told(capsys, *words[:4], "--draws", 0)
    assert "random" not in without.partition("\n")[2]


def test_averages_of_relevant_units_are_pictures_and_numbers(flowers, capsys, tmp_path):
    stored = BUNDLED.parent / "units" / "flowers-single-6c-relevance"
    words = ("averages", stored, "--data", flowers, "--top", 1, "--out", tmp_path / "out")
    content = json.loads(told(capsys, *words, "--json"))
    keys = [one["key"] for one in content["averages"]]
    assert [one["label"] for one in content["averages"]] == list(range(6))
    assert [one["images"] for one in content["averages"]] == [2] * 6
    pictures = np.load(tmp_path / "out" / "averages.npz")
    assert sorted(pictures.files) == sorted(keys)
    for key in keys:
        with Image.open(tmp_path / "out" / f"{key}.png") as image:
            assert np.array_equal(np.asarray(image), (255 * pictures[key]).round().astype(np.uint8))
        with Image.open(tmp_path / "out" / f"{key}-contrast.png") as image:
            assert (np.asarray(image).min(), np.asarray(image).max()) == (0, 255)
    first = content["averages"][0]
    alone = json.loads(told(capsys, *words, "--json", "--uniform", "--unit", f"{first['layer']}:{first['unit']}"))
    assert {(one["layer"], one["unit"]) for one in alone["averages"]} == {(first["layer"], first["unit"])}
    assert f"{keys[0]}.png" in told(capsys, *words)


def test_averages_of_what_is_not_relevant_get_a_sentence(flowers, capsys, tmp_path):
    stored = BUNDLED.parent / "units" / "flowers-single-6c-relevance"
    words = ("averages", stored, "--data", flowers, "--out", tmp_path / "out")
    assert "A unit cannot be 'norm4'" in told(capsys, *words, "--unit", "norm4", code=2)
    assert "no class for which norm9:1 is relevant" in told(capsys, *words, "--unit", "norm9:1", code=2)


def test_the_price_of_what_cannot_be_ablated_gets_a_sentence(flowers, dissected, capsys, tmp_path):
    stored = BUNDLED.parent / "units" / "flowers-single-6c-relevance"
    assert "There is no relevance in" in told(capsys, "ablate", dissected, code=2)
    other = told(capsys, "ablate", stored, "--model", "flowers-shortcut-6c", "--data", flowers, code=2)
    assert "flowers-shortcut-6c is not the model that flowers-single-6c-relevance is about" in other
    assert told(capsys, "ablate", stored, "--data", tmp_path / "nothing", code=2)
