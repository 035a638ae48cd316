"""What the tests of pages share."""

from collections.abc import Iterator

import pytest

from pages.ui.session import state
from pages.ui.shell import startup

startup.keep_path()  # as app.py does


@pytest.fixture(autouse=True)
def _flowers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors begin at a network of flowers, which answers at once; test_first_visit.py begins as newcomers do."""
    monkeypatch.setenv("VITRINE_MODEL", "flowers-double-12c")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[state.Session]:
    """The session that the page uses, closed at the end."""
    one = state.Session()
    monkeypatch.setattr(state, "session", lambda: one)
    yield one
    one.close()
