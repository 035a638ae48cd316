"""The drawing of the graph of filters and classes, read as XML."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.figures.rule_graph import boxes, rule_graph_svg
from core.mining.graph import nodes_of

NAMES = ["<b> & \x00", "blue"]
EDGES = pd.DataFrame({"filter": [4, 4, 7, 9], "label": [0, 1, 1, 1], "weight": [0.2, 0.5, 0.8, 0.2], "rules": 1})
PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture(scope="module")
def nodes():
    return nodes_of(EDGES, NAMES)


def drawn(nodes, pictures=None):
    root = ElementTree.fromstring(rule_graph_svg(nodes, EDGES, pictures or {}))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def point(element, x, y):
    return float(element.get(x)), float(element.get(y))


def test_every_node_is_named_and_every_edge_joins_its_nodes(nodes):
    root = drawn(nodes)
    assert {text.text for text in root.iter("text")} == {"F4", "F7", "F9", "<b> & �", "blue"}
    circles = [point(circle, "cx", "cy") for circle in root.iter("circle")]
    classes = [one for one in root.iter("rect") if one.get("rx")]
    middles = [
        tuple(start + size / 2 for start, size in zip(point(one, "x", "y"), point(one, "width", "height"), strict=True))
        for one in classes
    ]
    order = {"f4": circles[0], "f7": circles[1], "f9": circles[2], "c0": middles[0], "c1": middles[1]}
    for line, (filter, label) in zip(root.iter("line"), EDGES[["filter", "label"]].to_numpy().tolist(), strict=True):
        assert point(line, "x1", "y1") == pytest.approx(order[f"f{filter}"], abs=0.11)
        assert point(line, "x2", "y2") == pytest.approx(order[f"c{label}"], abs=0.11)
    assert [float(line.get("stroke-width")) for line in root.iter("line")] == [1, 2.5, 4, 1], "by weight"


def test_everything_lies_inside_and_no_boxes_overlap(nodes):
    root = drawn(nodes)
    left, top, width, height = map(float, root.get("viewBox").split())
    centres, sizes = boxes(nodes)
    for x, y in [point(text, "x", "y") for text in root.iter("text")]:
        assert left < x < width
        assert top < y < height
    for one in range(len(nodes)):
        for other in range(one):
            assert (np.abs(centres[one] - centres[other]) >= (sizes[one] + sizes[other]) / 2).any()


def test_filters_show_their_pictures(nodes):
    root = drawn(nodes, {7: PICTURE})
    (image,) = root.iter("image")
    content = base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))
    assert (np.asarray(Image.open(io.BytesIO(content))) == PICTURE).all()
    assert image.get("clip-path") == "url(#F7)"
    assert [clip.get("id") for clip in root.iter("clipPath")] == ["F7"]


def test_the_same_graph_gives_the_same_bytes(nodes):
    assert rule_graph_svg(nodes, EDGES, {7: PICTURE}) == rule_graph_svg(nodes_of(EDGES, NAMES), EDGES, {7: PICTURE})
