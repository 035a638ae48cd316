"""Explainers: one function per method, registered by importing the families below."""

from core.card import BUDGETS
from core.explain.method import EXPLAINERS, Explainer
from core.explain.methods import (
    cam,
    controls,
    gradient,
    gradient_sampling,
    mask_optimisation,
    modified_backprop,
    perturbation,
    relevance,
    surrogate,
)
from core.explain.query import Query
from core.explain.run import Explanation, Snapshot, Watch, explain

__all__ = [
    "BUDGETS",
    "EXPLAINERS",
    "Explainer",
    "Explanation",
    "Query",
    "Snapshot",
    "Watch",
    "cam",
    "controls",
    "explain",
    "gradient",
    "gradient_sampling",
    "mask_optimisation",
    "modified_backprop",
    "perturbation",
    "relevance",
    "surrogate",
]
