"""A review in a browser, from a folder to the report: by mouse, by keyboard alone, and by two reviewers at once."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from core.data.flowers import write
from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
MODEL = "flowers-single-6c"
STAGE = ".whatif .stage"


@pytest.fixture
def flowers(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Three flowers of each of six colours, others for each test; two blue and red ones lie with the orange ones."""
    write("single-6c", tmp_path / "all", per_class=3, seed=len(request.node.name))
    images = tmp_path / "all" / "images"
    for colour in ("blue", "red"):
        for number, file in enumerate(sorted((images / colour).iterdir())[:2]):
            shutil.move(file, images / "orange" / f"{colour}-{number}.png")
    return images


def opened(server: Any, tab: Any, folder: Path) -> Any:
    """The page with the predictions of a folder."""
    tab.open(f"{server.url}/failures?model={MODEL}&of=folder&folder={folder}")
    tab.page.get_by_role("button", name="Predict").click()
    expect(tab.page.get_by_text("of 18 images are right")).to_be_visible()
    return tab.page


def case(page: Any, number: int, of: int, reviewed: int) -> None:
    """Wait until the page shows a case of its queue."""
    expect(page.get_by_text(f"case {number} of {of} · {reviewed} of {of} reviewed")).to_be_visible()


def changed(page: Any) -> None:
    """Wait until the page shows what an edit changes, and the edit is in its address."""
    panel = page.locator(".whatif")
    expect(panel.get_by_role("button", name="Undo")).to_be_enabled()
    expect(panel.locator(".fills *")).to_have_count(0)
    page.wait_for_url(re.compile("edit=box"))


def checked(report: Any, verdict: str) -> None:
    """Whether a report has the cases of the pair, their pictures and the verdict, and needs nothing else."""
    assert report.suggested_filename.endswith("-failures.html")
    text = Path(report.path()).read_text("utf-8")
    assert text.count('src="data:image/') >= 2
    assert verdict in text
    assert "orange" in text
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)


def test_the_whole_review_by_mouse(server: Any, tab: Any, flowers: Path) -> None:
    page = opened(server, tab, flowers)
    case(page, 1, 4, 0)
    tab.settle()
    chart = page.locator(".js-plotly-plot").first
    wrong = chart.locator(".scatterlayer .trace").nth(1).locator(".points path").first
    place = wrong.bounding_box()
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_url(re.compile(r"pair=\d-\d"))
    case(page, 1, 2, 0)
    tab.settle()
    queue = page.get_by_role("listbox", name="Cases in their order")
    expect(queue.get_by_role("option")).to_have_count(2)
    queue.get_by_role("option", selected=False).click()
    case(page, 2, 2, 0)
    tab.settle()
    page.get_by_text("What if", exact=True).click()
    expect(page.locator(f"{STAGE} img:not([hidden])")).to_have_attribute("src", re.compile("^blob:"))
    tab.settle()
    page.locator(STAGE).scroll_into_view_if_needed()
    place = page.locator(STAGE).bounding_box()
    page.mouse.move(place["x"] + place["width"] * 0.25, place["y"] + place["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.8, place["y"] + place["height"] * 0.6, steps=4)
    page.mouse.up()
    changed(page)
    tab.settle()
    assert found(page) == ""
    page.get_by_role("button", name="Label wrong").click()
    expect(page.get_by_text("1 of 2 reviewed")).to_be_visible()
    tab.settle()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Report", exact=True).click()
    checked(started.value, "label wrong")


def test_the_whole_review_by_keyboard(server: Any, tab: Any, flowers: Path) -> None:
    tab.open(f"{server.url}/failures?model={MODEL}&of=folder")
    page, press = tab.page, tab.page.keyboard.press
    page.get_by_role("textbox", name="Folder of images").focus()
    page.keyboard.type(str(flowers))
    press("Enter")
    tab.settle()
    page.get_by_role("button", name="Predict").focus()
    press("Enter")
    case(page, 1, 4, 0)
    tab.settle()
    page.get_by_role("combobox", name="Confusion").focus()
    page.keyboard.type("orange as red")
    press("Enter")
    page.wait_for_url(re.compile(r"pair=\d-\d"))
    case(page, 1, 2, 0)
    tab.settle()
    page.get_by_role("button", name="Next").press("j")
    case(page, 2, 2, 0)
    tab.settle()
    page.get_by_role("switch", name="What if").or_(page.get_by_role("checkbox", name="What if")).focus()
    press("Space")
    expect(page.locator(f"{STAGE} img:not([hidden])")).to_have_attribute("src", re.compile("^blob:"))
    tab.settle()
    page.locator(STAGE).focus()
    press("ArrowUp")
    press("Enter")
    changed(page)
    tab.settle()
    page.locator(STAGE).press("2")
    expect(page.get_by_text("1 of 2 reviewed")).to_be_visible()
    tab.settle()
    page.get_by_role("button", name="Export").focus()
    press("Enter")
    report = page.get_by_role("button", name="Report", exact=True)
    expect(report).to_be_visible()
    report.focus()
    with page.expect_download() as started:
        press("Enter")
    checked(started.value, "label wrong")


def test_two_reviewers_at_once_see_each_others_verdicts(server: Any, tabs: Any, flowers: Path) -> None:
    ada, grace = tabs(), tabs()
    for name, tab in (("Ada", ada), ("Grace", grace)):
        page = opened(server, tab, flowers)
        tab.settle()
        field = page.get_by_role("textbox", name="Reviewer")
        field.fill(name)
        field.press("Enter")
        tab.settle()
    ada.page.get_by_role("button", name="Model wrong").click()
    case(ada.page, 2, 4, 1)
    ada.settle()
    # Grace still sees the case as it was, and may not overwrite what Ada said.
    grace.page.get_by_role("button", name="Ambiguous").click()
    expect(grace.page.get_by_text(re.compile("Ada has changed .* meanwhile: model wrong"))).to_be_visible()
    case(grace.page, 1, 4, 1)
    expect(grace.page.get_by_text("Changed last by Ada.")).to_be_visible()
    grace.settle()
    grace.page.get_by_role("button", name="Next").click()
    case(grace.page, 2, 4, 1)
    grace.settle()
    grace.page.get_by_role("button", name="Ambiguous").click()
    case(grace.page, 3, 4, 2)
    grace.settle()
    ada.page.get_by_role("button", name="Next").click()
    case(ada.page, 3, 4, 2)
    ada.settle()
    ada.page.get_by_role("button", name="Undo").click()
    case(ada.page, 1, 4, 1)
    ada.settle()
