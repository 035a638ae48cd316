"""Localisation: how well maps find an object whose mask or boxes are known."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.explain.baselines import SIDE
from core.measure.measure import Curve, Evidence, Numbers, Undefined, measure
from core.params import Knob

Map = NDArray[np.float64]  # (H, W), not negative
Mask = NDArray[np.bool_]  # (H, W), true on the object
N = TypeVar("N", float, NDArray[np.float64])
Boxes = NDArray[np.float64]  # (K, 4): top, left, height, width
Axis = Literal["value", "area"]
Magnitude = Annotated[bool, Knob("Negative evidence counts like positive, otherwise as zero.")]
Share = Annotated[float, Knob("Pixels of at least this share of the maximum count.", 0.05, 0.95, 0.05)]


@measure(
    "AUC-IoU",
    family="localisation",
    requires="mask",
    source="Oramas et al. 2019",
    formula="100 ∫ |{h ≥ t} ∩ G| / |{h ≥ t} ∪ G| dt for t from 0 to 1, h scaled to its minimum and maximum",
    caution="Rewards maps that are flat on the object; over values, any rescaling of the map changes it.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="%",
    low=0,
    high=100,
)
def auc_iou(
    evidence: Evidence,
    *,
    axis: Annotated[
        Axis, Knob("Thresholds at equal steps of the value, or such that equal steps of the area are kept.")
    ] = "value",
    thresholds: Annotated[int, Knob("Number of thresholds.", 11, 1001, 10)] = 101,
    magnitude: Magnitude = False,
) -> Numbers:
    """Area under the curve of the overlap with the mask, over all thresholds.

    The binary mask itself as a map reaches nearly 100. Over areas only the order of the pixels counts, and a mask that
    takes a share g of the image allows at most 100 (g / 2 − g ln g).
    """
    steps = np.linspace(0, 1, thresholds)
    overlaps = over_values if axis == "value" else over_areas
    return _numbers(evidence, magnitude, lambda one, mask: 100 * float(np.trapezoid(overlaps(one, mask, steps), steps)))


@measure(
    "IoU curve",
    family="localisation",
    requires="mask",
    source="Oramas et al. 2019",
    formula="|{h ≥ t} ∩ G| / |{h ≥ t} ∪ G| for t from 0 to 1, h scaled to its minimum and maximum",
    caution="Any rescaling of the map moves the curve along its axis: compare its maximum, too.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="IoU",
    low=0,
    high=1,
)
def iou_curve(
    evidence: Evidence,
    *,
    thresholds: Annotated[int, Knob("Number of thresholds.", 11, 1001, 10)] = 101,
    magnitude: Magnitude = False,
) -> Curve:
    """Overlap of the mask with the pixels above a threshold, along the threshold.

    The map is scaled so that its minimum is zero and its maximum one. The area under the curve is the AUC-IoU over
    values.
    """
    steps = np.linspace(0, 1, thresholds)
    return Curve(
        "threshold", steps, "IoU", _numbers(evidence, magnitude, lambda one, mask: over_values(one, mask, steps))
    )


@measure(
    "Maximum IoU",
    family="localisation",
    requires="mask",
    source="Oramas et al. 2019",
    formula="max over thresholds t of |{h ≥ t} ∩ G| / |{h ≥ t} ∪ G|",
    caution="The best threshold is chosen with the mask at hand, for each image: no map does as well without it.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="IoU",
    low=0,
    high=1,
)
def max_iou(evidence: Evidence, *, magnitude: Magnitude = False) -> Numbers:
    """Overlap with the mask at the threshold that suits the image best.

    All values of the map are tried as thresholds, so that only the order of the pixels counts.
    """
    return _numbers(evidence, magnitude, lambda one, mask: float(over_values(one, mask, np.unique(_scaled(one))).max()))


@measure(
    "IoU at a threshold",
    family="localisation",
    requires="mask",
    source="Oramas et al. 2019",
    formula="|{h ≥ t} ∩ G| / |{h ≥ t} ∪ G|, h scaled to its minimum and maximum",
    caution="One threshold suits one scale of values: a map may be right in its order and still lose here.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="IoU",
    low=0,
    high=1,
)
def iou(
    evidence: Evidence,
    *,
    threshold: Annotated[float, Knob("Threshold t between minimum and maximum.", 0.05, 1, 0.05)] = 0.5,
    magnitude: Magnitude = False,
) -> Numbers:
    """Overlap of the mask with the pixels above a threshold.

    The map is scaled so that its minimum is zero and its maximum one; the threshold is the same for all images.
    """
    return _numbers(evidence, magnitude, lambda one, mask: float(over_values(one, mask, np.array([threshold]))[0]))


@measure(
    "Pointing game",
    family="localisation",
    requires="mask",
    source="Zhang et al. 2016",
    formula="1 if the mask lies within the tolerance of argmax h, else 0",
    caution="Only the highest pixel counts, and an object in the middle of the image is hit by chance.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="hits",
    low=0,
    high=1,
)
def pointing_game(
    evidence: Evidence,
    *,
    tolerance: Annotated[int, Knob("Distance below which a pixel hits the mask, in a 224 px image.", 0, 60, 5)] = 15,
    magnitude: Magnitude = False,
) -> Numbers:
    """Whether the highest pixel of a map lies on the object, or close to it.

    Of several pixels that share the maximum, the hit ones are counted as a share. A map without positive evidence,
    or with the same value everywhere, points nowhere, which is a miss.
    """
    from scipy.ndimage import distance_transform_edt  # here, as importing it takes long

    radius = tolerance * min(evidence.maps.shape[-2:]) / SIDE

    def hits(one: Map, mask: Mask) -> float:
        near = mask | (distance_transform_edt(~mask) < radius)
        return float(near[one == one.max()].mean()) if one.max() > one.min() else 0.0

    return _numbers(evidence, magnitude, hits, reason=lambda one: "")


@measure(
    "Energy-based pointing",
    family="localisation",
    requires="mask",
    source="Wang et al. 2020",
    formula="Σ over the mask of max(h, 0) / Σ over the image of max(h, 0)",
    caution="Large objects win without any skill: a constant map reaches the share of the image that the object takes.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="share of the map",
    low=0,
    high=1,
)
def energy_pointing(evidence: Evidence, *, magnitude: Magnitude = False) -> Numbers:
    """The share of the positive evidence of a map that lies on the object.

    All pixels count by their value, so that faint evidence spread over the background weighs as much as it sums up to.
    """
    return _numbers(evidence, magnitude, lambda one, mask: float(one[mask].sum() / one.sum()), reason=_without_evidence)


@measure(
    "Box IoU",
    family="localisation",
    requires="mask",
    source="Simonyan et al. 2014; Zhou et al. 2016",
    formula="IoU of the object's box and the box of the largest part of {h ≥ share · max h}; the best of several",
    caution="One bright pixel raises the threshold of the whole map, and the box of a speckled map shrinks to a speck.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="IoU",
    low=0,
    high=1,
)
def box_iou(evidence: Evidence, *, share: Share = 0.15, magnitude: Magnitude = False) -> Numbers:
    """Overlap of the object's box with the box around the largest connected part of a map.

    Pixels that touch at a corner are connected; of parts of the same size the one with more evidence counts. Where no
    boxes are known, the object's box is that of its mask.
    """
    return _numbers(
        evidence,
        magnitude,
        lambda one, boxes: _best_overlap(_box_of(one, share), boxes),
        _boxes(evidence),
        reason=_without_evidence,
    )


@measure(
    "Localisation error",
    family="localisation",
    requires="mask",
    source="Russakovsky et al. 2015",
    formula="0 if the IoU of the object's box and that of the map reaches the limit, else 1; see Box IoU",
    caution="An IoU just below the limit counts as much as none: look at Box IoU, too.",
    cost=lambda settings, side: float(settings["top_1"]),
    kind="map",
    better="lower",
    unit="errors",
    low=0,
    high=1,
)
def localisation_error(
    evidence: Evidence,
    *,
    share: Share = 0.15,
    limit: Annotated[float, Knob("IoU from which the box is right.", 0.05, 1, 0.05)] = 0.5,
    top_1: Annotated[bool, Knob("It is an error, too, if another class than the explained one is predicted.")] = False,
    magnitude: Magnitude = False,
) -> Numbers:
    """Whether the box around the strongest part of a map fails to match the object's box.

    With maps of the true classes and the prediction counted, its mean is the top-1 localisation error.
    """
    overlaps = box_iou(evidence, share=share, magnitude=magnitude)
    wrong = [False] * len(overlaps)
    if top_1:
        classes = evidence.query.class_indices("Top-1 localisation error")
        wrong = (evidence.query.clean_logits().argmax(1) != classes).tolist()
    return [
        one if isinstance(one, Undefined) else float(one < limit or other)
        for one, other in zip(overlaps, wrong, strict=True)
    ]


def _masks(evidence: Evidence) -> list[Mask | Undefined]:
    if evidence.mask is None:
        return [Undefined("The image has no mask.")] * len(evidence.maps)
    return [
        mask if mask.any() else Undefined("The image has no mask.") for mask in evidence.mask.bool().numpy(force=True)
    ]


def _boxes(evidence: Evidence) -> list[Boxes | Undefined]:
    """The boxes of each image's objects (K, 4), else that of its mask."""
    known = evidence.boxes or [np.empty((0, 4))] * len(evidence.maps)
    return [
        boxes if len(boxes) else mask if isinstance(mask, Undefined) else _bounds(mask)[None]
        for boxes, mask in zip(known, _masks(evidence), strict=True)
    ]


