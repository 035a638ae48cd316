"""Errors in numbers: accuracy overall and by class, confusions, calibration, and the ROC of a class."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import Unsupported
from core.measure.intervals import Interval, proportion
from core.review.predictions import Predictions

NONE = -1  # predicted of several labels where none is above the threshold
BINS = 10  # of the confidence, as in Guo et al. 2017


def accuracy(predictions: Predictions) -> Interval | None:
    """The share of images that are right, with its 95% interval; None without images of known class."""
    right = predictions.images["right"].to_numpy()[predictions.judged]
    return proportion(int(right.sum()), len(right))


def accuracy_by_class(predictions: Predictions) -> pd.DataFrame:
    """The accuracy of every class that occurs: label, name, images, right, accuracy, low, high, predicted, precision.

    `low` and `high` are the bounds of the 95% interval, `predicted` is how often the class is predicted, and precision
    the share of these that are right. Gaps are nan.
    """
    images = predictions.images.iloc[predictions.judged]
    count = len(predictions.labels)
    true, right = images["label"].to_numpy(), images["right"].to_numpy()
    guesses = decided(images)
    of_class, right_of = np.bincount(true, minlength=count), np.bincount(true[right == 1], minlength=count)
    guessed = np.bincount(guesses[guesses >= 0], minlength=count)
    rows = []
    for label in np.flatnonzero(of_class + guessed).tolist():
        share = proportion(int(right_of[label]), int(of_class[label])) or Interval(0, np.nan, np.nan, np.nan)
        precision = right_of[label] / guessed[label] if guessed[label] else np.nan
        rows.append((
            label, predictions.labels[label], share.n, int(right_of[label]), share.mean, share.low, share.high,
            int(guessed[label]), precision,
        ))  # fmt: skip
    names = ["label", "name", "images", "right", "accuracy", "low", "high", "predicted", "precision"]
    return pd.DataFrame(rows, columns=names)


def decided(images: pd.DataFrame) -> NDArray[np.int64]:
    """The class that counts as predicted for each image of known class: its own where it is right.

    Of several labels an image may be right without its own as the most probable one, and NONE where it is the most
    probable one but below the threshold.
    """
    label, predicted, right = (images[name].to_numpy(np.int64) for name in ("label", "predicted", "right"))
    return np.where(right == 1, label, np.where(predicted == label, NONE, predicted))


def pairs(predictions: Predictions) -> pd.DataFrame:
    """The confusions, most frequent first: true, predicted, their names, images, and the share of the class's images.

    `predicted` is NONE, with an empty name, where none of several labels is predicted.
    """
    images = predictions.images.iloc[predictions.judged]
    table = pd.DataFrame({"true": images["label"].to_numpy(np.int64), "predicted": decided(images)})
    of_class = table["true"].value_counts()
    wrong = table[table["true"] != table["predicted"]].value_counts(sort=False).rename("images").reset_index()
    wrong = wrong.sort_values(["images", "true", "predicted"], ascending=[False, True, True], ignore_index=True)
    for name in ("true", "predicted"):
        wrong[f"{name}_name"] = [predictions.class_name(label) for label in wrong[name]]
    wrong["share"] = wrong["images"] / wrong["true"].map(of_class)
    return wrong[["true", "predicted", "true_name", "predicted_name", "images", "share"]]


@dataclass(frozen=True)
class Confusion:
    """Numbers of images by true and predicted class."""

    labels: tuple[int, ...]  # the classes of rows and columns
    counts: NDArray[np.int64]  # (K, K), a row for each true class
    others: int  # images whose true or predicted class is not among them


def confusion(predictions: Predictions, most: int = 60) -> Confusion:
    """The confusion matrix of the classes that occur; of more than `most`, of those with the most errors."""
    images = predictions.images.iloc[predictions.judged]
    true, guesses = images["label"].to_numpy(np.int64), decided(images)
    wrong = true != guesses
    count = len(predictions.labels)
    known = guesses[guesses >= 0]
    occurs = np.bincount(true, minlength=count) + np.bincount(known, minlength=count)
    errors = np.bincount(true[wrong], minlength=count) + np.bincount(guesses[wrong & (guesses >= 0)], minlength=count)
    order = np.lexsort((np.arange(count), -errors))
    labels = np.sort(order[occurs[order] > 0][:most])
    position = np.full(count + 1, -1)  # the last one is that of NONE
    position[labels] = np.arange(len(labels))
    rows, columns = position[true], position[guesses]
    inside = (rows >= 0) & (columns >= 0)
    cells = np.bincount(rows[inside] * len(labels) + columns[inside], minlength=len(labels) ** 2)
    counts = cells.reshape(len(labels), len(labels)).astype(np.int64)
    return Confusion(tuple(labels.tolist()), counts, int((~inside).sum()))


@dataclass(frozen=True)
class Calibration:
    """How often predictions of each confidence are right."""

    bins: pd.DataFrame  # low, high, images, confidence (mean), accuracy; the last two nan in an empty bin
    error: float  # expected calibration error: mean distance of confidence and accuracy, weighted by images


def calibration(predictions: Predictions, bins: int = BINS) -> Calibration | None:
    """The reliability of the confidences in bins of equal width, (low, high] each; None without known classes.

    The error is that of Naeini et al. 2015 and Guo et al. 2017. Of several labels the most probable one counts.
    """
    images = predictions.images.iloc[predictions.judged]
    if not len(images):
        return None
    confidence = images["confidence"].to_numpy(np.float64)
    hit = (images["label"] == images["predicted"]).to_numpy()
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    sums = np.bincount(number, confidence, bins), np.bincount(number, hit, bins)
    mean, share = (np.divide(one, counts, out=np.full(bins, np.nan), where=counts > 0) for one in sums)
    error = np.nansum(np.abs(mean - share) * counts) / len(images)
    table = {"low": edges[:-1], "high": edges[1:], "images": counts, "confidence": mean, "accuracy": share}
    return Calibration(pd.DataFrame(table), float(error))


@dataclass(frozen=True)
class Decisions:
    """Numbers of images by true class and decision at a threshold."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def accuracy(self) -> float:
        """The share of right decisions."""
        right, wrong = self.true_positives + self.true_negatives, self.false_positives + self.false_negatives
        return right / (right + wrong)

    @property
    def true_rate(self) -> float:
        """The share of the images of the class that are decided positive: recall."""
        return self.true_positives / (self.true_positives + self.false_negatives)

    @property
    def false_rate(self) -> float:
        """The share of the other images that are decided positive."""
        return self.false_positives / (self.false_positives + self.true_negatives)

    @property
    def precision(self) -> float | None:
        """The share of positive decisions that are right; None without any."""
        positives = self.true_positives + self.false_positives
        return self.true_positives / positives if positives else None


