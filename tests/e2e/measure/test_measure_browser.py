"""The page of measures in a browser: curves, the slider by keyboard, a click on a curve, the table, no barriers."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
ADDRESS = "measure?m=grad_cam,saliency,random&metrics=deletion_curve,entropy&set=deletion_curve.steps:8"


def test_curves_the_image_at_a_step_and_the_table(server: Any, tab: Any) -> None:
    page = tab.open(f"{server.url}/{ADDRESS}").page
    finished, button = page.get_by_text("measures 6 of 6"), page.get_by_role("button", name=re.compile("^Compute"))
    expect(finished.or_(button)).to_be_visible()
    if button.is_visible():  # on a busy machine they are not estimated to be cheap
        button.click()
    expect(finished).to_be_visible()
    expect(page.locator(".js-plotly-plot .legend .legendtext")).to_have_count(3)
    expect(page.locator(".js-plotly-plot .legend")).to_contain_text(re.compile(r"Grad-CAM · area 0\.\d{3}"))
    table = page.get_by_test_id("stTable")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table).to_contain_text(re.compile(r"0\.\d{3} · #1"))

    tab.settle()
    value, picture = page.get_by_test_id("stMetricValue"), page.get_by_test_id("stImage").locator("img").first
    before, seen = value.inner_text(), picture.get_attribute("src")
    slider = page.get_by_role("slider", name=re.compile("Image at step"))
    expect(slider).to_have_attribute("aria-valuetext", "25%")  # where the page is, though its first run was overtaken
    tab.slide(slider, "Home")
    page.wait_for_function("() => new URLSearchParams(location.search).get('step') === '0'")
    expect(picture).not_to_have_attribute("src", seen)
    expect(value).not_to_have_text(before)
    chip = page.locator("button", has_text="red-petals").first
    expect(chip).to_contain_text(value.inner_text())  # at the first step, the image is whole
    tab.slide(slider, "ArrowRight")
    page.wait_for_function("() => new URLSearchParams(location.search).get('step') === '1'")

    tab.settle()
    curve = page.locator(".js-plotly-plot .scatterlayer .trace").nth(1)
    curve.locator("path.point").nth(4).click(force=True)
    page.wait_for_function("() => new URLSearchParams(location.search).get('method') === 'saliency'")
    page.wait_for_function("() => new URLSearchParams(location.search).get('step') === '4'")
    expect(page.get_by_text("in the order of Saliency.")).to_be_visible()
    tab.settle()
    assert found(page) == ""
