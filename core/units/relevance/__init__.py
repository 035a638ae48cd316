"""Relevance of filters for classes: sparse linear models of classes on all filters (Oramas et al. 2019).

`relevance` finds the filters by which the classes of a model can be told apart; `core.explain.filter_relevance` reads
what it stored, and the method `vebi` shows those of one image.
"""

from core.units.relevance.ablation import relevance_ablation
from core.units.relevance.lasso import Solution, mu_lasso
from core.units.relevance.relevance import relevance

__all__ = ["Solution", "mu_lasso", "relevance", "relevance_ablation"]
