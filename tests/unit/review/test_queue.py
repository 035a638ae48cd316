"""Queues: filters, orders, and what counts as overconfident or unsure."""

import numpy as np
import pytest

from core.review.evidence import Evidence
from core.review.queue import CaseFilter, counts, matching, ordered, queue_limits
from tests.unit.review.planted import planted

# Right: .9 .8 .6 · wrong: .95 .85 .5 · unknown class: .7
LABEL = [0, 1, 2, 0, 1, 2, -1]
GUESSED = [0, 1, 2, 1, 0, 0, 2]
CONFIDENCE = [0.9, 0.8, 0.6, 0.95, 0.85, 0.5, 0.7]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    probabilities = np.zeros((7, 3))
    for row, (guess, confidence) in enumerate(zip(GUESSED, CONFIDENCE, strict=True)):
        probabilities[row] = (1 - confidence) * 0.25
        probabilities[row, (guess + 1) % 3] = (1 - confidence) * 0.75
        probabilities[row, guess] = confidence
    return planted(tmp_path_factory.mktemp("queue"), LABEL, probabilities)


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        (CaseFilter(), [3, 4, 5]),
        (CaseFilter("right"), [0, 1, 2]),
        (CaseFilter("unknown"), [6]),
        (CaseFilter("all"), [0, 1, 2, 3, 4, 5, 6]),
        (CaseFilter(true=0), [3]),
        (CaseFilter(predicted=0), [4, 5]),
        (CaseFilter(true=2, predicted=0), [5]),
        (CaseFilter(reviewed=True), [4]),
        (CaseFilter(reviewed=False), [3, 5]),
        (CaseFilter("overconfident"), [3, 4]),  # at least the median of right ones, 0.8
        (CaseFilter("unsure"), [1, 2]),  # a margin of at most the median of errors, 0.7375
        (CaseFilter(place="diffuse"), [5]),
    ],
)
def test_cases_meet_every_condition(found, conditions, rows):
    evidence = {5: Evidence("diffuse", None, None, 0.4), 1: Evidence("diffuse", None, None, 0.4)}
    assert matching(found, conditions, {"004.png", "001.png"}, evidence).tolist() == rows


def test_limits_are_the_medians(found):
    limits = queue_limits(found)
    assert limits.overconfident == pytest.approx(0.8)
    assert limits.unsure == pytest.approx(0.85 - 0.15 * 0.75)
    assert counts(found) == {"wrong": 3, "right": 3, "overconfident": 2, "unsure": 2, "unknown": 1, "all": 7}


@pytest.mark.parametrize(
    ("order", "rows"),
    [
        ("confident", [3, 0, 4, 1, 6, 2, 5]),
        ("unsure", [5, 2, 6, 1, 4, 0, 3]),
        ("margin", [5, 2, 6, 1, 4, 0, 3]),
        ("folder", [0, 1, 2, 3, 4, 5, 6]),
        ("evidence", [4, 3, 6, 0, 1, 2, 5]),
    ],
)
def test_cases_are_ordered(found, order, rows):
    evidence = {
        6: Evidence("elsewhere", 0.1, None, 0.1), 3: Evidence("object", 0.8, None, 0.2),
        4: Evidence("object", 0.9, None, 0.1),
    }  # fmt: skip
    assert ordered(found, np.arange(7), order, evidence).tolist() == rows


def test_where_all_images_are_right_nothing_is_overconfident_or_unsure(tmp_path):
    found = planted(tmp_path, [0, 1], [[0.9, 0.1], [0.4, 0.6]])
    assert counts(found) == {"wrong": 0, "right": 2, "overconfident": 0, "unsure": 0, "unknown": 0, "all": 2}
