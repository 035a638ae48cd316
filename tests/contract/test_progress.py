"""What every method tells while it works: passes as its card claims, counts that rise to their total, and Stop."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from skimage.segmentation import quickshift, slic

from core.card import Passes
from core.errors import BadParameter, Cancelled
from core.explain import EXPLAINERS, Query, explain
from core.models.model import Model
from core.network import cancellation
from core.progress import Counted
from tests import nets

SIDE = 64  # of the images, so that windows and segments are many
Settings = dict[str, Any]


def settings_of(name: str) -> list[Settings]:
    """The cheapest settings, and for each setting others that differ from them in it alone, as far as allowed."""
    method = EXPLAINERS[name]
    cheapest = nets.quick(method)
    others = {
        "int": lambda param: (cheapest[param.name] + 1, cheapest[param.name] * 2 + 3),
        "float": lambda param: ((param.knob.low + param.knob.high) / 2,),
        "choice": lambda param: param.choices,
        "bool": lambda param: (True, False),
        "numbers": lambda param: ((0.1, 0.3), (0.05, 0.1, 0.2)),
        "text": lambda param: (),  # names something that is read, and changes no work
    }
    found = [cheapest]
    for param in method.params:
        for value in others[param.kind](param):
            try:
                chosen = method.chosen({**cheapest, param.name: value})
            except BadParameter:  # outside its range, or with the others
                continue
            if chosen not in found:
                found.append(chosen)
    return found


@cache
def shared(net: str) -> Model:
    """A tiny network."""
    return nets.model(net, side=SIDE)


def asked(name: str, model: Model | None = None, **execution: Any) -> Query:
    """One image and a method, of a network that the method can explain and whose prediction is known."""
    method = EXPLAINERS[name]
    model = model or next(one for one in map(shared, ("gap", "residual", "norelu")) if not method.unmet(one))
    query = nets.query(model, count=1, side=model.preprocess.crop, **execution)
    query.clean_logits()
    return replace(query)


CASES = [
    pytest.param(name, settings, id=f"{name}-{number}")
    for name in EXPLAINERS
    for number, settings in enumerate(settings_of(name))
    if not settings.get("attention_weight")  # needs a transformer
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_passes_of_the_card_are_made(name: str, settings: Settings) -> None:
    query = asked(name)
    found = explain(name, query, settings)
    claimed = EXPLAINERS[name].passes(found.settings, SIDE)
    made, expected = (found.forwards, found.backwards), (claimed.forward, claimed.backward)
    if known := IMAGE_DECIDES.get(name):
        assert made == known(query, found.settings)
        by_quickshift = found.settings.get("cut") == "quickshift"  # which takes no number of segments
        assert by_quickshift or all(one <= most for one, most in zip(made, expected, strict=True))
    else:
        assert made == expected


def segments(query: Query, settings: Mapping[str, Any]) -> int:
    """The number of segments of the image."""
    pixels = query.model.preprocess.pixels(query.images[0]).clamp(0, 1).permute(1, 2, 0).numpy()
    if settings["cut"] == "quickshift":
        return len(np.unique(quickshift(pixels, kernel_size=4, max_dist=200, ratio=0.2, rng=0)))
    return len(np.unique(slic(pixels, n_segments=settings["segments"], compactness=10)))


def shapley_copies(query: Query, settings: Mapping[str, Any]) -> int:
    """All coalitions of few segments, else the samples and both ends."""
    return min(2 ** segments(query, settings), settings["samples"] + 2)


# Methods whose passes depend on image or layer: the card claims the most there can be.
IMAGE_DECIDES: dict[str, Callable[[Query, Mapping[str, Any]], tuple[int, int]]] = {
    "feature_ablation": lambda query, settings: (segments(query, settings), 0),
    "kernel_shap": lambda query, settings: (shapley_copies(query, settings), 0),
    "score_cam": lambda query, settings: (1 + min(settings["channels"], filters(query)), 1),
}


def filters(query: Query) -> int:
    """The filters of the layer that is read."""
    layer = query.model.survey.layer(query.at)
    assert layer
    return layer.units


def test_attention_costs_one_more_forward() -> None:
    query = asked("layerwise_ixg", nets.model("vit"))
    found = explain("layerwise_ixg", query, {"attention_weight": True})
    assert found.passes == EXPLAINERS["layerwise_ixg"].passes(found.settings, nets.SIDE) == Passes(2, 1)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_counts_rise_from_zero_to_their_total(name: str, settings: Settings) -> None:
    heard: list[tuple[float, str]] = []
    explain(name, asked(name, report=lambda fraction, note: heard.append((fraction, note))), settings)
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert heard[-1] == (1.0, "")
    counts = [note for _, note in heard if isinstance(note, Counted)]
    if EXPLAINERS[name].passes(settings, SIDE).forward > 2:
        assert {(one.unit, one.total) for one in counts} == {(counts[0].unit, counts[0].total)}
        done = [one.done for one in counts]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, counts[0].total)


class Clock(nets.Slow):
    """A network in which each of 400 operations of a pass takes 10 ms of a clock that nothing else moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.gaps: list[float] = []  # between reports
        self.last = 0.0

    def wait(self) -> None:
        self.now += 0.01

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def report(self, fraction: float, note: str) -> None:
        """Measure how long nothing was reported."""
        self.gaps.append(self.now - self.last)
        self.last = self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    net = nets.seeded(Clock)
    assert isinstance(net, Clock)
    monkeypatch.setattr(cancellation, "time", SimpleNamespace(monotonic=net.monotonic))
    return net


@pytest.mark.parametrize("name", EXPLAINERS)
def test_stop_is_heard_within_a_second_of_any_moment(name: str, clock: Clock) -> None:
    """The time of the network alone, of which a pass takes seconds; after Stop nothing of it runs any more."""
    model = nets.model(clock)
    settings = nets.quick(EXPLAINERS[name])

    def query(report: Callable[[float, str], None]) -> Query:
        return nets.query(model, count=1, batch=1, report=report)

    began = clock.last = clock.now
    explain(name, query(clock.report), settings)
    assert max(clock.gaps) <= 1
    took = clock.now - began

    for moment in (0.5, took * 0.3, took * 0.6, took * 0.9):
        pressed = clock.now + moment
        heard: list[float] = []

        def report(fraction: float, note: str, pressed: float = pressed, heard: list[float] = heard) -> None:
            if clock.now >= pressed:
                heard.append(clock.now)
                raise Cancelled

        try:
            finished = explain(name, query(report), settings).finished
        except Cancelled:
            finished = False
        if heard:
            assert not finished
            assert heard[0] - pressed <= 1
            assert clock.now - heard[0] <= 0.02, "no pass begins after it"
