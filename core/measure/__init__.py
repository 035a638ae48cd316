"""Measures of explanations: numbers and curves about the quality of maps, registered by importing them."""

from core.measure import (
    agreement,
    complexity,
    localisation,
    occlusion_correlation,
    parts,
    perturbation,
    weighting,
)
from core.measure.measure import MEASURES, Curve, Evidence, Measure, Measurement, Undefined, evaluate
from core.measure.robustness import randomisation, stability

__all__ = [
    "MEASURES",
    "Curve",
    "Evidence",
    "Measure",
    "Measurement",
    "Undefined",
    "agreement",
    "complexity",
    "evaluate",
    "localisation",
    "occlusion_correlation",
    "parts",
    "perturbation",
    "randomisation",
    "stability",
    "weighting",
]
