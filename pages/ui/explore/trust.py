"""The trust strip: measures under each map of a comparison, computed on demand and kept by the session."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from core.comparison import Assessment, Comparison, MeasureRequest, Outcome, Pair, Tile
from core.errors import VitrineError
from core.explain import Explanation
from core.export import Measured
from core.measure import MEASURES, Curve, Undefined
from core.measure.protocol import protocol_warning
from core.progress import line
from pages.ui.session import jobs, location, masks, parameters, state
from pages.ui.widgets.text import cost_text, duration, plain


class Entry(NamedTuple):
    """A number of the strip: its label there, its measure, and the measure whose curve lies behind it."""

    label: str
    measure: MeasureRequest
    curve: str = ""


STRIP = (
    Entry("del", MeasureRequest("deletion_auc"), "deletion_curve"),
    Entry("ins", MeasureRequest("insertion_auc"), "insertion_curve"),
    Entry("agr", MeasureRequest("agreement")),
    Entry("seed", MeasureRequest("seed_stability", MEASURES["seed_stability"].budget("quick"))),
    Entry("rand", MeasureRequest("cascading_randomisation", MEASURES["cascading_randomisation"].budget("quick"))),
)
MASKED = Entry("iou", MeasureRequest("auc_iou"), "iou_curve")  # where the mask of an object is known
PASSES = "passes"  # the last entry, which is known with the map
UNKNOWN, WAITING, NONE = "·", "…", "–"


def current(shown: Comparison) -> Assessment:
    """The session's assessment of this comparison with the masks that are known; one of another is cancelled."""
    session = state.session()
    found = session.assessment
    if found is None or found.comparison is not shown:
        found = Assessment(shown)
        session.assess(found)
    found.annotations = masks.known(shown)
    return found


def entries(assessment: Assessment) -> tuple[Entry, ...]:
    """The numbers of the strip: also of masks, where one is known."""
    return (*STRIP, MASKED) if assessment.annotations else STRIP


def requests(assessment: Assessment) -> list[MeasureRequest]:
    """Their measures."""
    return [entry.measure for entry in entries(assessment)]


def running() -> bool:
    """Whether measures are being computed."""
    assessment = state.session().assessment
    return assessment is not None and assessment.running


def visible() -> bool:
    """Whether the address, or else this page when it was last open, says that the strip is shown."""
    text = parameters.text("trust")
    if text and text not in parameters.SWITCHED:
        state.add_problem("This link: trust cannot be read. Shown instead: the page without the trust strip.")
    on = parameters.SWITCHED.get(text, False)
    parameters.keep("trust", str(int(on)), "0")
    return on and not location.current().present


def control(shown: Comparison) -> None:
    """The button that shows the strip and computes its measures, or their progress, for a horizontal container."""
    assessment = current(shown)
    if assessment.running and assessment.job:
        jobs.progress(assessment.job, _stop, "stop-trust")
        return
    if not (every := assessment.pairs(requests(assessment))):
        return
    rest = assessment.open(requests(assessment))
    cost = f" · about {cost_text(assessment.estimate(rest), assessment.passes(rest))}" if rest else ""
    if not visible():
        about = ", ".join(MEASURES[one.name].title for one in requests(assessment))
        st.button(f"Trust{cost}", key="trust-show", on_click=_show, help=f"Shows under each map: {about}, passes.")
        return
    if rest:
        many = f"{len(rest)}" if len(rest) == len(every) else f"the remaining {len(rest)}"
        st.button(f"Compute {many} measure{'s' * (len(rest) != 1)}{cost}", key="trust-rest", on_click=_compute)
    st.button("Hide trust", key="trust-hide", type="tertiary", on_click=_hide)
    if assessment.job and assessment.job.error:
        st.error(plain(str(assessment.job.error)))


def strips(shown: Comparison) -> dict[str, Any]:
    """The strip of each finished map by the key of its tile, for the browser; none while it is hidden."""
    if not visible():
        return {}
    assessment = current(shown)
    maps = [(tile, answer) for tile, answer in shown.answered() if isinstance(answer, Explanation) and answer.finished]
    rest: dict[str, list[Pair]] = {}
    for pair in [] if assessment.running else assessment.open(requests(assessment)):
        rest.setdefault(pair.tile.key, []).append(pair)
    return {tile.key: _strip(assessment, tile, answer, rest.get(tile.key, [])) for tile, answer in maps}


