"""Charts of models of tables: what they show, in which order, and names that are no markup."""

import numpy as np

from core.figures.tables.importances import MOST, importances, tree
from core.measure.intervals import Interval
from core.tables.data.datasets import DATASETS
from core.tables.table import Column, Table
from core.tables.tree import tree as grown


def test_importances_are_panels_in_the_order_of_the_last_method():
    methods = {"one": np.array([1.0, 2, 3]), "two": np.array([0.1, 0.3, 0.2])}
    bounds = [Interval(10, 0.1, 0.05, 0.2), Interval(10, 0.3, 0.3, 0.3), None]
    figure = importances(["a", "b", "c"], methods, {"two": bounds})
    first, second = figure.data
    assert list(first.x) == [2, 3, 1]
    assert list(second.x) == [0.3, 0.2, 0.1]
    assert list(second.customdata) == ["b", "c", "a"]
    assert list(figure.layout.yaxis.ticktext) == ["b", "c", "a"]
    assert np.allclose(second.error_x.array, [0, 0, 0.1])
    assert np.allclose(second.error_x.arrayminus, [0, 0, 0.05])
    assert first.error_x.array is None
    assert [one.text for one in figure.layout.annotations] == ["one", "two"]
    assert first.marker.pattern.shape != second.marker.pattern.shape


def test_no_more_features_are_drawn_than_can_be_read():
    figure = importances([f"f{number}" for number in range(100)], {"one": np.arange(100.0)})
    assert len(figure.data[0].x) == MOST
    assert figure.data[0].x[0] == 99


def test_every_node_has_its_own_place_and_its_text():
    root = grown(DATASETS["wine"].load(), depth=4, least=2).root
    figure = tree(root)
    yes, no, questions, leaves = figure.data
    assert (yes.line.dash, no.line.dash) == ("solid", "dash")
    nodes = {node.number: node for node in root}
    assert sorted([*questions.customdata, *leaves.customdata]) == sorted(nodes)
    places = {number: (x, y) for part in (questions, leaves)
              for number, x, y in zip(part.customdata, part.x, part.y, strict=True)}  # fmt: skip
    assert len(set(places.values())) == len(nodes)
    for number, text in zip(questions.customdata, questions.text, strict=True):
        node = nodes[number]
        assert node.question[:15] in text
        assert node.question[-8:] in text
        assert f"{node.n:,} · {node.value}" in text
        above, below = (places[child.number] for child in node.children)
        assert above[0] == below[0] == places[number][0] + 1
        # Everything that follows a yes is above, everything that follows a no below.
        assert max(places[one.number][1] for one in node.children[0]) < places[number][1]
        assert min(places[one.number][1] for one in node.children[1]) > places[number][1]
    assert all(f"{nodes[number].n:,}" in text for number, text in zip(leaves.customdata, leaves.text, strict=True))


def test_a_single_leaf_is_a_tree():
    table = Table(
        "t", (Column("x"),), np.zeros((5, 1)), Column("y", "category", ("a", "b")), np.array([0.0, 0, 0, 1, 0])
    )
    figure = tree(grown(table).root)
    assert list(figure.data[3].text) == [" 5 · a"]
    assert list(figure.data[2].x) == []


def test_names_are_no_markup():
    values = np.arange(20.0)[:, None]
    bold = "<b>x</b>"
    table = Table("t", (Column(bold),), values, Column("y", "category", ("<i>no</i>", "yes")), (values[:, 0] > 9) * 1.0)
    figure = tree(grown(table).root)
    assert "<b>x" not in figure.to_json().replace("\\u003c", "<").replace("<b>&lt;b&gt;x", "")
    assert "<i>" not in figure.to_json().replace("\\u003c", "<")
    assert "<b>" not in importances([bold], {bold: np.ones(1)}).to_json().replace("\\u003c", "<")
