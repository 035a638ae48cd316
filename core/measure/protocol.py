"""Comparisons that favour some methods: measures of the very quantity that a method optimises."""

from core.explain import EXPLAINERS
from core.measure.measure import MEASURES

_FAMILIES = ("perturbation", "surrogate")  # of methods that are computed from scores of perturbed images
_NAMES = ("score_cam",)  # others that are


def protocol_warning(measure: str, method: str) -> str:
    """Why a measure favours a method, as one sentence; "" if it does not. Raises UnknownName.

    Faithfulness is measured on perturbed images, and methods based on perturbation choose their map by the scores of
    just such images.
    """
    card, explainer = MEASURES[measure], EXPLAINERS[method]
    if card.family != "faithfulness" or (explainer.family not in _FAMILIES and explainer.name not in _NAMES):
        return ""
    return (
        f"{explainer.title} is computed from scores of perturbed images, which {card.title} also uses: compare it with "
        "methods of its own kind."
    )
