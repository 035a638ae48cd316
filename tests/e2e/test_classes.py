"""Several classes: how they are chosen, and the table of their maps."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from core.models import load
from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
SIX = "m=grad_cam,saliency,guided_backprop,input_x_gradient,deconvnet,random"
EIGHT = f"{SIX},edge_detector,centre_gaussian"


@pytest.fixture(params=[1440, 1024])
def sized(request: pytest.FixtureRequest, tabs: Callable[..., Any]) -> Any:
    tab = tabs()
    tab.page.set_viewport_size({"width": request.param, "height": 900})
    return tab


def test_classes_are_heads_of_rows_and_methods_of_columns(server: Any, sized: Any) -> None:
    page = sized.open(f"{server.url}/compare?{SIX}&cls=0&cls=9").page
    page.locator("figure.mapped").nth(11).wait_for()
    heads = page.locator(".head:not(.corner)")
    assert [text.split("\n")[0] for text in heads.all_inner_texts()][:2] == ["Grad-CAM", "Saliency"]
    assert all(" s" in text or " ms" in text for text in heads.all_inner_texts())
    expect(page.locator("figure.lead .title")).to_have_count(2)
    expect(page.locator("figure.tile:not(.lead) figcaption").first).to_be_hidden()
    expect(page.locator(".corner")).to_have_text("Range: shared per method")
    edge = page.locator(".scroller").evaluate("one => one.getBoundingClientRect().right")
    for tile in page.locator("figure.tile").all():
        box = tile.bounding_box()
        assert box["x"] + box["width"] <= edge + 1
    for name in page.locator(".method").all():
        assert name.evaluate("one => one.scrollHeight <= one.clientHeight + 1 && one.clientHeight <= 42")
    expect(page.locator(".further")).to_be_hidden()
    strongest = page.locator("figure.tile:not(.lead) .ramp + .ends").all_inner_texts()
    assert strongest[0].replace("≥", "").split()[-1] == strongest[6].replace("≥", "").split()[-1]
    page.get_by_role("combobox", name="Range", exact=True).select_option("own")
    expect(page.locator(".corner")).to_have_text("Range: own")
    sized.drawn()
    own = page.locator("figure.tile:not(.lead) .ramp + .ends").all_inner_texts()
    assert own[0] != own[6]
    assert "Very weak" in " ".join(page.locator(".weak").all_inner_texts())
    assert found(sized.settle().page) == ""


def test_more_methods_than_fit_are_announced(server: Any, sized: Any) -> None:
    page = sized.open(f"{server.url}/compare?{EIGHT}&cls=0&cls=1").page
    page.locator("figure.mapped").nth(15).wait_for()
    more = page.locator(".further")
    expect(more).to_have_text("2 more columns →")
    lead = page.locator("figure.lead").first
    left = lead.bounding_box()["x"]
    while more.is_visible():
        before = page.locator(".scroller").evaluate("one => one.scrollLeft")
        more.click()
        page.wait_for_function(
            "before => [...document.querySelectorAll('*')].some((one) => "
            "(one.shadowRoot?.querySelector('.scroller')?.scrollLeft ?? 0) > before)",
            arg=before,
        )
    expect(page.locator(".head").last).to_be_in_viewport()
    assert lead.bounding_box()["x"] == pytest.approx(left, abs=1)


def test_the_toolbar_is_one_line_and_moves_nothing(server: Any, sized: Any) -> None:
    page = sized.open(f"{server.url}/compare?m=grad_cam,saliency&cls=0&cls=1").page
    page.locator("figure.mapped").nth(3).wait_for()
    bar, board = page.get_by_role("toolbar", name="Display options"), page.locator(".board")
    top, height = board.bounding_box()["y"], bar.bounding_box()["height"]
    assert height < 80
    assert bar.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    page.locator("details.more summary").click()
    page.get_by_role("combobox", name="Colours", exact=True).select_option("viridis")
    page.get_by_role("slider", name="Opacity").fill("0.2")
    assert (board.bounding_box()["y"], bar.bounding_box()["height"]) == (top, height)
    assert found(sized.settle().page) == ""
    page.get_by_role("button", name="Reset display").click()
    expect(page.get_by_role("combobox", name="Colours", exact=True)).to_have_value("inferno")
    expect(page.get_by_role("slider", name="Opacity")).to_have_value("0.9")
    page.get_by_role("combobox", name="Range", exact=True).select_option("fixed")
    assert bar.bounding_box()["height"] == height
    assert bar.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    page.keyboard.press("Escape")


def test_a_class_is_searched_and_added(server: Any, sized: Any) -> None:
    page = sized.open(f"{server.url}/compare?model=efficientnet_lite0&img=chelsea.png&m=random").page
    page.get_by_role("button", name="Add a class…").click()
    search = page.get_by_role("combobox", name="All 1,000 classes, by probability")
    search.fill("espresso")
    expect(page.get_by_text("Select all")).to_have_count(0)
    page.get_by_role("option").filter(has_text="espresso").first.click()
    chips = page.get_by_role("group", name="Most probable classes")
    expect(chips.get_by_role("button", name="Remove espresso")).to_be_visible(timeout=60_000)
    expect(page.locator("figure.lead")).to_have_count(2, timeout=60_000)
    sized.settle()
    assert "espresso" in page.locator("figure.lead .title").nth(1).inner_text()


def test_a_search_begun_while_the_server_loads_is_kept(fresh_server: Any, tab: Any) -> None:
    """The progress bar of the first run is gone in the next, and what is below it stays what it was."""
    page = tab.page
    page.goto(f"{fresh_server.url}/compare?model=efficientnet_lite0&img=chelsea.png&m=random")
    page.get_by_role("button", name="Add a class…").click()
    search = page.get_by_role("combobox", name="All 1,000 classes, by probability")
    search.fill("espresso")
    tab.settle()
    expect(search).to_have_value("espresso")
    expect(page.get_by_role("option").filter(has_text="espresso").first).to_be_visible()


def add(page: Any, kind: str) -> None:
    """Open the form of a kind of target in the choice of classes."""
    page.get_by_role("button", name="Add a class…").click()
    page.get_by_role("radio", name=kind).click()


def target_is_shown(tab: Any, number: int, target: str, label: str) -> None:
    """Wait until a target is the row of this number, all maps are there, and the header and address have it."""
    page = tab.page
    expect(page.locator("figure.lead")).to_have_count(number + 1)
    expect(page.locator("figure.lead .title").nth(number)).to_have_text(label)
    chips = page.get_by_role("group", name="Most probable classes")
    expect(chips.get_by_role("button", name=f"Remove {label}")).to_be_visible()
    page.wait_for_url(lambda url: target in parse_qs(urlsplit(url).query).get("cls", ()))
    tab.settle()
    assert page.locator("figure.tile:not(.lead)").evaluate_all("tiles => tiles.map((one) => one.dataset.phase)") == (
        ["done"] * (number + 1)
    )


def test_a_difference_and_a_group_are_added_and_open_elsewhere(
    server: Any, sized: Any, tabs: Callable[..., Any]
) -> None:
    page = sized.open(f"{server.url}/compare?model=flowers-double-12c&m=saliency&cls=0").page
    add(page, "Difference…")
    page.get_by_role("combobox", name="rather than").fill("violet-stem")
    page.get_by_role("option", name="violet-stem").click()
    page.get_by_role("button", name="Add the difference").click()
    target_is_shown(sized, 1, "0-9", "blue-petals − violet-stem")

    page.get_by_role("radio", name="Group…").click()
    page.get_by_role("combobox", name="Classes of the group").fill("stem")
    matches = page.get_by_text(re.compile(r"^Select \d+ matches$"))
    count = int(matches.inner_text().split()[1])
    assert count == sum("stem" in label for label in load("flowers-double-12c").labels)
    matches.click()
    page.get_by_role("button", name=f"Add the group of {count} classes").click()
    expect(page.locator("figure.lead")).to_have_count(3)
    label = page.locator("figure.lead .title").nth(2).inner_text()
    page.wait_for_url(re.compile(r"\+|%2B"))
    target = parse_qs(urlsplit(page.url).query)["cls"][2]
    assert label.startswith(f"{count} classes (")
    target_is_shown(sized, 2, target, label)
    expect(page.locator(".corner")).to_have_text("Range: own")
    expect(page.locator(".weak").filter(visible=True)).to_have_count(0)
    text = page.locator(f".chip[data-target='{target}'] .label")
    assert text.evaluate("one => one.clientHeight <= 2.1 * parseFloat(getComputedStyle(one).lineHeight)")
    page.keyboard.press("Escape")
    assert found(sized.settle().page) == ""

    other = tabs()
    other.open(page.url)
    expect(other.page.locator("figure.lead .title")).to_have_text(page.locator("figure.lead .title").all_inner_texts())
