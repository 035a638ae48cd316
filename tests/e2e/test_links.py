"""Addresses: links opened by others, and Back and Forward, of which one press is one page with its state."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.e2e.test_access import found
from tests.e2e.test_sessions import upload

pytestmark = pytest.mark.e2e
VIEW = "compare?model=flowers-single-6c&m=grad_cam,saliency&cls=2"


def copied(tab: Any) -> str:
    tab.page.get_by_role("button", name="Copy link").click()
    tab.page.get_by_text("Link copied").wait_for()
    return tab.page.evaluate("navigator.clipboard.readText()")


def leads(tab: Any) -> list[str]:
    return [text.split("\n")[0] for text in tab.page.locator("figure.lead").all_inner_texts()]


@pytest.mark.parametrize("width", [1440, 1024])
def test_the_link_of_an_upload(server: Any, tabs: Callable[..., Any], photo: bytes, width: int) -> None:
    mine = tabs(permissions=["clipboard-read", "clipboard-write"])
    mine.page.set_viewport_size({"width": width, "height": 800})
    mine.open(f"{server.url}/?model=flowers-single-6c&m=grad_cam,saliency")
    upload(mine, "mine.png", photo)
    mine.page.get_by_role("group", name="Images").locator("button.own").wait_for()
    mine.settle()
    mine.page.get_by_role("link", name="Compare", exact=True).click()
    mine.page.get_by_role("button", name="Settings").wait_for()
    mine.settle()
    link = copied(mine)
    said = mine.page.get_by_role("status").filter(has_text="asked to upload mine.png")
    expect(said).to_be_visible()
    assert found(mine.page) == ""

    theirs = tabs().open(link)
    theirs.page.set_viewport_size({"width": width, "height": 800})
    alert = theirs.page.get_by_role("alert").filter(has_text="isn't available here")
    expect(alert).to_be_visible()
    expect(theirs.page.locator("figure.tile")).to_have_count(0)
    theirs.page.reload()
    expect(theirs.settle().page.get_by_role("alert").filter(has_text="isn't available here")).to_be_visible()
    assert found(theirs.page) == ""
    upload(theirs, "again.png", photo)
    expect(theirs.page.locator("figure.mapped")).to_have_count(2)
    theirs.settle()
    assert leads(theirs) == leads(mine)
    expect(theirs.page.get_by_role("alert")).to_have_count(0)

    mine.page.get_by_role("button", name="Share the image on this server").click()
    stop = mine.page.get_by_role("button", name="Stop sharing")
    expect(stop).to_be_visible()
    other = tabs().open(link)
    expect(other.page.locator("figure.mapped")).to_have_count(2)
    assert leads(other) == leads(mine)
    expect(other.page.get_by_role("alert")).to_have_count(0)
    stop.click()
    expect(mine.page.get_by_role("button", name="Share the image on this server")).to_be_visible()
    last = tabs().open(link)
    expect(last.page.get_by_role("alert").filter(has_text="isn't available here")).to_be_visible()


@pytest.mark.parametrize("width", [1440, 1024])
def test_unknown_names_of_a_link_stay_on_the_page(server: Any, tabs: Callable[..., Any], width: int) -> None:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.open(f"{server.url}/compare?m=grad_cam,gradcam&cls=no-such-class")
    tab.settle()
    for word in ("gradcam", "no-such-class"):
        expect(tab.page.get_by_role("alert").filter(has_text=word)).to_be_visible()
    tab.page.get_by_role("button", name="Dismiss").click()
    expect(tab.page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("width", [1440, 1024])
def test_pages_of_a_study_show_its_model_and_feed_it_no_image_of_another(
    server: Any, tabs: Callable[..., Any], width: int
) -> None:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.open(f"{server.url}/unit?model=efficientnet_lite0&img=chelsea.png&study=flowers-double-12c")
    page = tab.page
    header = page.locator(".st-key-vitrine-header")
    expect(header).to_contain_text("layer")
    study = header.get_by_role("combobox", name="Study").input_value()
    assert "flowers" in study
    expect(page.get_by_role("combobox", name="Model")).to_have_count(0)
    expect(page.get_by_role("group", name="Most probable classes")).to_have_count(0)
    expect(page.get_by_role("group", name="Images")).to_be_hidden()
    expect(page.get_by_text("The current image is open in efficientnet_lite0")).to_be_visible()
    assert found(page) == ""
    page.get_by_role("button", name="Switch to this study's model").click()
    expect(page.get_by_role("group", name="Images")).to_be_visible()
    expect(page.get_by_text("in this image").first).to_be_visible()  # where the filter is active, or that it is not
    tab.settle()
    assert "model=flowers" in page.url


def state(tab: Any) -> tuple[str, str, list[str], list[str]]:
    """The page's title, the current image, the chosen classes and the titles of the maps."""
    page = tab.settle().page
    images = page.get_by_role("group", name="Images").locator("[aria-current=true]")
    chips = page.get_by_role("group", name="Most probable classes").get_by_role("button", pressed=True)
    return (
        page.locator("h1").first.inner_text(),
        images.get_attribute("aria-label") if images.count() else "",
        [text.split("\n")[0] for text in chips.all_inner_texts()],
        page.locator("figure.tile:not(.lead) .title").all_inner_texts(),
    )


