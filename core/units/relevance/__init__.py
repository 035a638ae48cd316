"""Relevance of filters for classes: sparse linear models of classes on all filters (Oramas et al. 2019).

`relevance` finds the filters by which the classes of a model can be told apart; `core.explain.filter_relevance` reads
what it stored, and the method `vebi` shows those of one image. `average_visualisations` are the means of what such
filters respond to in the images of a class.
"""

from core.units.relevance.ablation import relevance_ablation
from core.units.relevance.averages import Average, ClassUnit, average_visualisations, relevant_units
from core.units.relevance.lasso import Solution, mu_lasso
from core.units.relevance.relevance import relevance

__all__ = [
    "Average", "ClassUnit", "Solution", "average_visualisations", "mu_lasso", "relevance", "relevance_ablation",
    "relevant_units",
]  # fmt: skip
