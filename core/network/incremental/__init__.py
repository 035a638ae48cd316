"""Exact scores of an image with a small part changed, computed only where the change reaches."""

from core.network.incremental import operators
from core.network.incremental.images import Changed, Reference, Steps, multiplications

__all__ = ["Changed", "Reference", "Steps", "multiplications", "operators"]
