"""The numbers and mean maps as files, and the command."""

from collections.abc import Callable, Mapping
from functools import partial
from shlex import quote

import pandas as pd
import streamlit as st

from core.data.masks.pictures import Mask
from core.export.bias import bias_table, maps_figure
from core.export.spreadsheet import as_csv
from core.review.bias import Counterfactual, Fill
from core.review.predictions import Predictions
from core.review.sampled_maps import SampledMaps
from pages.ui.bias.region import Chosen
from pages.ui.session import visitors

File = tuple[Callable[[], bytes] | Callable[[], str], str, str]  # content, name, media type


def menu(files: Mapping[str, File], command: str) -> None:
    """Downloads that are made on a click, by the names of their buttons, and the command."""
    with st.popover("Export", icon=":material/download:", key="bias-export"):
        with st.container(horizontal=True, gap="small"):
            for name, (make, file, media) in files.items():
                st.download_button(name, make, file, media, key=f"bias-{name}", on_click="ignore")
        st.caption("This command computes the same numbers:")
        st.code(visitors.public(command), language="sh", wrap_lines=True)


def files(
    found: Predictions, maps: SampledMaps | None, region: Mask, result: Counterfactual | None,
    groups: pd.DataFrame | None,
) -> dict[str, File]:  # fmt: skip
    """The files of what is known so far."""
    some: dict[str, File] = {}
    if maps or result:
        some["CSV"] = (lambda: as_csv(bias_table(found, maps, region, result)), "bias.csv", "text/csv")
    if maps:
        some["PNG"] = (partial(maps_figure, found, maps, region), "mean-maps.png", "image/png")
    if groups is not None:
        some["Groups as CSV"] = (partial(as_csv, groups), "groups.csv", "text/csv")
    return some


def command(found: Predictions, chosen: Chosen, fill: Fill, groups: str) -> str:
    """The command of what is shown."""
    source = found.source
    words = [str(source.study.path)] if source.study else [str(source.root), "--model", found.manifest.model.name]
    words += [*chosen.option, "--fill", fill]
    words += ["--groups", groups] if groups else []
    return " ".join(["vitrine bias", *map(quote, words), "--csv", "bias.csv"])
