import threading
import time
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import pytest

from core.errors import UnknownName
from core.registry import Registry, unknown


def test_entries_keep_their_order_and_names_are_taken_once() -> None:
    registry: Registry[int] = Registry("number")
    assert registry.add("two", 2) == 2
    registry.add("one", 1)
    assert dict(registry) == {"two": 2, "one": 1}
    with pytest.raises(ValueError, match="'one' is registered twice"):
        registry.add("one", 3)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("grad-cam", "Did you mean 'grad_cam' or 'grad_cam_pp'?"),
        ("GRAD_CAM", "Did you mean 'grad_cam' or 'grad_cam_pp'?"),
        ("zzz", "Known: grad_cam, grad_cam_pp, rise."),
        ("", "Known: grad_cam, grad_cam_pp, rise."),
    ],
)
def test_a_failed_lookup_names_the_nearest(name: str, hint: str) -> None:
    registry: Registry[int] = Registry("method")
    for known in ("grad_cam", "grad_cam_pp", "rise"):
        registry.add(known, 1)
    with pytest.raises(UnknownName) as error:
        registry[name]
    assert error.value.message == f"There is no method called {name!r}."
    assert error.value.hint == hint
    assert name not in registry


def test_hostile_names_stay_short_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counted(word: str, *rest: Any, **more: Any) -> list[str]:
        compared.append(len(word))
        return get_close_matches(word, *rest, **more)

    monkeypatch.setattr("core.registry.get_close_matches", counted)
    error = unknown("class", "<script>" * 100_000, [f"label {i}" for i in range(1000)])
    assert compared == [60], "comparing takes as long as the name is"
    assert len(str(error)) < 300
    assert unknown("class", "zzz", map(str, range(13))).hint == "Known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"
    assert str(unknown("class", "a", [])) == "There is no class called 'a'."


def test_costly_entries_are_asked_for_once_and_late() -> None:
    asked = []

    def more() -> Mapping[str, int]:
        asked.append(threading.get_ident())
        time.sleep(0.02)
        return {"rare": 3, "scarce": 4}

    registry: Registry[int] = Registry("number", more)
    registry.add("common", 1)
    assert registry["common"] == 1
    assert "common" in registry
    assert not asked
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(registry["rare"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 4
    assert len(asked) == 1
    assert list(registry) == ["common", "rare", "scarce"]
    assert len(registry) == 3