def follow(tab: Any, name: str) -> None:
    tab.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    shows(tab, name)


def shows(tab: Any, title: str) -> None:
    expect(tab.page.locator("h1").first).to_have_text(title, timeout=60_000)
    tab.settle()


@pytest.mark.parametrize("width", [1440, 1024])
def test_back_is_one_page_with_its_state(server: Any, tabs: Callable[..., Any], width: int) -> None:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 800})
    page = tab.open(f"{server.url}/?m=grad_cam,saliency").page
    images = page.get_by_role("group", name="Images").get_by_role("button")
    before = page.evaluate("history.length")
    images.nth(2).click()
    expect(images.nth(2)).to_have_attribute("aria-current", "true", timeout=60_000)
    start = state(tab)
    assert page.evaluate("history.length") == before
    follow(tab, "Compare")
    images.nth(1).click()
    expect(images.nth(1)).to_have_attribute("aria-current", "true", timeout=60_000)
    tab.settle()
    chips = page.get_by_role("group", name="Most probable classes")
    other = chips.get_by_role("button", pressed=False).first
    label = other.inner_text().split("\n")[0]
    other.click()
    expect(chips.get_by_role("button", pressed=True, name=label)).to_have_count(1, timeout=60_000)
    compare = state(tab)
    assert compare[-1] == ["Grad-CAM", "Saliency"]
    follow(tab, "Patches")
    assert page.evaluate("history.length") == before + 2
    page.go_back()
    shows(tab, "Compare")
    assert state(tab) == compare
    page.go_back()
    shows(tab, "Start")
    assert state(tab) == start
    page.go_forward()
    shows(tab, "Compare")
    assert state(tab) == compare
    page.go_forward()
    shows(tab, "Patches")
    page.go_back()
    shows(tab, "Compare")
    assert state(tab) == compare
    assert page.evaluate("history.length") == before + 2


def test_back_from_a_shared_link_restores_what_it_named(server: Any, tab: Any) -> None:
    page = tab.open(f"{server.url}/compare?m=grad_cam,saliency&cls=2").page
    linked = state(tab)
    follow(tab, "Start")
    page.get_by_role("group", name="Images").get_by_role("button").nth(3).click()
    expect(page.get_by_role("group", name="Images").get_by_role("button").nth(3)).to_have_attribute(
        "aria-current", "true", timeout=60_000
    )
    tab.settle()
    page.go_back()
    shows(tab, "Compare")
    assert state(tab) == linked


def test_an_address_that_was_lost_is_written_again(server: Any, tab: Any) -> None:
    losing = []

    def through(socket: Any) -> None:
        above = socket.connect_to_server()

        def passed(data: bytes) -> None:
            if not losing or ForwardMsg.FromString(data).WhichOneof("type") != "page_info_changed":
                socket.send(data)

        above.on_message(passed)

    tab.page.route_web_socket("**/_stcore/stream", through)
    tab.open(f"{server.url}/?model=flowers-double-12c")
    losing.append(True)
    follow(tab, "Filter")
    assert tab.page.url.endswith("/unit")
    losing.clear()
    tab.page.get_by_role("button", name="Next").click()
    expect(tab.page).to_have_url(re.compile(r"/unit\?.*model=flowers-double-12c.*unit="))
