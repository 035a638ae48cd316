"""Explainers: one function per method, registered by importing the families below."""

from core.card import BUDGETS
from core.explain.method import EXPLAINERS, Explainer
from core.explain.query import Query
from core.explain.run import Explanation, Snapshot, Watch, explain

# Lists show the methods in this order.
from core.explain.methods import cam, controls, gradient, mask_optimisation, perturbation, modified_backprop  # isort: skip
from core.explain.methods import relevance, relevant_filters, gradient_sampling, surrogate  # isort: skip

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
    "relevant_filters",
    "surrogate",
]
