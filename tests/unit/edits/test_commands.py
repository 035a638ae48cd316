"""`--edit` and `vitrine flip` from the words to what is printed and written."""

import json
import shlex

import pytest

from core.cli import main
from core.edits.apply import edited, scaled
from core.edits.edit import read_all
from core.edits.what_if import what_if
from core.export import command_line
from core.images import picture_file
from core.resources import ASSETS
from core.workbench import Request, Workbench
from tests import nets
from tests.said import sentence

PHOTO = ASSETS / "images" / "double-red-petals.png"
EDITS = ["box=100,100,80,80:zero", "filters=features.5:1,2*0", "jpeg=30"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Whatever model a command names, it gets a tiny one."""
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("gap"))


def words_of(edits):
    return [word for edit in edits for word in ("--edit", edit)]


def test_edits_are_in_the_result_and_in_the_command(tmp_path, capsys):
    words = ["explain", str(PHOTO), "--model", "gap", "--method", "grad_cam", *words_of(EDITS), "--out", str(tmp_path)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    result = json.loads(next(tmp_path.glob("*/result.json")).read_text("utf-8"))
    model, picture = nets.model("gap"), picture_file(PHOTO)
    edits = read_all(EDITS)
    bench = Workbench(scaled(model, edits))
    after = edited(picture, edits)
    assert result["edits"] == [EDITS[0], EDITS[2], EDITS[1]]
    assert result["image_sha256"] == picture.sha
    assert [one["probability"] for one in result["top5"]] == pytest.approx([p for *_, p in bench.top(after)], abs=1e-6)
    for change in result["changes"]:
        assert change["before"] == pytest.approx(
            float(Workbench(model).probabilities(picture)[change["index"]]), abs=1e-6
        )
        assert change["after"] == pytest.approx(float(bench.probabilities(after)[change["index"]]), abs=1e-6)
        assert f"{change['label']}: {change['before']:.1%} → {change['after']:.1%}" in printed
    line = command_line(bench.model, ["a.png"], [Request("grad_cam", 0)], edits=after.edits)
    assert shlex.split(line)[5:11] == words_of(result["edits"])


def test_a_map_is_that_of_the_edited_picture_and_network(tmp_path):
    def maps(*edits):
        out = tmp_path / str(len(edits))
        words = ["explain", str(PHOTO), "--model", "gap", "--method", "grad_cam", *words_of(edits), "--out", str(out)]
        assert main(words) == 0
        return json.loads(next(out.glob("*/result.json")).read_text("utf-8"))["maps"][0]["score"]

    assert maps() != maps(EDITS[1])


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("bxo=1,2,3,4", "Did you mean 'box'?"),
        ("filters=features.55:1*0", "no layer called 'features.55'"),
        ("filters=features.5:99*0", "has no unit 99"),
        ("jpeg=0", "quality of a JPEG cannot be 0"),
        ("box=9999,0,3,3:blur", "lies outside the image"),
        ("box=0,0,3,3:image none.png", "none.png cannot be opened"),
    ],
)
def test_a_mistake_is_one_sentence(edit, said, tmp_path, capsys):
    words = ["explain", str(PHOTO), "--model", "gap", "--method", "grad_cam", "--edit", edit, "--out", str(tmp_path)]
    assert main(words) == 2
    assert said in sentence(capsys)


@pytest.mark.parametrize("kind", ["segments", "filters"])
def test_the_steps_of_a_search_are_printed(kind, capsys):
    words = ["flip", str(PHOTO), "--model", "gap", "--remove", kind, "--count", "12", "--steps", "3", "--fill", "zero"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 1 <= len(found["steps"]) <= 3
    assert found["edit"].startswith(f"{kind}=")
    assert found["after"] < found["before"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert found["why"] in table
    assert found["edit"] in table
    for number, step in enumerate(found["steps"], 1):
        assert f"{number:4}  {step['removed']:10}" in table


def test_a_search_starts_from_the_image_as_edited(capsys):
    edits = ["brightness=0.5", "filters=features.5:1*0"]
    words = ["flip", str(PHOTO), "--model", "gap", "--count", "12", "--steps", "2", *words_of(edits)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    after = what_if(nets.model("gap"), picture_file(PHOTO), read_all(edits))
    assert found["edits"] == edits
    assert found["label"] == after.top_after[0]
    assert found["before"] == pytest.approx(float(after.after[after.top_after[0]]), abs=1e-5)
    assert found["before"] != pytest.approx(float(after.before[found["label"]]), abs=1e-4)
    assert main(words) == 0
    assert "The search starts from the image with brightness=0.5, filters=features.5:1*0." in capsys.readouterr().out


def test_a_search_refuses_what_it_cannot_do(capsys):
    words = ["flip", str(PHOTO), "--model", "gap"]
    assert main([*words, "--steps", "none"]) == 2
    assert "--steps cannot be 'none'" in sentence(capsys)
    assert main([*words, "--count", "2"]) == 2
    assert "cut into 2 segments" in sentence(capsys)
    assert main([*words, "--remove", "filters", "--layer", "features.55"]) == 2
    assert "no layer called 'features.55'" in sentence(capsys)
