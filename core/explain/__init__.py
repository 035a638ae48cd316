"""Explainers: one function per method, registered by importing the families below."""

from core.explain import cam, control, gradient, learned, perturbation, propagation, relevance, sampled, surrogate
from core.explain.base import EXPLAINERS, Explainer, Explanation, Look, Query, explain

__all__ = [
    "EXPLAINERS",
    "Explainer",
    "Explanation",
    "Look",
    "Query",
    "cam",
    "control",
    "explain",
    "gradient",
    "learned",
    "perturbation",
    "propagation",
    "relevance",
    "sampled",
    "surrogate",
]
