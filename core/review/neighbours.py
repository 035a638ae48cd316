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
_CELLS = 16  # a side of what is compared: finer detail is what storing with loss changes
ENOUGH = 20  # right images of a class from which its clusters are worth anything
_CLUSTERS = 3  # at most
_PER_CLUSTER = 10  # images on average
_LEAST = 5  # images of a cluster: a few odd ones would be ordinary for one of their own
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
    blocks = [(first, second) for number, first in enumerate(spans) for second in spans[number:]]
    found: list[tuple[int, int, float]] = []
    for span in chunks(len(blocks), 1, report, "images compared"):
        first, second = blocks[span.start]
        alike = _structure(thumbnails[first]) @ _structure(thumbnails[second]).T
        pairs = (alike >= least) & (labels[first][:, None] != labels[second]) & (first[:, None] < second)
        places = zip(*np.nonzero(pairs), strict=True)
        found += [(int(first[i]), int(second[j]), float(alike[i, j])) for i, j in places]
    table = pd.DataFrame(found, columns=["first", "second", "correlation"])
    return table.sort_values("correlation", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Ordinary:
    """How ordinary a decision is for its class."""

    share: float | None  # of the compared images that are less ordinary; None where none can be given
    images: int  # right ones of the class, which it is compared with
    clusters: int
    reason: str  # "" or why there is no share, as a sentence


def ordinary(predictions: Predictions, image: int, *, seed: int = 0) -> Ordinary:
    """How ordinary the activations of an image are for the class that is predicted for it.

    A Gaussian mixture is fitted to the right images of that class, the image itself left out, in their first principal
    components, with the number of clusters that has the lowest BIC; the share compares its density at the image with
    that at these images. As it was fitted to them, the share is too low where they are few. Raises Unsupported for a
    model without activations.
    """
    label = int(predictions.images["predicted"].iloc[image])
    if label == UNKNOWN:
        return Ordinary(None, 0, 0, "The image has no prediction.")
    clusters = _clusters(predictions, label, seed, without=image)
    if isinstance(clusters, str):
        return Ordinary(None, 0, 0, clusters)
    own = clusters.density(predictions.pooled[image : image + 1])[0]
    share = float((clusters.density(predictions.pooled[clusters.rows]) < own).mean())
    return Ordinary(share, len(clusters.rows), int(clusters.mixture.n_components), "")


def typical(predictions: Predictions, label: int, *, seed: int = 0) -> list[int] | str:
    """The right images of a class, the most ordinary first and the odd ones last; a sentence where that is unknown.

    The order is that of the density that `ordinary` compares, fitted to all of them. Raises as `ordinary`.
    """
    clusters = _clusters(predictions, label, seed)
    if isinstance(clusters, str):
        return clusters
    density = clusters.density(predictions.pooled[clusters.rows])
    return [int(row) for row in clusters.rows[np.argsort(-density, kind="stable")]]


@dataclass(frozen=True)
class _Clusters:
    """The clusters of a class's right images in their first principal components."""

    rows: NDArray[np.int64]  # of the images
    mean: NDArray[np.float64]  # (D,)
    axes: NDArray[np.float64]  # (D, k) scaled by the deviation in the first component
    mixture: Any  # of scikit-learn

    def density(self, pooled: NDArray[np.float32]) -> NDArray[np.float64]:
        """The logarithm of the density at some images, from their activations (n, D)."""
        points = (np.asarray(pooled, np.float64) - self.mean) @ self.axes
        density: NDArray[np.float64] = self.mixture.score_samples(points)
        return density


def _clusters(predictions: Predictions, label: int, seed: int, without: int = UNKNOWN) -> _Clusters | str:
    """The clusters of a class, or a sentence that says why there are none."""
    from sklearn.mixture import GaussianMixture

    images, pooled = predictions.images, predictions.pooled
    rows = _right(images[images["label"] == label], without)
    if len(rows) < ENOUGH:
        few = f"{len(rows):,}" if len(rows) else "None"
        return (
            f"{few} of the images of {predictions.labels[label]} are right, too few for clusters, which need {ENOUGH}."
        )
    known = np.asarray(pooled[rows], np.float64)
    mean = known.mean(0)
    _, sizes, directions = np.linalg.svd(known - mean, full_matrices=False)
    if sizes[0] <= 0:
        return "All of the class's activations are the same."
    axes = directions[:_DIRECTIONS].T / (sizes[0] / np.sqrt(len(known)))
    points = (known - mean) @ axes
    most = max(1, min(_CLUSTERS, len(points) // _PER_CLUSTER))
    # With a covariance of its own, a cluster of few images would be as dense as one of many.
    fitted = [
        GaussianMixture(number, covariance_type="tied", reg_covar=1e-3, n_init=3, random_state=seed).fit(points)
        for number in range(1, most + 1)
    ]
    usable = [one for one in fitted if one.weights_.min() * len(points) >= _LEAST]  # a single cluster always is
    return _Clusters(rows, mean, axes, min(usable, key=lambda one: float(one.bic(points))))


def _right(images: pd.DataFrame, image: int) -> NDArray[np.int64]:
    """The images of a table that are right, without one of them."""
    return images.loc[(images["right"] == 1) & (images["image"] != image), "image"].to_numpy(np.int64)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; those of length 0 stay."""
    values = np.asarray(rows, np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, length, out=np.zeros_like(values), where=length > 0)


def _structure(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails (n, t, t, 3), reduced to about _CELLS a side, as differences from their own mean, of length 1.

    Those that are even become zero.
    """
    step = max(1, thumbnails.shape[1] // _CELLS)
    side = thumbnails.shape[1] // step
    cut = np.asarray(thumbnails[:, : side * step, : side * step], np.float32)
    flat = cut.reshape(len(cut), side, step, side, step, 3).mean((2, 4)).reshape(len(cut), -1)
    return _unit(flat - flat.mean(1, keepdims=True))
