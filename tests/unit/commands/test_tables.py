"""`vitrine tables` from end to end."""

import csv
import json
import subprocess
import sys

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


def test_a_csv_file_is_read_with_corrections(capsys, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a;b;c\n" + "".join(f"{row % 3};{row % 4};{row}\n" for row in range(20)))
    facts = json.loads(told(capsys, "data", path, "--target", "b", "--categories", "a", "--omit", "c", "--json"))
    assert facts["features"] == [{"name": "a", "kind": "category", "categories": ["0", "1", "2"]}]
    assert facts["target"]["categories"] == ["0", "1", "2", "3"]
    assert any("semicolon" in note for note in facts["notes"])
    facts = json.loads(told(capsys, "data", path, "--above-average", "--json"))
    assert facts["target"]["categories"] == ["average or below", "above average"]


def test_formulas_are_escaped_in_what_is_written(capsys, tmp_path):
    (tmp_path / "mine.csv").write_text("a,b\n" + "".join(f"=1+{row % 3},{row}\n" for row in range(20)))
    told(capsys, "data", tmp_path / "mine.csv", "--csv", tmp_path / "out.csv")
    assert {row["a"] for row in rows(tmp_path / "out.csv")} == {"'=1+0", "'=1+1", "'=1+2"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("data", "student"), "There is no table called 'student'. Did you mean 'students'"),
        (("data", "no.csv"), "no.csv cannot be read (No such file or directory)."),
        (("data", "students", "--target", "age"), "students is no CSV file"),
        (("data", "students", "--header", "perhaps"), "--header cannot be 'perhaps'."),
        (("data", "wine", "--above-average"), "cultivar has classes and no average."),
    ],
)
def test_a_mistake_is_one_sentence(words, part, capsys):
    text = told(capsys, *words, code=2)
    assert part in text
    assert text.count("\n") == 1


def test_the_options_load_neither_torch_nor_pandas():
    code = "import sys; from core.cli import main\ntry: main(['tables', 'data', '--help'])\nexcept SystemExit: "
    code += "print('torch' in sys.modules, 'pandas' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False False"
