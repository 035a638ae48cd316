"""Exported figures: one map over its photo, or all of them side by side with their ranges."""

import io
import math
import re
import threading
from collections.abc import Sequence
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
    from matplotlib.ft2font import FT2Font

OPACITY = 0.6  # exponent: small values stay visible, and zero leaves the photo alone
Kind = Literal["png", "pdf", "svg"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # the file formats of a sheet

# Pixels of the PNG file; in PDF and SVG one is 1/96 inch.
TILE, _GAP, _MARGIN, _BAR, _PAD = 256, 16, 20, 10, 6
_DPI = 96
_TITLE, _HEAD, _BODY = 18, 17, 15  # sizes of type
_FAMILY = ["DejaVu Sans", "Verdana", "sans-serif"]  # the others, much as wide, where an SVG is shown without the first
_MAPS_PER_ROW = 6
_PAPER, _INK, _QUIET = (255, 255, 255), "#181a1e", "#585d66"

# matplotlib reads its settings from one dictionary of the process, so that only one thread at a time may draw.
_DRAWING = threading.Lock()
_SETTINGS = {
    "image.composite_image": False,  # each picture stays one of its own
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "svg.fonttype": "none",  # texts, not outlines
    "svg.hashsalt": "vitrine",  # the same names of parts in every file
}
_UNSAID = {
    "pdf": ("Creator", "Producer", "CreationDate"),
    "svg": ("Creator", "Date"),
}  # they change, the sheet does not


@dataclass(frozen=True)
class Panel:
    """One place of a sheet: a map over the photo with its captions, or the bare photo where there is no map."""

    title: str
    lines: tuple[str, ...] = ()
    values: Map | None = None
    span: Span | None = None  # of the colours, with `values`
    note: str = ""  # why there is nothing to see


def overlay(view: Pixels, values: Map, span: Span, style: Style = DEFAULT) -> Pixels:
    """A raw map in colour over its photo, (H, W, 3): the stronger the evidence, the less of the photo shows through.

    A value's share v of the span decides its opacity, v ** 0.6; in a signed span v is the distance from zero. A photo
    finer than the map gets the map's values interpolated between its own.
    """
    height, width = view.shape[:2]
    if values.shape != (height, width):
        values = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
    if span.low == span.high:
        return view.copy()
    share = np.clip((values - span.low) / (span.high - span.low), 0, 1)
    place = np.round(share * 255).astype(np.intp)
    seen = _opacity(share, span, style) * (1 if not span.only else place > 0)
    return np.round(view * (1 - seen[..., None]) + _colours(span, style)[place] * seen[..., None]).astype(np.uint8)


def _opacity(share: NDArray[np.floating], span: Span, style: Style) -> NDArray[np.floating]:
    """How much of the photo is hidden at each share of the span."""
    strength = np.abs(2 * share - 1) if span.signed else share
    full = strength**OPACITY if style.blend == "value" else np.ones_like(strength)
    return full * style.opacity * (strength >= style.threshold)


def _colours(span: Span, style: Style) -> NDArray[np.uint8]:
    return table(style.diverging if span.signed else style.sequential)


def sheet(
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], style: Style = DEFAULT, *, side: int = TILE,
    kind: Kind = "png",
) -> bytes:  # fmt: skip
    """The file of all panels over one photo, `side` pixels each; a row for each sequence, led by the photo.

    A row longer than seven panels goes on below itself, under its second panel. The same panels give the same bytes.
    PNG is in pixels; PDF and SVG hold texts as texts, a PDF with their fonts embedded as TrueType.
    """
    with _DRAWING:
        parts, size = _laid_out(view, title, rows, style, side)
        return _file(parts, size, kind, _shown(title))


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
    left: float  # or middle or right end, as `align` says
    top: float
    text: str
    size: int
    bold: bool = False
    colour: str = _INK
    align: Literal["left", "center", "right"] = "left"


