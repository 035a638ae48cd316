"""Exported figures: one map over its photo, or all of them side by side with their ranges."""

import io
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.figures.colormaps import table
from core.figures.style import DEFAULT, Map, Span, Style
from core.images import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.ft2font import FT2Font

OPACITY = 0.6  # exponent: small values stay visible, and zero is transparent
Kind = Literal["png", "pdf", "svg"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # the file formats of a sheet

# Pixels of the PNG file; in PDF and SVG a pixel is 1/96 inch.
TILE, _GAP, _MARGIN, _BAR, _PAD = 256, 16, 20, 10, 6
DPI = 96
_TITLE, _HEAD, _BODY = 18, 17, 15  # font sizes
_FAMILY = ["DejaVu Sans", "Verdana", "sans-serif"]  # fallbacks of similar width, for SVG
_MAPS_PER_ROW = 6
_PAPER, _INK, _QUIET = (255, 255, 255), "#181a1e", "#585d66"

# matplotlib's settings are global to the process, and its fonts shared, so only one thread at a time may draw.
_DRAWING = threading.RLock()
_SETTINGS = {
    "image.composite_image": False,  # images are not merged
    "pdf.fonttype": 42,  # TrueType, which publishers require
    "svg.fonttype": "none",  # text, not outlines
    "svg.hashsalt": "vitrine",  # deterministic ids
}
_OMITTED = {
    "pdf": ("Creator", "Producer", "CreationDate"),
    "svg": ("Creator", "Date"),
}  # no versions or dates: the same sheet gives the same bytes


@dataclass(frozen=True)
class Panel:
    """One cell of a sheet: a map over the photo with its captions, or only the photo if there is no map."""

    title: str
    lines: tuple[str, ...] = ()
    values: Map | None = None
    span: Span | None = None  # of the colour map, with `values`
    note: str = ""  # why there is nothing to see
    view: Pixels | None = None  # its own photo, where that is not the one of the whole sheet


def overlay(view: Pixels, values: Map, span: Span, style: Style = DEFAULT) -> Pixels:
    """A raw map in colour over its photo, (H, W, 3), with opacity by value.

    Opacity is v ** 0.6 for a value at fraction v of the span; in a signed span v is the distance from zero. For a photo
    of higher resolution, the map is interpolated.
    """
    height, width = view.shape[:2]
    if values.shape != (height, width):
        values = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
    if span.low == span.high:
        return view.copy()
    level = np.clip((values - span.low) / (span.high - span.low), 0, 1)
    index = np.round(level * 255).astype(np.intp)
    alpha = _opacity(level, span, style) * (1 if not span.only else index > 0)
    return np.round(view * (1 - alpha[..., None]) + _colours(span, style)[index] * alpha[..., None]).astype(np.uint8)


def _opacity(fraction: NDArray[np.floating], span: Span, style: Style) -> NDArray[np.floating]:
    """The opacity at each fraction of the span."""
    strength = np.abs(2 * fraction - 1) if span.signed else fraction
    full = strength**OPACITY if style.blend == "value" else np.ones_like(strength)
    return full * style.opacity * (strength >= style.threshold)


def _colours(span: Span, style: Style) -> NDArray[np.uint8]:
    return table(style.diverging if span.signed else style.sequential)


def sheet(
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], style: Style = DEFAULT, *, side: int = TILE,
    kind: Kind = "png",
) -> bytes:  # fmt: skip
    """The file of all panels over one photo, each `side` pixels wide; a row for each sequence, with the photo first.

    A row of more than seven panels wraps, continuing under its second panel. The same panels give the same bytes. PNG
    is in pixels; PDF and SVG contain text as text, PDF with embedded TrueType fonts.
    """
    with _DRAWING:
        parts, size = _laid_out(view, title, rows, style, side)
        return _file(parts, size, kind, printable(title))


