"""Waiting for a state that another thread reaches."""

import time
from collections.abc import Callable


def until(check: Callable[[], object]) -> None:
    """Wait four minutes at most, and assert that the state is reached."""
    end = time.monotonic() + 240
    while not check() and time.monotonic() < end:
        time.sleep(0.001)
    assert check()
