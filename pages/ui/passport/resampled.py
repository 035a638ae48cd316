"""The ranks of a unit in its layer by the metrics of input resampling, for the current image, on demand."""

import numpy as np
import pandas as pd
import streamlit as st

from core.progress import Report
from core.units.convolutions import convolution_of
from core.units.resampling import METRICS, Resampled, resample
from pages.ui.passport.on_image import fits
from pages.ui.session import location
from pages.ui.study import patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_SAMPLES = 50


def resampled(inspected: Inspected, number: int) -> None:
    """The scores and ranks of the unit among those of its layer."""
    st.header("Resampling scores", anchor=False)
    if inspected.problem:
        st.caption("They need the model, which cannot be opened.")
        return
    bench, layer = inspected.bench, inspected.layer
    convolution = convolution_of(bench.model, layer)
    if not convolution:
        st.caption(
            plain(f"They are scores of the channels of a convolution, and {layer} is not computed from those of one.")
        )
        return
    if not fits(inspected):
        return
    with messages.refused():
        picture = location.subject()
        target = bench.target(picture)

        def work(report: Report) -> Resampled:
            return resample(bench.query(picture, target, report=report), [convolution], samples=_SAMPLES)

        key = (bench.model.key, picture.key, str(target), convolution)
        found = on_demand(
            "resampled", key, "Resampling", work, button="Compute scores", note=takes(bench, 1 + _SAMPLES)
        )
        if found:
            of = "" if convolution == layer else f" (from whose channels {layer} is computed one by one)"
            what = f"of {bench.model.labels[target.index]}" if target.index is not None else "of the prediction"
            _shown(
                found, convolution, number, f"{convolution}{of}, by {_SAMPLES} copies with noise and the score {what}"
            )


def _shown(found: Resampled, layer: str, number: int, words: str) -> None:
    """The table of the metrics."""
    rows = []
    for name, metric in METRICS.items():
        if layer in found.scores[name]:
            scores = found.scores[name][layer]
            rank = 1 + int(np.count_nonzero(scores > scores[number]))
            rows.append((metric.title, float(scores[number]), rank, metric.reading))
    count = len(found.means[layer])
    st.dataframe(
        pd.DataFrame(rows, columns=["Metric", "Score", "Rank", "Reading"]), hide_index=True,
        alt=f"Resampling scores of {patch_items.unit(number)}",
        column_config={
            "Score": st.column_config.NumberColumn(format="%.3g", width=70),
            "Rank": st.column_config.NumberColumn(format=f"%d of {count}", width=90),
        },
    )  # fmt: skip
    st.caption(plain(f"Of {count:,} filters of {words}. Rank 1 is most important (Lengerich et al. 2017)."))
