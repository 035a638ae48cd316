"""Network dissection: exact thresholds, overlaps counted over the whole data set, the best concept of each unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.data.concepts import Concept
from core.errors import Unsupported
from core.measure.intervals import samples
from core.params import Knob
from core.progress import Report, chunks, subrange
from core.store.schema import Column, Values
from core.units.analysis import Arrays, Findings, Parts, Subject, analysis
from core.units.dissection.quantiles import exact_quantiles

_NUMBER, _SHARE = Column("number", -1e30, 1e30), Column("number", 0, 1)
_COUNT, _TRUTH = Column("whole"), Column("truth")
_NONE = -1.0  # the IoU of a concept that no image shows
_DRAWS = 1000  # samples of the images
_ENTRIES = 1 << 24  # of the sums of the samples that are computed at a time


@analysis(
    "Network dissection",
    family="concepts",
    source="Bau et al. 2017",
    formula="IoU(k, c) = Σ |M_k ∩ L_c| / Σ |M_k ∪ L_c|, with M_k = up(A_k) > T_k and P(a_k > T_k) = 0.005",
    caution="Names only what has a mask; a unit may respond to the concept together with others that have none.",
    cost=lambda settings, side: Passes(1),
    needs=("images", "concepts"),
    tables={
        "units": {
            "layer": Column("whole", below="layers"), "unit": _COUNT, "threshold": _NUMBER, "share": _SHARE,
            "concept": Column("whole", -1, below="concepts"), "iou": _SHARE, "detector": _TRUTH, "sparse": _TRUTH,
            "dead": _TRUTH,
        },
        "counts": {"concept": Column("whole", rows=True), "images": _COUNT, "annotated": _COUNT, "pixels": _COUNT},
    },
    arrays={"iou": Values("float32", ("units", "concepts"), _NONE, 1)},
    optional={"draws": Values("int32", ("draws", "layers", 2), 0, 2**31 - 1)},
    version=2,
    noun="dissection",
    rounds=2,
)  # fmt: skip
def dissection(
    subject: Subject,
    *,
    quantile: Annotated[
        float, Knob("Fraction of a unit's positions in all images that count as its strongest.", 0.0001, 0.5)
    ] = 0.005,
    least: Annotated[float, Knob("IoU above which a unit is a detector of its best concept.", 0, 1, 0.01)] = 0.04,
) -> Findings:
    """The concept whose masks overlap most with the strongest responses of each unit.

    Thresholds are exact quantiles over all images and positions. Maps are enlarged to the size of the model's input;
    intersections and unions are summed over all images before they are divided. The union with a concept counts only
    images annotated for its category: those that show at least one concept of it. Activations are kept, on disk in a
    build, so one forward per image is enough. Array `draws` has the numbers of detectors and of their concepts in each
    layer for samples of the images with replacement, thresholds unchanged.
    """
    concepts = subject.images.concepts
    kept = subject.mapper(partial(_activations, subject), subject.shards, subrange(subject.report, 0.0, 0.5))
    thresholds, low, high, shares = _thresholds(subject, kept, quantile)
    overlaps = subject.mapper(
        partial(_overlaps, subject, kept, thresholds), subject.shards, subrange(subject.report, 0.5, 0.9)
    )
    sums = _Sums.of(subject, overlaps, np.ones((1, len(subject.images.names)), np.int64))
    if not sums.images.any():
        message = "None of the images shows a concept that has a mask."
        raise Unsupported(message, "Use images whose masks the model sees, or squash images instead of cropping them.")
    (iou,) = sums.iou(concepts)
    layers, units = zip(*subject.units, strict=True)
    dead = low == high
    best = iou.argmax(1)
    value = np.take_along_axis(iou, best[:, None], 1)[:, 0].clip(0)
    best = np.where(value > 0, best, -1)
    table = pd.DataFrame({
        "layer": layers, "unit": units, "threshold": thresholds.astype(float), "share": shares, "concept": best,
        "iou": value.astype(float), "detector": value > least, "sparse": (thresholds == low) & ~dead, "dead": dead,
    })  # fmt: skip
    annotated = [int(sums.annotated[0, _categories(concepts).index(one.category)]) for one in concepts]
    counts = pd.DataFrame({
        "concept": range(len(concepts)), "images": sums.images[0], "annotated": annotated, "pixels": sums.pixels[0]
    })  # fmt: skip
    draws = _draws(subject, overlaps, least, subrange(subject.report, 0.9, 1.0))
    arrays = {"iou": iou, "draws": draws}
    return Findings({"units": table, "counts": counts}, arrays, _notes(subject, table, sums.images[0]))


def _notes(subject: Subject, units: pd.DataFrame, images: NDArray[np.int64]) -> tuple[str, ...]:
    names = [one.name for one, count in zip(subject.images.concepts, images, strict=True) if not count]
    notes = []
    if names:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        notes.append(f"No image shows {listed}: {len(names):,} of the concepts cannot be found.")
    for number, facts in enumerate(subject.facts):
        own = units[units["layer"] == number]
        if dead := int(own["dead"].sum()):
            notes.append(
                f"{dead:,} of the {facts.units:,} units of {facts.name} are dead: nothing can be said of them."
            )
        if sparse := int(own["sparse"].sum()):
            notes.append(
                f"{sparse:,} of the {facts.units:,} units of {facts.name} respond at so few positions that all of "
                "these count."
            )
    return tuple(notes)


def _activations(subject: Subject, shard: int, report: Report) -> Arrays:
    """The maps (B, K, h, w) of the images of a shard, by number of the layer."""
    found: list[list[NDArray[np.float32]]] = [[] for _ in subject.layers]
    for _, maps, _ in subject.reduced(subject.rows(shard), _copied, report):
        for layer, one in zip(found, maps, strict=True):
            layer.append(one)
    return {str(number): np.concatenate(maps) for number, maps in enumerate(found)}


def _copied(maps: Tensor) -> NDArray[np.float32]:
    copy: NDArray[np.float32] = np.array(maps.float().cpu().numpy())
    return copy


def _thresholds(
    subject: Subject, kept: Parts, quantile: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """The threshold of every unit, its lowest and highest response, and the share of positions above the threshold."""
    found: list[tuple[NDArray[Any], ...]] = []
    for number in range(len(subject.layers)):

        def parts(name: str = str(number)) -> Iterator[NDArray[np.float32]]:
            return (kept.array(shard, name) for shard in range(len(kept)))

        threshold = exact_quantiles(parts, quantile)
        low = np.min([part.min((0, 2, 3)) for part in parts()], 0)
        high = np.max([part.max((0, 2, 3)) for part in parts()], 0)
        above = np.sum([(part > threshold[:, None, None]).sum((0, 2, 3)) for part in parts()], 0)
        total = sum(part.shape[0] * part.shape[2] * part.shape[3] for part in parts())
        found.append((threshold, low, high, above / total))
    threshold, low, high, share = (np.concatenate(one) for one in zip(*found, strict=True))
    return threshold, low, high, share


def _overlaps(subject: Subject, kept: Parts, thresholds: NDArray[np.float32], shard: int, report: Report) -> Arrays:
    """What the images of a shard add to `_Sums`, image by image; `both` has rows of image, unit, concept and pixels."""
    concepts = subject.images.concepts
    categories = _categories(concepts)
    rows, size = subject.rows(shard), subject.model.preprocess.size
    units = np.zeros((len(rows), len(thresholds), len(categories)), np.int32)
    pixels, images = np.zeros((len(rows), len(concepts)), np.int64), np.zeros((len(rows), len(concepts)), np.int64)
    annotated, both = np.zeros((len(rows), len(categories)), np.int64), [np.zeros((0, 4), np.int64)]
    for span in chunks(len(rows), 1, report, "overlaps"):
        image = span.start
        masks = subject.images.masks(rows[image])
        if not masks:
            continue
        shown = sorted(masks)
        seen = sorted({categories.index(concepts[number].category) for number in shown})
        L = torch.from_numpy(np.stack([masks[number] for number in shown])).flatten(1).float()
        images[image, shown] = annotated[image, seen] = 1
        pixels[image, shown] = L.sum(1).numpy()
        start = 0
        for number in range(len(subject.layers)):
            maps = torch.from_numpy(np.array(kept.array(shard, str(number))[image : span.stop]))
            own = slice(start, start + maps.shape[1])
            above = torch.from_numpy(thresholds[own])[:, None, None]
            M = (F.interpolate(maps, size, mode="bilinear", align_corners=False)[0] > above).flatten(1).float()
            units[image][own, seen] = M.sum(1).numpy().astype(np.int32)[:, None]
            common = (M @ L.T).numpy().astype(np.int64)
            unit, concept = np.nonzero(common)
            both.append(np.stack(
                [np.full(len(unit), image), start + unit, np.array(shown)[concept], common[unit, concept]], 1
            ))  # fmt: skip
            start += maps.shape[1]
    return {
        "both": np.concatenate(both), "units": units, "pixels": pixels, "images": images, "annotated": annotated
    }  # fmt: skip


@dataclass(frozen=True)
class _Sums:
    """Counts of pixels and images in D samples of the images."""

    both: NDArray[np.int64]  # (D, K, C) pixels of unit and concept
    units: NDArray[np.int64]  # (D, K, G) pixels of the unit in images annotated for a category
    pixels: NDArray[np.int64]  # (D, C) of the concept
    images: NDArray[np.int64]  # (D, C) that show it
    annotated: NDArray[np.int64]  # (D, G) images

    @classmethod
    def of(cls, subject: Subject, parts: Parts, times: NDArray[np.int64]) -> "_Sums":
        """The sums over all shards; `times` (D, N) says how often each image is in each sample."""
        from scipy.sparse import csr_array  # here, as importing it takes long

        total: list[NDArray[np.int64]] = []
        for shard in range(len(parts)):
            rows = subject.rows(shard)
            here = times[:, rows.start : rows.stop]
            units, *flat = (parts.array(shard, name) for name in ("units", "pixels", "images", "annotated"))
            shape = units.shape[1], flat[0].shape[1]
            image, unit, concept, pixels = np.asarray(parts.array(shard, "both")).T
            cells = csr_array((pixels, (image, unit * shape[1] + concept)), (len(rows), shape[0] * shape[1]))
            both = (cells.T @ here.T).T.reshape(len(here), *shape)
            new = [both, np.tensordot(here, units.astype(np.int64), 1), *(here @ one for one in flat)]
            total = [before + one for before, one in zip(total, new, strict=True)] if total else new
        return cls(*total)

    def iou(self, concepts: Sequence[Concept]) -> NDArray[np.float32]:
        """(D, K, C) IoU, -1 for a concept that no image shows."""
        categories = _categories(concepts)
        own = [categories.index(one.category) for one in concepts]
        union = self.units[:, :, own] + self.pixels[:, None] - self.both
        found = np.where(self.images[:, None] > 0, self.both / np.maximum(union, 1), _NONE)
        return found.astype(np.float32)


def _draws(subject: Subject, parts: Parts, least: float, report: Report) -> NDArray[np.int32]:
    """(D, L, 2) numbers of detectors and of the concepts that they detect in each layer, in samples of the images."""
    concepts = subject.images.concepts
    layers = np.array([layer for layer, _ in subject.units])
    times = samples(len(subject.images.names), _DRAWS, subject.seed)
    found = np.zeros((_DRAWS, len(subject.layers), 2), np.int32)
    for span in chunks(_DRAWS, max(1, _ENTRIES // (len(layers) * len(concepts))), report, "samples of the images"):
        iou = _Sums.of(subject, parts, times[span.start : span.stop].astype(np.int64)).iou(concepts)
        best, detects = iou.argmax(2), iou.max(2) > least
        for layer in range(len(subject.layers)):
            own = np.where(detects, best, -1)[:, layers == layer]
            found[span.start : span.stop, layer, 0] = (own >= 0).sum(1)
            found[span.start : span.stop, layer, 1] = [len(set(row) - {-1}) for row in own.tolist()]
    return found


def _categories(concepts: Sequence[Concept]) -> list[str]:
    return list(dict.fromkeys(one.category for one in concepts))
