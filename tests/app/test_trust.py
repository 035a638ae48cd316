"""The trust strip of Compare: computed after a click, kept by the session, opened number by number."""

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.comparison import Assessment, Pair
from core.errors import Unsupported
from core.explain import EXPLAINERS
from core.measure import MEASURES, Measurement, Undefined
from core.measure.protocol import protocol_warning
from pages.ui.explore import trust
from pages.ui.session import state
from tests.packets import packets
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until

ENTRIES = (*trust.STRIP, trust.MASKED)  # of examples, which have masks
COUNT = len(ENTRIES)


@pytest.fixture
def app() -> Iterator[AppTest]:
    for session in state.sessions():  # tests share one
        session.free()
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    one.query_params["m"] = "grad_cam,saliency"
    yield one
    assert [fault.value for fault in one.exception] == []
    assert not [box.value for box in one.error if "defect" in box.value]


@pytest.fixture
def compare(app: AppTest) -> state.Session:
    """The session of a Compare page with two finished maps."""
    return opened_page(app)


def opened_page(app: AppTest) -> state.Session:
    """The session of the Compare page once its maps are finished."""
    app.run().switch_page(FILES["Compare"]).run()
    (session,) = [one for one in state.sessions() if one.comparison]
    return finished(app, session)


def finished(app: AppTest, session: state.Session) -> state.Session:
    """Wait for all that is running, and draw the page."""
    until(lambda: session.comparison and not session.comparison.running)
    until(lambda: not session.assessment or not session.assessment.running)
    app.run()
    return session


def strips(app: AppTest) -> dict[str, Any]:
    (sent,) = [one["strips"] for one in packets(app, "packet") if one["id"] == "strips"]
    return sent


def press(app: AppTest, session: state.Session, key: str) -> None:
    app.button(key=key).click().run()
    finished(app, session)


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button if str(button.key).startswith("trust")}


def opened(app: AppTest, tile: str, measure: str) -> str:
    """All texts after a number is clicked: AppTest has no components, so the click is put into the session."""
    app.session_state["trust-open"] = (tile, measure)
    app.run()
    boxes = [*app.markdown, *app.warning, *app.info, *app.code]
    return html.unescape(" ".join([*(box.value for box in boxes), *(f"{one.label} {one.value}" for one in app.metric)]))


def test_nothing_is_measured_before_the_click_and_the_cost_is_told(app: AppTest, compare: state.Session) -> None:
    button = app.button(key="trust-show")
    assert compare.assessment.job is None
    assert not strips(app)
    assessment = Assessment(compare.comparison)
    passes = assessment.passes(assessment.open(trust.requests(assessment)))
    assert button.label.startswith("Trust · about ")
    assert button.label.endswith(str(passes))


def test_every_map_gets_its_numbers_which_later_visits_find(app: AppTest, compare: state.Session) -> None:
    press(app, compare, "trust-show")
    first = strips(app)
    assert app.query_params["trust"] == "1"
    assert set(first) == {tile.key for tile in compare.comparison.tiles}
    for tile in compare.comparison.tiles:
        *entries, passes = first[tile.key]["entries"]
        for entry, facts in zip(ENTRIES, entries, strict=True):
            outcome = compare.assessment.outcome(Pair(tile, entry.measure))
            assert facts["ready"]
            assert isinstance(outcome, Measurement)
            value = trust.number(outcome)
            assert float(facts["text"].replace("−", "-").rstrip("†")) == pytest.approx(value, abs=0.00501, rel=0.005)
            assert facts["says"].startswith(f"{MEASURES[entry.measure.name].title} {value:.2f}".replace("-", "−"))
        assert passes["says"].startswith(f"Passes: {compare.comparison.answers[tile.key].cost()}")
        assert first[tile.key]["compute"] == ""
    assert keys(app) == {"trust-hide"}
    app.switch_page(FILES["Methods"]).run()
    app.switch_page(FILES["Compare"]).run()
    finished(app, compare)
    assert strips(app) == first
    press(app, compare, "trust-hide")
    assert not strips(app)
    assert app.button(key="trust-show").label == "Trust", "all of it is known"


def test_a_map_added_later_is_measured_after_a_click(app: AppTest, compare: state.Session) -> None:
    press(app, compare, "trust-show")
    before = compare.assessment
    here = app.session_state["location"]
    app.session_state["location"] = replace(here, methods=("grad_cam", "saliency", "guided_backprop"))
    app.run()
    finished(app, compare)
    assert compare.assessment is not before
    assert compare.assessment.job is None, "nothing runs before the click"
    new = compare.comparison.tiles[2]
    assert [entry["ready"] for entry in strips(app)[new.key]["entries"]] == [False] * COUNT + [True]
    assert strips(app)[new.key]["compute"].startswith("Compute · ")
    remaining = COUNT + 2  # agreement is with one more map
    assert app.button(key="trust-rest").label.startswith(f"Compute the remaining {remaining} measures · about ")
    press(app, compare, "trust-rest")
    assert all(entry["ready"] for strip in strips(app).values() for entry in strip["entries"])


