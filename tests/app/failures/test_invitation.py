"""A review on a server for others: who is invited sees its cases and judges them, nobody else does."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data.flowers import write
from pages.ui.session import visitors
from tests.app.failures.predicted import predicted

ANNE, BERT = "a" * 32, "b" * 32
MODEL = "flowers-single-6c"


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of images that the server offers."""
    monkeypatch.setenv("VITRINE_SHARED", "1")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VITRINE_DATA", str(tmp_path / "offered"))
    write("single-6c", tmp_path / "offered", per_class=1, seed=11)
    images = tmp_path / "offered" / "images"
    next((images / "blue").iterdir()).rename(images / "orange" / "blue.png")
    return images


def visit(key: str, **query: str) -> AppTest:
    """The page for a visitor, with its predictions."""
    return predicted({"key": key, "model": MODEL}, query)


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def said(app: AppTest) -> str:
    return " ".join(box.value for box in (*app.markdown, *app.caption, *app.info, *app.error))


def test_who_is_invited_reviews_with_the_one_who_invites(offered: Path) -> None:
    anne = press(visit(ANNE, of="folder", folder=str(offered)), "Make a link")
    word = next(found[1] for code in anne.code if (found := re.search(r"\?invite=([\w-]{32})$", code.value)))
    bert = visit(BERT, invite=word)
    assert "You are invited to the review of images" in said(bert)
    assert not [box for box in bert.selectbox if box.label == "Images of"]
    assert not [button for button in bert.button if button.label == "Make a link"], "who is invited invites nobody"
    assert "0 of 1 reviewed" in said(bert)
    press(bert, "Label wrong")
    assert "1 of 1 reviewed" in said(anne.run())
    assert not (visitors._home_of(BERT) / "reviews").exists()
    assert "0 of 1 reviewed" in said(visit(BERT, of="folder", folder=str(offered))), "without the link it is his own"
    press(anne, "Withdraw the link")
    assert "does not hold, or no longer" in said(visit(BERT, invite=word))


def test_where_everybody_is_one_user_there_is_nothing_to_invite_to(
    offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VITRINE_SHARED")
    app = visit("", of="folder", folder=str(offered), invite="x" * 32)
    assert "0 of 1 reviewed" in said(app)
    assert not [button for button in app.button if button.label == "Make a link"]


def test_what_others_cannot_read_has_no_invitation(tmp_path: Path) -> None:
    app = visit(ANNE, of="example")
    assert "Others cannot read these images here" in said(app) or "Only you have this model" in said(app)
    assert not [button for button in app.button if button.label == "Make a link"]
