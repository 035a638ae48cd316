"""Disagreements of two models, and blind ratings of their explanations."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from core.data.layout import UNKNOWN
from core.errors import BadParameter, Unavailable
from core.review.two_models.disagreement import TwoModels, for_labels
from core.review.two_models.ratings import Rating, Ratings, as_table, is_swapped, summary
from tests.unit.review.planted import planted, source_of

NAMES = ("cat", "dog", "owl")


def sure(*labels, share=0.8):
    """Probabilities whose first classes are these."""
    rest = (1 - share) / (len(NAMES) - 1)
    return np.where(np.eye(len(NAMES))[list(labels)] == 1, share, rest)


@pytest.fixture
def both(tmp_path):
    """Right together, only the first, only the second, wrong alike, wrong in two ways, and of unknown class."""
    label = [0, 0, 0, 1, 1, -1]
    first = planted(tmp_path / "a", label, sure(0, 0, 1, 0, 0, 2), names=NAMES)
    second = planted(tmp_path / "b", label, sure(0, 1, 0, 0, 2, 1, share=0.6), names=NAMES)
    return TwoModels(first, second)


def test_images_are_told_apart_by_who_is_right(both):
    assert both.counts() == {
        "disagree": 4, "first": 1, "second": 1, "both wrong": 2, "both right": 1, "agree": 2, "all": 6,
    }  # fmt: skip
    assert sorted(both.rows("disagree").tolist()) == [1, 2, 4, 5]
    assert both.rows("first").tolist() == [1]
    assert both.rows("second").tolist() == [2]
    assert both.table.loc[4, ["first", "second", "label"]].tolist() == ["cat", "owl", "dog"]
    assert both.agreement().mean == pytest.approx(2 / 6)
    first, second = both.accuracies()
    assert (first.n, first.mean, second.mean) == (5, 2 / 5, 2 / 5)


def test_the_surest_disagreement_is_first(tmp_path):
    label = [0, 0, 0]
    first = planted(tmp_path / "a", label, np.concatenate([sure(0, share=s) for s in (0.5, 0.9, 0.7)]), names=NAMES)
    second = planted(tmp_path / "b", label, sure(1, 1, 1), names=NAMES)
    assert TwoModels(first, second).rows().tolist() == [1, 2, 0]


@pytest.mark.parametrize(("first_alone", "second_alone"), [(9, 1), (3, 3), (1, 6)])
def test_the_test_of_mcnemar_is_binomial(tmp_path, first_alone, second_alone):
    count = first_alone + second_alone
    label = [0] * count
    first = planted(tmp_path / "a", label, sure(*[0] * first_alone, *[1] * second_alone), names=NAMES)
    second = planted(tmp_path / "b", label, sure(*[1] * first_alone, *[0] * second_alone), names=NAMES)
    expected = min(1.0, 2 * binom.cdf(min(first_alone, second_alone), count, 0.5))
    assert TwoModels(first, second).chance() == pytest.approx(expected)
    assert TwoModels(first, first).chance() is None, "a model does not differ from itself"


def test_predictions_for_other_images_are_refused(both, tmp_path):
    other = planted(tmp_path / "c", [0], sure(0), names=NAMES)
    with pytest.raises(BadParameter, match=r"not predicted for the same images\. Predict the same"):
        TwoModels(both.first, other)


def test_classes_of_another_order_are_matched_by_name(tmp_path):
    source = source_of(tmp_path, [], [])
    source = replace(source, paths=("a", "b", "c", "d"), labels=(0, 1, 2, UNKNOWN), shas=("", "", "", ""))
    found = for_labels(source, NAMES, ("owl", "cat"))
    assert found.labels == (1, UNKNOWN, 0, UNKNOWN)
    assert found.notes[-1] == "1 of 4 images are of classes that the second model lacks."
    assert for_labels(source, NAMES, NAMES) is source


@pytest.fixture
def ratings(tmp_path):
    return Ratings("f" * 64, "a" * 64, "b" * 64, "grad_cam", tmp_path / "reviews")


def test_ratings_are_stored_changed_taken_back_and_kept_apart(ratings, tmp_path):
    assert ratings.all() == []
    ratings.set("x.png", "Ann", 2)
    ratings.set("x.png", "Bo", -1)
    ratings.set("x.png", "Ann", 1)
    again = Ratings("f" * 64, "a" * 64, "b" * 64, "grad_cam", tmp_path / "reviews")
    assert [(one.image, one.rater, one.score) for one in again.all()] == [("x.png", "Ann", 1), ("x.png", "Bo", -1)]
    ratings.set("x.png", "Bo", None)
    assert [one.rater for one in again.all()] == ["Ann"]
    assert Ratings("f" * 64, "a" * 64, "b" * 64, "rise", tmp_path / "reviews").all() == [], "of another method"
    assert Ratings("f" * 64, "b" * 64, "a" * 64, "grad_cam", tmp_path / "reviews").all() == [], "the other way round"


def test_raters_at_once_lose_nothing(ratings):
    names = [f"rater {index}" for index in range(8)]

    def rate(name):
        for image in range(5):
            ratings.set(f"{image}.png", name, image - 2)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rate, names))
    assert as_table(ratings.all()).shape == (5, 8)
    assert summary(ratings.all()).alpha == 1


@pytest.mark.parametrize(
    ("rater", "score", "words"),
    [("Ann", 3, "A rating cannot be 3"), ("", 1, "A rater cannot"), ("x" * 101, 1, "A rater"), ("a\x1b", 0, "A rater")],
)
def test_what_cannot_be_stored_is_told(ratings, rater, score, words):
    with pytest.raises(BadParameter, match=words):
        ratings.set("x.png", rater, score)
    assert ratings.all() == []


def test_a_database_of_somebody_else_is_not_believed(ratings):
    ratings.set("x.png", "Ann", 0)
    with ratings.database.writing() as connection:
        connection.execute("UPDATE ratings SET score = 7")
    with pytest.raises(Unavailable, match="is damaged"):
        ratings.all()


def test_sides_are_drawn_by_rater_and_image_and_even_in_the_mean():
    sides = [is_swapped("pair", f"{image}.png", rater) for image in range(200) for rater in ("Ann", "Bo")]
    assert sides == [is_swapped("pair", f"{image}.png", rater) for image in range(200) for rater in ("Ann", "Bo")]
    assert 150 < sum(sides) < 250
    assert any(is_swapped("pair", f"{i}.png", "Ann") != is_swapped("pair", f"{i}.png", "Bo") for i in range(20))


def test_the_mean_preference_counts_every_image_once():
    said = [("a", "Ann", 2), ("a", "Bo", 0), ("b", "Ann", -1), ("c", "Ann", 1)]
    found = summary([Rating(image, rater, score, "") for image, rater, score in said])
    assert (found.raters, found.images, found.ratings) == (2, 3, 4)
    assert found.preference.mean == pytest.approx((1 - 1 + 1) / 3)
    assert found.preference.low < found.preference.mean < found.preference.high
    none = summary([])
    assert (none.raters, none.images, none.preference, none.alpha) == (0, 0, None, None)
