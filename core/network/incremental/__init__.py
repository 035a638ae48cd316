"""Exact scores of copies of an image with a small region changed, computed only where the change has an influence."""

from core.network.incremental import operators
from core.network.incremental.images import CleanPass, CumulativePass, PatchedImages, spared

__all__ = ["CleanPass", "CumulativePass", "PatchedImages", "operators", "spared"]
