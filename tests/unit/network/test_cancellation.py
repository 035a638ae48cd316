"""A pass that is cancelled in its midst, forward or backward, and one that is only watched."""

import time

import pytest
import torch

from core.errors import Cancelled
from core.network import cancellation
from core.network.cancellation import RepeatedReport, unrepeated
from tests import nets


def gradient(net: torch.nn.Module) -> torch.Tensor:
    with torch.enable_grad():
        leaf = nets.images(2).requires_grad_()
        return torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)[0]


@pytest.mark.parametrize("when", ["forward", "backward"])
def test_a_long_pass_ends_within_a_second(when: str) -> None:
    net = nets.Slow()
    net.pause = 0.01  # two seconds a pass
    began: list[float] = []

    def report(fraction: float, note: str) -> None:
        if len(net.moments) > (100 if when == "forward" else 300):
            began.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled), RepeatedReport(report):
        gradient(net)
    assert len(began) == 1
    reached = len(net.moments)
    assert (100 < reached < 200) if when == "forward" else (300 < reached < 400), "in its midst"
    assert not torch.overrides._get_current_function_mode_stack()


@pytest.mark.parametrize("name", nets.NETS)
def test_a_pass_that_is_watched_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "EVERY", 0)  # at every operation
    net = nets.model(name).net
    expected, seen = gradient(net), list[float]()
    with RepeatedReport(lambda fraction, note: seen.append(fraction)) as repeated:
        repeated.report(0.5, "gradients")
        assert torch.equal(gradient(net), expected)
    assert len(seen) > 10
    assert set(seen) == {0.5}


def test_small_operations_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "EVERY", 0)
    seen = list[float]()
    with RepeatedReport(lambda fraction, note: seen.append(fraction)):
        with unrepeated():
            values = torch.ones(3) + 1
        assert not seen
        values.sum()
    assert seen
