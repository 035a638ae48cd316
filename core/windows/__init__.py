"""Exact scores of an image with a small part changed, computed only where the change reaches."""

from core.windows import rules
from core.windows.scene import Changed, Scene, Steps, multiplications

__all__ = ["Changed", "Scene", "Steps", "multiplications", "rules"]
