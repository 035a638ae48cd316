"""The presentation: large maps alone, the next image and class by key, in the link, dark, left by Esc."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e


def sides(page: Any) -> list[float]:
    boxes = [tile.bounding_box() for tile in page.locator(".presentation .stage").all()]
    return [box["width"] for box in boxes if box]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (1920, 1080)])
def test_maps_fill_the_window_and_keys_change_image_and_class(
    server: Any, tabs: Callable[..., Any], width: int, height: int
) -> None:
    tab = tabs(permissions=["clipboard-read", "clipboard-write"])
    tab.page.set_viewport_size({"width": width, "height": height})
    page = tab.open(f"{server.url}/compare?m=grad_cam,saliency,random").page
    page.locator("figure.mapped").nth(2).wait_for()
    tab.settle()
    page.keyboard.press("p")
    shown = page.get_by_role("dialog", name="Presentation")
    expect(shown).to_be_visible()
    page.wait_for_function("() => location.search.includes('present=1')")
    tab.settle()
    expect(shown.locator("figure.mapped")).to_have_count(3)
    assert len(sides(page)) == 3
    assert min(sides(page)) * 3 > 0.8 * width or min(sides(page)) * 2 > 0.7 * height
    for tile in shown.locator("figure.tile:not(.lead)").all():
        box = tile.bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    assert found(page) == ""
    dark = shown.evaluate("one => getComputedStyle(one).backgroundColor")
    page.keyboard.press("d")
    assert shown.evaluate("one => getComputedStyle(one).backgroundColor") != dark
    page.keyboard.press("d")

    image = page.evaluate("new URLSearchParams(location.search).get('img')")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("image => new URLSearchParams(location.search).get('img') !== image", arg=image)
    tab.settle()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => new URLSearchParams(location.search).has('cls')")
    tab.settle()
    expect(shown.locator("figure.mapped")).to_have_count(3)
    link = page.url
    page.keyboard.press("Escape")
    expect(shown).to_be_hidden()
    page.wait_for_function("() => !location.search.includes('present')")
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    tab.settle()
    expect(page.locator(".scroller figure.mapped")).to_have_count(3)

    other = tabs()
    other.page.set_viewport_size({"width": width, "height": height})
    other.open(link)
    expect(other.page.get_by_role("dialog", name="Presentation").locator("figure.mapped")).to_have_count(3)


def test_a_link_opens_the_presentation_of_two_classes(server: Any, tab: Any) -> None:
    page = tab.open(f"{server.url}/compare?m=saliency,grad_cam&cls=0&cls=1&present=1").page
    shown = page.get_by_role("dialog", name="Presentation")
    expect(shown.locator("figure.mapped")).to_have_count(4, timeout=60_000)
    assert [text.strip() for text in shown.locator(".target").all_inner_texts() if text.strip()]
