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

from core.figures.colormaps import table
from core.figures.style import DEFAULT, Map, Span, Style
from core.images import Pixels

OPACITY = 0.6  # exponent: small values stay visible, and zero leaves the photo alone

TILE, _GAP, _MARGIN, _BAR, _LINE = 256, 16, 20, 10, 19  # pixels
_MAPS_PER_ROW = 6
_PAPER, _INK, _QUIET = (255, 255, 255), (24, 26, 30), (88, 93, 102)


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
    view: Pixels, title: str, rows: Sequence[Sequence[Panel]], style: Style = DEFAULT, *, side: int = TILE
) -> Image.Image:
    """All panels over one photo, `side` pixels each; a row for each sequence, led by the photo or what it explains.

    A row longer than seven panels goes on below itself, under its second panel.
    """
    lines = [line for row in rows for line in _wrapped(row)]
    columns = max(len(line) for line in lines)
    captions = 1 + max(len(panel.lines) for line in lines for panel in line if panel)
    height = captions * _LINE + side + _BAR + 2 * _LINE + _GAP
    head = _MARGIN + 2 * _LINE
    size = (2 * _MARGIN + columns * (side + _GAP) - _GAP, head + len(lines) * height + _MARGIN - _GAP)
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    _text(draw, (_MARGIN, _MARGIN - 4), title, page.width - 2 * _MARGIN, size=17, bold=True)
    for row, line in enumerate(lines):
        for column, panel in enumerate(line):
            if panel is not None:
                place = (_MARGIN + column * (side + _GAP), head + row * height)
                _panel(page, place, panel, view, style, captions=captions, side=side)
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
    page: Image.Image, place: tuple[int, int], panel: Panel, view: Pixels, style: Style, *, captions: int, side: int
) -> None:
    draw, (left, top) = ImageDraw.Draw(page), place
    _text(draw, (left, top), panel.title, side, size=15, bold=True)
    for index, line in enumerate(panel.lines, 1):
        _text(draw, (left, top + index * _LINE), line, side, colour=_QUIET)
    top += captions * _LINE
    page.paste(_tile(view, panel, style, side), (left, top))
    top += side + 6
    if panel.values is None or panel.span is None or panel.note:
        for index, line in enumerate(_broken(panel.note, side)):
            _text(draw, (left, top + index * _LINE), line, side)
        return
    page.paste(_ramp(panel.span, style, side), (left, top))
    top += _BAR + 2
    (low, high), span = _ends(panel.values, panel.span), panel.span
    _text(draw, (left, top), low, side, colour=_QUIET)
    _text(draw, (left + side, top), high, side, colour=_QUIET, anchor="ra")
    if span.signed:
        _text(draw, (left + side // 2, top), _number((span.low + span.high) / 2), side, colour=_QUIET, anchor="ma")


def _tile(view: Pixels, panel: Panel, style: Style, side: int) -> Image.Image:
    """The panel's picture as a square tile; maps are coloured at their own size, so that zooming mixes no colours."""
    picture = view
    if panel.values is not None and panel.span and not panel.note:
        picture = overlay(view, panel.values, panel.span, style)
    return Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)


def _ramp(span: Span, style: Style, side: int) -> Image.Image:
    """The colour bar under a tile, bare where the threshold leaves the photo bare."""
    share = np.linspace(0, 1, side)
    seen = _opacity(share, span, replace(style, opacity=1.0, blend="even"))[:, None]
    line = np.array(_PAPER) * (1 - seen) + _colours(span, style)[np.round(share * 255).astype(np.intp)] * seen
    return Image.fromarray(np.repeat(np.round(line[None]).astype(np.uint8), _BAR, 0))


def _ends(values: Map, span: Span) -> tuple[str, str]:
    """The numbers at the ends of a colour bar, marked where values lie beyond them."""
    least, most = float(values.min()), float(values.max())
    if span.low > span.high:
        return _number(span.low), "≤ " * (least < span.high) + _number(span.high)
    return "≤ " * (least < span.low) + _number(span.low), "≥ " * (most > span.high) + _number(span.high)


def _broken(text: str, side: int) -> list[str]:
    """A sentence over at most three lines, the last of which takes whatever is left."""
    lines, words = [""], _shown(text).split()
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(lines) == 3 or _font(13, False).getlength(longer) <= side:
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
    """DejaVu Sans as matplotlib brings it, for its many letters; else Pillow's own."""
    found = find_spec("matplotlib")
    if found and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'-Bold' * bold}.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)
