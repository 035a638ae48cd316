"""`vitrine tables lime` and `vitrine tables rules` from end to end, on networks that are hardly trained."""

import csv
import json
import subprocess
import sys

import pytest

from core.cli import main

STUDENTS = ("students", "--above-average", "--epochs", "4")


def told(capsys, *words, code=0):
    assert main(["tables", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code == 2 else out


def test_a_row_is_explained_by_readable_conditions(capsys, tmp_path):
    words = ("lime", *STUDENTS, "--row", 3, "--samples", 200, "--features", 2)
    lines = told(capsys, *words).splitlines()
    assert "held out" in lines[0]
    assert "weighted R²" in lines[1]
    assert len(lines) == 4
    facts = json.loads(told(capsys, *words, "--json"))
    assert facts["row"] == 3
    assert facts["null"] is None
    assert len(facts["weights"]) == 7
    told(capsys, *words, "--csv", tmp_path / "weights.csv")
    written = list(csv.DictReader((tmp_path / "weights.csv").open(encoding="utf-8", newline="")))
    assert [float(row["weight"]) for row in written] == pytest.approx([one["weight"] for one in facts["weights"]])
    assert abs(float(written[0]["weight"])) == max(abs(float(row["weight"])) for row in written)


def test_shuffled_targets_are_a_null_with_a_sentence(capsys):
    words = ("lime", *STUDENTS, "--samples", 100, "--shuffles", 2)
    assert "shuffled targets" in told(capsys, *words).splitlines()[-1]
    null = json.loads(told(capsys, *words, "--json"))["null"]
    assert len(null["maxima"]) == null["planned"] == 2


def test_the_explained_class_can_be_chosen(capsys):
    words = ("lime", *STUDENTS, "--samples", 200, "--json", "--explain")
    one, other = (json.loads(told(capsys, *words, name)) for name in ("above average", "average or below"))
    assert one["prediction"] + other["prediction"] == pytest.approx(1)
    weights = [{row["feature"]: row["weight"] for row in facts["weights"]} for facts in (one, other)]
    assert all(weights[0][name] == pytest.approx(-weights[1][name], abs=1e-6) for name in weights[0])


def test_representatives_show_different_features(capsys):
    words = ("lime", *STUDENTS, "--samples", 50, "--features", 1, "--representatives", 2, "--json")
    found = json.loads(told(capsys, *words))
    assert found[0]["covered"] < found[-1]["covered"] <= 1
    assert len({one["weights"][0]["feature"] for one in found}) == len(found) == 2


@pytest.mark.parametrize("method", ["deepred", "tree"])
def test_rules_are_told_written_and_fire(method, capsys, tmp_path):
    words = ("rules", *STUDENTS, "--method", method, f"--{method}-depth", 3)
    text = told(capsys, *words, "--fire", 5)
    assert "fidelity" in text
    assert text.splitlines()[-1].startswith("Row 5: ")
    facts = json.loads(told(capsys, *words, "--json"))
    assert f"{len(facts['rules'])}. If " in text
    assert 0 <= facts["held_out"]["fidelity"] <= 1
    told(capsys, *words, "--python", tmp_path / "rules.py")
    space = {}
    exec((tmp_path / "rules.py").read_text("utf-8"), space)
    row = {"course": "arts", "age": 17, "travel": 9, "absences": 0, "sleep": 8, "reading hours": 2, "study hours": 30}
    assert space["predict"](row) == "above average"
    told(capsys, *words, "--csv", tmp_path / "terms.csv")
    assert (tmp_path / "terms.csv").read_text("utf-8").startswith("rule,class,feature,above,up_to,categories")


def test_the_trade_off_is_a_table(capsys):
    lines = told(capsys, "rules", *STUDENTS, "--trade-off").splitlines()
    assert lines[0] == "depth,rules,terms,fidelity,accuracy"
    assert len(lines) == 11


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("lime", *STUDENTS, "--row", "400"), "There is no row 400. students has rows 0 to 399."),
        (("lime", *STUDENTS, "--row", "-1"), "--row cannot be '-1'."),
        (("lime", *STUDENTS, "--explain", "above averag"), "Did you mean 'above average'"),
        (("lime", *STUDENTS, "--samples", "1"), "--samples cannot be '1'."),
        (("lime", *STUDENTS, "--shuffles", "5", "--representatives", "2"), "--shuffles trains networks, for one row."),
        (("rules", "students", "--epochs", "1"), "score is a number."),
        (("rules", *STUDENTS, "--fire", "x"), "There is no row x."),
    ],
)
def test_a_mistake_is_one_sentence(words, part, capsys):
    text = told(capsys, *words, code=2)
    assert part in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("command", ["lime", "rules"])
def test_the_options_load_neither_torch_nor_pandas(command):
    code = f"import sys; from core.cli import main\ntry: main(['tables', '{command}', '--help'])\nexcept SystemExit: "
    code += "print('torch' in sys.modules, 'pandas' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False False"


def test_half_spaces_of_a_class(tmp_path, capsys):
    words = "rules", "wine", "--method", "hypinv", "--hypinv-points", "3", "--epochs", "5"
    text = told(capsys, *words)
    assert "class_2: " in text
    assert "h3: " in text
    assert "Experimental." in text
    found = json.loads(told(capsys, *words, "--class", "class_0", "--json"))
    assert found["class"] == "class_0"
    assert len(found["half_spaces"]) + found["missed"] == 3
    told(capsys, *words, "--csv", str(tmp_path / "h.csv"))
    assert (tmp_path / "h.csv").read_text().startswith("half-space,offset,normal of alcohol")
    assert "There is no class 'x'." in told(capsys, *words, "--class", "x", code=2)
    assert "not rules" in told(capsys, *words, "--fire", "1", code=2)
