"""Reports: one HTML file with tables and pictures inside, which runs nothing and asks for nothing."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.resources import ASSETS

_TEMPLATES = ASSETS / "templates"
_QUALITY = 85  # of a picture as JPEG


@dataclass(frozen=True)
class Table:
    """A table with a heading, and a sentence on how to read it."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    note: str = ""

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return bool(self.rows) and not isinstance(self.rows[0][column], str)

    def spelled(self, value: str | float) -> str:
        """A value as text: – for a gap."""
        if isinstance(value, str):
            return value
        return "–" if math.isnan(value) else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


@dataclass(frozen=True)
class Card:
    """A picture with what is known of it."""

    heading: str
    facts: tuple[tuple[str, str], ...]
    picture: str = ""  # as `data_uri`


@dataclass(frozen=True)
class Report:
    """The content of a report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...] = ()
    cards: Sequence[Card] = ()
    cards_heading: str = ""
    notes: tuple[str, ...] = field(default=())  # as sentences


def as_html(report: Report) -> str:
    """The report as one HTML file: texts escaped, no script, no request, in black on white for a printer, too."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("report.html").render(report=report)


def data_uri(pixels: NDArray[np.uint8], side: int = 240) -> str:
    """A picture (H, W, 3) as an address that contains it, as JPEG of at most `side` pixels a side."""
    image, stream = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    image.thumbnail((side, side))
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