def _laid_out(
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], style: Style, side: int
) -> tuple[list[_Picture | _Text], tuple[int, int]]:
    """What stands where on a sheet, and its width and height."""
    lines = [line for row in rows for line in _wrapped(row)]
    columns = max(len(line) for line in lines)
    width = 2 * _MARGIN + columns * (side + _GAP) - _GAP
    parts: list[_Picture | _Text] = []
    top = _MARGIN - 4
    top = _write(parts, (_MARGIN, top), _broken(title, width - 2 * _MARGIN, 2, _TITLE, bold=True), _TITLE, bold=True)
    top += _GAP // 2
    for line in lines:
        places = [(_MARGIN + column * (side + _GAP), panel) for column, panel in enumerate(line) if panel is not None]
        tops = [top]
        for left, panel in places:
            below = _write(parts, (left, top), _broken(panel.title, side, 2, _HEAD, bold=True), _HEAD, bold=True)
            for caption in panel.lines:
                below = _write(parts, (left, below), _broken(caption, side, 2, _BODY), _BODY, colour=_QUIET)
            tops.append(below + 3)
        ends = [max(tops) + side]
        for left, panel in places:
            parts.append(_Picture(left, max(tops), _tile(view, panel, style, side)))
            ends.append(_foot(parts, (left, max(tops) + side + _PAD), panel, style, side))
        top = max(ends) + _GAP
    return parts, (width, top - _GAP + _MARGIN)


def _foot(parts: list[_Picture | _Text], place: tuple[int, int], panel: Panel, style: Style, side: int) -> int:
    """What stands under a tile, its colour bar or why there is none; returns where that ends."""
    left, top = place
    if panel.values is None or panel.span is None or panel.note:
        return _write(parts, place, _broken(panel.note, side, 5, _BODY), _BODY)
    parts.append(_Picture(left, top, _ramp(panel.span, style, side)))
    top += _BAR + 3
    (low, high), span = _ends(panel.values, panel.span), panel.span
    parts.append(_Text(left, top, low, _BODY, colour=_QUIET))
    parts.append(_Text(left + side, top, high, _BODY, colour=_QUIET, align="right"))
    middle = _number((span.low + span.high) / 2) if span.signed else ""
    if middle and _width(middle, _BODY) / 2 + max(_width(low, _BODY), _width(high, _BODY)) + _PAD <= side / 2:
        parts.append(_Text(left + side / 2, top, middle, _BODY, colour=_QUIET, align="center"))
    return top + _leading(_BODY)


def _write(
    parts: list[_Picture | _Text], place: tuple[int, int], lines: Sequence[str], size: int, *, bold: bool = False,
    colour: str = _INK,
) -> int:  # fmt: skip
    """Lines of text below each other; returns where they end."""
    left, top = place
    for index, line in enumerate(lines):
        parts.append(_Text(left, top + index * _leading(size), line, size, bold, colour))
    return top + len(lines) * _leading(size)


def _wrapped(row: Sequence[Panel]) -> list[list[Panel | None]]:
    first, maps = row[0], list(row[1:])
    parts = [maps[start : start + _MAPS_PER_ROW] for start in range(0, len(maps), _MAPS_PER_ROW)] or [[]]
    return [[first if index == 0 else None, *part] for index, part in enumerate(parts)]


def _tile(view: Pixels, panel: Panel, style: Style, side: int) -> Pixels:
    """The panel's picture as a square tile; maps are coloured at their own size, so that zooming mixes no colours."""
    picture = view
    if panel.values is not None and panel.span and not panel.note:
        picture = overlay(view, panel.values, panel.span, style)
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def _ramp(span: Span, style: Style, side: int) -> Pixels:
    """The colour bar under a tile, bare where the threshold leaves the photo bare."""
    share = np.linspace(0, 1, side)
    seen = _opacity(share, span, replace(style, opacity=1.0, blend="even"))[:, None]
    line = np.array(_PAPER) * (1 - seen) + _colours(span, style)[np.round(share * 255).astype(np.intp)] * seen
    return np.repeat(np.round(line[None]).astype(np.uint8), _BAR, 0)


