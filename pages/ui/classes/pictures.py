"""The images of the class in the order of how ordinary they are for it."""

import numpy as np
import streamlit as st

from core.errors import Unsupported
from core.review.neighbours import typical
from core.review.predictions import Predictions
from pages.ui.session import navigation, parameters, state
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_EACH = 8  # images of either end


def pictures(found: Predictions, label: int) -> None:
    """The typical and the odd images; those that are surest and least sure where that is unknown."""
    images = found.images[(found.images["label"] == label) & (found.images["problem"] == "")]
    st.header("Typical and odd images", anchor=False)
    if not len(images):
        st.caption(plain(f"The study has no image of {found.labels[label]}."))
        return
    order, reason = _order(found, label)
    names = ("Typical", "Odd")
    if reason:
        st.caption(plain(f"{reason} Shown are its images by the probability of the class."))
        order = images.sort_values("truth", ascending=False, kind="stable")["image"].tolist()
        names = ("Surest", "Least sure")
    else:
        st.caption(
            f"Of its {len(order):,} right images, by the density of their mean activations under a Gaussian mixture "
            "fitted to all of them."
        )
    each = min(_EACH, -(-len(order) // 2))
    first, last = order[:each], order[max(each, len(order) - each) :][::-1]
    rows = np.array([*first, *last])
    groups = [(name, len(part)) for name, part in zip(names, (first, last), strict=True) if part]
    picks = gallery(
        lambda: _items(found, rows, groups),
        ("class-images", str(found.path), label), key="class-images", label="Typical and odd images",
        noun=("image", "images"), tile=84, height=None, panel=False,
    )  # fmt: skip
    if picks.action == "case":
        navigation.go("explore/failures", of=parameters.shown("study"), which="all", pair=None, case=picks.opened)


def _order(found: Predictions, label: int) -> tuple[list[int], str]:
    """The right images, the most ordinary first; or why their order is unknown."""
    key = ("typical", str(found.path), label)
    try:
        order = state.session().cache.get(key, lambda: typical(found, label))
    except Unsupported as error:
        return [], str(error)
    return ([], order) if isinstance(order, str) else (order, "")


def _items(found: Predictions, rows: np.ndarray, groups: list[tuple[str, int]]) -> Items:
    images = found.images.iloc[rows]
    return Items(
        pixels=np.asarray(found.array("thumbnails")[rows]),
        ids=rows.tolist(),
        titles=[str(path).rpartition("/")[2] for path in images["path"]],
        notes=[
            f"{found.class_name(predicted)} {confidence:.0%}"
            for predicted, confidence in zip(images["predicted"], images["confidence"], strict=True)
        ],
        actions=[("case", ["Open on Failures"] * len(rows))],
        groups=groups,
    )
