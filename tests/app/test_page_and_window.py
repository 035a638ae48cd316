"""The page of a file with several and the range of a deep image: chosen on the page, kept in link and command."""

import hashlib
import io
import shlex
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.images import decode
from pages.ui.session import state
from pages.ui.session.state import Session
from tests.pages_list import FILES, SCRIPT


@pytest.fixture(scope="module")
def deep() -> bytes:
    """A TIFF of three pages with 12 bits in 16."""
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    first, *others = (Image.fromarray(np.roll(values, 9 * turn, 1)) for turn in range(3))
    stream = io.BytesIO()
    first.save(stream, "TIFF", save_all=True, append_images=others)
    return stream.getvalue()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, deep: bytes) -> Callable[..., AppTest]:
    """Open Start by a link, as a visitor who has uploaded the file."""

    def make(page: str = "Start", **query: Any) -> AppTest:
        session = Session()
        monkeypatch.setattr(state, "session", lambda: session)
        session.add(deep, "deep.tiff")
        app = AppTest.from_file(str(SCRIPT), default_timeout=120)
        app.query_params.update({"img": hashlib.sha256(deep).hexdigest(), "model": "flowers-single-6c", **query})
        app.run()
        app.switch_page(FILES[page]).run()
        assert not app.exception
        return app

    return make


def shown() -> Any:
    """The picture of the comparison, and its command line."""
    comparison = state.session().comparison
    assert comparison is not None
    assert comparison.job is not None
    comparison.job.wait()
    return comparison.pictures[0], shlex.split(comparison.command())


@pytest.mark.parametrize("page", ["Start", "Compare"])
def test_page_and_range_are_chosen_beside_the_image(opened: Callable[..., AppTest], deep: bytes, page: str) -> None:
    app = opened(page, m="saliency,grad_cam")
    assert (app.number_input(key="file.page").value, app.number_input(key="file.page").max) == (1, 3)
    assert app.slider(key="file.window").value == (0, 4095)
    app.number_input(key="file.page").set_value(2).run()
    app.slider(key="file.window").set_value((100.0, 900.0)).run()
    picture, command = shown()
    expected = decode(deep, "deep.tiff", (100, 900), 2)
    assert (picture.source == expected.source).all()
    assert picture.key == expected.key
    assert command[command.index("--page") + 1] == "2"
    assert "--window=100,900" in command
    assert app.query_params["img-page"] == "2"
    assert app.query_params["img-window"] == "100,900"
    assert any("Level 500, width 800" in one.value for one in app.caption)
    next(one for one in app.button if one.label == "Default range").click().run()
    assert app.slider(key="file.window").value == (0, 4095)
    assert "img-window" not in app.query_params


def test_a_link_shows_its_page_and_range(opened: Callable[..., AppTest], deep: bytes) -> None:
    app = opened(**{"img-page": "3", "img-window": "-5,4000.5"})
    picture, _ = shown()
    assert picture.key == decode(deep, "x", (-5, 4000.5), 3).key
    assert app.number_input(key="file.page").value == 3
    assert app.slider(key="file.window").value == (-5, 4001)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"img-page": "9"}, "deep.tiff has 3 pages, and no page 9"),
        ({"img-page": "0"}, "The page cannot be"),
        ({"img-page": "x"}, "The page cannot be"),
        ({"img-window": "5"}, "The window cannot be"),
        ({"img-window": "9,1"}, "The window cannot be"),
    ],
)
def test_a_link_to_a_page_or_range_that_cannot_be_says_so(
    opened: Callable[..., AppTest], query: dict[str, str], sentence: str
) -> None:
    app = opened(**query)
    assert any(sentence in problem for problem in app.session_state["problems"])
    picture, _ = shown()
    assert (picture.page, picture.window) == (1, None)


def test_another_image_begins_at_its_first_page_and_own_range(opened: Callable[..., AppTest]) -> None:
    app = opened(**{"img-page": "2", "img-window": "0,50"})
    stream = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(stream, "PNG")
    app.file_uploader[0].set_value([("plain.png", stream.getvalue(), "image/png")]).run()
    place = app.session_state["location"]
    assert (place.page, place.window) == (1, None)
    assert "file.page" not in [one.key for one in app.number_input]
    assert not app.slider
