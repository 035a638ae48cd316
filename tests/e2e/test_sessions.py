"""Visitors and their images: uploads good and bad, several at once, and what is left when they go."""

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.pages_list import QUICK

pytestmark = pytest.mark.e2e
EVIL = "<img src=x onerror=alert(1)>&![x](http:--example.com) :red[x].png"


def upload(tab: Any, name: str, content: bytes, kind: str = "image/png") -> Any:
    picker = tab.page.locator('[data-testid="stFileUploader"] input[type="file"]')
    picker.set_input_files({"name": name, "mimeType": kind, "buffer": content})
    return tab


def waiting(check: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.1)
    return check()


def test_an_upload_is_explained_and_named_as_text(server: Any, tab: Any, photo: bytes) -> None:
    tab.open(server.url)
    upload(tab, EVIL, photo)
    own = tab.page.get_by_role("group", name="Images").locator("button.own")
    own.wait_for()
    tab.settle()
    assert own.get_attribute("aria-label") == EVIL
    assert own.get_attribute("aria-current") == "true"
    assert tab.tile("Grad-CAM").locator(".ends").inner_text() or tab.tile("Grad-CAM").locator(".cover").inner_text()
    assert tab.page.locator("figure.lead .ends").first.inner_text() == EVIL
    assert tab.page.locator("img[src='x']").count() == 0


def test_a_file_that_is_no_image_leaves_all_else_standing(server: Any, tab: Any) -> None:
    tab.open(server.url)
    before = tab.page.locator("figure.tile").count()
    upload(tab, EVIL, b"just text")
    alert = tab.page.get_by_role("alert").first
    alert.wait_for()
    assert "onerror" in alert.inner_text()
    assert alert.locator("img, a").count() == 0
    tab.settle()
    assert tab.page.locator("figure.tile").count() == before


def test_an_image_pasted_anywhere_is_taken(server: Any, tab: Any, photo: bytes) -> None:
    tab.open(server.url)
    paste = """bytes => {
      const box = new DataTransfer();
      box.items.add(new File([new Uint8Array(bytes)], 'pasted.png', { type: 'image/png' }));
      const event = new ClipboardEvent('paste', { clipboardData: box, bubbles: true, cancelable: true });
      return !document.dispatchEvent(event);
    }"""
    tab.page.wait_for_function(paste, arg=list(photo))  # again until somebody listens and takes it
    tab.page.get_by_role("group", name="Images").locator("button.own").wait_for()


def test_two_visitors_with_different_models_at_once(server: Any, tabs: Callable[..., Any]) -> None:
    from core.models.sources import flower_networks

    names = [card["name"] for card in flower_networks.cards()][:2]
    assert len(names) == 2
    both = [tabs(), tabs()]
    for one, name in zip(both, names, strict=True):
        one.page.goto(f"{server.url}/compare?model={name}&m=grad_cam,saliency")
    for one in both:
        one.settle()
    for one, name in zip(both, names, strict=True):
        assert f"model={name}" in one.page.url
        assert one.page.get_by_role("combobox", name="Model").input_value() == name
        assert one.page.locator("figure.mapped").count() == 2


def test_closing_a_tab_frees_what_it_held(server: Any, tabs: Callable[..., Any], photo: bytes) -> None:
    assert waiting(lambda: server.census()["desks"] == 0, 20)
    tab = tabs().open(server.url)
    upload(tab, "mine.png", photo)
    tab.page.get_by_role("group", name="Images").locator("button.own").wait_for()
    tab.settle()
    held = server.census()
    assert held["desks"] == 1
    assert held["bytes"] > 0
    assert held["files"] == 0, "an upload is kept once, by the desk"
    tab.page.close()
    assert waiting(lambda: server.census()["desks"] == 0, 5)


@pytest.mark.parametrize("width", [1024, 1440])
def test_nothing_is_wider_than_the_window(server: Any, tabs: Callable[..., Any], width: int) -> None:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 800})
    for address in ("", "compare", "methods"):
        tab.open(f"{server.url}/{QUICK[address]}")
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_large_photo_is_refused_in_a_sentence(server: Any, tab: Any) -> None:
    stream = io.BytesIO()
    Image.new("L", (9000, 9000)).save(stream, "PNG")
    tab.open(server.url)
    upload(tab, "wide.png", stream.getvalue())
    tab.page.get_by_role("alert").first.wait_for()
    assert "wide.png" in tab.page.get_by_role("alert").first.inner_text()


def test_what_a_link_lacks_is_still_said_when_the_maps_are_there(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?cls=gone&m=grad_cam,saliency")
    tab.page.locator("figure.mapped[data-phase=done]").nth(1).wait_for()
    tab.settle()
    assert tab.page.get_by_text("no class called 'gone'").is_visible()
    tab.page.get_by_role("link", name="Methods").click()
    tab.page.get_by_text("no class called 'gone'").wait_for(state="detached")
