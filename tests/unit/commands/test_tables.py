"""`vitrine tables` from end to end."""

import csv
import json

import pytest

from core.cli import main
from core.tables.data.datasets import DATASETS


def told(capsys, *words, code=0):
    assert main(["tables", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code == 2 else out


def rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


def test_all_tables_are_listed(capsys, tmp_path):
    assert [name in told(capsys, "data") for name in DATASETS] == [True] * len(DATASETS)
    assert [one["name"] for one in json.loads(told(capsys, "data", "--json"))] == list(DATASETS)
    told(capsys, "data", "--csv", tmp_path / "all.csv")
    assert [row["rows"] for row in rows(tmp_path / "all.csv")][:3] == ["400", "400", "46"]


def test_one_table_is_shown_and_written(capsys, tmp_path):
    text = told(capsys, "data", "students")
    assert "400 rows, 7 features" in text
    assert "study hours" in text
    facts = json.loads(told(capsys, "data", "students", "--json"))
    assert facts["features"][0] == {
        "name": "course",
        "kind": "category",
        "categories": ["arts", "languages", "science"],
    }
    told(capsys, "data", "students", "--csv", tmp_path / "students.csv")
    table = DATASETS["students"].load()
    written = rows(tmp_path / "students.csv")
    assert len(written) == 400
    assert float(written[7]["score"]) == table.answers[7]
    assert written[7]["course"] == table.frame["course"].iloc[7]


@pytest.mark.parametrize("words", [("data", "student"), ("data", "no.csv")])
def test_a_mistake_is_one_sentence(words, capsys):
    assert told(capsys, *words, code=2).startswith("vitrine: There is no")
