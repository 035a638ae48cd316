"""The example images that come with Vitrine, or with a package it needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.resources import ASSETS, package_folder

SAMPLES = ASSETS / "images"


@dataclass(frozen=True)
class Sample:
    """An image that comes with Vitrine."""

    name: str
    path: Path
    alt: str  # what it shows, as a sentence
    model: str  # the bundled model it was made for
    label: str  # its true class; "" where none of the model's classes is certain
    draw: Mapping[str, Any]  # what `flowers.draw` was called with; empty for a photo


def samples(folder: Path = SAMPLES) -> list[Sample]:
    """The images that come with Vitrine or with a package it needs, in the order in which to show them.

    Photos of a package whose installed version lacks them are left out.
    """
    found = []
    for row in json.loads((folder / "samples.json").read_text("utf-8")):
        source = package_folder(row["package"]) if "package" in row else folder
        if source and (source / row["file"]).is_file():
            facts = {key: row[key] for key in ("name", "alt", "model", "label")}
            found.append(Sample(**facts, path=source / row["file"], draw=row.get("draw", {})))
    return found
