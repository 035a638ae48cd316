"""Curves of all methods on top of each other, and the image at one of their steps."""

from collections.abc import Sequence

import streamlit as st

from core import export
from core.comparison import Assessment
from core.comparison.ranking import Cell
from core.comparison.steps import at_step, replacement
from core.explain import EXPLAINERS, Explanation
from core.figures.curves import area_text, curves_figure
from core.images import Picture
from core.measure import MEASURES, Curve
from core.measure.intervals import intervals
from core.measure.replacement import Replacement
from pages.ui.measure.assessment import Columns
from pages.ui.session import parameters
from pages.ui.widgets.text import percent, plain

_FILLS = {"grey": "the mean colour", "black": "black", "blur": "a blurred copy", "uniform": "random pixels"}


def chosen(columns: Columns) -> Sequence[Cell]:
    """The choice of the curve among those of the chosen measures; empty without one."""
    found = {cells[0].measure.name: cells for cells in columns if cells and MEASURES[cells[0].measure.name].is_curve}
    if not found:
        st.info("No curve is chosen. Choose one under Measures, such as the deletion curve.")
        return ()
    parameter = parameters.choice("Curve", list(found), "curve")
    if len(found) == 1:
        return found[parameter.value()]
    return found[parameter.draw(st.segmented_control, required=True, format_func=lambda name: MEASURES[name].title)]


def named(cells: Sequence[Cell]) -> dict[str, Curve]:
    """The curves so far by the title of their method."""
    return {EXPLAINERS[cell.method].title: cell.curve for cell in cells if cell.curve}


def title(found: Assessment, cells: Sequence[Cell]) -> str:
    """What the curves show: the measure, and the image with its target, or the number of images."""
    shown = found.comparison
    name = MEASURES[cells[0].measure.name].title
    if len(shown.pictures) > 1:
        return f"{name} · mean of {max(len(curve.y) for curve in named(cells).values()):,} images"
    picture, request = shown.tiles[0]
    return f"{name} · {request.target.title(shown.bench.model.labels)} · {picture.name}"


def drawn(found: Assessment, cells: Sequence[Cell]) -> None:
    """The curves with a line at the chosen step, and the image at that step."""
    lines = named(cells)
    if not lines:
        st.info("No curve is finished yet.")
        return
    change = replacement(cells[0].measure)
    step = _step(change) if change else None
    bands = {name: intervals(curve) for name, curve in lines.items()}
    dark = st.context.theme.type == "dark"
    figure = curves_figure(lines, title=title(found, cells), intervals=bands, step=step, dark=dark)
    summary = "; ".join(f"{name}, {area_text(curve)}" for name, curve in lines.items())
    st.plotly_chart(
        figure, key="curves", on_select=_clicked, selection_mode="points", config={"displayModeBar": False},
        alt=f"{title(found, cells)}: {summary}",
    )  # fmt: skip
    st.caption(
        f"{MEASURES[cells[0].measure.name].better.capitalize()} is better. Click a point to see its image below."
    )
    if change and step is not None:
        _image(found, [cell for cell in cells if cell.curve], change, step)
    else:
        st.caption("This curve compares maps of other networks, so there is no image at its steps.")


def _step(change: Replacement) -> int:
    """The step of the slider, a quarter of the way at first."""
    return _steps(change).value()


def _steps(change: Replacement) -> parameters.Parameter[int]:
    done = "replaced" if change.direction == "deletion" else "shown"
    first = round(change.steps / 4)
    return parameters.choice(f"Image at step: {change.features} {done}", range(change.steps + 1), "step", default=first)


def _image(found: Assessment, cells: Sequence[Cell], change: Replacement, step: int) -> None:
    """The slider, the method, and what the network saw there."""
    names = [cell.method for cell in cells]
    left, middle, right = st.columns([1.2, 1, 1], gap="medium")
    with left:
        method = parameters.choice("Method", names, "method").draw(
            st.selectbox, format_func=lambda name: EXPLAINERS[name].title
        )
        picture = _picture(found)
        _steps(change).draw(st.select_slider, format_func=lambda one: f"{one / change.steps:.0%}")
    tiles = [tile for tile in found.comparison.tiles if tile.picture.key == picture.key]
    tile = next((tile for tile in tiles if tile.request.name == method), None)
    answer = found.comparison.answers.get(tile.key) if tile else None
    if tile is None or not isinstance(answer, Explanation):
        left.info("The map of this method is not finished.")
        return
    bench, name = found.comparison.bench, EXPLAINERS[tile.request.name].title
    seen = at_step(bench, tile, answer, change, step)
    quantity = tile.request.target.quantity(bench.model.output)
    value = percent(seen.score) if quantity == "probability" else f"{seen.score:.4g}"
    share = f"{step / change.steps:.0%}"
    done = "replaced by" if change.direction == "deletion" else "shown on"
    with left:
        st.metric(f"{quantity.capitalize()} of {tile.request.target.title(bench.model.labels)}", value)
        st.caption(plain(f"{share} of the {change.features} {done} {_FILLS[change.fill]}, in the order of {name}."))
    with middle:
        for part, pixels in seen.pictures.items():
            alt = f"{tile.picture.name} at {share}, {quantity} {value}"
            caption = "Seen by the network" if len(seen.pictures) == 1 else part
            st.image(pixels, caption=caption, alt=alt, width="stretch")
    with right:
        (overlay,) = export.overlays(bench, tile.picture, [(tile.request, answer)]).values()
        st.image(overlay, caption=plain(f"Map: {name}"), alt=f"The map of {name} over the image", width="stretch")


def _picture(found: Assessment) -> Picture:
    """The picture whose steps are shown: a choice if there are several."""
    pictures = found.comparison.pictures
    if len(pictures) == 1:
        return pictures[0]
    number = parameters.choice("Image", range(len(pictures)), "at").draw(
        st.selectbox, format_func=lambda one: pictures[one].name
    )
    return pictures[number]


def _clicked() -> None:
    """Show the image at a point that was clicked."""
    points = st.session_state["curves"]["selection"]["points"]
    if not points or not (data := points[0].get("customdata")):
        return
    title, step = data[:2] if isinstance(data, list) else (data["0"], data["1"])
    method = next((name for name, card in EXPLAINERS.items() if card.title == title), None)
    if method:
        parameters.put("method", method)
        parameters.put("step", int(step))
