"""Explainers: one function per method, registered by importing the families below."""

from core.explain import cam, control, gradient, learned, perturbation, propagation, relevance, sampled, surrogate
from core.explain.explainer import BUDGETS, EXPLAINERS, Explainer
from core.explain.query import Query
from core.explain.run import Explanation, Look, Watch, explain

__all__ = [
    "BUDGETS",
    "EXPLAINERS",
    "Explainer",
    "Explanation",
    "Look",
    "Query",
    "Watch",
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
