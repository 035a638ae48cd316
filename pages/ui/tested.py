"""Rules put to the test: what silencing their filters costs a class on average, and this image at once."""

from collections.abc import Sequence

import streamlit as st

from core.figures import mined as charts
from core.mining.rules import Mined
from core.study import Study
from core.workbench import Workbench
from pages.ui import shelf, show, state


def bench(study: Study) -> Workbench:
    """The workbench of the study's own model, whichever the header shows. Raises what loading it raises."""
    name = study.manifest["model"]["name"]
    found = Workbench(state.network(name), state.desk().cache)
    if found.model.sha != study.manifest["model"]["sha"]:
        st.warning(show.plain(f"The weights of {name} are no longer those this study was made with."))
    return found


def switch(study: Study, filters: Sequence[int], key: str) -> None:
    """A switch that turns filters off for the current image, with the most probable classes before and after."""
    if not st.toggle(f"Turn {shelf.units(filters)} off for the current image", key=f"off-{key}"):
        return
    with shelf.refused():
        model, picture = bench(study), state.subject()
        layer = study.manifest["model"]["layer"]
        before, after = model.probabilities(picture), model.without(picture, layer, filters)
        top = [index for index, _, _ in model.top(picture)]
        top += [int(index) for index in after.topk(min(5, len(after))).indices if int(index) not in top]
        names = [model.model.labels[index] for index in top]
        left, right = st.columns([1, 3], vertical_alignment="center")
        left.image(model.view(picture), caption=show.plain(picture.name), width="stretch")
        right.plotly_chart(
            charts.switched(*(dict(zip(names, values[top].tolist(), strict=True)) for values in (before, after))),
            key=f"switched-{key}", config={"displayModeBar": False},
        )  # fmt: skip
        first, then = names[0], model.model.labels[int(after.argmax())]
        change = f"still {first}" if then == first else f"{then} instead of {first}"
        st.caption(show.plain(
            f"Without {shelf.units(filters)} the model says {change}: "
            f"{first} falls from {float(before[top[0]]):.1%} to {float(after[top[0]]):.1%}."
            if after[top[0]] < before[top[0]] else f"Without {shelf.units(filters)} the model says {change}; "
            f"{first} goes from {float(before[top[0]]):.1%} to {float(after[top[0]]):.1%}."
        ))  # fmt: skip


def ablation(study: Study, found: Mined) -> None:
    """The accuracy of every class without the filters of its rules, against random filters of the same number."""
