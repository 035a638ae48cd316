"""`vitrine units concepts` from end to end, of a bundled study."""

import csv
import json

import numpy as np
import pytest

from core.cli import main
from core.data.flowers import write
from core.errors import Cancelled
from core.study import BUNDLED, Study

STUDY = "flowers-double-12c"
FILES = ["concepts.csv", "concepts.png", "concepts.svg", "filters.csv", "patches.csv", "result.json", "result.npz",
         "rules.csv"]  # fmt: skip


def told(capsys, *words, code=0):
    assert main(["units", "concepts", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code == 2 else out


def rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_each_concept_of_the_flowers_is_a_rule(capsys, tmp_path):
    text = told(capsys, STUDY, "--count", 12, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert "sums of 12 concepts differ from the responses by 2.1% of their norm" in text
    table = rows(tmp_path / "out" / "concepts.csv")
    study = Study(BUNDLED / STUDY)
    assert sorted(row["rule_class"] for row in table) == sorted(study.labels), "one for each class"
    assert all(float(row["shared_patches"]) == 1 for row in table)
    arrays = np.load(tmp_path / "out" / "result.npz")
    assert arrays["directions"].shape == (12, 128)
    assert np.linalg.norm(arrays["directions"], axis=1) == pytest.approx(1)
    best = max(rows(tmp_path / "out" / "patches.csv"), key=lambda row: float(row["strength"]))
    assert float(best["strength"]) == pytest.approx(arrays["strengths"].max())
    assert arrays["strengths"][int(best["patch"]), int(best["concept"])] == arrays["strengths"].max()
    assert f"Concept {best['concept']}" in (tmp_path / "out" / "concepts.svg").read_text("utf-8")
    told(capsys, STUDY, "--count", 12, "--out", tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_importance_of_a_concept_is_that_of_its_class(capsys, tmp_path):
    write("double-12c", tmp_path / "flowers", per_class=1)
    words = (STUDY, "--count", 12, "--importance", "--draws", 1, "--data", tmp_path / "flowers", "--json")
    said = json.loads(told(capsys, *words, "--out", tmp_path / "out"))
    assert [one["drop_class"] for one in said["concepts"]] == [one["rule_class"] for one in said["concepts"]]
    assert all(one["drop"] > 0.3 > abs(one["drop_random"]) for one in said["concepts"])
    table = rows(tmp_path / "out" / "importance.csv")
    assert len(table) == 12 * 12
    assert {row["images"] for row in table} == {"1"}


def test_concepts_are_kept_when_their_importance_is_interrupted(capsys, tmp_path, monkeypatch):
    def report(_fraction, note):
        if "images ablated" in note:
            raise Cancelled

    monkeypatch.setattr("core.commands.units.factorisation.printed", lambda stream: report)
    write("double-12c", tmp_path / "flowers", per_class=1)
    words = (STUDY, "--count", 3, "--importance", "--data", tmp_path / "flowers", "--out", tmp_path / "out")
    told(capsys, *words, code=130)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nothing", "--count", "3"), "nothing"),
        ((STUDY, "--count", "0"), "--count cannot be '0'"),
        ((STUDY, "--count", "many"), "--count cannot be 'many'"),
        ((STUDY, "--count", "129"), "536 patches with 126 active filters do not have 129 concepts"),
        ((STUDY, "--count", "3", "--draws", "-1"), "--draws"),
        ((STUDY, "--count", "3", "--importance"), "The study's images are not in"),
        ((STUDY, "--count", "3", "--importance", "--data", "{empty}"), "{empty}"),
    ],
)
def test_bad_input_is_one_sentence(words, problem, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    given = [word.replace("{empty}", str(tmp_path / "empty")) for word in words]
    text = told(capsys, *given, "--out", tmp_path / "out", code=2)
    assert problem.replace("{empty}", "empty") in text
    assert text.count("\n") == 1
