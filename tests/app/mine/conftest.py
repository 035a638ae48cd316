"""What the tests of pages about a study share: a small study, the app with it, and studies made from it."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.study import Study
from tests import small_study
from tests.mine_pages import Plant
from tests.pages_list import SCRIPT

_NUMBERS = count()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    study = small_study.built(folder)
    files = sorted(file.name for file in study.path.iterdir())
    yield folder
    assert study.damaged() == [], "pages only read"
    assert sorted(file.name for file in study.path.iterdir()) == files


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user with one small study, without the bundled ones."""
    monkeypatch.setenv("VITRINE_HOME", str(home))
    monkeypatch.setattr("pages.ui.study.open_study.BUNDLED", home / "none")
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


@pytest.fixture
def plant(home: Path) -> Iterator[Plant]:
    """The small study with other filters in its patches, given by class and position in the class (in [0, 1))."""
    made = []

    def planted(filters: Callable[[int, float], list[int]]) -> Study:
        folder = home / "studies" / f"planted-{next(_NUMBERS)}"  # pages remember what they read of a path
        made.append(folder)
        small = Study(home / "studies" / "small")
        labels = small.table("patches")["label"].to_numpy()
        items = np.full_like(small.array("items"), -1)
        for row, label in enumerate(labels.tolist()):
            place = (labels[:row] == label).sum() / (labels == label).sum()
            held = filters(label, place)
            items[row, : len(held)] = held
        return small_study.edited(small, folder, items)

    yield planted
    for folder in made:
        shutil.rmtree(folder)
