"""Links opened where what they name is not: nothing is substituted without a word, and the rest is kept."""

import hashlib
import html
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import TooLarge
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.explain.target_name import TargetName
from pages.ui.session import state
from pages.ui.session.shared_images import SharedImages, shared_images
from pages.ui.session.state import Session
from tests.pages_list import FILES, SCRIPT

BOTH = (TargetName((2,)), TargetName((0,)))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open Compare by a link, each time as another visitor: all `AppTest`s of a process are of one session."""

    def make(**query: Any) -> AppTest:
        session = Session()
        monkeypatch.setattr(state, "session", lambda: session)
        app = AppTest.from_file(str(SCRIPT), default_timeout=120)
        app.query_params.update(query)
        app.run()
        app.switch_page(FILES["Compare"]).run()
        return app

    return make


def said(app: AppTest) -> str:
    return html.unescape(" ".join(box.value for box in [*app.error, *app.warning, *app.info, *app.markdown]))


def part(app: AppTest, name: str) -> Any:
    found = [one.proto.json for one in app.get("bidi_component") if one.proto.component_name == f"vitrine_{name}"]
    return json.loads(found[0]) if found else None


@pytest.fixture
def link(photo: bytes) -> dict[str, Any]:
    """The link of an upload, with two classes and two methods."""
    sha = hashlib.sha256(photo).hexdigest()
    return {"model": "flowers-single-6c", "img": sha, "cls": ["2", "0"], "m": "saliency,grad_cam", "seed": "7"}


@pytest.fixture(autouse=True)
def _nothing_shared() -> Iterator[None]:
    yield
    shared_images.cache_clear()


def test_the_link_of_an_upload_waits_for_its_image_and_shows_no_other(
    opened: Callable[..., AppTest], link: dict[str, Any], photo: bytes
) -> None:
    app = opened(**link)
    for _ in range(2):  # it stays
        assert "isn't available here" in html.unescape(app.error[0].value)
        assert part(app, "comparison_grid") is None
        place = app.session_state["location"]
        assert (place.image, place.targets, place.methods) == (link["img"], BOTH, ("saliency", "grad_cam"))
        app.run()
    assert part(app, "image_strip")["current"] == link["img"]
    assert "methods Saliency, Grad-CAM" in said(app)
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    assert app.session_state["location"] == place
    assert [row["target"] for row in part(app, "comparison_grid")["rows"]] == ["2", "0"]
    assert not app.error
    assert not app.warning
    assert {name: app.query_params[name] for name in ("img", "m", "seed")} == {n: link[n] for n in ("img", "m", "seed")}


def test_another_image_than_the_links_is_taken_and_named(
    opened: Callable[..., AppTest], link: dict[str, Any], photo: bytes
) -> None:
    app = opened(**{**link, "img": "0" * 64})
    app.file_uploader[0].set_value([("other.png", photo, "image/png")]).run()
    assert "other.png is not the image of the link" in said(app)
    place = app.session_state["location"]
    assert (place.image, place.targets, place.methods) == (link["img"], BOTH, ("saliency", "grad_cam"))
    assert part(app, "comparison_grid")


def test_a_missing_image_stops_no_page_that_needs_none(opened: Callable[..., AppTest], link: dict[str, Any]) -> None:
    app = opened(**link)
    for title in ("Patches", "Methods", "Studies"):
        app.switch_page(FILES[title]).run()
        assert not app.error, title
    app.switch_page(FILES["Filter"]).run()
    app.button(key="switch-unit").click().run()
    assert "isn't available here" in said(app)
    assert not app.exception


def test_a_shared_upload_opens_in_another_session_until_it_is_withdrawn(
    opened: Callable[..., AppTest], link: dict[str, Any], photo: bytes
) -> None:
    mine = opened(m="saliency")
    mine.switch_page(FILES["Start"]).run()
    mine.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    assert [item["shared"] for item in part(mine, "image_strip")["items"] if item["own"]] == [False]
    assert opened(**link).error, "it is shared by request only"

    shared_images().add(link["img"], photo, "mine.png", owner := object())
    theirs = opened(**link)
    assert not theirs.error
    assert [row["target"] for row in part(theirs, "comparison_grid")["rows"]] == ["2", "0"]
    shared_images().withdraw(link["img"], owner)
    assert opened(**link).error


def test_shared_images_have_owners_and_a_limit() -> None:
    images = SharedImages(limit=10)
    images.add("a", b"12345678", "a.png", "one")
    with pytest.raises(TooLarge, match=r"b\.png cannot be shared"):
        images.add("b", b"123", "b.png", "two")
    images.add("a", b"12345678", "b.png", "two", ("tabby", 1))
    assert images.get("a") == (b"12345678", "a.png", None), "as the first calls it"
    images.withdraw("a", "one")
    assert images.get("a") == (b"12345678", "b.png", ("tabby", 1))
    assert (images.shared_by("one"), images.shared_by("two")) == (set(), {"a"})
    images.withdraw("a", "three")
    images.withdraw("a", "two")
    assert images.get("a") is None


UNKNOWN = [
    ({"model": "resnet19", "cls": "3"}, "Shown instead: flowers-double-12c, without the link's classes"),
    ({"cls": "no-such-class"}, "Shown instead: the predicted class."),
    ({"cls": ["1", "no-such-class"]}, "The other settings are kept."),
    ({"m": "gradcam"}, "Shown instead: the default methods."),
    ({"m": "saliency,gradcam"}, "The other settings are kept."),
    ({"layer": "layer9", "m": "saliency"}, "Shown instead: the default layer."),
]  # fmt: skip


@pytest.mark.parametrize(("query", "sentence"), UNKNOWN)
def test_what_is_shown_instead_of_an_unknown_name_is_said(query: dict[str, Any], sentence: str) -> None:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params.update(query)
    app.run()
    for _ in range(2):
        assert sentence in said(app)
        app.run()
    place = app.session_state["location"]
    assert place.targets == ((TargetName((1,)),) if isinstance(query.get("cls"), list) else ())
    assert place.layer == ""
    app.switch_page(FILES["Methods"]).run()
    assert not app.warning


def test_an_unknown_study_is_named_with_the_one_shown(opened: Callable[..., AppTest]) -> None:
    app = opened(m="saliency")
    app.query_params["study"] = "no-such-study"
    app.switch_page(FILES["Patches"]).run()
    shown = app.selectbox(key="study").value
    for _ in range(2):
        assert f"There is no study called 'no-such-study'. Known: {shown}" in said(app)
        assert f"Shown instead: {shown}." in said(app)
        app.run()


def test_an_address_that_comes_back_late_changes_nothing(opened: Callable[..., AppTest]) -> None:
    app = opened(m="saliency", cls="1")
    late = {name: app.query_params[name] for name in ("model", "img", "cls", "m")}
    other = next(name for name in app.selectbox(key="model").options if name.startswith("flowers-single"))
    app.selectbox(key="model").set_value(other).run()
    app.query_params.update(late)
    app.run()
    assert app.session_state["location"].model == other
    assert app.session_state["location"].targets == ()


def test_another_address_sets_everything_of_the_location(opened: Callable[..., AppTest]) -> None:
    app = opened(m="saliency", cls="1", seed="7", set="saliency.reduce:sum_abs")
    app.query_params.clear()
    app.query_params.update({"m": "grad_cam", "img": "double-red-petals.png"})
    app.run()
    place = app.session_state["location"]
    assert (place.methods, place.targets, place.seed) == (("grad_cam",), (), 0)
    assert not app.session_state["settings"].get("saliency")


def test_a_deleted_upload_is_gone_and_shared_no_more(opened: Callable[..., AppTest], photo: bytes) -> None:
    app = opened(m="saliency")
    session = state.session()
    sha = session.add(photo, "mine.png").sha
    session.share(sha)
    app.session_state["location"] = replace(app.session_state["location"], image=sha)
    app.run()
    assert part(app, "image_strip")["current"] == sha
    session.remove(sha)
    assert (session.uploads(), session.upload(sha), shared_images().get(sha)) == ({}, None, None)
    app.run()
    assert app.error
