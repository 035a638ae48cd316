"""Measures by perturbation: the response of the network when features are replaced in the order of a map."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, get_args

import numpy as np
from numpy.typing import NDArray

from core.card import Budget
from core.errors import Unsupported
from core.explain.baselines import Baseline
from core.explain.targets import Classes
from core.measure.measure import Curve, Evidence, Numbers, measure
from core.measure.replacement import Direction, Features, Replacement, replaced
from core.params import Knob

# Settings that every measure of a curve has. Those with the same values share their passes.
Steps = Annotated[int, Knob("Number of steps between the image and its baseline.", 2, 224)]
FillBy = Annotated[Baseline, Knob("The baseline: what replaces the features of the image.")]
FeatureBy = Annotated[Features, Knob("What is replaced: pixels, patches of 16 px of a 224 px image, or SLIC segments.")]

BUDGETS: Mapping[Budget, Mapping[str, Any]] = {"quick": {"steps": 14}, "paper": {"steps": 224}}


def replacement_of(name: str, settings: Mapping[str, Any]) -> Replacement | None:
    """What the measure of this name replaces with all its settings; None for one that replaces nothing step by step."""
    direction = next((one for one in get_args(Direction) if name.startswith(f"{one}_")), None)
    return Replacement(direction, **settings) if direction else None


def _passes(settings: Mapping[str, Any], _side: int) -> float:
    return settings["steps"]


def _probabilities(evidence: Evidence, replacement: Replacement) -> NDArray[np.float64]:
    """The probability of the target (B, S + 1) after each step."""
    return replaced(evidence, replacement).scores.numpy()


def _area(curves: NDArray[np.float64]) -> Numbers:
    """The area under each curve (B, S + 1) over an axis from 0 to 1, by the trapezoidal rule."""
    return (np.trapezoid(curves, axis=1) / (curves.shape[1] - 1)).tolist()


def _dropped(evidence: Evidence, replacement: Replacement) -> NDArray[np.float64]:
    """How far the probability (B, S + 1) is below that of the unmodified image after each step."""
    found = _probabilities(evidence, replacement)
    return found[:, :1] - found if replacement.direction == "deletion" else found[:, -1:] - found


def _correct(evidence: Evidence, replacement: Replacement) -> NDArray[np.float64]:
    """One where the class is the predicted one after each step (B, S + 1), else zero. Raises Unsupported."""
    model, targets = evidence.query.model, evidence.query.targets
    if not isinstance(targets, Classes):
        message = "Accuracy(k) asks whether a single class is predicted, not a unit, a group or a difference."
        raise Unsupported(message, "Choose a class, or another measure.")
    if model.output == "regression":
        raise Unsupported(f"{model.display} is a regression, which predicts no class.", "Choose another measure.")
    return (replaced(evidence, replacement).margins > 0).double().numpy()


def _along(direction: Direction, name: str, values: NDArray[np.float64]) -> Curve:
    title = "fraction of the features replaced" if direction == "deletion" else "fraction of the features shown"
    return Curve(title, np.linspace(0, 1, values.shape[1]), name, values)


_by_rank = partial(measure, family="faithfulness", cost=_passes, kind="map", budgets=BUDGETS)


@_by_rank(
    "Deletion AUC",
    source="Petsiuk et al. 2018",
    formula="∫₀¹ p(y | x with the top share k of its features replaced) dk, by the trapezoidal rule",
    caution="Images with holes are unlike any the network was trained on, and black-box perturbation methods optimise "
    "this very quantity: compare within a family, and with insertion.",
    better="lower",
    unit="mean probability",
    low=0,
    high=1,
)
def deletion_auc(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "grey", features: FeatureBy = "pixels"
) -> Numbers:
    """Mean probability of the target while the features of highest value are deleted first.

    A map that ranks what the prediction depends on first makes the probability fall early. Equal values are ranked at
    random, so a constant map is measured as a random order. A unit's activation, or the log-odds of a difference of
    targets, stands for the probability and is not limited to its range.
    """
    return _area(_probabilities(evidence, Replacement("deletion", steps, fill, features)))


@_by_rank(
    "Insertion AUC",
    source="Petsiuk et al. 2018",
    formula="∫₀¹ p(y | baseline with the top share k of the features of x shown) dk, by the trapezoidal rule",
    caution="Rewards maps of compact regions, as scattered pixels make no recognisable image; black-box perturbation "
    "methods optimise this very quantity: compare within a family.",
    better="higher",
    unit="mean probability",
    low=0,
    high=1,
)
def insertion_auc(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "blur", features: FeatureBy = "pixels"
) -> Numbers:
    """Mean probability of the target while the features of highest value are shown first.

    The image starts as its baseline. A map that ranks what suffices for the prediction first makes the probability rise
    early. Equal values are ranked at random, so a constant map is measured as a random order.
    """
    return _area(_probabilities(evidence, Replacement("insertion", steps, fill, features)))


@_by_rank(
    "Deletion curve",
    source="Petsiuk et al. 2018",
    formula="p(y | x with the top share k of its features replaced), for k from 0 to 1",
    caution="A fall at the first steps may be the network's response to holes of any kind: compare with a random map.",
    better="lower",
    unit="probability",
    low=0,
    high=1,
)
def deletion_curve(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "grey", features: FeatureBy = "pixels"
) -> Curve:
    """Probability of the target while the features of highest value are deleted first.

    It starts at the unmodified image and ends at the baseline, which is the same for all maps of an image. The area
    under it is the deletion AUC, which needs no further passes.
    """
    return _along("deletion", "probability", _probabilities(evidence, Replacement("deletion", steps, fill, features)))


@_by_rank(
    "Insertion curve",
    source="Petsiuk et al. 2018",
    formula="p(y | baseline with the top share k of the features of x shown), for k from 0 to 1",
    caution="A blurred baseline may still be recognised, and the curve then starts high whatever the map shows.",
    better="higher",
    unit="probability",
    low=0,
    high=1,
)
def insertion_curve(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "blur", features: FeatureBy = "pixels"
) -> Curve:
    """Probability of the target while the features of highest value are shown first.

    It starts at the baseline, which is the same for all maps of an image, and ends at the unmodified image. The area
    under it is the insertion AUC, which needs no further passes.
    """
    return _along("insertion", "probability", _probabilities(evidence, Replacement("insertion", steps, fill, features)))


@_by_rank(
    "AOPC of deletion",
    source="Samek et al. 2017",
    formula="1/(L + 1) Σₖ (p(y | x) − p(y | x with the top k/L of its features replaced)), k = 0 … L",
    caution="Limited by the probability of the unmodified image: means over images weigh confident predictions more.",
    better="higher",
    unit="mean drop of the probability",
    low=-1,
    high=1,
)
def deletion_aopc(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "grey", features: FeatureBy = "pixels"
) -> Numbers:
    """Mean drop of the target's probability while the features of highest value are deleted first.

    The area over the perturbation curve: high where the probability falls early, and zero for a network that ignores
    the image. Samek et al. delete patches; choose them under features.
    """
    return _dropped(evidence, Replacement("deletion", steps, fill, features)).mean(1).tolist()


@_by_rank(
    "AOPC of insertion",
    source="Samek et al. 2017",
    formula="1/(L + 1) Σₖ (p(y | x) − p(y | baseline with the top k/L of the features of x shown)), k = 0 … L",
    caution="A baseline that already gives the probability of the image leaves nothing to measure.",
    better="lower",
    unit="mean drop of the probability",
    low=-1,
    high=1,
)
def insertion_aopc(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "blur", features: FeatureBy = "pixels"
) -> Numbers:
    """Mean lack of the target's probability while the features of highest value are shown first.

    Low where few features suffice for the probability of the whole image; negative where a part of the image gives a
    higher one than all of it.
    """
    return _dropped(evidence, Replacement("insertion", steps, fill, features)).mean(1).tolist()


@_by_rank(
    "AOPC(k) of deletion",
    source="Samek et al. 2017",
    formula="p(y | x) − p(y | x with the top share k of its features replaced), for k from 0 to 1",
    caution="Limited by the probability of the unmodified image: means over images weigh confident predictions more.",
    better="higher",
    unit="drop of the probability",
    low=-1,
    high=1,
)
def deletion_aopc_curve(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "grey", features: FeatureBy = "pixels"
) -> Curve:
    """Drop of the target's probability while the features of highest value are deleted first.

    Zero at the unmodified image, by definition, and the same at the baseline for all maps of an image.
    """
    return _along(
        "deletion", "drop of the probability", _dropped(evidence, Replacement("deletion", steps, fill, features))
    )


@_by_rank(
    "AOPC(k) of insertion",
    source="Samek et al. 2017",
    formula="p(y | x) − p(y | baseline with the top share k of the features of x shown), for k from 0 to 1",
    caution="A baseline that already gives the probability of the image leaves nothing to measure.",
    better="lower",
    unit="drop of the probability",
    low=-1,
    high=1,
)
def insertion_aopc_curve(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "blur", features: FeatureBy = "pixels"
) -> Curve:
    """Lack of the target's probability while the features of highest value are shown first.

    The same at the baseline for all maps of an image, and zero where all features are shown, by definition.
    """
    return _along(
        "insertion", "drop of the probability", _dropped(evidence, Replacement("insertion", steps, fill, features))
    )


@_by_rank(
    "Accuracy(k) of deletion",
    source="Hooker et al. 2019, without training again",
    formula="1[y = argmax f(x with the top share k of its features replaced)], for k from 0 to 1",
    caution="Only the order of the classes counts: with few classes, the baseline itself may be of the right one.",
    better="lower",
    unit="accuracy",
    low=0,
    high=1,
)
def deletion_accuracy(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "grey", features: FeatureBy = "pixels"
) -> Curve:
    """Whether the class is still predicted while the features of highest value are deleted first.

    One or zero for an image; the mean over images is their accuracy. Needs a single class as target, and no passes
    beyond those of the deletion curve.
    """
    return _along("deletion", "accuracy", _correct(evidence, Replacement("deletion", steps, fill, features)))


@_by_rank(
    "Accuracy(k) of insertion",
    source="Hooker et al. 2019, without training again",
    formula="1[y = argmax f(baseline with the top share k of the features of x shown)], for k from 0 to 1",
    caution="Only the order of the classes counts: with few classes, the baseline itself may be of the right one.",
    better="higher",
    unit="accuracy",
    low=0,
    high=1,
)
def insertion_accuracy(
    evidence: Evidence, *, steps: Steps = 28, fill: FillBy = "blur", features: FeatureBy = "pixels"
) -> Curve:
    """Whether the class is already predicted while the features of highest value are shown first.

    One or zero for an image; the mean over images is their accuracy. Needs a single class as target, and no passes
    beyond those of the insertion curve.
    """
    return _along("insertion", "accuracy", _correct(evidence, Replacement("insertion", steps, fill, features)))
