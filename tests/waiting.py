"""Waiting for a state that another thread reaches."""

import time
from collections.abc import Callable


def until(check: Callable[[], object]) -> None:
    """Wait a minute at most, and assert that the state is reached."""
    end = time.monotonic() + 60
    while not check() and time.monotonic() < end:
        time.sleep(0.001)
    assert check()
