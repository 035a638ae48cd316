"""Rules and builds in a browser, on a wide and on a narrow screen."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from core.cli import main
from core.mining.overview import NODES
from tests import small_study
from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e

WIDTHS = (1440, 1024)
STUDY = "flowers-double-12c"  # bundled; its graph has more nodes than can be read


def wide(tabs: Any, width: int) -> Any:
    tab = tabs()
    tab.page.set_viewport_size({"width": width, "height": 900})
    return tab


def zoom(frame: Any) -> float:
    return frame.evaluate("frame => frame.__cy.zoom()")


def turned(tab: Any, distance: int) -> float:
    """The zoom after a turn of the wheel, which the graph ignores for a moment after the page has scrolled."""
    tab.page.mouse.wheel(0, distance)
    return zoom(tab.drawn().page.locator(".graph"))


def sizes(frame: Any) -> dict[str, float]:
    """The sizes on the screen of the first filter's and the first class's name, and of that class."""
    return frame.evaluate("""frame => {
      const [filter] = frame.__cy.nodes("node[kind = 'filter']");
      const [group] = frame.__cy.nodes("node[kind = 'class']");
      const size = (node, name) => parseFloat(node.style(name)) * frame.__cy.zoom();
      return { filter: size(filter, 'font-size'), group: size(group, 'font-size'), box: size(group, 'width') };
    }""")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_graph_can_be_read_at_first_and_shown_whole(server: Server, tabs: Any, width: int) -> None:
    tab = wide(tabs, width).open(f"{server.url}/rules?study={STUDY}&show=graph")
    page, frame = tab.page, tab.page.locator(".graph")
    page.get_by_text("edges shown").wait_for()
    assert 2 < frame.evaluate("frame => frame.__cy.nodes().length") <= NODES
    page.get_by_text("Shown: only filters that classes share.").wait_for()
    inside = """frame => {
      const { x1, y1, x2, y2 } = frame.__cy.elements().renderedBoundingBox();
      return x1 >= 0 && y1 >= 0 && x2 <= frame.__cy.width() && y2 <= frame.__cy.height();
    }"""
    assert tab.until(lambda: frame.evaluate(inside))
    page.get_by_text("Show all 80 filters and 12 classes").click()
    page.get_by_text("80 filters, 12 classes").wait_for()
    assert tab.until(lambda: "whole=1" in page.url and frame.evaluate(inside))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_label_of_the_settings_wraps_or_is_cut(server: Server, tabs: Any, width: int) -> None:
    page = wide(tabs, width).open(f"{server.url}/rules?study={STUDY}").drawn().page
    page.get_by_text("Select a row").wait_for()
    labels = [page.get_by_test_id("stWidgetLabel").get_by_text(name, exact=True)
              for name in ("Support", "Confidence", "Rules per class (q)", "Filters (N - 1)")]  # fmt: skip
    for label in (*labels, page.get_by_test_id("stPopover").get_by_text("More", exact=True)):
        cut, lines = label.evaluate("""element => [
          element.scrollWidth > element.clientWidth,
          element.getBoundingClientRect().height / parseFloat(getComputedStyle(element).lineHeight),
        ]""")
        assert not cut
        assert lines < 1.5


@pytest.mark.parametrize(("show", "options"), [("rules", []), ("shared", ["--sharing", "itemsets"])])
def test_the_table_that_is_shown_is_downloaded(
    server: Server, tab: Any, tmp_path: Path, show: str, options: list[str]
) -> None:
    """The rows and columns that the command writes, in the order of the page."""
    page = tab.open(f"{server.url}/rules?study={STUDY}&show={show}&few=1&sharing=itemsets").page
    count = page.get_by_text("Select a row" if show == "rules" else "shared by two or more classes").inner_text()
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert main(["study", show, STUDY, *options, "--csv", str(tmp_path / "all.csv")]) == 0
    heading, *rows = saved.value.path().read_text("utf-8").splitlines()
    expected_heading, *expected = (tmp_path / "all.csv").read_text("utf-8").splitlines()
    assert heading == expected_heading
    assert sorted(rows) == sorted(expected)
    assert count.startswith(f"{len(rows)} ")
    assert saved.value.suggested_filename == f"{STUDY}-{show}.csv"


@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_a_graph_keep_their_size_and_the_wheel_waits_for_a_click(
    server: Server, tabs: Any, width: int
) -> None:
    tab = wide(tabs, width).open(f"{server.url}/rules?study={STUDY}&show=graph")
    page, frame = tab.page, tab.page.locator(".graph")
    page.get_by_text("edges shown").wait_for()
    canvas = frame.locator(".canvas")
    canvas.hover(position={"x": 5, "y": 5})
    tab.settle()
    before, named = zoom(frame), sizes(frame)
    page.mouse.wheel(0, 60)
    page.get_by_text("Click the graph, or hold Ctrl").wait_for()
    assert zoom(frame) == before
    page.keyboard.down("Control")
    assert tab.until(lambda: turned(tab, -60) > before)
    page.keyboard.up("Control")
    assert tab.until(lambda: sizes(frame) == pytest.approx(named, rel=0.02))
    page.get_by_text("Click the graph, or hold Ctrl").wait_for(state="hidden")
    canvas.click(position={"x": 5, "y": 5})
    after = zoom(frame)
    assert tab.until(lambda: turned(tab, 60) < after)
    assert tab.until(lambda: sizes(frame) == pytest.approx(named, rel=0.02))


SCROLLERS = """() => [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')].flatMap(
  (place) => [...place.shadowRoot.querySelectorAll('.scroller')]
    .filter((one) => one.scrollHeight > one.clientHeight + 2).map((one) => one.ariaLabel))"""

# Controls below the first toolbar of a table, measured at once, as what is above may still grow.
HIDDEN = """() => {
  const over = document.querySelector('[data-testid="stElementToolbarButtonContainer"]').getBoundingClientRect();
  return [...document.querySelectorAll('[data-testid="stMain"] :is(button, input)')]
    .filter((one) => !one.closest('[data-testid="stElementToolbar"]') && one.checkVisibility())
    .filter((one) => {
      const box = one.getBoundingClientRect();
      return box.left < over.right && over.left < box.right && box.top < over.bottom && over.top < box.bottom;
    }).map((one) => one.innerText || one.ariaLabel);
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_of_rules_scrolls_as_a_whole(server: Server, tabs: Any, width: int) -> None:
    tab = wide(tabs, width).open(f"{server.url}/rules?study={STUDY}")
    page = tab.page
    page.get_by_role("option").first.wait_for()
    assert page.evaluate(SCROLLERS) == []
    body = page.get_by_test_id("stMain")
    assert body.evaluate("main => main.scrollWidth <= main.clientWidth")
    table = page.get_by_test_id("stDataFrame").first
    tab.settle()
    table.scroll_into_view_if_needed()
    table.hover()
    page.get_by_test_id("stElementToolbarButtonContainer").first.wait_for()
    assert tab.until(lambda: page.evaluate(HIDDEN) == []), f"the toolbar of the table hides {page.evaluate(HIDDEN)}"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """The app of a user with a folder of many flowers in the home folder, and no study."""
    home = tmp_path_factory.mktemp("user")
    flowers = small_study.images(tmp_path_factory.mktemp("data") / "flowers")
    for file in sorted(flowers.rglob("*.png")):
        target = home / "pictures" / "my flowers" / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for number in range(60):  # work that is not done before somebody can stop it
            os.link(file, target / f"{number}-{file.name}")
    before = {name: os.environ.get(name) for name in ("HOME", "VITRINE_HOME")}
    os.environ.update(HOME=str(home), VITRINE_HOME=str(home / "vitrine"))
    try:
        one = Server(tmp_path_factory.mktemp("server"))
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    yield one.ready(), home
    one.stop()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_build_is_chosen_watched_stopped_continued_and_deleted(
    builder: tuple[Server, Path], tabs: Any, width: int
) -> None:
    server, home = builder
    tab = wide(tabs, width).open(f"{server.url}/studies")
    page = tab.page
    page.get_by_text("Build a study").click()
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("button", name="Home", exact=True).click()
    page.get_by_role("button", name="pictures").click()
    page.get_by_role("button", name="my flowers").click()
    page.get_by_text("Home / pictures / my flowers").wait_for()
    page.get_by_role("button", name="Use this folder").click()
    folder = page.get_by_role("textbox", name="Folder of images")
    assert tab.until(lambda: folder.input_value() == str(home / "pictures" / "my flowers"))
    page.keyboard.press("Escape")
    tab.settle()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("Building takes about").wait_for()
    page.get_by_text("3,600 images, layer relu4").wait_for()
    page.get_by_role("button", name="Build", exact=True).click()
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("link", name="Methods", exact=True).click()
    page.get_by_text("Building my-flowers-flowers-double-12c").wait_for()
    page.reload()
    page.get_by_text("Building my-flowers-flowers-double-12c").wait_for()
    page.get_by_role("link", name="Studies", exact=True).click()
    hashed = re.compile("Building my-flowers.*(heatmaps|masking patches)")  # all images are
    page.get_by_text(hashed).first.wait_for()  # one text may go while the next one comes
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Continue").wait_for()
    tab.settle()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("my-flowers-flowers-double-12c was deleted").wait_for()
    expect(page.get_by_role("button", name="Continue")).to_have_count(0)
    assert not list((home / "vitrine" / "studies").iterdir())
