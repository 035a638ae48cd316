"""Class profiles: the mean response of each unit to the images of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.errors import Unsupported
from core.params import Knob
from core.progress import Report
from core.store.schema import Column, Values
from core.units.analysis import Arrays, Findings, Parts, Subject, analysis

if TYPE_CHECKING:
    from core.study import Study
    from core.units.store import UnitStore

FLAT = 1e-9  # a profile's deviation from its mean, as a share of its size, that is rounding
_COUNT, _NUMBER = Column("whole"), Column("number", -1e30, 1e30)


@dataclass(frozen=True)
class Profiles:
    """The mean responses of the units of a layer to the images of each class."""

    means: NDArray[np.float64]  # (K, C), over images and positions
    classes: tuple[str, ...]  # those that have images
    images: NDArray[np.int64]  # (C,) their number
    dead: NDArray[np.bool_]  # (K,) units whose response is the same in all images

    @classmethod
    def of_images(
        cls, pooled: NDArray[np.floating], labels: Sequence[int] | NDArray[np.integer], names: Sequence[str]
    ) -> "Profiles":
        """From the means (N, K) of the maps of N images and the classes of these; -1 is left out."""
        every, labels = np.asarray(pooled, np.float64), np.asarray(labels)
        present = np.unique(labels[labels >= 0])
        means = np.array([every[labels == label].mean(0) for label in present]).reshape(len(present), every.shape[1]).T
        images = np.array([(labels == label).sum() for label in present], np.int64)
        dead = np.ptp(every, axis=0) == 0 if len(every) else np.ones(every.shape[1], bool)
        return cls(means, tuple(names[label] for label in present), images, dead)

    @classmethod
    def of_study(cls, study: "Study") -> "Profiles | None":
        """Of the layer of a study, by predicted class; None where the study does not keep the means of the maps."""
        if "pooled" not in study.manifest.arrays:
            return None
        images = study.table("images")
        read = (images["problem"] == "").to_numpy()
        return cls.of_images(
            study.array("pooled")[read], images.loc[read, "predicted"].to_numpy(np.int64), study.labels
        )

    @classmethod
    def of_store(cls, store: "UnitStore", layer: str) -> "Profiles | None":
        """Of one layer of a stored analysis; None where it has no such layer."""
        layers, units, classes = (store.tables[name] for name in ("layers", "units", "classes"))
        numbers = layers.loc[layers["name"] == layer, "layer"].tolist()
        if not numbers:
            return None
        own = (units["layer"] == numbers[0]).to_numpy()
        return cls(
            np.asarray(store.array("profiles")[own], np.float64),
            tuple(classes["name"]),
            classes["images"].to_numpy(np.int64),
            units.loc[own, "dead"].to_numpy(bool),
        )

    @property
    def best(self) -> NDArray[np.int64]:
        """(K,) The class with the highest mean, by its row in `classes`; the first one of equal ones."""
        return self.means.argmax(1)

    @property
    def selectivity(self) -> NDArray[np.float64] | None:
        """(K,) How much the highest mean m exceeds the mean o of the other classes' means: (m - o) / (|m| + |o|).

        0 where all classes have the same mean, 1 where one class alone has any response. Of responses without negative
        values this is the selectivity index of Morcos et al. 2018. None for a single class.
        """
        if len(self.classes) < 2:
            return None
        highest = self.means.max(1)
        others = (self.means.sum(1) - highest) / (len(self.classes) - 1)
        size = np.abs(highest) + np.abs(others)
        return np.divide(highest - others, size, out=np.zeros_like(size), where=size > 0).clip(0, 1)

    def likeness(self, unit: int) -> NDArray[np.float64]:
        """(K,) The correlation of every unit's profile with that of one, -1 to 1; NaN where a profile is flat."""
        centred = self.means - self.means.mean(1, keepdims=True)
        lengths = np.linalg.norm(centred, axis=1)
        lengths[lengths <= FLAT * np.linalg.norm(self.means, axis=1)] = np.nan
        return ((centred @ centred[unit]) / (lengths * lengths[unit])).clip(-1, 1)


