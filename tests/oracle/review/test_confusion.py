"""Confusions, accuracy, calibration and ROC against scikit-learn, statsmodels, or counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from core.errors import Unsupported
from core.measure.intervals import proportion
from core.review.confusion import (
    NONE,
    accuracy,
    accuracy_by_class,
    calibration,
    confusion,
    pairs,
    roc,
    roc_classes,
)
from tests.unit.review.planted import planted

CLASSES = 6


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Predictions of 300 images in six classes, a tenth of them of unknown class; the last class never occurs."""
    rng = np.random.default_rng(5)
    label = rng.integers(0, CLASSES - 1, 300)
    logits = rng.normal(0, 1.5, (300, CLASSES))
    logits[np.arange(300), label] += 1.5
    logits[:, -1] = -20
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    label[::10] = -1
    return planted(tmp_path_factory.mktemp("drawn"), label, probabilities)


def sides(found):
    images = found.images[found.images["label"] >= 0]
    return images["label"].to_numpy(), images["predicted"].to_numpy()


def test_the_matrix_is_that_of_scikit_learn(drawn):
    true, predicted = sides(drawn)
    found = confusion(drawn)
    assert found.labels == tuple(range(CLASSES - 1))
    assert np.array_equal(found.counts, confusion_matrix(true, predicted))
    assert found.others == 0


def test_a_matrix_of_few_classes_takes_those_with_most_errors_and_counts_the_rest(drawn):
    true, predicted = sides(drawn)
    wrong = true != predicted
    errors = np.bincount(true[wrong], minlength=CLASSES) + np.bincount(predicted[wrong], minlength=CLASSES)
    found = confusion(drawn, most=2)
    assert sorted(errors[list(found.labels)], reverse=True) == sorted(errors, reverse=True)[:2]
    assert found.counts.sum() + found.others == len(true)
    assert np.array_equal(found.counts, confusion_matrix(true, predicted, labels=found.labels))


def test_accuracy_is_that_of_scikit_learn_with_wilsons_interval(drawn):
    true, predicted = sides(drawn)
    overall = accuracy(drawn)
    assert overall.mean == pytest.approx(accuracy_score(true, predicted))
    expected = proportion_confint((true == predicted).sum(), len(true), method="wilson")
    assert (overall.low, overall.high) == pytest.approx(expected)
    table = accuracy_by_class(drawn)
    precision, recall, _, count = precision_recall_fscore_support(true, predicted, labels=table["label"])
    assert table["accuracy"].tolist() == pytest.approx(recall.tolist())
    assert table["precision"].tolist() == pytest.approx(precision.tolist())
    assert table["images"].tolist() == count.tolist()
    bounds = proportion_confint(table["right"], table["images"], method="wilson")
    assert np.allclose([table["low"], table["high"]], bounds)


@pytest.mark.parametrize(("count", "n"), [(0, 4), (5, 5), (1, 1), (3, 7)])
def test_shares_at_the_ends_have_an_interval_of_some_width(count, n):
    found = proportion(count, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(count, n, method="wilson"), abs=1e-12)
    assert found.high - found.low > 0.3
    assert proportion(0, 0) is None


def test_pairs_are_counted_by_hand(tmp_path):
    eye = np.eye(3) * 0.8 + 0.1
    label, guessed = [0, 0, 0, 1, 1, 2, -1, 0], [1, 1, 0, 0, 1, 2, 2, 2]
    table = pairs(planted(tmp_path, label, eye[guessed], names=("ant", "bee", "cow")))
    assert table.values.tolist() == [
        [0, 1, "ant", "bee", 2, 0.5], [0, 2, "ant", "cow", 1, 0.25], [1, 0, "bee", "ant", 1, 0.5]
    ]  # fmt: skip


def test_of_several_labels_an_own_one_above_the_threshold_is_right(tmp_path):
    label = [0, 0, 0]
    probabilities = [[0.6, 0.9, 0.1], [0.2, 0.7, 0.1], [0.4, 0.3, 0.1]]
    found = planted(tmp_path, label, probabilities, output="multilabel")
    assert found.images["right"].tolist() == [1, 0, 0]
    assert pairs(found)[["true", "predicted", "images"]].values.tolist() == [[0, NONE, 1], [0, 1, 1]]
    assert accuracy(found).mean == pytest.approx(1 / 3)
    table = accuracy_by_class(found).set_index("label")
    assert table.loc[0, ["images", "right", "predicted"]].tolist() == [3, 1, 1]
    matrix = confusion(found)
    assert matrix.labels == (0, 1)
    assert matrix.counts.tolist() == [[1, 1], [0, 0]]
    assert matrix.others == 1


