"""A review as CSV, JSON and HTML: escaped, with its pictures inside, and without a script or request."""

import base64
import csv
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from core.export.reports.report import Report, Table, as_html
from core.export.review import review_json, review_report, review_table
from core.export.spreadsheet import as_csv
from core.review.evidence import Evidence
from core.review.queue import CaseFilter, matching
from core.review.reviews import Review
from tests.unit.review.planted import planted

HOSTILE = ('=cmd("calc")', "<script>alert(1)</script>", '"><img src=http://evil.example/x onerror=alert(1)>')


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Three images, two of them wrong; the file of one is there."""
    home = tmp_path_factory.mktemp("review")
    Image.new("RGB", (400, 300), (40, 90, 160)).save(home / "001.png")
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6]])
    pictures = np.full((3, 8, 8, 3), 200)
    return planted(home, [0, 0, 1], probabilities, names=HOSTILE, pictures=pictures)


@pytest.fixture(scope="module")
def reviews():
    return {"001.png": Review("001.png", "label wrong", ("=1+1", "{{ 7 * 7 }}"), HOSTILE[1], "Bo", "Ann", 3)}


class Parsed(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_a_report_holds_everything_and_runs_nothing(found, reviews):
    rows = matching(found, CaseFilter())
    evidence = {2: Evidence("elsewhere", 0.1, None, 0.1)}
    text = as_html(review_report(found, rows, reviews, evidence))
    page = Parsed(text)
    assert "script" not in page.tags
    assert page.tags.count("img") == 2, "a name of a class makes no element"
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("href", "action")]
    sources = [value for name, value in page.attributes if name == "src"]
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "url(" not in text
    assert "@import" not in text
    assert {name for name in HOSTILE if any(name in one for one in page.texts)} == set(HOSTILE), "shown as they are"
    assert any("{{ 7 * 7 }}" in one for one in page.texts), "texts are no templates"
    assert "default-src 'none'" in dict(page.attributes)["content"] or "default-src" in text
    assert "@media print" in text
    assert "33.3% of 3 images" in text
    assert "1 of 2 cases" in text
    alts = [value for name, value in page.attributes if name == "alt"]
    assert alts == ["001.png", "002.png"]


def test_pictures_are_those_of_the_files_or_else_the_thumbnails(found):
    report = review_report(found, np.array([1, 2]))
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(card.picture.partition(",")[2]))))
        for card in report.sections[-1].cards
    ]
    assert shown[0].shape == (180, 240, 3), "reduced"
    assert np.abs(shown[0].astype(int) - (40, 90, 160)).max() < 5
    assert shown[1].shape == (8, 8, 3)
    assert np.abs(shown[1].astype(int) - 200).max() < 5


def test_cells_of_the_csv_run_nothing(found, reviews):
    rows = matching(found, CaseFilter())
    table = list(csv.DictReader(io.StringIO(as_csv(review_table(found, rows, reviews)))))
    assert [one["image"] for one in table] == ["001.png", "002.png"]
    assert table[0]["true"] == f"'{HOSTILE[0]}"
    assert table[0]["tags"] == "'=1+1; {{ 7 * 7 }}"
    assert (table[0]["predicted"], table[0]["outcome"], table[0]["verdict"]) == (HOSTILE[1], "wrong", "label wrong")
    assert (table[0]["assignee"], table[0]["reviewer"], table[0]["note"]) == ("Bo", "Ann", HOSTILE[1])


def test_the_json_holds_all_numbers(found, reviews):
    rows = matching(found, CaseFilter("all"))
    content = json.loads(json.dumps(review_json(found, review_table(found, rows, reviews)), allow_nan=False))
    assert content["accuracy"]["mean"] == pytest.approx(1 / 3)
    assert content["counts"]["wrong"] == 2
    assert [one["images"] for one in content["confusions"]] == [1, 1]
    assert content["cases"][1]["verdict"] == "label wrong"
    assert len(content["classes"]) == 3
    assert content["calibration_error"] == pytest.approx((0.2 + 0.7 + 0.6) / 3)
    assert [(one["class"], one["area"]) for one in content["roc"]] == [(HOSTILE[0], 0.5), (HOSTILE[1], 0.25)]
    first = content["roc"][0]["points"][0]
    assert first == {"threshold": None, "false_positive_rate": 0.0, "true_positive_rate": 0.0}


def test_a_review_without_classes_or_errors_can_be_exported(tmp_path):
    found = planted(tmp_path, [-1, -1], [[0.6, 0.4], [0.1, 0.9]])
    rows = matching(found, CaseFilter("all"))
    assert "unknown, as no image has a class of the model" in as_html(review_report(found, rows))
    assert review_json(found, review_table(found, rows))["calibration_error"] is None
    right = planted(tmp_path / "right", [0, 1], [[0.6, 0.4], [0.1, 0.9]])
    assert "All images are right." in as_html(review_report(right, matching(right, CaseFilter())))


def test_numbers_of_a_table_are_aligned_and_gaps_are_dashes():
    table = Table("T", ("name", "n", "share"), (("a", 12345, 0.25), ("b", 1, float("nan"))))
    text = as_html(Report("R", (), (table,)))
    assert '<td class="number">12,345</td><td class="number">0.250</td>' in text
    assert '<td class="number">–</td>' in text
    assert [table.numeric(column) for column in range(3)] == [False, True, True]
