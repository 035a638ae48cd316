"""The settings of mining as parameters of a page, each with its explanation."""

from dataclasses import replace
from typing import Any

import streamlit as st

from core.params import params_of
from core.study import Study
from core.study.config import MiningConfig
from pages.ui.session import parameters
from pages.ui.study import open_study

_HELP = {param.name: param.knob.help for param in params_of(MiningConfig)}
_INEQUALITY = {True: "Higher than the minimum", False: "At least the minimum"}
_SETS = {"closed": "Closed itemsets", "all": "All itemsets"}
_LARGE = {True: "Skip that class", False: "Stop with an error"}


def settings(study: Study) -> MiningConfig:
    """Sliders for the main settings and a form for the others; they start at the study's own settings."""
    was = open_study.config(study)
    most = study.manifest.arrays["items"].shape[1]
    columns = st.columns([1, 1, 1, 1, 0.62], gap="small", vertical_alignment="bottom")
    numbers: list[parameters.Parameter[Any]] = [
        parameters.number("Support", 0.02, 1.0, "support", default=float(was.support), step=0.01),
        parameters.number("Confidence", 0.0, 1.0, "confidence", default=float(was.confidence), step=0.01),
        parameters.number("Rules per class (q)", 1, 50, "q", default=int(was.best), step=1),
        parameters.number("Filters (N - 1)", 1, most, "n", default=min(most, int(was.filters)), step=1),
    ]
    helps = (
        "Fraction of the class's patches in which all filters of the rule are active.",
        "Fraction of the patches with these filters that belong to the class.",
        "Number of rules kept per class, ranked by support × confidence.",
        "Number of strongest filters considered per patch.",
    )
    support, confidence, best, filters = (
        one.draw(column.slider, help=text) for one, column, text in zip(numbers, columns, helps, strict=False)
    )
    with columns[4].popover("More", width="stretch"):
        others = _others(was)
    return replace(was, support=support, confidence=confidence, best=int(best), filters=int(filters), **others)


def _others(was: MiningConfig) -> dict[str, Any]:
    """The settings that are rarely changed."""
    strict = _choice("Support", "above", _INEQUALITY, was.strict, _HELP["strict"])
    least = parameters.number("Minimum patches per rule", 1, 1000, "least", default=was.least, step=1).draw(
        st.number_input
    )
    st.caption(_HELP["least"])
    sets = _choice("Itemsets", "sets", _SETS, was.sets, _HELP["sets"].replace("`max_size`", "the size below"))
    size = parameters.number("Maximum itemset size", 1, 12, "size", default=was.max_size, step=1).draw(
        st.number_input, disabled=sets == "closed"
    )
    limit = parameters.number("Maximum itemsets per class", 100, 1_000_000, "limit", default=was.limit, step=100).draw(
        st.number_input
    )
    st.caption(_HELP["limit"])
    skip = _choice("Beyond the maximum", "large", _LARGE, was.skip_large, _HELP["skip_large"])
    return {"strict": strict, "least": least, "sets": sets, "max_size": size, "limit": limit, "skip_large": skip}


def _choice(label: str, key: str, titles: dict[Any, str], default: Any, text: str) -> Any:
    """A choice between two, with its explanation below."""
    names = {option: str(option).lower() if isinstance(option, bool) else str(option) for option in titles}
    parameter = parameters.choice(label, list(titles), key, default=default, named=names.__getitem__)
    chosen = parameter.draw(st.segmented_control, required=True, format_func=titles.__getitem__)
    st.caption(text)
    return chosen
