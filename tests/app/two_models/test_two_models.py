"""The page of two models, without a browser."""

import html
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from scipy.stats import binomtest
from streamlit.testing.v1 import AppTest

from core.environment import home
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.review.two_models.ratings import is_swapped
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT

FIRST, SECOND = "flowers-shortcut-6c", "flowers-single-6c"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def page(**query: str) -> AppTest:
    """The page with its example."""
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Two models"]).run()
    assert not app.exception
    assert not app.error
    return app


def said(app: AppTest) -> str:
    texts = [*app.markdown, *app.caption, *app.info, *app.success, *app.header, *app.error]
    return html.unescape(" | ".join(str(one.value) for one in texts))


def press(app: AppTest, label: str) -> AppTest:
    pressed = next(button for button in app.button if button.label == label).click().run()
    assert not pressed.exception
    return pressed


def test_two_networks_are_compared_image_by_image(session: state.Session) -> None:
    app = page()
    (table,) = app.table
    assert table.value.index.tolist() == [FIRST, SECOND]
    alone = [int(one) for one in table.value["Right alone"]]
    chance = binomtest(alone[0], sum(alone)).pvalue
    assert f"with probability {chance:.3f} (exact McNemar test)." in said(app)
    disagreeing = next(one for one in app.selectbox if one.label == "Images where").options[0]
    count = int(disagreeing.partition("(")[2].rstrip(")"))
    assert f"**image 1 of {count}**" in said(app)
    assert sum(len(element.proto.imgs) for element in app.get("image")) == 3, "the image and both maps"
    assert f"**image 2 of {count}**" in said(press(app, "Next"))
    links = app.get("download_button")
    assert {one.proto.label for one in links} >= {"PNG", "SVG", "PDF"}


def test_ratings_are_blind_kept_and_summed_up(session: state.Session) -> None:
    app = page(blind="1", where="agree")
    shown = said(app)
    assert SECOND not in shown, "the names are hidden"
    assert "**A**" in shown
    assert "McNemar" not in shown
    rater = app.text_input(key="failures-reviewer").value
    image = next(one.value for one in app.caption if one.value.endswith("png"))
    app = press(app, "A is clearly more reasonable")
    assert "1 of" in said(app)
    assert "**image 2 of" in said(app)
    named = app.toggle[0].set_value(False).run()
    assert not named.exception
    (file,) = (home() / "reviews").glob("*-ratings.db")
    with closing(sqlite3.connect(file)) as connection:
        ((pair, stored, who, score),) = connection.execute("SELECT pair, image, rater, score FROM ratings").fetchall()
    assert (stored, who) == (html.unescape(image), rater)
    assert score == (-2 if is_swapped(pair, stored, who) else 2)
    assert f"1 rating of 1 image: {score:+.2f} on a scale" in said(named)
    assert f"in favour of {SECOND if score < 0 else FIRST}." in said(named)
    again = named.toggle[0].set_value(True).run()
    again = press(again, "Previous")
    pressed = [one.label for one in again.button if one.label.startswith(("A is", "B is", "Both"))]
    assert len(pressed) == 5
    assert "1 of" in said(again)
    back = press(again, "Take back").toggle[0].set_value(False).run()
    assert "What the raters say" not in said(back)


def test_models_without_a_common_class_are_told(session: state.Session) -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.query_params["second"] = "flowers-part-2c"
    app.switch_page(FILES["Two models"]).run()
    assert not app.exception
    (error,) = app.error
    assert "The models have no class of the same name: one has 'blue'" in html.unescape(error.value)


def test_an_unknown_second_model_is_told(session: state.Session) -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.query_params["second"] = "nothing"
    app.switch_page(FILES["Two models"]).run()
    assert not app.exception
    assert "nothing" in said(app) + " ".join(one.value for one in app.warning)
