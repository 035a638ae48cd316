"""The mean map of each class over the mean image, and the region drawn on them."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.data.masks.pictures import Mask
from core.export.bias import map_span
from core.figures.encoding import described
from core.figures.outline import outlined
from core.figures.sheet import overlay
from core.progress import Report
from core.review.sampled_maps import SAMPLE, SampledMaps, common, sampled_maps
from core.workbench import pass_seconds
from pages.ui.failures.opened import Opened
from pages.ui.study.study_predictions import AT_ONCE
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_PART, _TITLE = "bias-maps", "Averaging maps"
_PASSES = 3  # of an image: a forward and a backward, which costs about two
_ACROSS, _CLASSES = 6, 12  # maps in a row, classes shown


def sampled(shown: Opened) -> SampledMaps | None:
    """The maps of a sample of the images: at once if that takes seconds, else when asked for."""
    found, model = shown.predictions, shown.bench.model
    key = (str(found.path), model.key)

    def work(report: Report) -> SampledMaps:
        return sampled_maps(found, model, report=report)

    passes = _PASSES * min(SAMPLE, len(found.images))
    with messages.refused():
        return on_demand(
            _PART, key, _TITLE, work, button="Average the maps", note=takes(shown.bench, passes),
            at_once=passes * pass_seconds(model) < AT_ONCE,
        )  # fmt: skip
    return None


def overview(maps: SampledMaps, region: Mask) -> None:
    """The mean image and the mean map of all classes, each with the region, or what most regions share."""
    mean = outlined(maps.mean, common(region))
    left, right = st.columns(2)
    left.image(mean, caption=f"Mean of {len(maps.rows):,} images", width="stretch", alt="The mean image")
    with right:
        _map(mean, maps.overall, "Mean map of all classes")
    if region.ndim > 2:
        st.caption(
            "Every image has a region of its own: the line is around the pixels that lie in at least half of them."
        )


def by_class(shown: Opened, maps: SampledMaps, region: Mask) -> None:
    """The mean map of each predicted class, those with most images first."""
    mean, labels = outlined(maps.mean, common(region)), shown.predictions.labels
    found = sorted(maps.means.items(), key=lambda item: -item[1][1])
    columns = [column for _ in range(0, len(found[:_CLASSES]), _ACROSS) for column in st.columns(_ACROSS)]
    for column, (label, (values, count)) in zip(columns, found[:_CLASSES], strict=False):
        with column:
            _map(mean, values, f"{labels[label]} ({count:,})")
    if len(found) > _CLASSES:
        st.caption(f"{_CLASSES} of {len(found):,} predicted classes, those with most images. The PNG file has all.")


def _map(mean: NDArray[np.uint8], values: NDArray[np.float64], title: str) -> None:
    drawn = overlay(mean, values.astype(np.float32), map_span(values))
    st.image(drawn, caption=plain(title), width="stretch", alt=described("Mean map", title, values.astype(np.float32)))
