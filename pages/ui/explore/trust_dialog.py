"""The dialog of a number of the trust strip: its curve, and its definition with a warning where it favours a method."""

from collections.abc import Callable

import streamlit as st

from core.comparison import Assessment, Comparison, Context, MeasureRequest, Pair, Tile, assess
from core.explain import EXPLAINERS, Explanation
from core.measure import MEASURES, Curve, Measurement, Undefined
from core.measure.measure import Result
from core.measure.protocol import protocol_warning
from core.params import spelled
from pages.ui.explore import trust
from pages.ui.session import jobs
from pages.ui.widgets import messages, method_card
from pages.ui.widgets.text import duration, plain

OF_PASSES = """Passes of the image through the network for this map, in addition to the prediction: the fewer, the
faster. A backward pass takes about as long as two forward passes. Passes that several maps share count for the first
of them; the others reuse them."""


def dialog(shown: Comparison) -> None:
    """The dialog of the number that was clicked, until it is closed."""
    key, name = st.session_state.get("trust-open") or ("", "")
    tile, answer = trust.tile_of(shown, key), shown.answers.get(key)
    if tile is None or not isinstance(answer, Explanation) or not trust.visible():
        _closed()
        return
    assessment = trust.current(shown)
    entry = next((entry for entry in trust.entries(assessment) if entry.measure.name == name), None)
    method = EXPLAINERS[tile.request.name].title
    if entry is None:
        _open(f"Passes of {method}", lambda: _passes(answer))
        return
    _open(f"{MEASURES[name].title} of {method}", lambda: _measured(assessment, tile, answer, entry))


def _open(title: str, content: Callable[[], None]) -> None:
    def guarded() -> None:
        with messages.error_boundary("Trust"):
            content()

    st.dialog(title, width="large", on_dismiss=_closed)(guarded)()


def _closed() -> None:
    st.session_state["trust-open"] = None


def _passes(answer: Explanation) -> None:
    st.metric("Passes", answer.cost())
    st.markdown(f"Computed in {duration(answer.seconds)}.")
    st.markdown(OF_PASSES)


def _measured(assessment: Assessment, tile: Tile, answer: Explanation, entry: trust.Entry) -> None:
    card, bench = MEASURES[entry.measure.name], assessment.comparison.bench
    outcome = assessment.outcome(Pair(tile, entry.measure))
    value = Undefined("It is not computed yet.") if outcome is None else trust.number(outcome)
    if isinstance(value, Undefined):
        st.info(plain(f"No number. {value.reason}"))
    else:
        st.metric(card.title, f"{value:.3f}".replace("-", "−"))
        _behind(assessment, tile, answer, entry)
    if isinstance(outcome, Measurement):
        settings = (f"{name.replace('_', ' ')} {spelled(one)}" for name, one in outcome.settings.items())
        st.markdown(f"**Settings** {plain(', '.join(settings))}")
    if warning := protocol_warning(card.name, tile.request.name):
        st.warning(plain(warning), icon=":material/warning:")
    method_card.card(card, min(bench.model.preprocess.size), result=card.scale)


def _behind(assessment: Assessment, tile: Tile, answer: Explanation, entry: trust.Entry) -> None:
    """What lies behind a number: a curve, or the other maps."""
    outcome, shown = assessment.outcome(Pair(tile, entry.measure)), assessment.comparison
    context = assessment.context(Pair(tile, entry.measure))
    if entry.curve:  # its passes are those of the number
        request = MeasureRequest(entry.curve, entry.measure.settings)
        found = jobs.working(
            "Curve",
            lambda report: assess(shown.bench, tile, answer, request, context, report=report),
        )
        _chart(found.result, tile)
    elif isinstance(outcome, Measurement) and isinstance(outcome.result, Curve):
        st.markdown("The number is the mean height of the curve.")
        _chart(outcome.result, tile)
    elif MEASURES[entry.measure.name].family == "agreement":
        _others(assessment, tile, answer, entry.measure, context)


def _chart(found: Result, tile: Tile) -> None:
    if not isinstance(found, Curve) or isinstance(row := found.y[0], Undefined):
        return
    from core.figures.curves import curves_figure  # here, as Compare needs no plotly until a number is opened

    method = EXPLAINERS[tile.request.name].title
    figure = curves_figure({method: found}, title="", dark=st.context.theme.type == "dark")
    alt = f"{found.y_name} by {found.x_name}: from {row[0]:.2f} to {row[-1]:.2f}"
    st.plotly_chart(figure, key="trust-curve", config={"displayModeBar": False}, alt=alt)


def _others(assessment: Assessment, tile: Tile, answer: Explanation, request: MeasureRequest, context: Context) -> None:
    """The agreement with each of the other maps, the highest first."""
    shown = assessment.comparison
    methods = {one.request.key: EXPLAINERS[one.request.name].title for one in shown.tiles}
    rows: list[tuple[float, str, str]] = []
    for key, other in context.others.items():
        value = trust.number(assess(shown.bench, tile, answer, request, Context({key: other})))
        if isinstance(value, Undefined):
            rows.append((2.0, methods[key], f"– {value.reason}"))
        else:
            rows.append((-value, methods[key], f"{value:.2f}".replace("-", "−")))
    rows.sort()
    st.table({"Map": [name for _, name, _ in rows], "Rank correlation": [text for *_, text in rows]})
