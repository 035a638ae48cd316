"""The page Storage: what lies on disk with sizes, deleted after a question, each visitor's own."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.store.locking import lock_of
from pages.ui.session import visitors
from tests.mine_pages import said, visit
from tests.pages_list import SCRIPT


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, size in (("studies/mine", 3 << 20), ("exams/first", 1 << 20), ("pace", 10)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "content").write_bytes(b"x" * size)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def app(stored: Path) -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=120)


def select(app: AppTest, *rows: int) -> None:
    app.session_state["storage"] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    app.run()
    assert not app.exception


def test_what_lies_on_disk_is_listed_by_kind(app: AppTest) -> None:
    visit(app, "Storage")
    assert not app.exception
    kinds, entries = (frame.value for frame in app.dataframe)
    assert kinds["Kind"].tolist() == ["Study", "Exam", "Cache"]
    assert kinds["Size"].tolist() == ["3 MB", "1 MB", "< 1 MB"]
    assert entries["Name"].tolist() == ["mine", "first", "pace"]
    assert app.button(key="delete").disabled
    assert app.metric[0].value == "4 MB"


def test_one_kind_is_shown(app: AppTest) -> None:
    visit(app, "Storage", kind="exam")
    assert app.dataframe[1].value["Name"].tolist() == ["first"]


def test_it_is_asked_before_anything_is_deleted(app: AppTest, stored: Path) -> None:
    visit(app, "Storage")
    select(app, 0, 2)
    app.button(key="delete").click().run()
    assert "Study mine, 3 MB" in said(app)
    assert "Cache pace, < 1 MB" in said(app)
    assert (stored / "studies" / "mine").exists()
    app.button(key="delete").click()  # a dialog is open only in a run of its button here
    app.button(key="delete-now").click().run()
    assert not (stored / "studies" / "mine").exists()
    assert not (stored / "pace").exists()
    assert (stored / "exams" / "first").exists()
    assert "Deleted 2, 3 MB" in said(app)


def test_what_is_being_built_is_kept_and_says_so(app: AppTest, stored: Path) -> None:
    with lock_of(stored / "studies" / ".mine.draft"):
        visit(app, "Storage")
        select(app, 0)
        assert app.button(key="delete").disabled
        assert "mine: It is being built" in said(app)


def test_names_are_texts_and_not_markup(app: AppTest, stored: Path) -> None:
    (stored / "studies" / "![x](http:) `a`\n").mkdir()
    visit(app, "Storage", kind="study")
    select(app, 0, 1)
    app.button(key="delete").click().run()
    assert not app.exception
    assert "![x]" not in " ".join(box.value for box in app.markdown)


def test_a_new_user_is_told_what_will_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "none"))
    app = visit(AppTest.from_file(str(SCRIPT), default_timeout=120), "Storage")
    assert not app.exception
    assert "Nothing is stored yet" in said(app) or app.dataframe[0].value["Kind"].tolist() == ["Cache"]


def test_visitors_see_only_what_is_theirs(app: AppTest, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    own = visitors._home_of("a" * 32)
    (own / "studies" / "hers").mkdir(parents=True)
    other = visitors._home_of("b" * 32)
    (other / "studies" / "his").mkdir(parents=True)
    app.query_params["key"] = "a" * 32
    visit(app, "Storage")
    assert app.dataframe[1].value["Name"].tolist() == ["hers"]
    assert "vitrine storage" not in said(app)
    select(app, 0)
    app.button(key="delete").click().run()
    app.button(key="delete").click()
    app.button(key="delete-now").click().run()
    assert not (own / "studies" / "hers").exists()
    assert (other / "studies" / "his").exists()
    assert (stored / "studies" / "mine").exists()
