"""The page Units in a browser: the strip of layers by keyboard, and the grid, whose tiles open and are selected."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.e2e


def test_the_strip_is_moved_along_with_keys_and_scrolls_to_the_layer(server: Any, tab: Any) -> None:
    page = tab.open(f"{server.url}/units?model=efficientnet_lite0&study=none").page
    strip = page.get_by_role("listbox", name="Layers of the network")
    chosen = strip.get_by_role("option", selected=True)
    expect(chosen).to_be_in_viewport()
    expect(chosen).to_contain_text("1,280 units")
    chosen.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Units of top.norm")).to_be_visible()
    expect(chosen).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Units of stem.conv")).to_be_visible()
    expect(chosen).to_be_in_viewport()


def test_check_boxes_select_units_and_a_click_opens_one(server: Any, tab: Any) -> None:
    page = tab.open(f"{server.url}/units?study=flowers-double-12c").page
    tiles = page.get_by_role("listbox", name="Units of relu4").get_by_role("option")
    tiles.filter(has_text="F1").first.locator(".check").click(force=True)
    tiles.filter(has_text="F2").first.click(modifiers=["Control"])
    expect(page.get_by_role("heading", name="Selected: F1 + F2")).to_be_visible()
    page.get_by_role("radio", name="Table").click()
    expect(tiles).to_have_count(0)
    page.get_by_role("radio", name="Grid").click()
    selected = tiles.and_(page.get_by_role("option", selected=True))
    expect(selected).to_have_count(2)
    for name in ("F1", "F2"):  # in any order: tiles are drawn anew wherever they are
        expect(selected.filter(has_text=re.compile(f"^{name}(?!\\d)"))).to_have_count(1)
    expect(page.get_by_role("heading", name="Selected: F1 + F2")).to_be_visible()
    page.get_by_text("Ablate these units for the current image").click()
    expect(page.get_by_text("Prediction unchanged")).to_be_visible()
    tiles.filter(has_text="F5").first.click()
    expect(page.get_by_role("heading", name="relu4 · F5")).to_be_visible()