@analysis(
    "Class profiles",
    family="classes",
    source="Morcos et al. 2018",
    formula="p_k(c) = mean of A_k(u, v) over positions and the images of class c",
    caution="A mean hides the few images to which a unit responds strongly.",
    cost=lambda settings, side: Passes(1),
    needs=("images",),
    tables={
        "units": {
            "layer": Column("whole", below="layers"), "unit": _COUNT, "lowest": _NUMBER, "highest": _NUMBER,
            "dead": Column("truth"),
        },
        "classes": {"label": _COUNT, "name": Column("text"), "images": _COUNT},
    },
    arrays={"profiles": Values("float64", ("units", "classes"), -1e30, 1e30)},
    noun="profiles",
)  # fmt: skip
def profiles(
    subject: Subject,
    *,
    classes: Annotated[
        Literal["predicted", "true"],
        Knob("Class of an image.", names=("predicted: explains the model", "true: explains the data")),
    ] = "predicted",
) -> Findings:
    """The mean response of each unit to the images of each class that has any.

    Sums are kept by class, so memory does not grow with the number of images. A dead unit is one whose response never
    changes.
    """
    model = subject.model
    if classes == "predicted" and model.output not in ("softmax", "sigmoid"):
        message = f"{model.display} gives {model.output} outputs, and a profile has one class for each image."
        raise Unsupported(message, "Choose true classes, or a model that predicts one class.")
    parts = subject.mapper(partial(_sums, subject, classes), subject.shards, subject.report)
    total, counts = _added(parts)
    if not counts:
        message = "None of the images has a class of the model."
        raise Unsupported(message, "Name a folder with one sub-folder per class, or choose predicted classes.")
    labels = sorted(counts)
    low = np.min([parts.array(shard, "low") for shard in range(len(parts))], 0).astype(float)
    high = np.max([parts.array(shard, "high") for shard in range(len(parts))], 0).astype(float)
    layers, units = zip(*subject.units, strict=True)
    images = [counts[label] for label in labels]
    tables = {
        "units": pd.DataFrame({"layer": layers, "unit": units, "lowest": low, "highest": high, "dead": low == high}),
        "classes": pd.DataFrame({"label": labels, "name": [model.labels[one] for one in labels], "images": images}),
    }
    means = np.stack([total[label] / counts[label] for label in labels], 1)
    unknown = len(subject.images.names) - sum(images)
    notes = (f"{unknown:,} images without a class of the model are in no profile.",) if unknown else ()
    return Findings(tables, {"profiles": means}, notes)


def _sums(subject: Subject, classes: str, shard: int, report: Report) -> Arrays:
    """The classes (C,) of the images of a shard, their numbers of images (C,) and sums (C, K), and extremes (K,)."""
    total: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    lows, highs = [], []
    for rows, layers, logits in subject.reduced(subject.rows(shard), _summary, report):
        means, low, high = (np.concatenate(one, 1) for one in zip(*layers, strict=True))
        lows.append(low.min(0))
        highs.append(high.max(0))
        predicted = subject.model.predicted(logits).tolist() if classes == "predicted" else []
        for label, mean in zip(predicted or [subject.images.labels[row] for row in rows], means, strict=True):
            if label >= 0:
                total[label] = total.get(label, 0.0) + mean
                counts[label] = counts.get(label, 0) + 1
    labels = sorted(total)
    return {
        "labels": np.array(labels, np.int64), "counts": np.array([counts[one] for one in labels], np.int64),
        "sums": np.array([total[one] for one in labels]).reshape(len(labels), len(lows[0])),
        "low": np.min(lows, 0), "high": np.max(highs, 0),
    }  # fmt: skip


def _summary(maps: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """The mean, lowest and highest value (B, K) of each map."""
    low, high = maps.flatten(2).aminmax(dim=2)
    mean = maps.mean((2, 3)).cpu().double()
    return mean.numpy(), low.float().cpu().numpy(), high.float().cpu().numpy()


def _added(parts: Parts) -> tuple[dict[int, NDArray[np.float64]], dict[int, int]]:
    """The sums (K,) and numbers of images of every class, over all shards."""
    total: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    for shard in range(len(parts)):
        labels, sums, numbers = (parts.array(shard, name) for name in ("labels", "sums", "counts"))
        for label, own, number in zip(labels.tolist(), sums, numbers.tolist(), strict=True):
            total[label] = total.get(label, 0.0) + own
            counts[label] = counts.get(label, 0) + number
    return total, counts
