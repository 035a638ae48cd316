"""Consistency of a study: that what one table or array says does not contradict another, checked on opening."""

import os
from collections.abc import Mapping
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

from core.store.manifest import Misfit
from core.store.reader import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def consistent(study: Store[Any], tables: Mapping[str, "pd.DataFrame"]) -> None:
    """Raise Misfit for the first statement of a study that contradicts another, with what is wrong.

    The schema checks columns and arrays one by one. Here it is checked that images lie in their folder, windows in
    their image, and that rules, shared sets, averages and graph are about filters that the patches have.
    """
    _check_images(tables["images"])
    patches = tables["patches"]
    side, size = study.manifest.window, study.manifest.model.view
    if (patches["size"] != side).any() or _outside(patches, side, size):
        raise Misfit("patches.parquet has patches that do not fit into their image")
    if _outside(tables["windows"], side, size):
        raise Misfit("windows.parquet has windows that do not fit into their image")
    _check_items(study.array("items"), study.array("responses"))
    rules = tables["rules"]
    _check_sets(study, patches["label"].to_numpy(), rules, tables["shared"])
    pairs = {(number, label) for filters, label in _columns(rules, "filters", "label") for number in filters.tolist()}
    edges = tables["edges"]
    _check_graph(edges, tables["nodes"], pairs)
    if not pairs.issuperset(_columns(tables["averages"], "filter", "label")):
        raise Misfit("averages.parquet has averages of filters without a rule")


def _check_images(images: "pd.DataFrame") -> None:
    for path in images["path"].tolist():
        away = not path or "\0" in path or path[0] in "/\\" or os.path.splitdrive(path)[0]
        if away or ".." in path.split("/"):
            raise Misfit(f"images.parquet has the path {short(path)}, which does not lie in a folder of images")


def _outside(windows: "pd.DataFrame", side: int, size: tuple[int, int]) -> bool:
    ends = windows[["y", "x"]].max().to_numpy() + side
    return bool(len(windows)) and bool((ends > size).any())


def _check_items(items: "NDArray[np.int32]", responses: "NDArray[np.float32]") -> None:
    import numpy as np

    if items.shape[1] > 100:
        raise Misfit("items.npy has more filters of a patch than can be set")
    for start in range(0, len(items), 100_000):
        block = np.sort(items[start : start + 100_000], axis=1)
        if ((np.diff(block, axis=1) == 0) & (block[:, 1:] >= 0)).any():
            raise Misfit("items.npy names a filter twice in a patch")
        if (responses[start : start + 100_000][items[start : start + 100_000] >= 0] <= 0).any():
            raise Misfit("responses.npy has filters that do not respond")


def _check_sets(study: Store[Any], labels: "NDArray[np.int64]", rules: "pd.DataFrame", shared: "pd.DataFrame") -> None:
    """Every rule, and every shared set, is held by patches of its class."""
    import numpy as np

    considered = np.asarray(study.array("items"))[:, : study.manifest.settings.mining.filters]
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(study.counts["classes"] + 1))
    by_class = considered[order]

    def held(filters: "NDArray[np.int64]", label: int) -> int:
        items = by_class[ends[label] : ends[label + 1]]
        for number in filters:
            items = items[(items == number).any(1)]
        return len(items)

    for filters, label, count, total in _columns(rules, "filters", "label", "n_both", "n_class"):
        if not (held(filters, label) == count > 0 and total == ends[label + 1] - ends[label]):
            raise Misfit("rules.parquet counts patches that the study does not have")
    for filters, size, sharing, supports, count in _columns(shared, "filters", "size", "labels", "supports", "classes"):
        if not (len(filters) == size and len(sharing) == len(supports) == count == len(set(sharing.tolist()))):
            raise Misfit("shared.parquet has lists of other lengths than it says")
        if not all(held(filters, label) for label in sharing):
            raise Misfit("shared.parquet has sets that no patch holds")


def _check_graph(edges: "pd.DataFrame", nodes: "pd.DataFrame", pairs: set[tuple[int, int]]) -> None:
    ends = list(_columns(edges, "filter", "label"))
    if len(ends) != len(pairs) or set(ends) != pairs:
        raise Misfit("edges.parquet has other edges than the rules")
    expected = {(f"f{number}", "filter", number) for number, _ in pairs}
    expected |= {(f"c{label}", "class", label) for _, label in pairs}
    if len(nodes) != len(expected) or set(_columns(nodes, "node", "kind", "number")) != expected:
        raise Misfit("nodes.parquet has other nodes than the edges")


def _columns(table: "pd.DataFrame", *names: str) -> Any:
    return zip(*(table[name].tolist() for name in names), strict=True)
