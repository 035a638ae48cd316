"""`vitrine tables` from end to end."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from core.cli import main
from core.tables.data.datasets import DATASETS
from core.tables.training import train


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
        (("train", "wine", "--hidden", "2.5"), "hidden cannot be 2.5."),
        (("train", "wine", "--epochs", "0"), "--epochs cannot be '0'."),
        (("importance", "wine", "--label", "x"), "There is no class called 'x'."),
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


def test_training_is_scored_and_written(capsys, tmp_path):
    words = ("train", "wine", "--epochs", 20, "--hidden", "8", "--seed", 2)
    assert "rows held out" in told(capsys, *words, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "network.npz",
        "predictions.csv",
        "result.json",
    ]
    facts = json.loads(told(capsys, *words, "--json"))
    assert facts == json.loads((tmp_path / "out" / "result.json").read_text())
    trained = train(DATASETS["wine"].load(), epochs=20, hidden=(8,), seed=2)
    assert (facts["score"], facts["chance"]) == (trained.score, trained.chance)
    assert np.array_equal(facts["losses"], trained.losses)
    written = rows(tmp_path / "out" / "predictions.csv")
    right = [row["cultivar"] == row["predicted"] for row in written]
    assert np.mean(right) == pytest.approx(trained.score)
    assert float(written[0]["probability of class_0"]) == pytest.approx(trained.network(trained.held_out.values)[0, 0])
    with np.load(tmp_path / "out" / "network.npz") as arrays:
        assert arrays["0.weight"].shape == (8, 13)
        assert np.array_equal(arrays["mean"], trained.network.mean)


def test_three_views_are_compared(capsys, tmp_path):
    words = ("importance", "students", "--epochs", 20, "--shuffles", 3, "--retrain")
    text = told(capsys, *words, "--out", tmp_path / "out")
    assert "All three rank study hours first" in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "correlations.csv", "importances.csv", "importances.png", "importances.svg", "ranks.csv", "regression.csv",
        "result.json", "shuffles.npz", "tree.csv",
    ]  # fmt: skip
    facts = json.loads(told(capsys, *words, "--json"))
    assert facts == json.loads((tmp_path / "out" / "result.json").read_text())
    own = rows(tmp_path / "out" / "importances.csv")
    for row, one in zip(own, facts["importances"], strict=True):
        assert row["feature"] == one["feature"]
        assert float(row["network"]) == pytest.approx(one["network"])
    best = max(own, key=lambda row: float(row["regression retrained"]))
    assert best["feature"] == "study hours"
    assert float(best["low"]) <= float(best["network"]) <= float(best["high"])
    nodes = {row["node"]: row for row in rows(tmp_path / "out" / "tree.csv")}
    root = nodes["0"]
    assert int(root["rows"]) == sum(int(nodes[root[answer]]["rows"]) for answer in ("yes", "no")) == 300
    with np.load(tmp_path / "out" / "shuffles.npz") as arrays:
        assert arrays["shuffled"].shape == (7, 3)


def test_a_model_of_ones_own_is_compared_in_its_place(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Model:\n    def predict(self, frame): return 30 + 3 * frame['sleep']\ndef build(): return Model()\n"
    )
    words = ("importance", "students", "--model", f"{tmp_path / 'mine.py'}:build", "--json")
    facts = json.loads(told(capsys, *words))
    others = {one["feature"]: one["network"] for one in facts["importances"]}
    assert {name for name, value in others.items() if value} == {"sleep"}
    assert "may have been trained on the rows" in facts["sentence"]
    assert "could run any code" in told(capsys, "train", "students", "--model", "mine.pkl", code=2)


def test_pixels_are_pictures(capsys, tmp_path):
    words = ("pixels", "digits", "--label", "3", "--epochs", 5, "--out", tmp_path / "out")
    assert "no contour of any digit" in told(capsys, *words)
    with np.load(tmp_path / "out" / "pixels.npz") as arrays:
        names = ("gini", "forest", "saliency", "inversion")
        assert {name: arrays[name].shape for name in arrays} == dict.fromkeys(names, (8, 8))
        assert arrays["gini"].sum() == pytest.approx(1)
    assert Image.open(tmp_path / "out" / "gini.png").size == (256, 256)
    assert "not the pixels" in told(capsys, "pixels", "wine", "--epochs", 1, "--label", "class_0", code=2)
    assert "There is no class" in told(capsys, "pixels", "digits", "--epochs", 1, "--label", "x", code=2)
    (tmp_path / "mine.py").write_text(
        "class Model:\n    def predict(self, frame): return ['3'] * len(frame)\ndef build(): return Model()\n"
    )
    words = ("pixels", "digits", "--model", f"{tmp_path / 'mine.py'}:build")
    assert "gradient of a network" in told(capsys, *words, code=2)