def clicked(wanted: object) -> None:
    """Open the dialog of a number of the strip, or compute the missing ones of a map, as the browser asks."""
    shown = state.session().comparison
    known = wanted if isinstance(wanted, dict) else {}
    tile = tile_of(shown, known.get("ask"))
    if shown is None or tile is None:
        return
    measure = known.get("measure")
    if measure == "":
        assessment = current(shown)
        _start(assessment, [pair for pair in assessment.open(requests(assessment)) if pair.tile.key == tile.key])
    elif measure == PASSES or any(measure == one.name for one in requests(current(shown))):
        st.session_state["trust-open"] = tile.key, measure
        st.session_state["trust-asked"] = True


def asked() -> bool:
    """Whether a number was clicked since this was last read: a dialog opens in a run of the whole page."""
    return bool(st.session_state.pop("trust-asked", False))


def tile_of(shown: Comparison | None, key: object) -> Tile | None:
    """The tile of a comparison with this key."""
    return next((tile for tile in shown.tiles if tile.key == key), None) if shown else None


def number(outcome: Outcome) -> float | Undefined:
    """The number of a measure in the strip, or why there is none; that of a curve is its mean height."""
    if isinstance(outcome, VitrineError):
        return Undefined(str(outcome))
    result = outcome.result
    return (result.areas if isinstance(result, Curve) else result)[0]


def numbers(shown: Comparison) -> Measured:
    """The numbers that are known, for exports."""
    assessment = current(shown)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for pair in assessment.pairs(requests(assessment)):
        outcome = assessment.outcome(pair)
        if outcome and isinstance(value := number(outcome), float):
            picture, request = pair.tile
            found.setdefault((picture.key, request.key), {})[pair.measure.name] = value
    return found


def short(value: float) -> str:
    """A number in as few characters as the strip has room for, without a zero before the point."""
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"  # an activation has no range
    return text.replace("-0.00", "0.00").replace("-", "−").replace("0.", ".", abs(value) < 1)


def _strip(assessment: Assessment, tile: Tile, answer: Explanation, rest: Sequence[Pair]) -> dict[str, Any]:
    """The numbers under one map, and the text of the button that computes the rest; "" for none."""
    numbers = [_facts(assessment, tile, entry) for entry in entries(assessment)]
    made = round(answer.passes.forward + answer.passes.backward)
    says = line(f"Passes: {answer.cost()}", duration(answer.seconds))
    numbers.append(
        {"name": PASSES, "label": "pass", "text": _count(made), "says": says, "ready": True, "marked": False}
    )
    return {"entries": numbers, "compute": f"Compute · {duration(assessment.estimate(rest))}" if rest else ""}


def _facts(assessment: Assessment, tile: Tile, entry: Entry) -> dict[str, Any]:
    """One number of the strip, as the browser shows it and says it."""
    card = MEASURES[entry.measure.name]
    pair = Pair(tile, entry.measure)
    outcome = assessment.outcome(pair)
    marked = bool(protocol_warning(card.name, tile.request.name))
    if outcome is None:
        text = WAITING if assessment.waiting(pair) else UNKNOWN
        says, marked = f"{card.title}: not computed yet", False
    elif isinstance(value := number(outcome), Undefined):
        text, says = NONE, f"{card.title}: no number. {value.reason}"
    else:
        text, says = short(value), f"{card.title} {value:.2f}, {card.better} is better".replace("-", "−")
    if marked:
        says += "; † the method is computed from what is measured"
    ready = outcome is not None
    return {"name": card.name, "label": entry.label, "text": text, "says": says, "ready": ready, "marked": marked}


def _count(passes: int) -> str:
    return f"{passes}" if passes < 1000 else f"{passes / 1000:.3g}k"


def _start(assessment: Assessment, pairs: Sequence[Pair]) -> None:
    """Compute these, cheap ones first."""
    assessment.start(sorted(pairs, key=lambda pair: assessment.passes([pair]).weight))


def _show() -> None:
    parameters.keep("trust", "1")
    _compute()


def _compute() -> None:
    if shown := state.session().comparison:
        assessment = current(shown)
        _start(assessment, assessment.open(requests(assessment)))


def _hide() -> None:
    parameters.keep("trust", "")


def _stop() -> None:
    if assessment := state.session().assessment:
        assessment.cancel()
