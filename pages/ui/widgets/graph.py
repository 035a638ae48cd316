"""The graph of filters and classes: positions from the engine; drawing, search and filtering in the browser."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

from core.figures.encoding import packed
from core.resources import ASSETS
from core.serialization import digest
from pages.ui.components import blobs, component

_VENDOR = ASSETS / "vendor" / "cytoscape.min.js"

# The library is a separate component that never changes: sent once, then identified by its hash.
_library = st.components.v2.component(
    "vitrine_cytoscape", js=_VENDOR.read_text("utf-8") + "\nexport default function () {}\n"
)
_graph = component("rule_graph")


@dataclass(frozen=True)
class Node:
    """A filter or a class of the graph, with its position."""

    id: str
    label: str
    kind: str  # "filter" or "class"
    x: float
    y: float
    size: float = 30
    width: float = 0  # of a class's box; 0 for the height of a filter
    picture: np.ndarray | None = None  # (s, s, 3) uint8, shown inside the node


@dataclass(frozen=True)
class Touch:
    """The user's input: the node or link selected ("" if deselected), the node opened."""

    picked: str | None
    opened: str | None


def graph(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str, float]],  # filter, class, weight
    *,
    key: str,
    label: str,
    least: float = 0.0,
    file: str = "filters-and-classes.png",
) -> Touch:
    """Show the graph, whose edges have at least the weight `least`; they are named like "f12-c3"."""
    head = {
        "label": label,
        "edges": [[source, target, round(weight, 4)] for source, target, weight in edges],
        "marks": _marks(key),
        "least": least,
        "file": file,
        "hint": "Click a node for its neighbours, an edge for its rules; double-click a node to open its page. "
        "Drag to pan. To zoom with the wheel, click the graph first, or hold Ctrl or ⌘.",
        "opens": {"filter": "Open filter", "class": "Show class"},
    }
    _library(key=f"{key}-library")
    result = _graph(key=key, data=pack(nodes, head), on_picked_change=_nothing, on_opened_change=_nothing)
    return Touch(result.get("picked"), result.get("opened"))


def mark(key: str, chosen: str, rule: Sequence[str] = ()) -> None:
    """Set the initial selection of the graph with that key, and the nodes of the highlighted rule.

    Separate from the graph itself, which is large and need not be sent again for this.
    """
    blobs(_marks(key), {_marks(key): ({"chosen": chosen, "rule": list(rule)}, b"")})


def _marks(key: str) -> str:
    return f"{key}-marks"


def _nothing() -> None:
    """A component reports a value only where a callback is named for it."""


def pack(nodes: Sequence[Node], head: dict[str, object]) -> bytes:
    """The message to the browser: nodes and edges as its header, the nodes' pictures as its payload."""
    payload = io.BytesIO()
    listed = []
    for node in nodes:
        start = payload.tell()
        if node.picture is not None:
            Image.fromarray(node.picture).save(payload, "JPEG", quality=88)
        entry = {
            "id": node.id,
            "label": node.label,
            "kind": node.kind,
            "size": node.size,
            "width": node.width or node.size,
        }
        entry |= {"x": round(node.x, 2), "y": round(node.y, 2)}
        listed.append(entry | ({"picture": [start, payload.tell() - start]} if node.picture is not None else {}))
    pictures = payload.getvalue()
    head = {**head, "nodes": listed}
    return packed({**head, "token": digest([head, hashlib.sha256(pictures).hexdigest()])}, pictures)
