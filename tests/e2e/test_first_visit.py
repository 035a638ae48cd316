"""The very first visitor of a server, by the address of each page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Server
from tests.pages_list import HEADERS, PAGES, QUICK

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("address", PAGES)
def test_a_deep_link_is_the_first_visit(fresh_server: Any, tab: Any, address: str) -> None:
    tab.open(f"{fresh_server.url}/{QUICK[address]}")
    page = tab.page
    assert page.get_by_text("Page not found").count() == 0
    assert page.locator("h1").first.inner_text() == PAGES[address]
    parts = HEADERS[PAGES[address]]
    if "image" in parts:
        expect(page.get_by_role("group", name="Images").get_by_role("button")).not_to_have_count(0, timeout=60_000)
    chosen = page.get_by_role("group", name="Most probable classes").get_by_role("button", pressed=True)
    expect(chosen).to_have_count(int("classes" in parts), timeout=60_000)
    assert page.get_by_test_id("stSidebarNav").get_by_role("link").count() == len(PAGES)
    assert page.get_by_role("alert").count() == 0


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
    assert page.get_by_role("alert").count() == 0
    page.get_by_role("button", name="Flowers").click()
    page.wait_for_function("() => location.search.includes('model=flowers-double-12c')")
    tab.settle()
    expect(images.get_by_role("button").first).to_have_attribute("aria-current", "true")
    expect(classes.get_by_role("button", pressed=True)).to_contain_text("red-petals")
    for method in ("Grad-CAM", "Saliency"):
        expect(tab.tile(method)).to_have_attribute("data-phase", "done")
    assert page.get_by_role("alert").count() == 0