@dataclass(frozen=True)
class Roc:
    """The receiver operating characteristic of one class against all others, by threshold of its probability."""

    positive: str  # the class
    thresholds: NDArray[np.float64]  # (T,) falling, where the curve turns; at the first one no decision is positive
    false_rate: NDArray[np.float64]  # of the images of other classes that have at least this probability
    true_rate: NDArray[np.float64]
    scores: NDArray[np.float64]  # (n,) the probability of the class, of all images of known class; 0 up to `known_from`
    truth: NDArray[np.bool_]  # (n,) whether they belong to it
    known_from: float  # probabilities up to this one may be missing: there the curve is a straight line

    @cached_property
    def area(self) -> float:
        """The area under the curve."""
        return float(np.trapezoid(self.true_rate, self.false_rate))

    @cached_property
    def table(self) -> pd.DataFrame:
        """Where the curve turns: threshold (infinite at first), false_positive_rate, true_positive_rate."""
        return pd.DataFrame({
            "threshold": self.thresholds, "false_positive_rate": self.false_rate, "true_positive_rate": self.true_rate,
        })  # fmt: skip

    def at(self, threshold: float) -> Decisions:
        """The decisions if a probability above this threshold, at least `known_from`, is positive."""
        positive = self.scores > threshold
        yes, no = int((positive & self.truth).sum()), int((positive & ~self.truth).sum())
        return Decisions(yes, no, int((~self.truth).sum()) - no, int(self.truth.sum()) - yes)


def roc_classes(predictions: Predictions) -> list[int]:
    """The classes of some but not all images; none of several labels, as an image may show others than its own."""
    if predictions.manifest.model.output == "multilabel":
        return []
    present = np.unique(predictions.images["label"].to_numpy()[predictions.judged])
    return present.tolist() if len(present) > 1 else []


def roc(predictions: Predictions, label: int) -> Roc:
    """The ROC of a class. Raises Unsupported for one that is not among `roc_classes`."""
    from sklearn.metrics import roc_curve

    if label not in roc_classes(predictions):
        name = predictions.labels[label]
        message = f"A ROC of {name} needs images of it and of others, each of one class."
        raise Unsupported(message, "Add images, or choose another class.")
    judged = predictions.judged
    truth = predictions.images["label"].to_numpy()[judged] == label
    top, probabilities = (predictions.array(name)[judged] for name in ("top", "probabilities"))
    scores = np.where(top == label, probabilities, 0).sum(1, dtype=np.float64)
    unknown = ~(top == label).any(1)
    known_from = float(probabilities[unknown, -1].max(initial=0))
    scores[scores <= known_from] = 0
    false_rate, true_rate, thresholds = roc_curve(truth, scores)
    return Roc(predictions.labels[label], thresholds, false_rate, true_rate, scores, truth, known_from)
