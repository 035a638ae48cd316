"""Measures of explanations: numbers and curves about the quality of maps, registered by importing them."""

from core.measure import agreement
from core.measure.measure import MEASURES, Curve, Evidence, Measure, Measurement, Undefined, evaluate

__all__ = ["MEASURES", "Curve", "Evidence", "Measure", "Measurement", "Undefined", "agreement", "evaluate"]
