"""The graph of filters and the classes whose rules use them: boxes without overlaps, and a drawing as SVG."""

import base64
from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

from core.errors import printable
from core.figures.layout import Positions, apart, lying
from core.figures.sheet import png
from core.images import Pixels

SHAPE = 1.45  # width over height of the graph
FRAME = 700  # of the graph, about: its width in pixels
_FILTER, _CLASS, _EDGE = "#0072b2", "#e69f00", "#8a8f98"
_MARGIN, _NAME = 24, 14  # pixels around the graph, and of the name below a filter
_THICK = 4  # pixels of the edge of most weight; that of least is one pixel


def boxes(nodes: pd.DataFrame) -> tuple[Positions, Positions]:
    """The centres (n, 2) of nodes (table `nodes` of a study) without overlaps, and their widths and heights (n, 2)."""
    classes = (nodes["kind"] == "class").to_numpy()
    heights = np.where(classes, 32, 36 + 5 * np.minimum(nodes["degree"].to_numpy(), 6))
    widths = np.where(classes, [20 + 7.6 * len(name) for name in nodes["name"]], heights)
    start = lying(nodes[["x", "y"]].to_numpy(), SHAPE) * 34 * np.sqrt(len(nodes))
    outer = np.stack([widths, heights + _NAME], 1)
    # Classes keep their size on the screen, so a graph that is shrunk to its frame needs more room for them.
    zoom = FRAME / max(FRAME, float(np.ptp(apart(start, outer)[:, 0], axis=0)))
    return apart(start, outer / np.where(classes, zoom, 1)[:, None]), np.stack([widths, heights], 1).astype(float)


def rule_graph_svg(nodes: pd.DataFrame, edges: pd.DataFrame, pictures: Mapping[int, Pixels]) -> bytes:
    """A drawing of nodes and edges (tables of a study): filters are circles with their picture, classes are boxes.

    The more weight an edge has, the thicker it is. The same graph gives the same bytes.
    """
    centres, sizes = boxes(nodes)
    low = (centres - sizes / 2).min(0) - _MARGIN
    width, height = ((centres + sizes / 2).max(0) - low + _MARGIN).tolist()
    height += _NAME
    places = dict(zip(nodes["node"], (centres - low).tolist(), strict=True))
    least, most = edges["weight"].min(), edges["weight"].max()
    parts = []
    for filter, label, weight in edges[["filter", "label", "weight"]].itertuples(index=False):
        (x1, y1), (x2, y2) = places[f"f{filter}"], places[f"c{label}"]
        thickness = 1 + (_THICK - 1) * (weight - least) / ((most - least) or 1)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_EDGE}" '
            f'stroke-width="{thickness:.1f}"/>'
        )
    for node, kind, number, name, (wide, high) in zip(
        *(nodes[column] for column in ("node", "kind", "number", "name")), sizes.tolist(), strict=True
    ):
        x, y = places[node]
        if kind == "class":
            parts.append(_class(printable(name), x, y, wide, high))
        else:
            parts.append(_filter(f"F{number}", x, y, high / 2, pictures.get(number)))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" '
        'text-anchor="middle">\n<rect width="100%" height="100%" fill="white"/>\n'
    )
    return (head + "\n".join(parts) + "\n</svg>\n").encode()


def _class(name: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" '
        f'fill="{_CLASS}"/><text x="{x:.1f}" y="{y + 5:.1f}" font-weight="600">{escape(name)}</text>'
    )


def _filter(name: str, x: float, y: float, radius: float, picture: Pixels | None) -> str:
    circle = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    ground = 'stroke="white" stroke-width="3" paint-order="stroke"'  # so that a line behind the name does not cross it
    text = f'<text x="{x:.1f}" y="{y + radius + _NAME:.1f}" {ground}>{name}</text>'
    if picture is None:
        return f'<circle {circle} fill="{_FILTER}"/>{text}'
    address = f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
    return (
        f'<clipPath id="{name}"><circle {circle}/></clipPath>'
        f'<image x="{x - radius:.1f}" y="{y - radius:.1f}" width="{2 * radius:.1f}" height="{2 * radius:.1f}" '
        f'preserveAspectRatio="xMidYMid slice" clip-path="url(#{name})" href="{address}"/>'
        f'<circle {circle} fill="none" stroke="{_FILTER}" stroke-width="3"/>{text}'
    )
