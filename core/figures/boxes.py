"""Numbered boxes on a photo, coloured and dashed by group, with a legend that names them."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.figures.charts import BLUE, GREEN, ORANGE, PINK, SKY
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved, text_width
from core.images import Pixels

_Dash = tuple[float, tuple[float, ...]]  # offset, lengths of dashes and gaps; none for a solid line

# As red, green and blue in figure 4 of Lengerich et al. 2017, in colours that everybody can tell apart.
_COLOURS = (ORANGE, GREEN, BLUE, PINK, SKY)
_DASHES: tuple[_Dash, ...] = ((0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_PHOTO, _MARGIN, _HEAD, _LINE, _KEY = 640, 20, 40, 20, 40  # pixels
_TITLE, _TEXT, _NUMBER = 18, 13, 11  # font sizes
_LABEL = 19, 15  # width and height of the ground of a number


@dataclass(frozen=True)
class Boxed:
    """A box of a photo."""

    name: str
    group: int
    box: tuple[int, int, int, int]  # top, left, height, width in pixels of the photo


def boxes_file(
    view: Pixels,
    boxes: Sequence[Boxed],
    groups: Sequence[str],
    *,
    title: str,
    notes: Sequence[str] = (),
    kind: Kind = "png",
) -> bytes:
    """The file of a photo with boxes, numbered from 1 in their order, and the names of boxes and groups beside it.

    Boxes have the colour and dash of their group. Below the legend stand the `notes`. The same boxes give the same
    bytes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    scale = _PHOTO / max(view.shape[:2])
    tall, wide = (round(side * scale) for side in view.shape[:2])
    used = [group for group in range(len(groups)) if any(one.group == group for one in boxes)]
    legend: list[tuple[int | None, str]] = [(group, groups[group]) for group in used]
    legend += [(one.group, f"{number}  {one.name}") for number, one in enumerate(boxes, 1)]
    legend += [(None, note) for note in notes]
    across = _KEY + max((round(text_width(name, _TEXT, bold=True)) for _, name in legend), default=0)
    rows = max(1, tall // _LINE)
    columns = -(-len(legend) // rows)
    needed = round(text_width(printable(title), _TITLE, bold=True))
    size = 2 * _MARGIN + max(wide + columns * (_MARGIN + across), needed), 2 * _MARGIN + _HEAD + tall
    with drawing():
        figure = Figure((size[0] / DPI, size[1] / DPI), DPI, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
        axes.set_axis_off()
        axes.text(_MARGIN, _MARGIN + _TITLE, printable(title), font=font(_TITLE, bold=True), parse_math=False)
        top = _MARGIN + _HEAD
        axes.imshow(view, extent=(_MARGIN, _MARGIN + wide, top + tall, top), interpolation="bilinear", aspect="auto")
        axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
        corners = [(one.box[1] * scale + _MARGIN, one.box[0] * scale + top) for one in boxes]
        places = _places(corners, (_MARGIN, top, _MARGIN + wide, top + tall))
        for number, (one, (left, upper)) in enumerate(zip(boxes, places, strict=True), 1):
            colour, dash = _look(one.group)
            y, x, height, width = (scale * side for side in one.box)
            for ink, thick, style in (("white", 4.0, _DASHES[0]), (colour, 2.0, dash)):
                axes.add_patch(
                    Rectangle(
                        (x + _MARGIN, y + top), width, height, fill=False, edgecolor=ink, linewidth=thick,
                        linestyle=style,
                    )
                )  # fmt: skip
            ground = Rectangle((left, upper), *_LABEL, facecolor="white", edgecolor=colour, linewidth=1.5, zorder=3)
            axes.add_patch(ground)
            axes.text(
                left + _LABEL[0] / 2, upper + _LABEL[1] / 2, str(number), color="black", ha="center",
                va="center_baseline", font=font(_NUMBER, bold=True), zorder=4,
            )  # fmt: skip
        for place, (key, name) in enumerate(legend):
            column, row = divmod(place, rows)
            left, baseline = 2 * _MARGIN + wide + column * (_MARGIN + across), top + row * _LINE + _TEXT
            if key is not None:
                colour, dash = _look(key)
                ends = [left, left + _KEY - 8], [baseline - 4, baseline - 4]
                axes.add_line(Line2D(*ends, color=colour, linewidth=2, linestyle=dash))
                left += _KEY
            bold = place < len(used)
            axes.text(left, baseline, printable(name), font=font(_TEXT, bold=bold), parse_math=False)
        return saved(figure, kind, printable(title))


def _look(group: int) -> tuple[str, _Dash]:
    """The colour and the dash of a group."""
    return _COLOURS[group % len(_COLOURS)], _DASHES[group % len(_DASHES)]


def _places(
    corners: Sequence[tuple[float, float]], photo: tuple[float, float, float, float]
) -> list[tuple[float, float]]:
    """A place for each number: above the corner of its box, or the next free one below or to the right of it.

    `photo` are its left, top, right and bottom, within which numbers stay.
    """
    width, height = _LABEL
    least_x, least_y, most_x, most_y = photo
    found: list[tuple[float, float]] = []
    for left, top in corners:
        first = x, y = min(left, most_x - width), max(top - height, least_y)
        while any(abs(x - a) < width and abs(y - b) < height for a, b in found) and (x, y) != (least_x, most_y):
            y += height
            if y + height > most_y:
                x, y = x + width, first[1]
            if x + width > most_x:
                x, y = least_x, most_y  # no place is free
        found.append((x, y))
    return found