def test_a_planted_calibration_is_found(tmp_path):
    """Confidence 0.85 that is right in 6 of 10 cases, 0.55 in 10 of 20: an error of (10 · 0.25 + 20 · 0.05) / 30."""
    confidence, hits = [0.85] * 10 + [0.55] * 20, [1] * 6 + [0] * 4 + [1] * 10 + [0] * 10
    probabilities = np.array([[one, 1 - one] for one in confidence])
    found = calibration(planted(tmp_path, 1 - np.array(hits), probabilities))
    assert found.error == pytest.approx((10 * 0.25 + 20 * 0.05) / 30)
    filled = found.bins[found.bins["images"] > 0]
    assert filled[["low", "high", "images", "confidence", "accuracy"]].to_numpy() == pytest.approx(
        np.array([[0.5, 0.6, 20, 0.55, 0.5], [0.8, 0.9, 10, 0.85, 0.6]])
    )


def test_the_calibration_error_is_that_of_a_loop(drawn):
    images = drawn.images[drawn.images["label"] >= 0]
    error = 0.0
    for k in range(10):
        own = images[(images["confidence"] > k / 10) & (images["confidence"] <= (k + 1) / 10)]
        if len(own):
            hit = (own["label"] == own["predicted"]).mean()
            error += abs(hit - own["confidence"].mean()) * len(own) / len(images)
    assert calibration(drawn).error == pytest.approx(error)


def test_the_roc_is_that_of_scikit_learn_and_its_decisions_those_of_a_count(tmp_path):
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 80)
    score = np.round((rng.normal(truth, 1.2) / 6 + 0.4).clip(0.01, 0.99), 2)  # with ties
    label = truth.copy()
    label[:5] = -1
    found = roc(planted(tmp_path, label, np.stack([1 - score, score], 1), output="sigmoid", threshold=0.3), 1)
    score, truth = score[5:].astype(np.float32), truth[5:]
    assert found.known_from == 0
    assert found.area == pytest.approx(roc_auc_score(truth, score))
    pairs_right = (score[truth == 1][:, None] > score[truth == 0]) + (
        score[truth == 1][:, None] == score[truth == 0]
    ) / 2
    assert found.area == pytest.approx(pairs_right.mean())
    for threshold in (0.0, 0.25, 0.4, 0.5, 1.0):
        at = found.at(threshold)
        yes = sum(s > threshold and t for s, t in zip(score, truth, strict=True))
        no = sum(s > threshold and not t for s, t in zip(score, truth, strict=True))
        assert (at.true_positives, at.false_positives) == (yes, no)
        assert at.accuracy == pytest.approx(((score > threshold) == truth).mean())
        assert at.true_negatives + at.false_negatives + at.true_positives + at.false_positives == 75
        assert at.true_rate == pytest.approx(yes / truth.sum())
        assert at.false_rate == pytest.approx(no / (truth == 0).sum())
        assert at.precision == (pytest.approx(yes / (yes + no)) if yes + no else None)
        on_curve = np.interp(at.false_rate, found.false_rate, found.true_rate) - at.true_rate
        assert on_curve >= -1e-12, "the marker is not above the curve"


def test_a_roc_of_many_classes_is_exact_where_its_probabilities_are_stored(tmp_path):
    """Five of eight probabilities are stored: what a loop over all eight finds, down to the largest that is missing."""
    rng = np.random.default_rng(4)
    label = rng.integers(0, 8, 120)
    probabilities = rng.dirichlet(np.full(8, 0.4), 120)
    probabilities[np.arange(120), label] += 0.3
    probabilities /= probabilities.sum(1, keepdims=True)
    predictions = planted(tmp_path, label, probabilities)
    assert roc_classes(predictions) == list(range(8))
    found = roc(predictions, 3)
    score = probabilities[:, 3].astype(np.float32)
    missing = np.array(
        [(row > one).sum() >= 5 for row, one in zip(probabilities.astype(np.float32), score, strict=True)]
    )
    assert missing.any()
    assert score[missing].max() <= found.known_from < 0.2
    for threshold in np.linspace(found.known_from, 1, 23):
        positive, at = score > threshold, found.at(threshold)
        assert at.true_positives == int((positive & (label == 3)).sum())
        assert at.false_positives == int((positive & (label != 3)).sum())
    inside = found.thresholds > found.known_from
    assert np.isfinite(found.thresholds[1:]).all()
    assert found.thresholds[~inside].tolist() == [0.0], "one step below what is known"
    assert (found.false_rate[-1], found.true_rate[-1]) == (1, 1)


def test_no_roc_of_a_class_without_images_or_others(tmp_path):
    score = np.array([0.2, 0.7])
    both = np.stack([1 - score, score], 1)
    alone = planted(tmp_path / "alone", [0, 0], both, output="sigmoid")
    assert roc_classes(alone) == []
    with pytest.raises(Unsupported, match="A ROC of class 0 needs images of it and of others"):
        roc(alone, 0)
    with pytest.raises(Unsupported, match="class 2"):
        roc(planted(tmp_path / "three", [0, 1], [[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]]), 2)
    assert roc_classes(planted(tmp_path / "several", [0, 1], both, output="multilabel")) == []


def test_without_known_classes_nothing_is_claimed(tmp_path):
    found = planted(tmp_path, [-1, -1], [[0.3, 0.7], [0.6, 0.4]])
    assert accuracy(found) is None
    assert calibration(found) is None
    assert len(pairs(found)) == len(accuracy_by_class(found)) == 0
    assert confusion(found).counts.shape == (0, 0)
