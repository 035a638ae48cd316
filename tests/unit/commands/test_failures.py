"""`vitrine failures` on a study and on folders with and without classes."""

import csv
import json
import shutil

import pytest

from core.cli import main
from core.data import flowers
from core.errors import Cancelled
from core.review import predictions as builder
from core.review.reviews import Review, Reviews
from core.study import BUNDLED, Study
from tests.said import sentence

MODEL = "flowers-shortcut-6c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Flowers whose tag names another class most of the time."""
    path = tmp_path_factory.mktemp("flowers") / "balanced"
    flowers.write("shortcut", path, per_class=4, seed=3, rho=0.2)
    return path


def told(capsys, *words):
    assert main(["failures", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_errors_of_a_folder_are_listed(folder, capsys):
    lines = told(capsys, folder, "--model", MODEL).splitlines()
    assert lines[0] == f"balanced: {MODEL}, 24 images"
    assert lines[1].startswith("accuracy: ")
    content = json.loads(told(capsys, folder, "--model", MODEL, "--json"))
    wrong = [case for case in content["cases"] if case["outcome"] == "wrong"]
    assert len(wrong) == len(content["cases"]) == content["counts"]["wrong"] > 5
    assert [case["confidence"] for case in wrong] == sorted((case["confidence"] for case in wrong), reverse=True)
    assert f"{wrong[0]['confidence']:6.1%}  {wrong[0]['image']}: {wrong[0]['true']} as {wrong[0]['predicted']}" in lines
    pair = content["confusions"][0]
    assert (
        f"{pair['images']:6,}  {pair['true_name']} as {pair['predicted_name']} ({pair['share']:.0%} of the class)"
        in lines
    )


def test_the_evidence_of_a_folder_is_located_when_asked(folder, capsys, tmp_path):
    """The network reads the tag, which is no part of the masked petals."""
    words = folder, "--model", MODEL
    assert not any(case["evidence"] for case in json.loads(told(capsys, *words, "--json"))["cases"])
    cases = json.loads(told(capsys, *words, "--evidence", "--json"))["cases"]
    assert {case["evidence"] for case in cases} == {"elsewhere"}
    assert f"{len(cases):6,}  Most of the evidence lies neither on the object nor" in told(capsys, *words, "--evidence")
    masks = tmp_path / "masks"
    (masks / cases[0]["image"]).parent.mkdir(parents=True)
    shutil.copy(folder / "masks" / cases[0]["image"], masks / cases[0]["image"])
    assert main(["failures", *map(str, words), "--masks", str(masks), "--json"]) == 0
    printed = capsys.readouterr()
    assert "23 of 24 images have no mask, such as: There is no mask for" in printed.err
    places = {case["image"]: case["evidence"] for case in json.loads(printed.out)["cases"]}
    assert places.pop(cases[0]["image"]) == "elsewhere"
    assert set(places.values()) == {"concentrated"}


def test_the_network_is_right_where_the_tag_is_and_follows_it_where_it_is_not(folder, capsys):
    """Predictions are the classes of the tags, not of the petals: the planted shortcut."""
    content = json.loads(told(capsys, folder, "--model", MODEL, "--json"))
    predicted = {case["image"]: case["predicted"] for case in content["cases"]}
    names = flowers.class_names("shortcut")
    tags = {}
    for path in (folder / "images").rglob("*.png"):
        flower = flowers.draw("shortcut", names.index(path.parent.name), int(path.stem), seed=3, rho=0.2)
        tags[f"{path.parent.name}/{path.name}"] = names[flower.tag]
    assert predicted == {path: tag for path, tag in tags.items() if not path.startswith(f"{tag}/")}
    assert "100.0% of 240 images" in told(capsys, MODEL), "the bundled study: every tag is that of the class"


def test_a_folder_without_classes_lists_the_least_confident(folder, capsys):
    lines = told(capsys, folder / "images" / "red", "--model", MODEL).splitlines()
    assert lines[1] == "4 of 4 images have no class: they have predictions, but no errors."
    assert lines[2] == "accuracy: unknown, as no image has a class of the model"
    confidences = [float(line.split("%")[0]) for line in lines[3:]]
    assert confidences == sorted(confidences)
    assert len(confidences) == 4


def test_reports_hold_what_reviewers_said(folder, tmp_path, capsys):
    study = Study(BUNDLED / MODEL)
    content = json.loads(told(capsys, folder, "--model", MODEL, "--json"))
    image = content["cases"][0]["image"]
    from core.review.source import folder_source

    key = folder_source(folder, study.labels).key
    Reviews(key, content["model_sha256"]).set(Review(image, "label wrong", note="<b>"), "Ann")
    for ending in ("csv", "json", "html"):
        out = tmp_path / f"report.{ending}"
        assert f"{out}: {len(content['cases'])} cases" in told(capsys, folder, "--model", MODEL, "--report", out)
    with (tmp_path / "report.csv").open(encoding="utf-8") as file:
        assert next(csv.DictReader(file))["verdict"] == "label wrong"
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["cases"][0]["note"] == "<b>"
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "&lt;b&gt;" in html
    assert html.count("<img ") == len(content["cases"])


def test_fewer_images_can_be_used(folder, capsys):
    assert told(capsys, folder, "--model", MODEL, "--images", "12").splitlines()[0].endswith(" 12 images")
    assert told(capsys, MODEL, "--images", "80").splitlines()[0].endswith(" 80 images")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "There is no study in nowhere"),
        ([MODEL, "--threshold", "0.3"], "how its model is read, so threshold cannot be chosen"),
        (["{folder}"], "is a folder of images, and no model is named. Add --model"),
        (["{folder}", "--model", MODEL, "--images", "-3"], "--images cannot be '-3'"),
        (["{folder}", "--model", MODEL, "--report", "a.pdf"], "a.pdf is no report. Give a name that ends in .html"),
        (["{folder}", "--model", MODEL, "--report", "{folder}/no/a.csv"], "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(folder, words, problem, capsys):
    assert main(["failures", *(word.format(folder=folder) for word in words)]) == 2
    assert problem in sentence(capsys)


def test_an_interruption_is_said(folder, monkeypatch, capsys):
    def stopped(*words, **named):
        raise Cancelled

    monkeypatch.setattr(builder, "predictions", stopped)
    assert main(["failures", str(folder), "--model", MODEL]) == 130
    assert sentence(capsys) == "vitrine: stopped. The same command continues.\n"


def test_a_second_model_is_compared(folder, tmp_path, capsys):
    words = [folder, "--model", MODEL, "--against", "flowers-single-6c"]
    content = json.loads(told(capsys, *words, "--json"))
    counts = content["counts"]
    assert (content["first"], content["second"]) == (MODEL, "flowers-single-6c")
    assert counts["agree"] + counts["disagree"] == counts["all"] == 24
    assert counts["both right"] + counts["first"] + counts["second"] + counts["both wrong"] == 24
    assert all(one["first"] != one["second"] for one in content["disagreements"])
    text = told(capsys, *words)
    assert f"second: {counts['second']}" in text
    assert "(exact McNemar test)" in text
    told(capsys, *words, "--report", tmp_path / "two.csv")
    with (tmp_path / "two.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [one["path"] for one in content["disagreements"]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--against", "flowers-part-2c"], "have no class of the same name"),
        (["--against", "nothing"], "nothing"),
        (["--against", MODEL, "--report", "a.html"], "is a table"),
    ],
)
def test_a_second_model_that_cannot_be_compared_is_told(folder, more, words, capsys):
    assert main(["failures", str(folder), "--model", MODEL, *more]) == 2
    assert words in sentence(capsys)
