"""The graph of filters and classes that rules define, with a position for every node."""

from collections.abc import Iterable, Sequence

import pandas as pd

NODES = ("node", "kind", "number", "name", "degree", "weight", "x", "y")
EDGES = ("filter", "label", "weight", "rules")


def graph(rules: pd.DataFrame, names: Sequence[str] = (), seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and edges (tables of `core.study`): an edge has the best score of the rules with its filter and class.

    Positions come from a spring layout with edge weights; the same rules and seed give the same positions.
    """
    edges = edges_of(rules)
    return nodes_of(edges, names, seed), edges


def edges_of(rules: pd.DataFrame) -> pd.DataFrame:
    """The edges of a graph of these rules."""
    pairs = pd.DataFrame(
        [(f, label, score) for filters, label, score in _columns(rules) for f in filters],
        columns=["filter", "label", "score"],
    )
    edges = pairs.groupby(["filter", "label"], as_index=False).agg(weight=("score", "max"), rules=("score", "size"))
    return edges.astype({"filter": "int64", "label": "int64", "weight": "float64", "rules": "int64"})[list(EDGES)]


def nodes_of(edges: pd.DataFrame, names: Sequence[str] = (), seed: int = 0) -> pd.DataFrame:
    """The nodes of these edges, with positions of their own."""
    positions = _positions(edges, seed)
    rows = []
    for column, kind in (("label", "class"), ("filter", "filter")):
        tied = edges.groupby(column)["weight"].agg(["size", "sum"])
        for number, degree, weight in zip(tied.index.tolist(), tied["size"], tied["sum"], strict=True):
            name = names[number] if kind == "class" and number < len(names) else f"{kind} {number}"
            node = f"{kind[0]}{number}"
            rows.append((node, kind, number, name, int(degree), float(weight), *positions[node]))
    return pd.DataFrame(rows, columns=list(NODES))


def _columns(rules: pd.DataFrame) -> Iterable[tuple[list[int], int, float]]:
    return zip(rules["filters"], rules["label"], rules["score"], strict=True)


def _positions(edges: pd.DataFrame, seed: int) -> dict[str, tuple[float, float]]:
    import networkx

    net = networkx.Graph()
    for filter, label, weight in zip(edges["filter"], edges["label"], edges["weight"], strict=True):
        net.add_edge(f"c{label}", f"f{filter}", weight=float(weight))
    positions = networkx.spring_layout(net, seed=seed, method="force", iterations=50)
    # Four decimals are enough for drawing; the last bits may differ between machines.
    return {node: (round(float(x), 4), round(float(y), 4)) for node, (x, y) in positions.items()}
