"""Images compared by the mean activations of the model's default layer: neighbours, duplicates, ordinary decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.layout import UNKNOWN
from core.progress import Report, chunks, silent
from core.review.predictions import Predictions

_BLOCK = 512  # images compared at a time
DUPLICATE = 0.98  # correlation of two thumbnails from which they show the same picture, stored or sized in another way
ENOUGH = 20  # right images of a class from which its clusters are worth anything
_CLUSTERS = 3  # at most
_PER_CLUSTER = 10  # images
_DIRECTIONS = 5  # principal components; more than the clusters of few images could describe


def nearest(predictions: Predictions, image: int, count: int = 5, label: int | None = None) -> list[tuple[int, float]]:
    """The right images most similar to an image, with the cosine of their mean activations; never the image itself.

    With a `label`, only right images of that class. Raises Unsupported for a model without activations.
    """
    images, pooled = predictions.images, predictions.pooled
    rows = _right(images if label is None else images[images["label"] == label], image)
    own = _unit(pooled[image : image + 1])[0]
    cosines = [_unit(pooled[rows[start : start + _BLOCK]]) @ own for start in range(0, len(rows), _BLOCK)]
    similarity = np.concatenate([np.zeros(0, np.float32), *cosines])
    order = np.argsort(-similarity, kind="stable")[:count]
    return [(int(rows[number]), float(similarity[number])) for number in order]


def near_duplicates(predictions: Predictions, least: float = DUPLICATE, report: Report = silent) -> pd.DataFrame:
    """Pairs of images that look the same and have different labels: first, second, correlation; most similar first.

    Thumbnails of both are compared, each as its differences from its own mean; images without structure, such as an
    even ground, are alike to nothing. Every pair is compared, some at a time.
    """
    images = predictions.images
    labels = images["label"].to_numpy()
    rows = np.flatnonzero((labels != UNKNOWN) & (images["problem"] == "").to_numpy())
    thumbnails = predictions.array("thumbnails")
    spans = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    found: list[tuple[int, int, float]] = []
    for span in chunks(len(spans), 1, report, "images compared"):
        first = spans[span.start]
        own = _structure(thumbnails[first])
        for second in spans[span.start :]:
            alike = own @ _structure(thumbnails[second]).T
            pairs = (alike >= least) & (labels[first][:, None] != labels[second]) & (first[:, None] < second)
            found += [
                (int(first[i]), int(second[j]), float(alike[i, j])) for i, j in zip(*np.nonzero(pairs), strict=True)
            ]
    table = pd.DataFrame(found, columns=["first", "second", "correlation"])
    return table.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Ordinary:
    """How ordinary a decision is for its class."""

    share: (
        float | None
    )  # of the class's right images that are less ordinary than this one; None where none can be given
    images: int  # right ones of the class that it is compared with
    clusters: int
    reason: str  # "" or why there is no share, as a sentence


def ordinary(predictions: Predictions, image: int, *, seed: int = 0) -> Ordinary:
    """How ordinary the activations of an image are for the class that is predicted for it.

    A Gaussian mixture is fitted to the right images of that class, the image itself left out, in their first principal
    components, with the number of clusters that has the lowest BIC; the share compares its density at the image with
    that at these images. As it was fitted to them, the share is too low where they are few. Raises Unsupported for a
    model without activations.
    """
    images, pooled = predictions.images, predictions.pooled
    label = int(images["predicted"].iloc[image])
    rows = _right(images[images["label"] == label], image)
    if label == UNKNOWN:
        return Ordinary(None, 0, 0, "The image has no prediction.")
    if len(rows) < ENOUGH:
        number = f"only {len(rows):,}" if len(rows) else "none"
        few = f"Clusters of {predictions.labels[label]} need {ENOUGH} other right images, and there are {number}."
        return Ordinary(None, len(rows), 0, few)
    known = np.asarray(pooled[rows], np.float64)
    if np.ptp(known, axis=0).max() <= 0:
        return Ordinary(None, len(rows), 0, "All of the class's activations are the same.")
    reduced, own = _reduced(known, np.asarray(pooled[image : image + 1], np.float64))
    mixture = _mixture(reduced, seed)
    densities = mixture.score_samples(reduced)
    share = float((densities < mixture.score_samples(own)[0]).mean())
    return Ordinary(share, len(rows), int(mixture.n_components), "")


def _right(images: pd.DataFrame, image: int) -> NDArray[np.int64]:
    """The images of a table that are right, without one of them."""
    return images.loc[(images["right"] == 1) & (images["image"] != image), "image"].to_numpy(np.int64)


def _mixture(points: NDArray[np.float64], seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    most = max(1, min(_CLUSTERS, len(points) // _PER_CLUSTER))
    fitted = [
        GaussianMixture(number, reg_covar=1e-3, n_init=3, random_state=seed).fit(points)
        for number in range(1, most + 1)
    ]
    return min(fitted, key=lambda one: float(one.bic(points)))


def _reduced(known: NDArray[np.float64], own: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sets of activations in the first principal components of the known ones, scaled by the largest of these."""
    mean = known.mean(0)
    _, sizes, directions = np.linalg.svd(known - mean, full_matrices=False)
    scale = sizes[0] / np.sqrt(len(known))
    axes = directions[:_DIRECTIONS].T / scale
    return (known - mean) @ axes, (own - mean) @ axes


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; those of length 0 stay."""
    values = np.asarray(rows, np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 0)


def _structure(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails (n, t, t, 3) as differences from their own mean, of length 1; those that are even become zero."""
    flat = np.asarray(thumbnails, np.float32).reshape(len(thumbnails), -1)
    return _unit(flat - flat.mean(1, keepdims=True))
