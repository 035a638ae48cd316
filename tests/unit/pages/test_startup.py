"""What is imported at the start of a server, and when."""

from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from pages.ui.shell import startup


def test_what_some_pages_need_is_imported_after_the_first_complete_page(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    waits = SimpleNamespace(wait=lambda: happened.append("complete"))
    monkeypatch.setattr(startup, "complete", waits)
    monkeypatch.setattr(startup, "importlib", SimpleNamespace(import_module=happened.append))
    startup.imports()
    assert happened == [*startup.NEEDED, "complete", *startup.LATER]
    assert all(find_spec(name) for name in startup.LATER)


def test_a_module_that_is_missing_keeps_no_other_from_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    def load(name: str) -> None:
        happened.append(name)
        if name in startup.LATER:
            raise ImportError(name)

    monkeypatch.setattr(startup, "complete", SimpleNamespace(wait=lambda: None))
    monkeypatch.setattr(startup, "importlib", SimpleNamespace(import_module=load))
    startup.imports()
    assert happened == [*startup.NEEDED, *startup.LATER]
