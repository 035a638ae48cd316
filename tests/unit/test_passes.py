"""Passes: how they are told, and their arithmetic."""

import pytest

from core.card import Passes


@pytest.mark.parametrize(
    ("passes", "text"),
    [
        (Passes(1, 2), "1 forward + 2 backward"),
        (Passes(1000), "1,000 forward"),
        (Passes(backward=1), "1 backward"),
        (Passes(12345, 6789), "12,345 forward + 6,789 backward"),
        (Passes(), "no passes"),
        (Passes(1, 1, beside=6), "1 forward + 1 backward"),
    ],
)
def test_they_are_told_in_one_way(passes: Passes, text: str) -> None:
    assert str(passes) == text


def test_a_backward_takes_as_long_as_two_forwards() -> None:
    assert Passes(3, 4, beside=5).weight == 3 + 2 * 4 + 5
    assert Passes(1, 2) + Passes(3, 4, 5) == Passes(4, 6, 5)
    assert Passes(4, 6, 5) - Passes(3, 4, 5) == Passes(1, 2)
    assert Passes(1, 2, 3) * 10 == Passes(10, 20, 30)
    assert Passes(backward=1)
    assert not Passes()
