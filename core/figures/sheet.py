"""Pictures of maps: one laid over its photo, and all of them side by side with numbers to read."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.figures.colours import default, table
from core.images import Pixels

Map = NDArray[np.float32]  # (H, W), raw
Limits = tuple[float, float]

OPACITY = 0.6  # exponent: small values stay visible, and zero leaves the photo alone

_TILE, _GAP, _MARGIN, _BAR, _LINE = 256, 16, 20, 10, 19  # pixels
_MAPS_PER_ROW = 6
_PAPER, _INK, _QUIET = (255, 255, 255), (24, 26, 30), (88, 93, 102)


@dataclass(frozen=True)
class Panel:
    """One place of a sheet: a map over the photo with its captions, or the bare photo where there is no map."""

    title: str
    lines: tuple[str, ...] = ()
    values: Map | None = None
    signed: bool = False
    note: str = ""  # why there is nothing to see
    limits: Limits | None = None  # of the colours; None: the map's own


def limits_of(values: Map, signed: bool) -> Limits:
    """The range that the colours of a map span by itself, from its smallest value or as far on both sides of zero.

    The one value in a thousand that is largest stays outside: a single bright pixel must not hide all the others.
    """
    sizes = np.abs(values) if signed else values
    high, most = float(np.quantile(sizes, 0.999, method="higher")), float(sizes.max())
    low = float(values.min())
    if high <= max(low, 0) < most:
        high = most  # so sparse a map that its thousandth is all there is to see
    return (-high, high) if signed else (low, high)


def sharing(panels: Sequence[Panel]) -> list[Panel]:
    """The same panels on one colour range, the smallest that holds all their maps; one signed map makes it signed."""
    maps = [panel.values for panel in panels if panel.values is not None]
    if not maps:
        return list(panels)
    signed = any(panel.signed for panel in panels)
    limits = limits_of(np.stack([np.array(limits_of(values, signed), np.float32) for values in maps]), signed)
    return [replace(panel, signed=signed, limits=limits) for panel in panels]


def overlay(
    view: Pixels, values: Map, *, signed: bool = False, limits: Limits | None = None, colours: str = ""
) -> Pixels:
    """A raw map in colour over its photo, (H, W, 3): the stronger the evidence, the less of the photo shows through.

    A value's share v of the colour range decides its opacity, v ** 0.6; in a signed map v is the distance from zero.
    """
    low, high = limits or limits_of(values, signed)
    share = np.clip((values - low) / (high - low), 0, 1) if high > low else np.full(values.shape, 0.5 * signed)
    strength = np.abs(2 * share - 1) if signed else share
    alpha = (strength**OPACITY)[..., None]
    coloured = table(colours or default(signed))[np.round(share * 255).astype(np.intp)]
    return np.round(view * (1 - alpha) + coloured * alpha).astype(np.uint8)


def sheet(
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], *, sequential: str = "", diverging: str = ""
) -> Image.Image:
    """All panels over one photo, a row for each sequence, each row led by the photo itself or by what it explains.

    A row longer than seven panels goes on below itself, under its second panel.
    """
    lines = [line for row in rows for line in _wrapped(row)]
    columns = max(len(line) for line in lines)
    captions = 1 + max(len(panel.lines) for line in lines for panel in line if panel)
    height = captions * _LINE + _TILE + _BAR + 2 * _LINE + _GAP
    head = _MARGIN + 2 * _LINE
    page = Image.new(
        "RGB", (2 * _MARGIN + columns * (_TILE + _GAP) - _GAP, head + len(lines) * height + _MARGIN - _GAP), _PAPER
    )
    draw = ImageDraw.Draw(page)
    _text(draw, (_MARGIN, _MARGIN - 4), title, page.width - 2 * _MARGIN, size=17, bold=True)
    for row, line in enumerate(lines):
        for column, panel in enumerate(line):
            if panel is not None:
                place = (_MARGIN + column * (_TILE + _GAP), head + row * height)
                colours = diverging if panel.signed else sequential
                _panel(page, place, panel, view, captions=captions, colours=colours)
    return page


def png(picture: Image.Image | Pixels) -> bytes:
    """The PNG file of a picture; the same picture gives the same bytes."""
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, "PNG", optimize=False)
    return stream.getvalue()


def _wrapped(row: Sequence[Panel]) -> list[list[Panel | None]]:
    first, maps = row[0], list(row[1:])
    parts = [maps[start : start + _MAPS_PER_ROW] for start in range(0, len(maps), _MAPS_PER_ROW)] or [[]]
    return [[first if index == 0 else None, *part] for index, part in enumerate(parts)]


def _panel(
    page: Image.Image, place: tuple[int, int], panel: Panel, view: Pixels, *, captions: int, colours: str
) -> None:
    draw, (left, top) = ImageDraw.Draw(page), place
    _text(draw, (left, top), panel.title, _TILE, size=15, bold=True)
    for index, line in enumerate(panel.lines, 1):
        _text(draw, (left, top + index * _LINE), line, _TILE, colour=_QUIET)
    top += captions * _LINE
    page.paste(_tile(view, panel, colours), (left, top))
    top += _TILE + 6
    if panel.values is None or panel.note:
        for index, line in enumerate(_broken(panel.note)):
            _text(draw, (left, top + index * _LINE), line, _TILE)
        return
    low, high = panel.limits or limits_of(panel.values, panel.signed)
    ramp = table(colours or default(panel.signed))[None, np.linspace(0, 255, _TILE).astype(np.intp)]
    page.paste(Image.fromarray(np.ascontiguousarray(np.repeat(ramp, _BAR, 0))), (left, top))
    top += _BAR + 2
    under = "≤ " * bool(panel.values.min() < low)
    over = "≥ " * bool(panel.values.max() > high)
    _text(draw, (left, top), under + _number(low), _TILE, colour=_QUIET)
    _text(draw, (left + _TILE, top), over + _number(high), _TILE, colour=_QUIET, anchor="ra")
    if panel.signed:
        _text(draw, (left + _TILE // 2, top), _number((low + high) / 2), _TILE, colour=_QUIET, anchor="ma")


def _tile(view: Pixels, panel: Panel, colours: str) -> Image.Image:
    """The panel's picture as a square tile; maps are coloured at their own size, so that zooming mixes no colours."""
    picture = view
    if panel.values is not None and not panel.note:
        picture = overlay(view, panel.values, signed=panel.signed, limits=panel.limits, colours=colours)
    return Image.fromarray(picture).resize((_TILE, _TILE), Image.Resampling.BICUBIC)


def _broken(text: str) -> list[str]:
    """A sentence over at most three lines, the last of which takes whatever is left."""
    lines, words = [""], _shown(text).split()
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(lines) == 3 or _font(13, False).getlength(longer) <= _TILE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, *, size: int = 13, bold: bool = False,
    colour: tuple[int, int, int] = _INK, anchor: str = "la",
) -> None:  # fmt: skip
    """One line of text, cut with an ellipsis where it is wider than `width`."""
    font, shown = _font(size, bold), _shown(text)
    if font.getlength(shown) > width:
        while shown and font.getlength(shown + "…") > width:
            shown = shown[:-1]
        shown += "…"
    draw.text(place, shown, colour, font, anchor=anchor)


def _shown(text: str) -> str:
    """Text on one line without what cannot be drawn; names longer than any line are shortened first."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:300])


def _number(value: float) -> str:
    return "0" if value == 0 or not math.isfinite(value) else f"{value:.3g}"


@lru_cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans where captum's plotting package brought it, for its many letters; else Pillow's own."""
    found = find_spec("matplotlib")
    if found and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'-Bold' * bold}.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)
