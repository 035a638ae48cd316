"""Concepts: directions in the space of a layer's filters, found in the patches of a study without names or masks.

`factorised` writes the responses of the filters in each patch as non-negative sums of few directions (Lee & Seung 1999;
of activations as in Collins et al. 2018 and Zhang et al. 2021). `concept_maps` says where a direction is active in an
image, `importance` what the network loses without it, and `matched` which mined rule has its filters.
"""

from core.units.concepts.factorisation import Concepts, Responses, factorised, responses
from core.units.concepts.importance import Importance, importance, study_importance
from core.units.concepts.projection import concept_maps, strengths
from core.units.concepts.rules import Matches, matched
from core.units.concepts.study_concepts import StudyConcepts, study_concepts, tables

__all__ = [
    "Concepts",
    "Importance",
    "Matches",
    "Responses",
    "StudyConcepts",
    "concept_maps",
    "factorised",
    "importance",
    "matched",
    "responses",
    "strengths",
    "study_concepts",
    "study_importance",
    "tables",
]