def _numbers(
    evidence: Evidence,
    magnitude: bool,
    number: Callable[[Map, NDArray[Any]], N],
    truths: Sequence[NDArray[Any] | Undefined] | None = None,
    reason: Callable[[Map], str] | None = None,
) -> list[N | Undefined]:
    """The number, or curve, of every map and what is known of its object, by default its mask.

    `reason` gives the sentence why a map has no number, or "": by default `_without_order`.
    """
    numbers: list[N | Undefined] = []
    for raw, truth in zip(evidence.maps.double().numpy(force=True), truths or _masks(evidence), strict=True):
        one: Map = np.abs(raw) if magnitude else np.maximum(raw, 0)
        if isinstance(truth, Undefined):
            numbers.append(truth)
        elif not np.isfinite(raw).all():
            numbers.append(Undefined("The map has values that are not finite."))
        elif why := (reason or _without_order)(one):
            numbers.append(Undefined(why))
        else:
            numbers.append(number(one, truth))
    return numbers


def _without_evidence(one: Map) -> str:
    return "" if one.max() > 0 else "The map has no positive value."


def _without_order(one: Map) -> str:
    return _without_evidence(one) or ("" if one.max() > one.min() else "The map has the same value everywhere.")


def over_values(one: Map, mask: Mask, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The IoU of a mask and the pixels at or above each threshold of the map, scaled to its minimum and maximum."""
    scaled = _scaled(one)
    kept, hit = (
        len(values) - np.searchsorted(np.sort(values), thresholds) for values in (scaled.ravel(), scaled[mask])
    )
    return _ious(kept, hit, mask)


def over_areas(one: Map, mask: Mask, areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """The IoU of a mask and the strongest pixels that take each share of the area.

    Values tied at the border share the remaining positions equally instead of in arbitrary order.
    """
    _, group, sizes = np.unique(-one.ravel(), return_inverse=True, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    hit = np.concatenate([[0], np.cumsum(np.bincount(group.ravel(), mask.ravel()))])
    kept = areas * one.size
    return _ious(kept, np.interp(kept, ends, hit), mask)


def _ious(kept: NDArray[Any], hit: NDArray[Any], mask: Mask) -> NDArray[np.float64]:
    return np.asarray(hit / (kept + np.count_nonzero(mask) - hit), np.float64)


def _scaled(one: Map) -> Map:
    return (one - one.min()) / (one.max() - one.min())


def _box_of(one: Map, share: float) -> NDArray[np.float64]:
    """The box (4,) around the largest connected part of the pixels of at least a share of the maximum."""
    from scipy.ndimage import label  # here, as importing it takes long

    parts, count = label(one >= share * one.max(), np.ones((3, 3)))
    sizes, masses = np.bincount(parts.ravel(), minlength=count + 1), np.bincount(parts.ravel(), one.ravel(), count + 1)
    largest = max(range(1, count + 1), key=lambda part: (sizes[part], masses[part]))
    return _bounds(parts == largest)


def _bounds(mask: Mask) -> NDArray[np.float64]:
    """The smallest box (4,) around a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]], np.float64)


def _best_overlap(box: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The largest IoU of a box (4,) with other ones (K, 4)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    return float((shared / (box[2:].prod() + others[:, 2:].prod(1) - shared)).max())
