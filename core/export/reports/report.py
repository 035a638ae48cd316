"""Reports: one HTML file with tables and pictures inside, which runs nothing and asks for nothing.

The same report gives the same bytes.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.resources import ASSETS

_TEMPLATES = ASSETS / "templates"
_QUALITY = 85  # of a picture as JPEG


@dataclass(frozen=True)
class Table:
    """A table with a heading, and a sentence on how to read it."""

    kind: ClassVar[str] = "table"
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
        if math.isnan(value):
            return "–"
        return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


@dataclass(frozen=True)
class Card:
    """A picture with what is known of it."""

    heading: str
    facts: tuple[tuple[str, str], ...]
    picture: str = ""  # as `data_uri`


@dataclass(frozen=True)
class Gallery:
    """Cards with a heading and a sentence: numbered, one below the other, or as tiles side by side."""

    kind: ClassVar[str] = "gallery"
    heading: str
    cards: Sequence[Card]
    note: str = ""
    tiles: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing across the page, with what it shows in words."""

    kind: ClassVar[str] = "figure"
    heading: str
    picture: str  # as `data_uri` or `svg_uri`
    words: str
    note: str = ""


Section = Table | Gallery | Figure


@dataclass(frozen=True)
class Report:
    """The content of a report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()  # as sentences
    command: str = ""  # which computes it again


def as_html(report: Report) -> str:
    """The report as one HTML file: texts escaped, no script, no request, in black on white for a printer, too."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("report.html").render(report=report)


def rows_of(table: pd.DataFrame) -> tuple[tuple[str | int | float, ...], ...]:
    """The rows of a data frame for a `Table`."""
    return tuple(tuple(row) for row in table.astype(object).itertuples(index=False))


def data_uri(pixels: NDArray[np.uint8], side: int = 240, *, exact: bool = False) -> str:
    """A picture (H, W, 3) as an address that contains it, at most `side` pixels a side: JPEG, or PNG if `exact`."""
    image, stream = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    image.thumbnail((side, side))
    if exact:
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=_QUALITY)
    return _uri("png" if exact else "jpeg", stream.getvalue())


def svg_uri(content: bytes) -> str:
    """A drawing as an address that contains it; as a picture it runs nothing."""
    return _uri("svg+xml", content)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
