"""What if in a browser: a box by mouse and by keyboard, undo and redo, the original, and the link."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
ADDRESS = "compare?model=flowers-double-12c&img=double-red-petals.png&by=what-if"


def opened(server: Any, tab: Any, address: str = ADDRESS) -> Any:
    """The panel, once its image is there."""
    tab.open(f"{server.url}/{address}")
    panel = tab.page.locator(".whatif")
    expect(panel.locator(".stage img:not([hidden])")).to_have_attribute("src", re.compile("^blob:"))
    return panel


def after(panel: Any) -> Any:
    """The probability of the predicted class after the edits."""
    return panel.get_by_role("row", name=re.compile("red-petals")).locator("td.after")


def test_a_box_by_mouse_is_undone_and_in_the_link(server: Any, tab: Any, tabs: Any) -> None:
    panel, page = opened(server, tab), tab.page
    undo, before = panel.get_by_role("button", name="Undo"), after(panel).inner_text()
    expect(undo).to_be_disabled()
    place = panel.locator(".stage").bounding_box()
    page.mouse.move(place["x"] + place["width"] * 0.25, place["y"] + place["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.8, place["y"] + place["height"] * 0.6, steps=4)
    page.mouse.up()
    expect(after(panel)).not_to_have_text(before)
    expect(panel.locator(".fills *")).to_have_count(0)
    changed = after(panel).inner_text()
    page.wait_for_url(re.compile(r"edit=box%3D\d+%2C\d+%2C\d+%2C\d+%3Ablur"))
    tab.settle()
    assert found(page) == ""
    undo.click()
    expect(after(panel)).to_have_text(before)
    expect(undo).to_be_disabled()
    expect(panel.locator(".stage")).to_be_focused()
    page.keyboard.press("Control+y")
    expect(after(panel)).to_have_text(changed)
    other = opened(server, tabs(), page.url.rpartition("/")[2])
    expect(after(other)).to_have_text(changed)
    expect(other.get_by_role("button", name="Undo")).to_be_enabled()


def test_a_box_by_keyboard(server: Any, tab: Any) -> None:
    panel, page = opened(server, tab), tab.page
    stage, status = panel.locator(".stage"), panel.get_by_role("status")
    panel.get_by_label("Fill", exact=True).select_option("mean")
    stage.focus()
    page.keyboard.press("ArrowUp")
    expect(status).to_contain_text("box at 144, 144, 96 × 96 pixels: Enter fills it")
    for key in ("ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(status).to_contain_text("box at 144, 136, 104 × 104 pixels")
    page.keyboard.press("Escape")
    expect(status).not_to_contain_text("box at")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("edit=box%3D144%2C144%2C96%2C96%3Amean"))
    expect(page.get_by_role("button", name="box=144,144,96,96:mean")).to_be_visible()
    original = panel.get_by_role("button", name="Original")
    stage.focus()
    page.keyboard.press("o")
    expect(original).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("o")
    expect(original).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="box=144,144,96,96:mean")).to_have_count(0)
    page.wait_for_url(lambda url: "edit=" not in url)


def test_a_superpixel_by_keyboard(server: Any, tab: Any) -> None:
    panel, page = opened(server, tab), tab.page
    stage = panel.locator(".stage")
    stage.focus()
    page.keyboard.press("s")
    expect(panel.locator("canvas.superpixels")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    edit = page.get_by_role("button", name=re.compile("^segments=50,"))
    expect(edit).to_be_visible()
    tab.settle()
    stage.focus()
    page.keyboard.press("Enter")
    expect(edit).to_have_count(0)
