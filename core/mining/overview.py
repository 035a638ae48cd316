"""The overview of many rules: classes of the folder, rules of enough patches, and the strongest edges."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST = (10, 5, 2, 1)  # patches per rule: the first of these that leaves any rule
SHARE = 0.05  # of a class's patches that a rule has at least
NODES = 60  # of a graph that can be read


@dataclass(frozen=True)
class Overview:
    """The rules shown first, and what is hidden."""

    rules: pd.DataFrame  # the best rule of each class first
    least: int  # patches that a rule has at least
    few: int  # number of rules hidden because they have fewer patches
    outside: tuple[int, ...]  # classes of hidden rules, predicted for some image but not of the folder


def overview(rules: pd.DataFrame, classes: Collection[int], *, outside: bool = False, few: bool = False) -> Overview:
    """The rules of these classes that have at least `LEAST` patches, and `SHARE` of their class's.

    Where no rule has as many, fewer are enough. `outside` includes other classes, `few` rules of any number of patches;
    without classes all are included.
    """
    foreign = ~rules["label"].isin(classes).to_numpy() if classes else np.zeros(len(rules), bool)
    inside = rules if outside or foreign.all() else rules[~foreign]
    hidden = () if len(inside) == len(rules) else tuple(sorted(rules.loc[foreign, "label"].unique().tolist()))
    count, share = inside["n_both"].to_numpy(), inside["n_both"].to_numpy() >= SHARE * inside["n_class"].to_numpy()
    least = next((least for least in LEAST if (share & (count >= least)).any()), LEAST[-1])
    enough = share & (count >= least)
    shown = inside if few else inside[enough]
    order = np.lexsort((shown["label"], -shown["score"], shown["rank"]))
    return Overview(shown.iloc[order], least, int((~enough).sum()), hidden)


@dataclass(frozen=True)
class Legible:
    """The edges of a graph that is small enough to read."""

    edges: pd.DataFrame
    shared: bool  # whether only filters of several classes are included
    least: float  # the weight that all edges have at least; 0 if none is left out for its weight


def legible(edges: pd.DataFrame, most: int = NODES) -> Legible:
    """The strongest edges with at most this number of nodes, of filters that classes share; all if they are few.

    If no filter is shared, those of single classes are included. Edges of the same weight are included together, so
    there are more nodes where the strongest edges are that many.
    """
    if _nodes(edges) <= most:
        return Legible(edges, shared=False, least=0.0)
    weights = np.unique(np.floor(edges["weight"] * 100 + 1e-9).astype(int)).tolist()
    candidates = [_shared(edges, step) for step in weights]
    shared = any(len(one) for one in candidates)
    if not shared:
        candidates = [edges[edges["weight"] * 100 >= step - 1e-9] for step in weights]
    found = [(one, step) for one, step in zip(candidates, weights, strict=True) if len(one)]
    chosen, step = next(((one, step) for one, step in found if _nodes(one) <= most), found[-1])
    return Legible(chosen, shared=shared, least=0.0 if step == weights[0] else step / 100)


def strongest(edges: pd.DataFrame, most: int) -> pd.DataFrame:
    """The edges in the order of their weight, as many as have at most this number of nodes."""
    ranked = edges.sort_values("weight", ascending=False, kind="stable")
    touched: set[tuple[str, int]] = set()
    for count, (filter, label) in enumerate(zip(ranked["filter"], ranked["label"], strict=True)):
        touched |= {("filter", filter), ("class", label)}
        if len(touched) > most:
            return ranked.head(count)
    return ranked


def _shared(edges: pd.DataFrame, step: int) -> pd.DataFrame:
    """The edges of at least this weight, in hundredths, whose filter has several of them."""
    strong = edges[edges["weight"] * 100 >= step - 1e-9]
    return strong[strong.groupby("filter")["label"].transform("size") > 1]


def _nodes(edges: pd.DataFrame) -> int:
    return int(edges["filter"].nunique() + edges["label"].nunique())


def telling(rules: pd.DataFrame, edges: pd.DataFrame) -> int | None:
    """The filter to look at first: of the best rule, the one that fewest classes use; None without rules."""
    if not len(rules):
        return None
    best = rules.iloc[int(rules["score"].to_numpy().argmax())]
    classes, weights = edges.groupby("filter")["label"].size(), edges.groupby("filter")["weight"].max()
    return min(
        (int(one) for one in best["filters"]), key=lambda one: (classes.get(one, math.inf), -weights.get(one, 0), one)
    )