def _ends(values: Map, span: Span) -> tuple[str, str]:
    """The numbers at the ends of a colour bar, marked where values lie beyond them."""
    least, most = float(values.min()), float(values.max())
    if span.low > span.high:
        return _number(span.low), "≤ " * (least < span.high) + _number(span.high)
    return "≤ " * (least < span.low) + _number(span.low), "≥ " * (most > span.high) + _number(span.high)


def _number(value: float) -> str:
    return "0" if value == 0 or not math.isfinite(value) else f"{value:.3g}"


def _broken(text: str, width: int, most: int, size: int, *, bold: bool = False) -> list[str]:
    """A text over at most so many lines of this width, with an ellipsis where it is cut.

    Lines break at spaces and after marks that join names, and within a word only where it is wider than a line.
    """
    lines = [""]
    for piece in re.split(r"(?<=[\s./_-])", _shown(text, bold)):
        if _width(lines[-1] + piece.rstrip(), size, bold) <= width:
            lines[-1] += piece
            continue
        if lines[-1]:
            lines.append("")
        for char in piece:
            if _width((lines[-1] + char).rstrip(), size, bold) > width:
                lines.append("")
            lines[-1] += char
        if len(lines) > most:
            break
    lines = [line.strip() for line in lines]
    if len(lines) > most:
        last = lines[most - 1]
        while last and _width(last + "…", size, bold) > width:
            last = last[:-1]
        lines[most - 1 :] = [last.rstrip() + "…"]
    return [line for line in lines if line]


def _shown(text: str, bold: bool = False) -> str:
    """Text on one line without what cannot be drawn; names longer than any sheet is wide are shortened first."""
    known = _font(bold).get_charmap()
    spaced = " ".join(text[:300].split())
    return "".join(
        char if char.isprintable() and ord(char) in known else "\N{REPLACEMENT CHARACTER}" for char in spaced
    )


def _width(text: str, size: int, bold: bool = False) -> float:
    """How many pixels wide a text is, pairs of letters that move together not counted."""
    return size * sum(_advance(char, bold) for char in text)


@lru_cache(4096)
def _advance(char: str, bold: bool) -> float:
    """How wide a letter is at size 1."""
    from matplotlib.ft2font import LoadFlags

    font = _font(bold)
    return font.load_char(ord(char), LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM


def _leading(size: int) -> int:
    return round(1.3 * size)


def _font_file(bold: bool) -> Path:
    """DejaVu Sans as matplotlib brings it, so that the fonts of a machine change nothing."""
    from matplotlib import get_data_path

    return Path(get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' * bold}.ttf")


@lru_cache
def _font(bold: bool) -> "FT2Font":
    from matplotlib.ft2font import FT2Font

    return FT2Font(str(_font_file(bold)))


def _file(parts: Sequence[_Picture | _Text], size: tuple[int, int], kind: Kind, title: str) -> bytes:
    """The parts of a sheet drawn by matplotlib, on one axes whose unit is a pixel."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.image import AxesImage

    width, height = size
    with style.context(_SETTINGS, after_reset=True):
        figure = Figure((width / _DPI, height / _DPI), _DPI, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for part in parts:
            if isinstance(part, _Picture):
                rows, columns = part.pixels.shape[:2]
                extent = (part.left, part.left + columns, part.top + rows, part.top)
                picture = AxesImage(axes, interpolation="nearest", extent=extent)
                picture.set_data(part.pixels)
                axes.add_artist(picture)
                picture.set_clip_on(False)
            else:
                font = FontProperties(
                    family=_FAMILY, weight="bold" if part.bold else "normal", fname=_font_file(part.bold)
                )
                font.set_size(part.size * 72 / _DPI)  # points
                axes.text(
                    part.left, part.top + part.size, part.text, color=part.colour, ha=part.align, va="baseline",
                    font=font, parse_math=False,
                )  # fmt: skip
        if kind == "png":
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            return png(np.asarray(canvas.buffer_rgba())[..., :3])
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata={"Title": title, **dict.fromkeys(_UNSAID[kind])})
        return stream.getvalue()
