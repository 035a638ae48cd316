"""A mask drawn on the user's own image in a browser: by mouse, as an outline, and by keyboard alone."""

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
ADDRESS = "measure?m=saliency,random&metrics=energy_pointing"
SIDES = (300, 200)  # width and height of the image


def visited(tab: Any, title: str, address: str) -> None:
    """Go to another page of the app."""
    tab.page.get_by_role("link", name=title, exact=True).click()
    tab.page.wait_for_url(re.compile(rf":\d+/{address}\?"))
    tab.settle()


def uploaded(server: Any, tab: Any) -> Any:
    """The page of measures with an uploaded image that has no mask."""
    tab.open(f"{server.url}/{ADDRESS}")
    visited(tab, "Start", "")
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (*SIDES[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    picker = tab.page.locator('[data-testid="stFileUploader"] input[type="file"]')
    picker.set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    tab.page.get_by_role("group", name="Images").locator("button.own").wait_for()
    tab.settle()
    visited(tab, "Measure", "measure")
    expect(tab.page.get_by_role("button", name="Mask: none")).to_be_visible()
    return tab.page


def opened(page: Any) -> Any:
    """The dialog."""
    dialog, draw = (
        page.get_by_role("dialog", name="Draw a mask of the object"),
        page.locator(".st-key-draw-mask button"),
    )
    if not draw.is_visible():
        page.get_by_role("button", name=re.compile("^Mask")).click()
    draw.click()
    expect(dialog.locator(".stage img")).to_have_attribute("src", re.compile("^blob:"))
    return dialog


def placed(stage: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the image is on the screen."""
    box = stage.bounding_box()
    return box["x"] + x / SIDES[0] * box["width"], box["y"] + y / SIDES[1] * box["height"]


def dragged(page: Any, stage: Any, *points: tuple[float, float]) -> None:
    page.mouse.move(*placed(stage, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*placed(stage, *point), steps=3)
    page.mouse.up()


def downloaded(page: Any) -> np.ndarray:
    """The mask in the file that the page gives away."""
    button = page.get_by_role("button", name="Download PNG")
    if not button.is_visible():
        page.get_by_role("button", name="Mask", exact=True).click()
    with page.expect_download() as started:
        button.click()
    assert started.value.suggested_filename == "mine.png"
    return np.asarray(Image.open(started.value.path())) > 0


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIDES[::-1], bool)
    mask[top:bottom, left:right] = True
    return mask


def test_shapes_drawn_by_mouse_add_up(server: Any, tab: Any) -> None:
    page = uploaded(server, tab)
    dialog = opened(page)
    stage, status = dialog.locator(".stage"), dialog.get_by_role("status")
    done = dialog.get_by_role("button", name="Use this mask")
    expect(done).to_be_disabled()
    dragged(page, stage, (30, 40), (120, 90))
    expect(status).to_have_text("1 shape")
    dialog.get_by_role("button", name="Undo").focus()
    tab.answered = False
    page.keyboard.press("r")  # the page runs again, as when a build ends
    tab.settle()
    expect(status).to_have_text("1 shape")
    dragged(page, stage, (200, 100), (290, 190))
    dragged(page, stage, (0, 0), (20, 20))
    dialog.get_by_role("button", name="Undo").click()
    expect(status).to_have_text("2 shapes")
    dialog.get_by_role("button", name="Outline").click()
    for point in ((150, 20), (190, 20), (190, 60)):
        page.mouse.click(*placed(stage, *point))
    expect(status).to_have_text("2 shapes · outline with 3 corners: Enter closes it")
    page.mouse.click(*placed(stage, 150, 20))
    expect(status).to_have_text("3 shapes")
    dragged(page, stage, (20, 120), (60, 120), (60, 160), (20, 160))
    expect(status).to_have_text("4 shapes")
    tab.settle()
    assert found(page) == ""
    done.click()
    expect(dialog).to_have_count(0)
    mask = downloaded(page)
    triangle = np.add.outer(-np.arange(200), np.arange(300)) >= 130
    expected = box(30, 40, 120, 90) | box(200, 100, 290, 190) | (triangle & box(150, 20, 190, 60))
    expected |= box(20, 120, 60, 160)
    assert (mask != expected).mean() < 0.015, "the mouse moves in pixels of the screen"
    expect(page.get_by_test_id("stTable")).to_contain_text(re.compile(r"0\.\d{3} · #1"))

    dialog = opened(page)
    expect(dialog.get_by_role("status")).to_have_text("4 shapes")
    dialog.get_by_role("button", name="Clear").click()
    expect(dialog.get_by_role("button", name="Use this mask")).to_be_disabled()
    expect(dialog.locator(".stage")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert np.array_equal(downloaded(page), mask), "what is not used changes nothing"


def test_a_rectangle_is_drawn_by_keyboard(server: Any, tab: Any) -> None:
    page = uploaded(server, tab)
    dialog = opened(page)
    stage, status = dialog.locator(".stage"), dialog.get_by_role("status")
    stage.focus()
    page.keyboard.press("ArrowRight")
    expect(status).to_contain_text("rectangle at 113, 75, 75 × 50 pixels: Enter adds it")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(status).to_contain_text("rectangle at 125, 69, 81 × 56 pixels")
    page.keyboard.press("Enter")
    expect(status).to_have_text("1 shape")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(status).to_have_text("1 shape")
    expect(dialog).to_be_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(status).to_have_text("2 shapes")
    page.keyboard.press("Backspace")
    expect(status).to_have_text("1 shape")
    use = dialog.get_by_role("button", name="Use this mask")
    use.focus()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert np.array_equal(downloaded(page), box(125, 69, 206, 125))
    visited(tab, "Compare", "compare")
    visited(tab, "Measure", "measure")
    assert np.array_equal(downloaded(page), box(125, 69, 206, 125))
