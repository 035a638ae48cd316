"""The example images that come with Vitrine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "assets" / "images"


@dataclass(frozen=True)
class Sample:
    """An image that comes with Vitrine."""

    name: str
    path: Path
    alt: str  # what it shows, as a sentence
    model: str  # the bundled model it was made for
    label: str  # its true class
    draw: Mapping[str, Any]  # what `flowers.draw` was called with


def samples(folder: Path = SAMPLES) -> list[Sample]:
    """The images that come with Vitrine, in the order in which to show them."""
    listed = json.loads((folder / "samples.json").read_text("utf-8"))
    return [Sample(**{key: row[key] for key in row if key != "file"}, path=folder / row["file"]) for row in listed]
