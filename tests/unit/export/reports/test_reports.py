"""The reports of a study, an exam and a comparison: escaped, without requests, the same every time."""

import base64
import io
import re
from html import escape

import numpy as np
import pytest
from PIL import Image

from core.cache import TensorCache
from core.errors import TooLarge
from core.export.reports.comparison import comparison_report
from core.export.reports.exam import exam_report
from core.export.reports.report import Gallery, as_html
from core.export.reports.study import study_report
from core.images import decode
from core.mining.overview import legible
from core.models import load
from core.units.ablation_study import run_ablation
from core.workbench import Request, Workbench
from tests import nets, small_exam, small_study

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The small study, whose first class has a hostile name."""
    home = tmp_path_factory.mktemp("home")
    small = small_study.built(home)
    classes = small.table("classes")
    names = [SCRIPT, *classes["name"].tolist()[1:]]
    return small_study.edited(small, home / "studies" / "hostile", classes=classes.assign(name=names))


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    return small_exam.built(tmp_path_factory.mktemp("home"))


def harmless(text):
    """Whether a report asks for nothing and runs nothing: all of its pictures are inside."""
    without = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "<script" not in without
    assert not re.search(r"https?:|//|url\(|@import|\bon\w+=", without)
    assert set(re.findall(r'src="(\w+:\w+)', without)) <= {"data:image"}
    return True


def section(report, heading):
    (found,) = [one for one in report.sections if one.heading == heading]
    return found


def pixels(card):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(card.picture.partition(",")[2]))))


def test_the_report_of_a_study_has_its_numbers_and_pictures(study):
    report = study_report(study)
    text = as_html(report)
    assert harmless(text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text == as_html(study_report(study)), "the same bytes"
    assert str(study.path.parent) not in text, "nothing of this machine"
    images, rules, patches = study.table("images"), study.table("rules"), study.table("patches")
    right = (images["label"] == images["predicted"]).mean()
    assert f"{right:.1%} of {len(images)} images" in dict(report.facts)["Accuracy"]
    by_class = section(report, "Accuracy by class")
    assert sum(row[3] for row in by_class.rows) == (images["label"] == images["predicted"]).sum()
    assert section(report, "Rules").rows[0][5] == pytest.approx(rules["score"].max())
    graph = section(report, "Filters and classes")
    drawing = base64.b64decode(graph.picture.partition(",")[2]).decode()
    shown = legible(study.table("edges")).edges
    assert drawing.count("<line") == len(shown)
    assert all(f">F{number}</text>" in drawing for number in shown["filter"])
    assert all(f">{escape(study.labels[label])}</text>" in drawing for label in shown["label"])
    assert f"{shown['filter'].nunique()} filters and {shown['label'].nunique()} classes" in graph.words
    counts = patches["label"].value_counts()
    cards = section(report, "Patches").cards
    assert len(cards) == counts.clip(upper=6).sum()
    first = patches[patches["label"] == patches["label"].min()]["score"].idxmax()
    assert (pixels(cards[0]) == study.array("crops")[first]).all()
    averages = study.table("averages").sort_values("weight", ascending=False, kind="stable")
    best = averages.to_dict("records")[0]
    average = section(report, "Average patches").cards[0]
    assert average.heading == f"F{best['filter']} → {study.labels[best['label']]}"
    assert (pixels(average) == (255 * study.array("averages")[best["average"]].astype(float)).round()).all()
    assert report.command == "vitrine study report hostile --out hostile.html"


def test_an_ablation_is_told_class_by_class(study):
    mined = {label: [label, label + 12] for label in range(1, 12)}  # class 0 has no rules
    ablation = run_ablation(study, {"mined": mined}, load("flowers-double-12c"), draws=3, random_filters=10)
    report = study_report(study, ablation, folder="/somewhere/other flowers")
    table = section(report, "Accuracy with filters ablated")
    assert table.columns == (
        "class", "images", "filters", "all filters", "without rule filters", "without random filters",
        "standard deviation",
    )  # fmt: skip
    rows = ablation.per_class
    assert [row[4] for row in table.rows] == rows["mined"].tolist()
    assert [row[5] for row in table.rows] == rows["random_mean"].tolist()
    assert f"{rows['mined'].mean():.1%} without the filters of each class's rules" in table.note
    assert "10.0 random filters (3 draws). Images of other flowers." in table.note
    assert report.command.endswith("--out hostile.html --ablate --data 'other flowers'")
    assert harmless(as_html(report))
    assert "/somewhere" not in as_html(report)
    alone = study_report(study, run_ablation(study, {"mined": mined}, load("flowers-double-12c"), draws=0))
    assert section(alone, "Accuracy with filters ablated").columns[-1] == "without rule filters"
    assert alone.command.endswith("--ablate")


def test_a_study_without_labels_or_rules_has_a_report(study, tmp_path):
    images = study.table("images").assign(label=-1)
    empty = np.full_like(study.array("items"), -1)
    bare = small_study.edited(
        study, tmp_path / "bare", empty, images=images, classes=study.table("classes").assign(images=0, correct=0)
    )
    report = study_report(bare)
    assert "Accuracy" not in dict(report.facts)
    assert "unknown" in section(report, "Classes").note
    assert section(report, "Rules").note == "There are none."
    assert "Filters and classes" not in [one.heading for one in report.sections]
    assert harmless(as_html(report))


def test_the_report_of_an_exam_has_the_league_and_its_figure(exam):
    report = exam_report(exam)
    text = as_html(report)
    assert harmless(text)
    assert text == as_html(exam_report(exam))
    league = section(report, "League")
    assert {row[1] for row in league.rows} >= {"Grad-CAM", "Saliency"}
    figure = base64.b64decode(section(report, "Means and 95% intervals").picture.partition(",")[2]).decode()
    assert "Grad-CAM" in figure
    assert section(report, "Methods that do not work").note == "All methods work for this model."
    assert "vitrine exam --variant shortcut" in report.command


@pytest.fixture
def bench():
    return Workbench(nets.model("gap"), TensorCache(1 << 26))


def test_the_report_of_a_comparison_has_maps_settings_agreement_and_reasons(bench, photo):
    picture = decode(photo, f"{SCRIPT}.png")
    requests = [Request(name, target) for target in (3, 1) for name in ("saliency", "grad_cam")]
    answers = [(request, bench.explain(picture, request)) for request in requests]
    broken = (Request("rise", 3), TooLarge("RISE does not fit.", "Use a smaller image."))
    results = [(picture, [*answers, broken])]

    def made():
        return comparison_report(bench, results, seed=5, true={picture.sha: 2}, command="vitrine explain '<b>'")

    report = made()
    text = as_html(report)
    assert harmless(text)
    assert text == as_html(made())
    gallery = section(report, picture.name)
    assert isinstance(gallery, Gallery)
    assert [card.heading for card in gallery.cards[1:]] == [
        "Saliency: class 3", "Grad-CAM: class 3", "Saliency: class 1", "Grad-CAM: class 1", "RISE: class 3",
    ]  # fmt: skip
    assert dict(gallery.cards[0].facts)["true class"] == "class 2"
    assert (gallery.cards[-1].facts, gallery.cards[-1].picture) == (
        (("no map", "RISE does not fit. Use a smaller image."),),
        "",
    )
    values = answers[0][1].maps[0]
    assert dict(gallery.cards[1].facts)["values"] == f"{values.min():.3g} to {values.max():.3g}"
    agreed = section(report, "Agreement for class 3")
    assert agreed.columns == ("method", "saliency", "grad_cam", "random", "edge_detector")
    assert [row[number + 1] for number, row in enumerate(agreed.rows)] == [1, 1, 1, 1]
    assert "vitrine explain &#39;&lt;b&gt;&#39;" in text
