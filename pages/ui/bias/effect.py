"""The worth of the region: its share of the evidence, and the effect of filling it."""

from typing import get_args

import streamlit as st

from core.data.masks.pictures import Mask
from core.export.bias import bias_table, flip_sentence, share_sentence
from core.progress import Report
from core.review.bias import Counterfactual, Fill, counterfactual
from core.review.sampled_maps import SampledMaps
from core.workbench import pass_seconds
from pages.ui.bias.region import Chosen
from pages.ui.failures.opened import Opened
from pages.ui.session import parameters
from pages.ui.study.study_predictions import AT_ONCE
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import plain

_PART, _TITLE = "bias-fill", "Filling the region"
_FILLS: dict[Fill, str] = {"grey": "the mean colour", "black": "black", "blur": "the image, blurred"}
_HEADS = {
    "share": "Evidence", "area": "Area", "flips": "Flips", "control": "Control flips", "change": "Change",
}  # fmt: skip
_ROWS = 12  # of the table without scrolling


def fill() -> Fill:
    """The choice of what the region is filled with."""
    return parameters.choice("Fill with", list(get_args(Fill)), "fill").draw(
        st.segmented_control, required=True, format_func=_FILLS.__getitem__
    )


def filled(shown: Opened, chosen: Chosen, fill: Fill) -> Counterfactual | None:
    """The predictions with the region filled: at once if that takes seconds, else when asked for."""
    found, model = shown.predictions, shown.bench.model
    key = (str(found.path), model.key, chosen.key, fill)

    def work(report: Report) -> Counterfactual:
        return counterfactual(found, model, chosen.region, fill, report)

    passes = 2 * len(found.images)
    with messages.refused():
        return on_demand(
            _PART, key, _TITLE, work, button="Fill the region", note=takes(shown.bench, passes),
            at_once=passes * pass_seconds(model) < AT_ONCE,
        )  # fmt: skip
    return None


def sentences(maps: SampledMaps | None, region: Mask, result: Counterfactual | None) -> None:
    """The share and the effect of all classes together."""
    if maps:
        st.markdown(plain(share_sentence(maps, region)))
    if result:
        st.markdown(plain(flip_sentence(result)))


def table(shown: Opened, maps: SampledMaps | None, region: Mask, result: Counterfactual | None) -> None:
    """The numbers by predicted class with their intervals."""
    if not maps and not result:
        return
    numbers = bias_table(shown.predictions, maps, region, result)
    heads = {"class": "Predicted class", "maps": "Maps", "filled": "Images"}
    shares = dict[str, str]()
    for name, head in _HEADS.items():
        shares |= {name: head, f"{name}_low": "95% from", f"{name}_high": "to"}
    percentages(
        numbers, shares, height=460 if len(numbers) > _ROWS else "content",
        column_config=heads | shares,
        alt="Evidence in the region and effect of filling it, by class",
    )  # fmt: skip
    st.caption(
        "Evidence: the share of the positive part of the maps that lies in the region; spread evenly it would be the "
        "area. Images without a region are left out. Flips: how often filling the region changes the prediction. "
        "Control: the same for the region turned about the middle. Change: of the probability of the class that was "
        "predicted."
    )
