"""The trust strip in the browser: pressed, read under each map, opened and closed by keyboard."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import PATIENCE
from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
LONG = 5 * PATIENCE  # until measures are computed: a hundred passes, on a machine that does other things too


def texts(strip: Any) -> list[str]:
    return strip.locator(".figure").all_inner_texts()


def test_numbers_appear_under_every_map_and_open_their_curve(server: Any, tab: Any) -> None:
    page, fetched = tab.page, []
    page.on("request", lambda request: fetched.append(request.url))
    tab.open(f"{server.url}/compare?m=grad_cam,saliency")
    page.get_by_role("button", name=re.compile("^Trust · about")).click()
    hide = page.get_by_role("button", name="Hide trust")
    expect(hide).to_be_visible(timeout=LONG)
    page.wait_for_url(re.compile("trust=1"))
    strips = [tab.tile(title).get_by_role("group") for title in ("Grad-CAM", "Saliency")]
    for strip in strips:
        *numbers, overlap, _ = texts(strip)
        for number in numbers:
            assert re.fullmatch(r"−?(1\.00|\.\d\d)", number)
        assert re.fullmatch(r"\d\.\d\d|\d\d(\.\d)?|\.\d\d", overlap), "in per cent"
    assert not [url for url in fetched if "plotly" in url.lower()], "only a dialog needs it"
    assert found(page) == ""
    one = strips[1].get_by_role("button", name=re.compile(r": Deletion AUC 0\.\d\d, lower is better$"))
    one.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Deletion AUC of Saliency")
    expect(dialog.locator(".scatterlayer path.js-line")).to_have_count(1)
    seen = float(dialog.get_by_test_id("stMetricValue").inner_text())
    assert float(texts(strips[1])[0]) == pytest.approx(seen, abs=0.00551)
    expect(dialog).to_contain_text("Petsiuk et al. 2018")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(one).to_be_focused()
    hide.click()
    expect(strips[0]).to_be_hidden()
    expect(page.get_by_role("button", name="Trust", exact=True)).to_be_visible()


def test_one_map_of_a_link_is_measured_alone(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?m=grad_cam,saliency&trust=1")
    first, second = (tab.tile(title).get_by_role("group") for title in ("Grad-CAM", "Saliency"))
    assert texts(second)[:-1] == ["·"] * 6
    first.get_by_role("button", name=re.compile("^Compute · ")).click()
    rest = tab.page.get_by_role("button", name=re.compile("^Compute the remaining 6 measures · about"))
    expect(rest).to_be_visible(timeout=LONG)
    expect(first.get_by_role("button", name=re.compile(": Cascading randomisation −?[01]"))).to_be_enabled()
    expect(second.get_by_role("button", name=re.compile("^Compute · "))).to_be_visible()
    assert texts(second)[:-1] == ["·"] * 6
    tab.page.get_by_role("button", name="Present").click()
    tab.page.locator("dialog.presentation[open]").wait_for()
    expect(first).to_be_hidden()
