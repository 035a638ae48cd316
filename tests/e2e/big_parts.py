"""A page with nothing but a large gallery, or a large graph: what the browser tests measure."""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.graph import Node, graph

COUNT, IMAGES, SIDE, WINDOW = 10_000, 400, 128, 37


def patches() -> Items:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = [np.sin((x * a + y * b) / 20) for a, b in rng.uniform(-2, 2, (IMAGES * 3, 2))]
    wholes = (127 + 127 * np.stack(waves)).astype(np.uint8).reshape(IMAGES, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    images = [number % IMAGES for number in range(COUNT)]
    corners = rng.integers(0, SIDE - WINDOW, (COUNT, 2)).tolist()
    crops = [
        wholes[i][top : top + WINDOW, left : left + WINDOW] for i, (left, top) in zip(images, corners, strict=True)
    ]
    part = WINDOW / SIDE
    return Items(
        pixels=np.stack(crops),
        ids=list(range(COUNT)),
        titles=[f"patch {number}" for number in range(COUNT)],
        notes=[f"drop {number / COUNT:.2f}" for number in range(COUNT)],
        facts=[("Image", [f"<b>{number}</b>.png" for number in images])],
        wholes=wholes,
        images=images,
        boxes=[(left / SIDE, top / SIDE, part, part) for left, top in corners],
        windows=[[(0.1, 0.1, part, part, 1, True)]] * IMAGES,
        actions=[("open", ["Open"] * COUNT)],
    )


def links() -> tuple[list[Node], list[tuple[str, str, float]]]:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(500, 2)) * 900
    nodes = [Node(f"f{k}", f"F{k}", "filter", *places[k].tolist()) for k in range(400)]
    nodes += [Node(f"c{k}", f"class {k}", "class", *places[400 + k].tolist(), 30, 90) for k in range(100)]
    pairs = sorted(
        {(int(f), int(c)) for f, c in zip(rng.integers(0, 400, 2300), rng.integers(0, 100, 2300), strict=True)}
    )
    weights = rng.random(len(pairs))
    return nodes, [(f"f{f}", f"c{c}", float(w)) for (f, c), w in zip(pairs, weights, strict=True)][:2000]


st.set_page_config("Large parts", layout="wide")
if "graph" in st.query_params:
    touch = graph(*links(), key="graph", label="Large graph")
    st.text(f"picked {touch.picked}, opened {touch.opened}")
else:
    picks = gallery(patches, "large", key="gallery", label="Large gallery", many=True)
    st.text(f"{len(picks.selected)} selected, {picks.action} {picks.opened}")
