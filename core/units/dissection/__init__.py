"""Network dissection: which concept each unit detects, by the overlap of its strongest responses with masks."""

from core.units.dissection.dissection import dissection
from core.units.dissection.report import categories, detectors, summary

__all__ = ["categories", "detectors", "dissection", "summary"]
