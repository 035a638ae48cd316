"""Visitors with their images and models: uploads good and bad, several at once, and what is left when they go."""

import io
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from playwright.sync_api import expect
from safetensors.torch import save

from core.models.sources import flower_networks
from tests.pages_list import QUICK

pytestmark = pytest.mark.e2e
OWN = "flowers@mine.safetensors"
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
    expect(tab.page.locator("img[src='x']")).to_have_count(0)


def test_a_file_that_is_no_image_leaves_all_else_standing(server: Any, tab: Any) -> None:
    tab.open(server.url)
    before = tab.page.locator("figure.tile").count()
    upload(tab, EVIL, b"just text")
    alert = tab.page.get_by_role("alert").first
    alert.wait_for()
    assert "onerror" in alert.inner_text()
    expect(alert.locator("img, a")).to_have_count(0)
    tab.settle()
    expect(tab.page.locator("figure.tile")).to_have_count(before)


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
        expect(one.page.locator("figure.mapped")).to_have_count(2)


def test_closing_a_tab_frees_what_it_held(server: Any, tabs: Callable[..., Any], photo: bytes) -> None:
    assert waiting(lambda: server.census()["desks"] == 0, 60)
    tab = tabs().open(server.url)
    upload(tab, "mine.png", photo)
    tab.page.get_by_role("group", name="Images").locator("button.own").wait_for()
    tab.settle()
    held = server.census()
    assert held["desks"] == 1
    assert held["bytes"] > 0
    assert held["files"] == 0, "an upload is kept once, by the desk"
    tab.page.close()
    assert waiting(lambda: server.census()["desks"] == 0, 60)


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
    expect(tab.page.get_by_text("no class called 'gone'")).to_be_visible()
    tab.page.get_by_role("link", name="Methods").click()
    tab.page.get_by_text("no class called 'gone'").wait_for(state="detached")


@pytest.mark.parametrize("width", [1440, 1024])
def test_an_upload_is_deleted_with_the_pointer_or_a_key(
    server: Any, tabs: Callable[..., Any], photo: bytes, width: int
) -> None:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.open(server.url)
    strip = tab.page.get_by_role("group", name="Images")
    for way in ("pointer", "key"):
        upload(tab, "mine.png", photo)
        own = strip.locator("button.own")
        expect(own).to_have_attribute("aria-current", "true", timeout=60_000)
        tab.settle()
        if way == "pointer":
            own.hover()
            strip.get_by_role("button", name="Delete mine.png").click()
        else:
            own.press("Delete")
        expect(own).to_have_count(0, timeout=60_000)
        expect(strip.get_by_role("button").first).to_have_attribute("aria-current", "true")
        tab.settle()


def test_examples_for_other_models_are_shown_on_request(server: Any, tab: Any) -> None:
    page = tab.open(server.url).page
    images = page.get_by_role("group", name="Images")
    few = images.locator("img").count()
    images.get_by_role("button", name="Other examples").click()
    expect(images.get_by_role("button", name="Fewer")).to_be_visible()
    assert images.locator("img").count() > few


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(5)
    return save(flower_networks.architecture(3).state_dict())


def open_dialog(tab: Any) -> Any:
    tab.page.get_by_role("button", name="Open a model").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.get_by_text("From a list")).to_be_visible()
    return dialog


def drop(dialog: Any, name: str, content: bytes, which: int) -> None:
    room = dialog.get_by_role("region", name=("Weights", "Labels")[which])
    room.locator('input[type="file"]').set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    expect(dialog.get_by_role("button", name="Remove").nth(which)).to_be_visible()


def test_own_weights_are_opened_and_used_on_the_pages(server: Any, tabs: Callable[..., Any], weights: bytes) -> None:
    tab = tabs().open(f"{server.url}/compare?m=grad_cam,saliency")
    dialog = open_dialog(tab)
    dialog.get_by_text("Your own weights").click()
    drop(dialog, "mine.safetensors", weights, 0)
    drop(dialog, "labels.txt", b"ant\nbee\ncat\n", 1)
    expect(dialog.get_by_text(f"vitrine app --model {OWN} --labels labels.txt")).to_be_visible()
    dialog.get_by_role("button", name=f"Open {OWN}").click()
    expect(dialog).to_be_hidden()
    tab.settle()
    assert tab.page.get_by_text("ant", exact=True).count()
    assert "model=flowers%40mine.safetensors" in tab.page.url
    expect(tab.page.locator("figure.mapped[data-phase=done]")).to_have_count(2)
    tab.page.get_by_role("link", name="Start", exact=True).click()
    tab.settle()
    expect(tab.page.get_by_role("combobox", name="Model")).to_have_value(OWN)
    again = tabs().open(f"{server.url}/?model=flowers%40mine.safetensors")
    assert again.page.get_by_text("ant", exact=True).count()
    dialog = open_dialog(again)
    expect(dialog.get_by_text("Opened in this tab")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).last.click()
    expect(again.page).not_to_have_url(re.compile("mine.safetensors"))
    again.settle()
    expect(again.page.get_by_role("combobox", name="Model")).not_to_have_value(OWN)


def test_the_dialog_closes_with_escape_and_a_bad_file_is_told(server: Any, tab: Any) -> None:
    tab.open(server.url)
    dialog = open_dialog(tab)
    dialog.get_by_text("Your own weights").click()
    drop(dialog, "bad.safetensors", b"no weights", 0)
    expect(dialog.get_by_role("alert")).to_contain_text("bad.safetensors")
    tab.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    tab.settle()
    expect(open_dialog(tab).get_by_role("button", name="Remove")).to_have_count(0)
