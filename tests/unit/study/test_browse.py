from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.study.browse import Catalogue, PatchFilter


class Shelf:
    """A study of two images and four patches, known by heart."""

    manifest = SimpleNamespace(model=SimpleNamespace(filters=6))

    def table(self, name):
        if name == "images":
            columns = {"image": [0, 1], "path": ["a/0.png", "b/1.png"], "label": [0, 1], "predicted": [0, 0]}
            return pd.DataFrame({**columns, "probability": [0.9, 0.6]})
        return pd.DataFrame(
            {
                "image": [0, 0, 1, 1],
                "rank": [0, 1, 0, 1],
                "x": [0, 1, 2, 3],
                "y": 0,
                "size": 4,
                "score": [3.0, 1.0, 2.0, 2.0],
                "before": 0.9,
                "after": 0.1,
                "drop": [0.5, 0.1, 0.3, 0.2],
                "label": [0, 0, 0, 0],
                "filters": [2, 1, 2, 1],
                "response": [9.0, 1.0, 5.0, 7.0],
            }
        )

    def array(self, name):
        items = np.array([[2, 5], [2, -1], [5, 2], [1, -1]], np.int16)
        return items if name == "items" else np.array([[9, 4], [1, 0], [5, 3], [7, 0]], np.float32)


@pytest.fixture
def shelf():
    return Catalogue(Shelf())


def test_demands_are_met_together(shelf):
    assert shelf.matching(PatchFilter()).tolist() == [0, 1, 2, 3]
    assert shelf.matching(PatchFilter(filters=(2,))).tolist() == [0, 1, 2]
    assert shelf.matching(PatchFilter(filters=(2, 5))).tolist() == [0, 2]
    assert shelf.matching(PatchFilter(filters=(2,), strongest=1)).tolist() == [0, 1]
    assert shelf.matching(PatchFilter(filters=(2,), outcome="wrong")).tolist() == [2]
    assert shelf.matching(PatchFilter(outcome="right", drop=0.2)).tolist() == [0]
    assert shelf.matching(PatchFilter(image=1, among=(0, 3))).tolist() == [3]
    assert shelf.matching(PatchFilter(label=1)).tolist() == []


def test_counts_are_those_the_facet_would_show(shelf):
    wanted = PatchFilter(label=1, filters=(2,))
    assert shelf.by_label(wanted) == {0: 3}
    assert shelf.by_filter(wanted.without("label")) == {2: 3, 5: 2}
    assert shelf.by_filter(PatchFilter(strongest=1)) == {2: 2, 1: 1, 5: 1}
    assert shelf.by_outcome(PatchFilter(filters=(2,))) == {"all": 3, "right": 2, "wrong": 1}
    assert wanted.demands() == ("label", "filters")


def test_order(shelf):
    every = shelf.matching(PatchFilter())
    assert shelf.ordered(every, "score").tolist() == [0, 2, 3, 1]
    assert shelf.ordered(every, "drop").tolist() == [0, 2, 3, 1]
    assert shelf.ordered(every, "response").tolist() == [0, 3, 2, 1]
    assert shelf.ordered(every, "response", (5,)).tolist() == [2, 0, 1, 3]
    assert shelf.ordered(every[::-1], "image").tolist() == [3, 2, 1, 0]


def test_sheet_names_everything(shelf):
    sheet = shelf.sheet(np.array([2]), ["cat, tabby", "dog"], ["artefact"])
    row = sheet.iloc[0]
    assert (row["label"], row["true"], row["filters"], row["tags"]) == ("cat, tabby", "dog", "F5 F2", "artefact")
