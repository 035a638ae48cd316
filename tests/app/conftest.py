"""What the tests of pages share."""

import pytest


@pytest.fixture(autouse=True)
def _flowers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors begin at a network of flowers, which answers at once; test_first_visit.py begins as newcomers do."""
    monkeypatch.setenv("VITRINE_MODEL", "flowers-double-12c")
