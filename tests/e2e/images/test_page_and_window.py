"""The page of a file and the range of its values, chosen in the browser beside the image."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.conftest import Server, Tab

pytestmark = pytest.mark.e2e


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A TIFF of three pages with 12 bits in 16."""
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    first, *others = (Image.fromarray(np.roll(values, 9 * turn, 1)) for turn in range(3))
    stream = io.BytesIO()
    first.save(stream, "TIFF", save_all=True, append_images=others)
    path = tmp_path / "deep.tiff"
    path.write_bytes(stream.getvalue())
    return path


def address(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


def test_page_and_range_are_moved_and_follow_to_another_page(server: Server, tab: Tab, deep: Path) -> None:
    page = tab.open(f"{server.url}/?model=flowers-single-6c&m=saliency").page
    page.locator("input[type=file]").first.set_input_files(deep)
    number = page.get_by_label("Page, of 3")
    expect(number).to_have_value("1")
    tab.settle()
    number.fill("2")
    number.press("Enter")
    expect(page.get_by_text("Page 2 of 3. Values 0 to 4,095 of 16 bits").first).to_be_visible()
    tab.settle()
    slider = page.get_by_test_id("stSlider").locator("input[type=range]").last
    slider.focus()
    slider.press("ArrowLeft")
    expect(page.get_by_text("Page 2 of 3. Values 0 to 4,094 of 16 bits").first).to_be_visible()
    tab.settle()
    assert tab.until(lambda: address(page).get("img-window") == ["0,4094"])
    assert address(page)["img-page"] == ["2"]
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("button", name="Image", exact=True).click()
    expect(page.get_by_label("Page, of 3")).to_have_value("2")
    page.get_by_role("button", name="Default range").click()
    tab.settle()
    assert tab.until(lambda: "img-window" not in address(page))
    assert address(page)["img-page"] == ["2"]
