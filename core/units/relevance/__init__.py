"""Relevance of filters for classes: sparse linear models of classes on all filters (Oramas et al. 2019).

`relevance` finds the filters by which the classes of a model can be told apart, `vebi` shows those of one image.
"""

from core.units.relevance.lasso import Solution, mu_lasso
from core.units.relevance.relevance import Relevance, relevance, stored
from core.units.relevance.vebi import FilterMap, combined, vebi

__all__ = ["FilterMap", "Relevance", "Solution", "combined", "mu_lasso", "relevance", "stored", "vebi"]
