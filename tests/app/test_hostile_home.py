"""Pages over a home with pipes, devices and damaged files in it: they say what is wrong, and the rest works."""

import html
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.store import database
from core.study import BUNDLED
from tests.pages_list import FILES, SCRIPT

SOUND = BUNDLED / "flowers-shortcut-6c"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user with one sound study, and others that are none."""
    studies = tmp_path / "studies"
    shutil.copytree(SOUND, studies / "sound")
    shutil.copytree(SOUND, studies / os.fsdecode(b"odd-\xff"))
    for name in ("pipe", "folder", "nested", "log"):
        (studies / name).mkdir()
    os.mkfifo(studies / "pipe" / "study.json")
    (studies / "folder" / "study.json").mkdir()
    (studies / "nested" / "study.json").write_bytes(b"[" * 200_000)
    shutil.copytree(SOUND, studies / "log", dirs_exist_ok=True)
    (studies / "log" / "build.json").unlink()
    os.mkfifo(studies / "log" / "build.json")
    (studies / "loop").symlink_to("loop")
    (tmp_path / database.NAME).write_bytes(b"no database" * 400)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr("pages.ui.study.open_study.BUNDLED", tmp_path / "none")
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def visit(app: AppTest, title: str) -> AppTest:
    app.run()
    app.query_params["study"] = "sound"
    return app.switch_page(FILES[title]).run()


def warned(app: AppTest) -> list[str]:
    return [html.unescape(str(box.value)) for box in app.warning]


def test_studies_that_cannot_be_read_are_listed_with_the_reason(app: AppTest) -> None:
    visit(app, "Studies")
    assert not app.error
    warnings = " ".join(warned(app))
    for name in ("pipe", "folder", "nested", "log"):
        assert f"{name}: The study {name} is damaged: " in warnings
    assert app.dataframe[0].value["Study"].tolist() == ["odd-�", "sound"]


def test_without_readable_tags_the_patches_are_shown(app: AppTest, tmp_path: Path) -> None:
    visit(app, "Patches")
    assert not app.error
    assert [text for text in warned(app) if text.startswith("Tags are not available.")]
    assert "vitrine_patch_gallery" in [element.proto.component_name for element in app.get("bidi_component")]
    assert (tmp_path / database.NAME).read_bytes() == b"no database" * 400
