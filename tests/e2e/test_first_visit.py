"""The very first visitor of a server, by the address of each page."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Server, Tab
from tests.e2e.test_access import found
from tests.pages_list import HEADERS, PAGES, QUICK

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("address", PAGES)
def test_a_deep_link_is_the_first_visit(fresh_server: Any, tab: Any, address: str) -> None:
    tab.open(f"{fresh_server.url}/{QUICK[address]}")
    page = tab.page
    expect(page.get_by_text("Page not found")).to_have_count(0)
    assert page.locator("h1").first.inner_text() == PAGES[address]
    parts = HEADERS[PAGES[address]]
    if "image" in parts:
        expect(page.get_by_role("group", name="Images").get_by_role("button")).not_to_have_count(0, timeout=60_000)
    chosen = page.get_by_role("group", name="Most probable classes").get_by_role("button", pressed=True)
    expect(chosen).to_have_count(int("classes" in parts), timeout=60_000)
    expect(page.get_by_test_id("stSidebarNav").get_by_role("link")).to_have_count(len(PAGES))
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.fixture
def newcomers(tmp_path: Path) -> Iterator[Server]:
    """A server as a user starts it, which nobody has visited."""
    one = Server(tmp_path, model="")
    yield one.ready()
    one.stop()


def test_a_newcomer_sees_a_photo_explained_and_the_flowers_at_a_click(newcomers: Server, tab: Any) -> None:
    page = tab.open(newcomers.url).page
    images = page.get_by_role("group", name="Images")
    classes = page.get_by_role("group", name="Most probable classes")
    expect(images.get_by_role("button", name="espresso")).to_have_attribute("aria-current", "true")
    expect(classes.get_by_role("button", pressed=True)).to_contain_text("espresso")
    for method in ("Grad-CAM", "Saliency"):
        expect(tab.tile(method)).to_have_attribute("data-phase", "done")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Flowers").click()
    page.wait_for_function("() => location.search.includes('model=flowers-double-12c')")
    tab.settle()
    expect(images.get_by_role("button").first).to_have_attribute("aria-current", "true")
    expect(classes.get_by_role("button", pressed=True)).to_contain_text("red-petals")
    for method in ("Grad-CAM", "Saliency"):
        expect(tab.tile(method)).to_have_attribute("data-phase", "done")
    expect(page.get_by_role("alert")).to_have_count(0)


CARD = ".st-key-vitrine-doors [data-testid=stVerticalBlock]:not(:has([data-testid=stVerticalBlock]))"
# What each hint explains, as a selector of the page; that of Start from top to bottom.
THINGS = [
    ".chips",
    "figure.tile:not(.lead) >> nth=0",
    "[data-testid=stFileUploader]",
    f"{CARD}:has-text('Methods side by side on this image')",
    f"{CARD}:has-text('The patches, rules and averages found')",
]


def hint(tab: Tab, number: int) -> Any:
    """The hint of this number, once it is shown."""
    one = tab.page.get_by_role("dialog", name="Tour")
    expect(one.get_by_text(f"Hint {number} of {len(THINGS)}")).to_be_visible()
    return one


def beside(tab: Tab, number: int) -> bool:
    """Whether the hint stands in the window, close to what it explains, and covers no pixel of it."""
    one, thing = (place.bounding_box() for place in (hint(tab, number), tab.page.locator(THINGS[number - 1])))
    size = tab.page.viewport_size
    if not (one and thing and size):
        return False
    inside = (
        0 <= one["x"] <= size["width"] - one["width"] and 0 <= one["y"] <= size["height"] - one["height"]
        and 0 <= thing["y"] <= size["height"] - min(thing["height"], size["height"])
    )  # fmt: skip
    across = max(thing["x"] - one["x"] - one["width"], one["x"] - thing["x"] - thing["width"])
    down = max(thing["y"] - one["y"] - one["height"], one["y"] - thing["y"] - thing["height"])
    return inside and 0 <= max(across, down) <= 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1024])
def test_a_new_visitor_gets_a_tour_of_five_hints_once(
    server: Server, tabs: Callable[..., Tab], width: int, scheme: str
) -> None:
    tab = tabs(tour=True, color_scheme=scheme)
    page = tab.page
    page.set_viewport_size({"width": width, "height": 800})
    tab.open(server.url)
    for number in range(1, len(THINGS) + 1):
        assert tab.until(lambda: beside(tab, number)), number  # noqa: B023 - called at once
        expect(hint(tab, number).get_by_role("button", name="Back")).to_have_count(int(number > 1))
        if number in {1, 5}:
            assert found(page) == ""
        expect(page.locator(".next")).to_be_focused()
        page.keyboard.press("Enter" if number % 2 else "ArrowRight")
    expect(page.get_by_role("dialog", name="Tour")).to_have_count(0)
    page.goto(server.url)
    tab.settle()
    assert page.evaluate("localStorage.getItem('vitrine-tour')") == "seen"
    expect(page.get_by_role("dialog", name="Tour")).to_have_count(0)


def test_the_tour_goes_back_closes_and_starts_again_from_any_page(server: Server, tabs: Callable[..., Tab]) -> None:
    tab = tabs().open(f"{server.url}/methods")
    page, again = tab.page, tab.page.get_by_role("button", name="Tour", exact=True)
    tour = page.get_by_role("dialog", name="Tour")
    again.click()
    hint(tab, 1).get_by_role("button", name="Next").click()
    hint(tab, 2).get_by_role("button", name="Next").click()
    hint(tab, 3).get_by_role("button", name="Back").click()
    hint(tab, 2).press("ArrowLeft")
    hint(tab, 1).get_by_role("button", name="Close the tour").click()
    expect(tour).to_have_count(0)
    tab.settle()
    again.click()
    hint(tab, 1)
    expect(page.locator(".next")).to_be_focused()
    page.keyboard.press("Escape")
    expect(tour).to_have_count(0)
    expect(again).to_be_focused()
    page.get_by_role("link", name="Compare", exact=True).click()
    page.wait_for_url("**/compare**")
    page.get_by_role("link", name="Start", exact=True).click()
    expect(page.locator("[data-testid=stFileUploader]")).to_be_visible()
    tab.settle()
    expect(tour).to_have_count(0)


def test_a_tile_is_opened_and_closed_during_the_tour_and_a_presentation_ends_it(
    server: Server, tabs: Callable[..., Tab]
) -> None:
    tab = tabs(tour=True).open(server.url)
    page, tour = tab.page, tab.page.get_by_role("dialog", name="Tour")
    hint(tab, 1).press("ArrowRight")
    hint(tab, 2)
    tab.tile("Grad-CAM").get_by_role("button").click()
    drawer = page.locator("dialog.drawer[open]")
    drawer.wait_for()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    hint(tab, 2)
    page.get_by_role("button", name="Present", exact=True).click()
    expect(tour).to_have_count(0)


@pytest.mark.parametrize("address", ["?img=double-violet-stem.png", "?present=1", "compare?m=saliency", "methods"])
def test_a_link_to_something_specific_shows_no_tour(server: Server, tabs: Callable[..., Tab], address: str) -> None:
    page = tabs(tour=True).open(f"{server.url}/{address}").page
    expect(page.get_by_role("dialog", name="Tour")).to_have_count(0)
    assert page.evaluate("localStorage.getItem('vitrine-tour')") is None
