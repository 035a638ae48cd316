"""What the tests of the page Exam share: two small exams, and the app with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.session import builds
from tests import small_exam
from tests.pages_list import SCRIPT


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    small_exam.built(folder)
    small_exam.built(folder, "one", small_exam.ONE)
    return folder


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user with two small exams, without the bundled ones."""
    monkeypatch.setenv("VITRINE_HOME", str(home))
    monkeypatch.setattr("pages.ui.exam.open_exam.BUNDLED", home / "none")
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield app
    for build in builds.builds():
        build.job.cancel()
        build.job.wait(60)
        builds.dismiss(build.path)
    assert [fault.value for fault in app.exception] == []
