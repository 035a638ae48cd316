"""Both models' maps of one image side by side, by the same method."""

from collections.abc import Mapping
from functools import partial
from shlex import quote

import numpy as np
import streamlit as st

from core.errors import BadImage
from core.explain.run import Explanation
from core.explain.target_name import TargetName
from core.export.files import drawn
from core.figures.encoding import described
from core.figures.sheet import Kind, Panel, overlay, sheet
from core.figures.style import span
from core.images import Picture
from core.progress import Report
from core.workbench import Request, Workbench
from pages.ui.failures.case import picture_of
from pages.ui.session import parameters, visitors
from pages.ui.session.jobs import working
from pages.ui.two_models.opened import Pair
from pages.ui.widgets import comparison_grid, messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_USUAL = "grad_cam"
_AT_ONCE = 10.0  # seconds of maps that start without a click
_MEDIA: Mapping[Kind, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
_CLASSES = {"own": "that each predicts", "true": "of the image"}


def method(pair: Pair) -> str:
    """The choice of a method that works on both."""
    first, second = (bench.usable() for bench in pair.benches)
    usable = [name for name, reason in first.items() if not reason and not second[name]]
    return parameters.choice("Method", usable, "method", default=_USUAL if _USUAL in usable else usable[0]).draw(
        st.selectbox, width=240, format_func=comparison_grid.title
    )


def explained_class(pair: Pair) -> str:
    """The choice of the class whose maps are drawn."""
    options = list(_CLASSES) if pair.found.judged.any() else ["own"]
    return parameters.choice("Class", options, "class").draw(
        st.segmented_control, required=True, format_func=_CLASSES.__getitem__
    )


def maps(pair: Pair, row: int, name: str, which: str, sides: Mapping[int, str]) -> None:
    """The maps of image `row` by both models (0, 1), in the order of `sides` and under its titles.

    A map has a scale of its own, as the outputs of two networks have no common unit.
    """
    found = pair.found
    try:
        picture = picture_of(found.first, row)
    except BadImage as error:
        st.image(np.asarray(found.first.array("thumbnails")[row]), width=160, alt=str(found.table["path"].iloc[row]))
        st.info(plain(f"{error.message} Without it there are no maps."))
        return
    columns = st.columns([0.7, 1, 1], gap="medium")
    panels: list[Panel] = []
    columns[0].markdown("**Image**")
    columns[0].image(pair.benches[0].view(picture), width="stretch", alt=plain(picture.name))
    for column, (index, title) in zip(columns[1:], sides.items(), strict=True):
        bench = pair.benches[index]
        label = _label(pair, row, index, which)
        with column:
            st.markdown(f"**{plain(title)}**")
            if label is None:
                st.info(plain(f"{title} has no such class."))
                continue
            target = TargetName((label,))
            with messages.refused():
                answer = _explained(bench, picture, Request(name, target), title, index)
                if answer is not None:
                    panels.append(_drawn(bench, picture, answer, title, bench.model.labels[label]))
    if len(panels) == 2:
        _taken(pair, row, name, dict(zip(sides, panels, strict=True)), picture)


def _label(pair: Pair, row: int, index: int, which: str) -> int | None:
    """The class to explain for one of the models; None if it has none."""
    images = (pair.found.first, pair.found.second)[index].images
    label = int(images["label" if which == "true" else "predicted"].iloc[row])
    return label if label >= 0 else None


def _explained(bench: Workbench, picture: Picture, request: Request, title: str, index: int) -> Explanation | None:
    """The explanation, computed at once if that is cheap, else when it is asked for."""
    if cached := bench.cached(picture, request):
        return cached

    def work(report: Report) -> Explanation:
        return bench.explain(picture, request, report=report)

    seconds = bench.estimate([request])
    if seconds < _AT_ONCE:
        return working(f"Explaining {title}", work)
    key = (bench.model.key, picture.key, request.key)
    note = takes(bench, bench.passes([request]).weight)
    return on_demand(f"two-models-{index}", key, f"Explaining {title}", work, button=f"Explain {title}", note=note)


def _drawn(bench: Workbench, picture: Picture, answer: Explanation, title: str, label: str) -> Panel:
    """Draw one map over what its network sees."""
    view, one = bench.view(picture), drawn(answer)
    limits, note = span(one), answer.note()
    words = described(f"{title}, {label}", picture.name, one.values, note)
    st.image(overlay(view, one.values, limits), width="stretch", alt=words)
    st.caption(plain(f"for {label}{': ' + note if note else ''}"))
    return Panel(title, (label,), one.values, limits, note, view)


def _taken(pair: Pair, row: int, name: str, panels: Mapping[int, Panel], picture: Picture) -> None:
    """The picture of both maps as a file, and the commands of the maps."""
    with st.popover("Export", icon=":material/download:", key="two-models-export"):
        view, heading = pair.benches[0].view(picture), f"{comparison_grid.title(name)} · {picture.name}"
        with st.container(horizontal=True, gap="small"):
            for kind, media in _MEDIA.items():
                make = partial(sheet, view, heading, [list(panels.values())], kind=kind)
                st.download_button(
                    kind.upper(), make, f"two-models-{row}.{kind}", media, key=f"two-models-{kind}", on_click="ignore"
                )
        source = pair.found.first.source
        image = quote(str(source.root / source.paths[row]))
        lines = [
            f"vitrine explain {image} --model {quote(pair.benches[index].model.name)} --method {name} "
            f"--target {quote(panel.lines[0])} --out out/{number}"
            for number, (index, panel) in enumerate(panels.items(), 1)
        ]
        st.caption("These commands compute the maps:")
        st.code(visitors.public("\n".join(lines)), language="sh", wrap_lines=True)
