"""Explainers: one function per method, registered by importing the families below."""

from core.explain import cam, gradient, perturbation, propagation, sampled
from core.explain.base import EXPLAINERS, Explainer, Explanation, Look, Query, explain

__all__ = [
    "EXPLAINERS",
    "Explainer",
    "Explanation",
    "Look",
    "Query",
    "cam",
    "explain",
    "gradient",
    "perturbation",
    "propagation",
    "sampled",
]