def png(picture: Image.Image | Pixels) -> bytes:
    """The PNG file of a picture; the same picture gives the same bytes."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, "PNG", optimize=False)
    return stream.getvalue()


@dataclass(frozen=True)
class _Picture:
    left: int
    top: int
    pixels: Pixels


@dataclass(frozen=True)
class _Text:
    left: float  # or middle or right end, by `align`
    top: float
    text: str
    size: int
    bold: bool = False
    colour: str = _INK
    align: Literal["left", "center", "right"] = "left"


def _laid_out(
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], style: Style, side: int
) -> tuple[list[_Picture | _Text], tuple[int, int]]:
    """The elements of a sheet with their positions, and its width and height."""
    lines = [line for row in rows for line in _wrapped(row)]
    columns = max(len(line) for line in lines)
    width = 2 * _MARGIN + columns * (side + _GAP) - _GAP
    elements: list[_Picture | _Text] = []
    top = _MARGIN - 4
    top = _write(elements, (_MARGIN, top), _broken(title, width - 2 * _MARGIN, 2, _TITLE, bold=True), _TITLE, bold=True)
    top += _GAP // 2
    for line in lines:
        cells = [(_MARGIN + column * (side + _GAP), panel) for column, panel in enumerate(line) if panel is not None]
        tops = [top]
        for left, panel in cells:
            below = _write(elements, (left, top), _broken(panel.title, side, 2, _HEAD, bold=True), _HEAD, bold=True)
            for caption in panel.lines:
                below = _write(elements, (left, below), _broken(caption, side, 2, _BODY), _BODY, colour=_QUIET)
            tops.append(below + 3)
        high = round(side * view.shape[0] / view.shape[1])
        ends = [max(tops) + high]
        for left, panel in cells:
            elements.append(_Picture(left, max(tops), _tile(view, panel, style, (side, high))))
            ends.append(_foot(elements, (left, max(tops) + high + _PAD), panel, style, side))
        top = max(ends) + _GAP
    return elements, (width, top - _GAP + _MARGIN)


def _foot(elements: list[_Picture | _Text], at: tuple[int, int], panel: Panel, style: Style, side: int) -> int:
    """Add the colour bar under a tile, or the reason why there is none; returns its bottom."""
    left, top = at
    if panel.values is None or panel.span is None or panel.note:
        return _write(elements, at, _broken(panel.note, side, 5, _BODY), _BODY)
    elements.append(_Picture(left, top, _ramp(panel.span, style, side)))
    top += _BAR + 3
    (low, high), span = _ends(panel.values, panel.span), panel.span
    elements.append(_Text(left, top, low, _BODY, colour=_QUIET))
    elements.append(_Text(left + side, top, high, _BODY, colour=_QUIET, align="right"))
    middle = _number((span.low + span.high) / 2) if span.signed else ""
    if (
        middle
        and text_width(middle, _BODY) / 2 + max(text_width(low, _BODY), text_width(high, _BODY)) + _PAD <= side / 2
    ):
        elements.append(_Text(left + side / 2, top, middle, _BODY, colour=_QUIET, align="center"))
    return top + _leading(_BODY)


def _write(
    elements: list[_Picture | _Text], at: tuple[int, int], lines: Sequence[str], size: int, *, bold: bool = False,
    colour: str = _INK,
) -> int:  # fmt: skip
    """Add lines of text below each other; returns their bottom."""
    left, top = at
    for index, line in enumerate(lines):
        elements.append(_Text(left, top + index * _leading(size), line, size, bold, colour))
    return top + len(lines) * _leading(size)


def _wrapped(row: Sequence[Panel]) -> list[list[Panel | None]]:
    first, maps = row[0], list(row[1:])
    parts = [maps[start : start + _MAPS_PER_ROW] for start in range(0, len(maps), _MAPS_PER_ROW)] or [[]]
    return [[first if index == 0 else None, *part] for index, part in enumerate(parts)]


def _tile(view: Pixels, panel: Panel, style: Style, size: tuple[int, int]) -> Pixels:
    """The panel's picture as a tile of this width and height; maps are coloured before resizing, at their own size."""
    picture = view = view if panel.view is None else panel.view
    if panel.values is not None and panel.span and not panel.note:
        picture = overlay(view, panel.values, panel.span, style)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _ramp(span: Span, style: Style, side: int) -> Pixels:
    """The colour bar under a tile, transparent below the threshold."""
    fraction = np.linspace(0, 1, side)
    opacity = _opacity(fraction, span, replace(style, opacity=1.0, blend="even"))[:, None]
    line = np.array(_PAPER) * (1 - opacity) + _colours(span, style)[np.round(fraction * 255).astype(np.intp)] * opacity
    return np.repeat(np.round(line[None]).astype(np.uint8), _BAR, 0)


