"""`vitrine exam` from end to end on the smallest data."""

import csv
import io
import json

import pytest

from core.cli import main
from core.errors import Cancelled
from core.exam import Exam
from core.exam.league import league, standings

WORDS = ["exam", "--variant", "shortcut", "--methods", "grad_cam,lrp", "--images", "6", "--folds", "2"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("exams") / "tags"
    assert main([*WORDS, "--out", str(path)]) == 0
    return path


def told(capsys, *words, code=0):
    assert main(["exam", *map(str, words)]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_the_league_table_is_printed(built, capsys):
    text = told(capsys, "--out", built)
    assert "flowers-shortcut-6c, 6 images of flowers shortcut, 2 folds" in text
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    table = league(Exam(built))
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [" ".join(row[1:]).startswith(title) for row, title in zip(rows, table["title"], strict=True)] == [True] * 5
    assert f"{table['tag_energy_pointing'][0]:.3f} ± " in text
    changed, tagged = Exam(built).flipped
    assert f"The prediction changes for {changed} of {tagged} images when the tag is removed." in text


def test_a_finished_exam_is_not_done_twice(built, capsys, monkeypatch):
    monkeypatch.setattr("core.exam.shard._shard_of", lambda *_: pytest.fail("work"))
    assert main([*WORDS, "--out", str(built)]) == 0
    assert "5 methods, 6 images, 9 measures: about" in capsys.readouterr().out
    assert "with other settings" in told(capsys, *WORDS[1:], "--seed", 1, "--out", built, code=2)


def test_csv_latex_and_json_hold_the_same_numbers(built, capsys, tmp_path):
    table, found = tmp_path / "league.csv", Exam(built)
    latex = tmp_path / "league.tex"
    report = tmp_path / "exam.html"
    assert f"{table}: league table\n{latex}: league table\n{report}: report" in told(
        capsys, "--out", built, "--csv", table, "--latex", latex, "--report", report
    )
    assert report.read_text("utf-8").startswith("<!DOCTYPE html>")
    content = json.loads(told(capsys, "--out", built, "--json"))
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    long = standings(found).set_index(["method", "measure"])
    assert [row["method"] for row in rows] == [row["method"] for row in content["league"]]
    for row in rows:
        expected = long.loc[row["method"], "auc_iou"]
        for name in ("n", "mean", "deviation", "low", "high", "rank"):
            assert float(row[f"auc_iou_{name}"]) == pytest.approx(expected[name])
    assert len(content["standings"]) == 5 * 9
    assert content["flipped_without_tag"] == list(found.flipped)
    lines = latex.read_text().splitlines()
    assert lines[1] == r"\begin{tabular}{l" + "r" * 10 + "}"
    assert sum(line.endswith(r"\\") for line in lines) == 1 + 5
    best = long.query("rank == 1 and measure == 'deletion_auc'").iloc[0]
    assert rf"\textbf{{{best['mean']:.3f} $\pm$ {best['deviation']:.3f}}}" in latex.read_text()


def test_an_interrupted_exam_says_how_to_continue(tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise Cancelled

    monkeypatch.setattr("core.exam.build.map_shards", stopped)
    text = told(capsys, *WORDS[1:], "--out", tmp_path / "stopped", code=130)
    assert text.strip() == "vitrine: stopped. The same command continues the exam."
    assert not (tmp_path / "stopped").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variant", "single"], "Did you mean 'single-6c'?"),
        (["--variant", "shortcut", "--methods", "gradcam"], "grad_cam"),
        (["--variant", "shortcut", "--methods", "cam,,lrp"], "--methods 'cam,,lrp' cannot be read."),
        (["--variant", "shortcut", "--images", "many"], "--images cannot be 'many'. Give a whole number."),
        (["--variant", "shortcut", "--folds", "0"], "--folds cannot be '0'. It must lie between 1 and 20."),
        (["--variant", "shortcut", "--quality", "best"], "--quality cannot be 'best'."),
        (["--data", "nowhere", "--model", "flowers-single-6c"], "nowhere cannot be opened as a folder"),
        (["--data", "nowhere"], "needs a model"),
        ([], "There is no exam in"),
        (["--json", "--csv", "league.csv"], "Give --json alone"),
    ],
)
def test_mistakes_get_one_sentence(tmp_path, capsys, words, message):
    text = told(capsys, *words, "--out", tmp_path / "never", code=2)
    assert message in text
    assert text.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_keeps_the_exam(built, capsys, tmp_path):
    assert "cannot be written" in told(capsys, "--out", built, "--csv", tmp_path / "no" / "league.csv", code=2)