def test_a_link_shows_the_strip_without_computing_it(app: AppTest) -> None:
    app.query_params["trust"] = "1"
    session = opened_page(app)
    assert session.assessment.job is None
    assert {strip["compute"].partition(" · ")[0] for strip in strips(app).values()} == {"Compute"}
    assert app.button(key="trust-rest").label.startswith(f"Compute {2 * COUNT} measures · about ")


def test_a_stopped_strip_keeps_what_it_has(app: AppTest, compare: state.Session) -> None:
    app.button(key="trust-show").click().run()
    compare.assessment.cancel()
    finished(app, compare)
    ready = [entry["ready"] for strip in strips(app).values() for entry in strip["entries"]]
    assert len(compare.assessment.open(trust.requests(compare.assessment))) == ready.count(False)


def test_a_number_opens_its_curve_its_definition_and_the_other_maps(app: AppTest, compare: state.Session) -> None:
    press(app, compare, "trust-show")
    first, second = compare.comparison.tiles
    for entry in ENTRIES:
        card = MEASURES[entry.measure.name]
        text = opened(app, first.key, card.name)
        assert f"{card.title} {trust.number(compare.assessment.outcome(Pair(first, entry.measure))):.3f}" in text
        for part in (card.summary, card.formula, card.source, card.caution, card.scale):
            assert part in text
        curve = bool(entry.curve) or card.name == "cascading_randomisation"
        assert len(app.get("plotly_chart")) == curve, card.name
    opened(app, first.key, "agreement")
    table = app.table[0].value
    assert list(table["Map"]) == [EXPLAINERS[second.request.name].title]
    assert list(table["Rank correlation"]) == [strip_number(app, first.key, "agreement")]
    assert "1 forward" in opened(app, first.key, "passes")


def strip_number(app: AppTest, tile: str, name: str) -> str:
    text = next(entry["text"] for entry in strips(app)[tile]["entries"] if entry["name"] == name)
    return text.replace(".", "0.", 1) if text.startswith((".", "−.")) else text


def test_a_curve_takes_no_further_passes(app: AppTest, compare: state.Session) -> None:
    press(app, compare, "trust-show")
    tile = compare.comparison.tiles[0]
    made: list[int] = []
    hook = compare.comparison.bench.model.net.register_forward_hook(lambda *_: made.append(1))
    opened(app, tile.key, "deletion_auc")
    hook.remove()
    assert len(app.get("plotly_chart")) == 1
    assert not made


def test_what_has_no_number_says_why(app: AppTest) -> None:
    app.query_params["m"] = "grad_cam"
    session = opened_page(app)
    press(app, session, "trust-show")
    (tile,) = session.comparison.tiles
    entry = next(one for one in strips(app)[tile.key]["entries"] if one["name"] == "agreement")
    reason = "The image has no other map with values that differ."
    assert (entry["text"], entry["says"]) == ("–", f"Agreement: no number. {reason}")
    assert reason in opened(app, tile.key, "agreement")


def test_a_measure_that_favours_its_method_is_marked_and_warned_about(app: AppTest) -> None:
    app.query_params["m"] = "saliency,rise"
    app.query_params["set"] = "rise.masks:50"
    session = opened_page(app)
    press(app, session, "trust-show")
    for tile in session.comparison.tiles:
        for entry, facts in zip(ENTRIES, strips(app)[tile.key]["entries"], strict=False):
            warning = protocol_warning(entry.measure.name, tile.request.name)
            assert facts["marked"] == bool(warning)
            assert ("†" in facts["says"]) == bool(warning)
    rise = next(tile for tile in session.comparison.tiles if tile.request.name == "rise")
    assert protocol_warning("deletion_auc", "rise") in opened(app, rise.key, "deletion_auc")
    assert not app.warning[1:]


def test_the_table_of_exports_has_the_numbers(
    app: AppTest, compare: state.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(app, compare, "trust-show")
    monkeypatch.setattr(state, "session", lambda: compare)
    numbers = trust.numbers(compare.comparison)
    for tile in compare.comparison.tiles:
        for request in trust.requests(compare.assessment):
            value = trust.number(compare.assessment.outcome(Pair(tile, request)))
            assert numbers[tile.picture.key, tile.request.key][request.name] == value


def test_a_later_comparison_cancels_the_measures_of_the_last(compare: state.Session) -> None:
    assessment = trust_of(compare)
    assessment.start(assessment.open(trust.requests(assessment)))
    compare.compare(None)
    assert assessment.job.stopping
    assert compare.assessment is None


def trust_of(session: state.Session) -> Assessment:
    assessment = Assessment(session.comparison)
    session.assess(assessment)
    return assessment


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.214, ".21"),
        (-0.05, "−.05"),
        (1.0, "1.00"),
        (-1.0, "−1.00"),
        (-0.001, ".00"),
        (0.0, ".00"),
        (0.999, "1.00"),
        (10.54, "10.5"),
        (-1234.0, "−1.23e+03"),
    ],
)
def test_a_number_takes_little_room(value: float, text: str) -> None:
    assert trust.short(value) == text


def test_a_failed_measure_is_an_undefined_number() -> None:
    assert trust.number(Unsupported("It has no weights.", "Choose another.")) == Undefined(
        str(Unsupported("It has no weights.", "Choose another."))
    )
    assert trust.number(Measurement("agreement", [Undefined("Constant.")], {})) == Undefined("Constant.")