def _ends(values: Map, span: Span) -> tuple[str, str]:
    """The numbers at the ends of a colour bar, marked if values lie beyond them."""
    least, most = float(values.min()), float(values.max())
    if span.low > span.high:
        return _number(span.low), "≤ " * (least < span.high) + _number(span.high)
    return "≤ " * (least < span.low) + _number(span.low), "≥ " * (most > span.high) + _number(span.high)


def _number(value: float) -> str:
    return "0" if value == 0 or not math.isfinite(value) else f"{value:.3g}"


def _broken(text: str, width: int, most: int, size: int, *, bold: bool = False) -> list[str]:
    """A text on at most `most` lines of this width, with an ellipsis where it is cut.

    Lines break at spaces and after punctuation within names, and inside a word only if it is wider than a line.
    """
    lines = [""]
    for piece in re.split(r"(?<=[\s./_-])", printable(text, bold)):
        if text_width(lines[-1] + piece.rstrip(), size, bold) <= width:
            lines[-1] += piece
            continue
        if lines[-1]:
            lines.append("")
        for char in piece:
            if text_width((lines[-1] + char).rstrip(), size, bold) > width:
                lines.append("")
            lines[-1] += char
        if len(lines) > most:
            break
    lines = [line.strip() for line in lines]
    if len(lines) > most:
        last = lines[most - 1]
        while last and text_width(last + "…", size, bold) > width:
            last = last[:-1]
        lines[most - 1 :] = [last.rstrip() + "…"]
    return [line for line in lines if line]


def printable(text: str, bold: bool = False) -> str:
    """Text on one line without characters that the font lacks; very long names are shortened first."""
    characters = _font(bold).get_charmap()
    spaced = " ".join(text[:300].split())
    return "".join(
        char if char.isprintable() and ord(char) in characters else "\N{REPLACEMENT CHARACTER}" for char in spaced
    )


def text_width(text: str, size: int, bold: bool = False) -> float:
    """The width of a text in pixels, without kerning."""
    return size * sum(_advance(char, bold) for char in text)


@lru_cache(4096)
def _advance(char: str, bold: bool) -> float:
    """The advance width of a letter at size 1."""
    from matplotlib.ft2font import LoadFlags

    font = _font(bold)
    return font.load_char(ord(char), LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM


def _leading(size: int) -> int:
    return round(1.3 * size)


def font(size: float, *, bold: bool = False) -> "FontProperties":
    """The font of figures at a size in pixels."""
    from matplotlib.font_manager import FontProperties

    made = FontProperties(family=_FAMILY, weight="bold" if bold else "normal", fname=_font_file(bold))
    made.set_size(size * 72 / DPI)  # points
    return made


def _font_file(bold: bool) -> Path:
    """DejaVu Sans as bundled with matplotlib, so that results do not depend on installed fonts."""
    from matplotlib import get_data_path

    return Path(get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' * bold}.ttf")


@lru_cache
def _font(bold: bool) -> "FT2Font":
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(_font_file(bold)))


def _file(elements: Sequence[_Picture | _Text], size: tuple[int, int], kind: Kind, title: str) -> bytes:
    """The elements of a sheet drawn by matplotlib, on one axes with pixels as unit."""
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    width, height = size
    with drawing():
        figure = Figure((width / DPI, height / DPI), DPI, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for one in elements:
            if isinstance(one, _Picture):
                rows, columns = one.pixels.shape[:2]
                extent = (one.left, one.left + columns, one.top + rows, one.top)
                picture = AxesImage(axes, interpolation="nearest", extent=extent)
                picture.set_data(one.pixels)
                axes.add_artist(picture)
                picture.set_clip_on(False)
            else:
                axes.text(
                    one.left, one.top + one.size, one.text, color=one.colour, ha=one.align, va="baseline",
                    font=font(one.size, bold=one.bold), parse_math=False,
                )  # fmt: skip
        return saved(figure, kind, title)


@contextmanager
def drawing() -> Iterator[None]:
    """The settings of figures, for one thread at a time."""
    from matplotlib import style

    with _DRAWING, style.context(_SETTINGS, after_reset=True):
        yield


def saved(figure: "Figure", kind: Kind, title: str) -> bytes:
    """The file of a figure of matplotlib, within `drawing`; the same figure gives the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if kind == "png":
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return png(np.asarray(canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, metadata={"Title": title, **dict.fromkeys(_OMITTED[kind])})
    return stream.getvalue()
