"""What the filters see, in a browser: the gallery, the graph, and the ways through a study."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from core.models.sources.flower_networks import FILTERS
from core.study import Study
from tests import small_study
from tests.e2e.conftest import Server
from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e

LONG = 600_000  # milliseconds for the work of a model, which a busy machine does slowly


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    small_study.built(folder)
    return folder


@pytest.fixture(scope="module")
def mined(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app of a user with one small study."""
    before = os.environ.get("VITRINE_HOME")
    os.environ["VITRINE_HOME"] = str(home)
    one = Server(tmp_path_factory.mktemp("server"))
    if before is None:
        del os.environ["VITRINE_HOME"]
    else:
        os.environ["VITRINE_HOME"] = before
    yield one.ready()
    one.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with a large gallery and a large graph."""
    one = Server(tmp_path_factory.mktemp("server"), script="tests/e2e/big_parts.py")
    yield f"{one.ready().url}/"
    one.stop()


def quiet(tab: Any) -> tuple[int, int]:
    """The bytes sent and received once none have been for a while."""
    for _ in range(400):
        before = (tab.sent, tab.got)
        tab.page.wait_for_timeout(150)
        if before == (tab.sent, tab.got):
            return before
    pytest.fail("page and server never stop talking")


def choose(tab: Any, table: Any, text: str) -> None:
    """Select the row of a table that holds a text, by keyboard: where its cells are painted is nobody's business.

    A table that is just being drawn anew forgets which cell had the focus; it is asked again.
    """
    cell = table.locator("td", has_text=text).first
    row = int(cell.evaluate("cell => cell.closest('tr').getAttribute('aria-rowindex')")) - 2  # the heading is a row too
    selected = "cell => cell.closest('tr').getAttribute('aria-selected') === 'true'"
    for _ in range(6):
        cell.evaluate("cell => cell.focus()")
        for key in ["ArrowUp"] * row + ["ArrowDown"] * row + ["Shift+Space"]:
            tab.page.keyboard.press(key)
        if tab.until(lambda: cell.evaluate(selected), 5):
            return
    pytest.fail(f"the row with {text} cannot be selected")


def test_ten_thousand_patches_stay_in_the_browser(large: str, tab: Any) -> None:
    tab.open(large)
    box = tab.page.get_by_role("listbox", name="Large gallery")
    box.get_by_role("option").first.wait_for()
    before = quiet(tab)
    box.evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight; }")
    tab.page.get_by_role("option", name="patch 9999").wait_for()
    assert box.get_by_role("option").count() < 200
    tab.page.get_by_role("slider", name="Size").fill("40")
    assert quiet(tab) == before
    assert tab.got < 12e6


def test_the_gallery_by_keyboard(large: str, tab: Any) -> None:
    tab.open(large)
    page = tab.page
    page.get_by_role("option").first.focus()
    for key in ("End", "Space", "ArrowLeft", "Space", "Home", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.get_by_text("4 selected, ").wait_for()
    focused = page.get_by_role("option", selected=True).first
    assert focused.get_attribute("aria-setsize") == "10000"
    page.keyboard.press("Enter")
    page.get_by_text("open 1").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("0 selected").wait_for()
    page.keyboard.press("Control+a")
    page.get_by_text("10000 selected").wait_for()


def test_hovering_shows_the_whole_image_and_texts_stay_texts(large: str, tab: Any) -> None:
    tab.open(large)
    page = tab.page
    page.get_by_role("option").nth(5).hover()
    page.locator(".panel").get_by_text("patch 5", exact=True).wait_for()
    expect(page.locator(".panel").get_by_text("<b>5</b>.png")).to_have_count(1)
    whole = page.get_by_role("img", name="Full image of patch 5")
    painted = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, 512, 512).data).size"
    assert tab.until(lambda: whole.evaluate(painted) > 50)


def test_a_large_graph_is_thinned_out_without_the_server(large: str, tab: Any) -> None:
    tab.open(f"{large}?graph=1")
    page = tab.page
    page.get_by_text("2000 edges shown").wait_for()
    before = quiet(tab)
    least = page.get_by_role("slider", name="Minimum weight")
    for value in ("0.2", "0.5", "0.9"):
        least.fill(value)
    page.get_by_role("checkbox", name="Only shared filters").check()
    assert quiet(tab.drawn()) == before
    shown = page.get_by_text("edges shown").inner_text()
    assert int(shown.split(",")[2].split()[0]) < 200


def test_the_graph_by_its_search_and_its_card(large: str, tab: Any) -> None:
    tab.open(f"{large}?graph=1")
    page = tab.page
    page.get_by_role("combobox", name="Find").fill("F12")
    page.locator(".card").get_by_text("F12", exact=True).wait_for()
    page.get_by_text("picked f12").wait_for()
    page.get_by_role("listitem").first.get_by_role("button").first.click()
    page.get_by_text("picked c").wait_for()
    page.get_by_role("button", name="Show class").click()
    page.get_by_text("opened c").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    assert saved.value.path().read_bytes()[:4] == b"\x89PNG"


def test_the_graph_appears_once_its_library_has_arrived(large: str, tab: Any) -> None:
    tab.page.add_init_script(  # the library stays hidden until the test releases it
        "let library; Object.defineProperty(globalThis, 'cytoscape', {"
        " get: () => { globalThis.asked = true; return globalThis.released ? library : undefined; },"
        " set: (value) => { library = value; } });"
    )
    tab.open(f"{large}?graph=1")
    page = tab.page
    page.wait_for_function("globalThis.asked")
    search = page.get_by_role("combobox", name="Find")
    expect(search).to_have_count(0)
    page.evaluate("globalThis.released = true")
    search.fill("F12")
    page.locator(".card").get_by_text("F12", exact=True).wait_for()


def test_from_a_patch_to_its_filter_and_to_its_rules(mined: Server, tab: Any) -> None:
    tab.open(f"{mined.url}/patches?study=small")
    page = tab.page
    page.get_by_role("option").first.click()
    opens = page.get_by_role("button", name="Open F")
    name = opens.inner_text().removeprefix("Open ")
    opens.click()
    page.get_by_role("heading", name=f"· {name}").wait_for()
    assert tab.until(lambda: f"unit={name[1:]}" in page.url)
    last = int(name[1:]) == FILTERS[-1] - 1  # rounding differs between machines, and so may the strongest filter
    page.get_by_role("button", name="Previous" if last else "Next").click()
    page.get_by_role("heading", name=f"· F{int(name[1:]) + (-1 if last else 1)}").wait_for()
    page.go_back()


def test_a_page_keeps_its_own_class(mined: Server, tab: Any) -> None:
    tab.open(f"{mined.url}/patches?study=small&strongest=2&label=red-petals")
    page = tab.page
    page.get_by_role("link", name="Rules", exact=True).click()
    page.get_by_text("rules. Select a row").wait_for()
    assert tab.until(lambda: "study=small" in page.url)
    assert "label=" not in page.url
    page.get_by_role("link", name="Patches", exact=True).click()
    page.get_by_role("option").first.wait_for()
    assert tab.until(lambda: "label=red-petals" in page.url and "strongest=2" in page.url)


def test_from_a_rules_patch_to_all_patches_of_its_image(mined: Server, tab: Any, home: Path) -> None:
    count = len(Study(home / "studies" / "small").table("patches"))  # rounding differs between machines, and so does it
    tab.open(f"{mined.url}/rules?study=small")
    page = tab.page
    page.get_by_role("button", name="Filter to this image").click()
    page.get_by_role("button", name="Show all images, not only").wait_for()
    assert tab.until(lambda: "image=" in page.url)
    assert tab.until(lambda: 1 <= page.get_by_role("option").count() <= 3)
    page.get_by_role("button", name="Show all images, not only").click()
    page.get_by_text(f"{count} patches").wait_for()


def test_a_slider_gives_a_new_table(mined: Server, tab: Any) -> None:
    tab.open(f"{mined.url}/rules?study=small&support=0.9")
    page = tab.page
    for support in ("0.89", "0.88"):
        tab.slide(page.get_by_role("slider", name="Support"), "ArrowLeft")
        page.wait_for_function("support => location.href.includes(`support=${support}`)", arg=support)
        tab.settle()
    page.get_by_text("rules. Select a row").wait_for()


OUT = "(frame, kind) => frame.__cy.elements(kind).map((one) => one.id())"


def test_a_line_and_a_row_make_the_same_rule_stand_out(mined: Server, tab: Any) -> None:
    tab.open(f"{mined.url}/rules?study=small&show=graph&whole=1")
    page, frame = tab.page, tab.page.locator(".graph")
    page.get_by_text("edges shown").wait_for()
    link = frame.evaluate("frame => frame.__cy.edges().last().emit('tap').id()")
    assert tab.until(lambda: f"node={link}" in page.url and link in frame.evaluate(OUT, "edge.rule"))
    assert frame.evaluate(OUT, ".chosen") == [link]
    page.locator(".card").get_by_role("button", name="Clear selection").click()
    assert tab.until(lambda: "node=" not in page.url)
    tab.settle()
    table = page.get_by_test_id("stDataFrame").first
    cells = table.locator("tbody tr").nth(2).locator("td")
    cells.first.wait_for(state="attached")
    row = cells.all_inner_texts()
    choose(tab, table, row[0])
    some = {word.strip().lower() for word in row[0].partition("…")[0].split("+")}
    assert tab.until(lambda: some <= set(frame.evaluate(OUT, "node.rule")))


def test_turning_filters_off_for_the_current_image(mined: Server, tab: Any) -> None:
    tab.open(f"{mined.url}/rules?study=small")
    page = tab.page
    page.get_by_text("for the current image").click()
    page.get_by_text(re.compile("Prediction (unchanged|changes)")).wait_for()
    page.locator(".js-plotly-plot").wait_for()


def test_rules_are_tried_on_other_images(mined: Server, tab: Any, home: Path) -> None:
    tab.open(f"{mined.url}/rules?study=small&show=ablation")
    page = tab.page
    folder = page.get_by_role("textbox", name="Folder of other images")
    folder.fill(str(several(home / "flowers", home / "others", 5)))
    folder.press("Enter")
    page.get_by_role("button", name="Run ablation").click()
    page.get_by_text("of others").wait_for(timeout=LONG)
    expect(page.get_by_text("300", exact=True)).to_have_count(1)
    folder.fill(str(home / "studies"))
    folder.press("Enter")
    page.get_by_role("button", name="Run ablation").click()
    page.get_by_text("There is no image in").wait_for()


def test_a_study_is_deleted_only_after_asking(mined: Server, tab: Any, home: Path) -> None:
    spare = home / "studies" / "a-spare"
    shutil.copytree(home / "studies" / "small", spare)
    tab.open(f"{mined.url}/studies")
    page = tab.page
    choose(tab, page.get_by_test_id("stDataFrame"), "a-spare")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert spare.exists()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("a-spare was deleted").wait_for()
    assert not spare.exists()


def several(folder: Path, target: Path, times: int) -> Path:
    """The images of a folder so many times over: work that is not done before somebody can stop it."""
    for file in sorted(folder.rglob("*.png")):
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        for number in range(times):
            shutil.copy(file, target / file.parent.name / f"{number}-{file.name}")
    return target


def test_a_study_is_built_stopped_and_finished(mined: Server, tab: Any, home: Path) -> None:
    folder = several(home / "flowers", home / "many", 5)
    tab.open(f"{mined.url}/studies")
    page = tab.page
    page.get_by_text("Build a study").click()
    page.get_by_role("textbox", name="Folder of images").fill(str(folder))
    page.get_by_role("textbox", name="Name", exact=True).fill("by hand")
    page.get_by_role("textbox", name="Name", exact=True).press("Enter")
    tab.settle()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("300 images").wait_for(timeout=LONG)
    page.get_by_role("button", name="Build", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    page.get_by_role("button", name="Build", exact=True).click()
    page.get_by_text("by-hand finished").wait_for(timeout=LONG)
    assert Study(home / "studies" / "by-hand").manifest.data.images == 300
    page.get_by_role("button", name="Open study").click()
    page.get_by_role("option").first.wait_for()
    assert tab.until(lambda: "study=by-hand" in page.url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_of_ours_in_a_study(mined: Server, tabs: Any, scheme: str) -> None:
    tab = tabs(color_scheme=scheme)
    for address in (
        "patches",
        "rules",
        "rules?show=graph&node=c0",
        "rules?show=shared",
        "rules?show=ablation",
        "averages",
        "classes",
        "concepts",
        "unit",
    ):
        tab.open(f"{mined.url}/{address}")
        assert not found(tab.page), address
