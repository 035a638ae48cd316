"""Back and Forward: one press is one page, with its state."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


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
    page = tab.open(server.url).page
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
