"""The example images that come with Vitrine, or with a package it needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.data import flowers
from core.data.masks import ObjectMask
from core.images import Preprocess
from core.resources import ASSETS, package_folder

SAMPLES = ASSETS / "images"


@dataclass(frozen=True)
class Sample:
    """An image that comes with Vitrine."""

    name: str
    path: Path
    alt: str  # its content, as a sentence
    model: str  # the bundled model for it
    label: str  # its true class; "" if no class of the model is certain
    draw: Mapping[str, Any]  # arguments of `flowers.draw`; empty for a photo

    def mask(self, preprocess: Preprocess) -> ObjectMask | None:
        """The part that distinguishes a flower as a model sees it; None for a photo, and for a flower without it."""
        if not self.draw:
            return None
        seen = preprocess.mask(flowers.draw(**self.draw).mask)
        return ObjectMask(seen, np.empty((0, 4))) if seen.any() else None


def samples(folder: Path = SAMPLES) -> list[Sample]:
    """The images that come with Vitrine or with a package it needs, in display order.

    Photos that the installed version of a package lacks are omitted.
    """
    available = []
    for row in json.loads((folder / "samples.json").read_text("utf-8")):
        source = package_folder(row["package"]) if "package" in row else folder
        if source and (source / row["file"]).is_file():
            facts = {key: row[key] for key in ("name", "alt", "model", "label")}
            available.append(Sample(**facts, path=source / row["file"], draw=row.get("draw", {})))
    return available
