"""The grid of maps: everything about its look happens in the browser, and its numbers are the real ones."""

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import expect

from core.explain import EXPLAINERS
from core.figures.style import DrawnMap, Style, spans
from core.measure.agreement import overlap, spearman
from core.models import load
from tests.e2e.test_access import found

pytestmark = pytest.mark.e2e
CHEAP = "m=grad_cam,saliency,guided_backprop"
TWELVE = "m=grad_cam,saliency,guided_backprop,input_x_gradient&cls=0&cls=1&cls=2"
MODES = ("auto", "minmax", "row", "method", "symmetric", "positive", "negative", "fixed", "own")


def number(text: str) -> float:
    return float(text.replace("−", "-").strip("≥≤ "))


def pixels(tab: Any, title: str) -> list[int]:
    """What is painted in a tile."""
    paint = """canvas => {
      const { width, height } = canvas;
      return [width, ...canvas.getContext('2d').getImageData(0, 0, width, height).data.slice(0, 40000)];
    }"""
    return tab.tile(title).locator("canvas:not(.ramp)").evaluate(paint)


def exported(tab: Any, what: str) -> bytes:
    tab.page.get_by_role("button", name="Export").click()
    with tab.page.expect_download() as saved:
        tab.page.get_by_role("button", name=what).click()
    return saved.value.path().read_bytes()


def more(page: Any) -> None:
    """Open the panel of further display options."""
    if page.locator("details.more").get_attribute("open") is None:
        page.locator("details.more summary").click()


@pytest.fixture
def compared(server: Any, tab: Any) -> Any:
    tab.open(f"{server.url}/compare?{CHEAP}")
    tab.page.locator("figure.mapped").nth(2).wait_for()
    return tab


def test_steps_of_the_look_send_nothing(server: Any, tab: Any) -> None:
    compared = tab.open(f"{server.url}/compare?{TWELVE}")
    page = compared.page
    page.locator("figure.mapped").nth(11).wait_for()
    before = pixels(compared, "Grad-CAM")
    compared.tile("Grad-CAM").get_by_role("button").hover()  # brings the font of the crosshair's numbers
    page.evaluate("() => document.fonts.ready.then(() => true)")
    sent, asked = compared.sent, compared.asked
    page.get_by_role("slider", name="Opacity").fill("0.3")
    dimmed = pixels(compared.drawn(), "Grad-CAM")
    page.get_by_role("slider", name="Threshold").fill("0.5")
    more(page)
    page.get_by_role("combobox", name="Opacity mode").select_option("even")
    for mode in MODES:
        page.get_by_role("combobox", name="Range", exact=True).select_option(mode)
    page.get_by_role("combobox", name="Colours", exact=True).select_option("viridis")
    coloured = pixels(compared.drawn(), "Grad-CAM")
    page.get_by_role("slider", name="Size").fill("300")
    page.get_by_role("checkbox", name="Clip").uncheck()
    page.get_by_role("checkbox", name="Difference").check()
    page.get_by_role("button", name="Zoom in").click()
    compared.tile("Grad-CAM").get_by_role("button").hover()
    page.get_by_role("button", name="Fit the whole image").click()
    page.wait_for_timeout(300)
    assert (compared.sent, compared.asked) == (sent, asked)
    assert before != dimmed != coloured


def test_crosshair_reads_the_values_that_the_export_holds(compared: Any) -> None:
    maps = np.load(io.BytesIO(exported(compared, "Raw maps")))
    stage = compared.tile("Grad-CAM").get_by_role("button")
    box = stage.bounding_box()
    for u, v in ((0.3, 0.4), (0.52, 0.51), (0.8, 0.2)):
        compared.page.mouse.move(box["x"] + u * box["width"], box["y"] + v * box["height"])
        place = compared.page.locator("figure.lead .value").first.inner_text()
        x, y = map(int, re.findall(r"\d+", place))
        for title, name in (("Grad-CAM", "grad_cam"), ("Saliency", "saliency")):
            values = next(maps[key] for key in maps.files if key.startswith(f"{name}-"))
            seen = number(compared.tile(title).locator(".value").inner_text())
            reach = float(np.abs(values).max())
            assert seen == pytest.approx(float(values[y, x]), rel=6e-3, abs=reach / 30_000)


def test_zoom_is_linked_and_the_crosshair_follows_the_keyboard(compared: Any) -> None:
    page = compared.page
    stage = compared.tile("Saliency").get_by_role("button")
    stage.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    shapes = page.locator(".sheet").evaluate_all("all => all.map(one => getComputedStyle(one).transform)")
    assert len(set(shapes)) == 1
    assert shapes[0].startswith("matrix(1.5")
    values = [compared.tile(name).locator(".value").inner_text() for name in ("Grad-CAM", "Saliency")]
    assert all(values)
    expect(page.get_by_role("status").filter(has_text="Saliency")).to_have_count(1)
    page.keyboard.press("0")
    assert page.locator(".sheet").first.evaluate("one => getComputedStyle(one).transform").startswith("matrix(1,")


def test_a_tile_opens_at_large_and_gives_the_focus_back(compared: Any) -> None:
    stage = compared.tile("Grad-CAM").get_by_role("button")
    facts = compared.tile("Grad-CAM").locator(".facts").inner_text()
    layer = load("flowers-double-12c").survey.default
    assert re.fullmatch(rf"{layer} · [\d.]+ m?s · 1 forward \+ [\d] backward", facts), (
        "in no other letters than names and units have"
    )
    stage.focus()
    compared.page.keyboard.press("Enter")
    drawer = compared.page.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name="Grad-CAM")).to_be_visible()
    expect(drawer.get_by_text("Passes", exact=True)).to_be_visible()
    expect(drawer.get_by_text(layer, exact=True)).to_be_visible()
    expect(drawer.get_by_text(EXPLAINERS["grad_cam"].formula)).to_be_visible()
    compared.page.keyboard.press("Escape")
    expect(compared.page.get_by_role("dialog")).to_have_count(0)
    assert stage.evaluate("node => node === node.getRootNode().activeElement")


def test_two_classes_and_their_difference(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?cls=0&cls=1&{CHEAP}")
    tab.page.get_by_role("checkbox", name="Difference").check()
    expect(tab.page.locator("figure.lead")).to_have_count(3)
    assert "−" in tab.tile("Grad-CAM", 2).locator(".target").inner_text()
    low, zero, high = (number(text) for text in tab.tile("Grad-CAM", 2).locator(".ends span").all_inner_texts())
    assert (low, zero) == (-high, 0)
    raw = np.load(io.BytesIO(exported(tab, "Raw maps")))
    box = tab.tile("Grad-CAM").get_by_role("button").bounding_box()
    tab.page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"])
    x, y = map(int, re.findall(r"\d+", tab.page.locator("figure.lead .value").first.inner_text()))
    for title, name in (("Grad-CAM", "grad_cam"), ("Saliency", "saliency")):
        one, two = raw[f"{name}-0"], raw[f"{name}-1"]
        reach = float(max(np.abs(one).max(), np.abs(two).max())) / 30_000
        seen = number(tab.tile(title, 2).locator(".value").inner_text())
        assert seen == pytest.approx(float(one[y, x] - two[y, x]), rel=6e-3, abs=2 * reach)


def test_ranges_mean_the_same_in_the_browser_and_in_the_exported_figure(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?{TWELVE}")
    page = tab.page
    titles = {name: EXPLAINERS[name].title for name in ("grad_cam", "saliency", "guided_backprop", "input_x_gradient")}
    raw = np.load(io.BytesIO(exported(tab, "Raw maps")))
    maps = {(row, name): DrawnMap(raw[f"{name}-{row}"], EXPLAINERS[name].signed) for row in range(3) for name in titles}
    figures = set()
    for mode in MODES:
        page.get_by_role("combobox", name="Range", exact=True).select_option(mode)
        meant = "method" if mode == "auto" else mode  # of several classes
        for clip in (False, True):
            more(page)
            page.get_by_role("checkbox", name="Clip").set_checked(clip)
            tab.drawn()
            for (row, name), span in spans(maps, Style(range=meant, clip=clip)).items():
                low, _, high = tab.tile(titles[name], row).locator(".ends span").all_inner_texts()
                reach = float(np.abs(maps[row, name].values).max())
                wanted = pytest.approx((span.low, span.high), rel=6e-3, abs=reach / 30_000)
                assert (number(low), number(high)) == wanted, (mode, clip, name, row)
        figures.add(exported(tab, "Figure PNG"))
    assert len(figures) >= len(MODES) - 2  # these maps begin at zero: least to greatest is their own range


def test_an_open_tile_is_exported(server: Any, tabs: Callable[..., Any]) -> None:
    tab = tabs(permissions=["clipboard-read", "clipboard-write"])
    tab.open(f"{server.url}/compare?{CHEAP}")
    page, raw = tab.page, np.load(io.BytesIO(exported(tab, "Raw maps")))
    page.get_by_role("slider", name="Opacity").fill("1")
    tab.tile("Saliency").get_by_role("button").click()
    drawer = page.get_by_role("dialog")
    pictures = []
    for threshold in (0, 1):
        page.get_by_role("slider", name="Threshold", include_hidden=True).evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", threshold
        )
        with page.expect_download() as saved:
            drawer.get_by_role("button", name="Picture").click()
        pictures.append(Image.open(saved.value.path()).convert("RGB"))
    assert min(pictures[0].size) >= 672
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()
    with page.expect_download() as saved:
        drawer.get_by_role("button", name="Raw values").click()
    key = next(key for key in raw.files if key.startswith("saliency-"))
    assert saved.value.suggested_filename.endswith(f"-{key}.npy")
    assert (np.load(saved.value.path()) == raw[key]).all()
    drawer.get_by_role("button", name="Copy command").press("Enter")
    drawer.get_by_text("Command copied").wait_for()
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == drawer.locator("code").inner_text()
    assert "--method saliency --target" in line


def test_agreement_follows_the_maps(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?{TWELVE}")
    page = tab.page
    page.locator(".matrix tbody th").nth(3 * 6 - 1).wait_for()
    expect(page.locator(".matrix table")).to_have_count(3)
    rows = page.locator(".matrix table").first.locator("tbody th").all_inner_texts()
    assert rows == ["Grad-CAM", "Saliency", "Guided backprop", "Input × gradient", "Random", "Edge detector"]
    raw = np.load(io.BytesIO(exported(tab, "Raw maps")))
    maps = np.stack([raw[f"{name}-0"] for name in ("grad_cam", "saliency")])
    cells = page.locator(".matrix table").first.locator("tbody td")
    assert number(cells.nth(1).inner_text()) == pytest.approx(spearman(maps)[0, 1], abs=0.006)
    assert number(cells.nth(6).inner_text()) == pytest.approx(overlap(maps)[0, 1], abs=0.006)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Agreement as CSV").click()
    table = pd.read_csv(saved.value.path())
    assert len(table) == 3 * 15
    assert table["spearman"][0] == pytest.approx(spearman(maps)[0, 1], abs=1e-4)


def choose(tab: Any, chips: Any, text: str) -> None:
    """Click a class and wait until its maps are there."""
    label = text.split("\n", maxsplit=1)[0]
    chips.locator(".class").filter(has_text=label).first.click()
    chips.get_by_role("button", pressed=True, name=label).wait_for()
    tab.page.locator("figure.lead .title", has_text=label).wait_for()
    tab.settle()


def test_a_class_seen_before_costs_no_pass(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?{CHEAP}")
    chips = tab.page.get_by_role("group", name="Most probable classes")
    first = chips.get_by_role("button", pressed=True).inner_text()
    other = chips.get_by_role("button", pressed=False).first.inner_text()
    choose(tab, chips, other)
    pushed, got = server.census()["pushed"], tab.got
    choose(tab, chips, first)
    assert server.census()["pushed"] == pushed
    print(f"bytes to the browser for a class seen before: {tab.got - got:,}")


def test_stop_keeps_what_there_is(server: Any, tab: Any) -> None:
    before = server.census()["pushed"]
    tab.page.goto(f"{server.url}/compare?m=grad_cam,rise&set=rise.masks:8000")
    run = tab.page.get_by_role("button", name=re.compile("^Compute"))
    stop = tab.page.get_by_role("button", name="Stop", exact=True)
    run.click()
    tab.page.locator('figure[data-phase="running"] .title', has_text="RISE").wait_for()
    stop.click()
    tab.settle()
    tile = tab.tile("RISE")
    text = tile.inner_text().lower()
    assert "stopped" in text or "unfinished" in text
    assert tab.tile("Grad-CAM").locator(".ends").inner_text()
    assert tab.until(lambda: server.census()["jobs"] == 0)
    assert server.census()["pushed"] - before < 8000, "the work went on although it was stopped"


def test_one_tile_is_stopped_and_the_others_go_on(server: Any, tab: Any) -> None:
    long = ("rise.masks", "lime_image.samples", "kernel_shap.samples")
    settings = "&".join(f"set={name}:8000" for name in long)
    tab.page.goto(f"{server.url}/compare?m=rise,lime_image,kernel_shap&{settings}&set=lime_image.cut:slic")
    tab.page.get_by_role("button", name=re.compile("^Compute")).click()
    first, second, third = (tab.tile(name) for name in ("RISE", "LIME", "KernelSHAP"))
    third.get_by_role("button", name="from the queue").press("Enter")
    tab.page.locator('figure[data-phase="waiting"] .title', has_text="KernelSHAP").wait_for()
    first.get_by_text("convergence").wait_for()
    first.get_by_role("button", name="Stop").click()
    second.get_by_text("convergence").wait_for()
    first.locator(".facts").filter(has_text=re.compile("unfinished", re.IGNORECASE)).wait_for()
    second.get_by_role("button", name="Stop").click()
    tab.settle()
    assert [tile.get_attribute("data-phase") for tile in (first, second, third)] == ["done", "done", "waiting"]


def test_the_link_holds_the_look(server: Any, tabs: Callable[..., Any]) -> None:
    tab = tabs(permissions=["clipboard-read", "clipboard-write"])
    tab.open(f"{server.url}/compare?{CHEAP}")
    tab.page.get_by_role("slider", name="Opacity").fill("0.4")
    tab.page.get_by_role("combobox", name="Range", exact=True).select_option("row")
    tab.page.get_by_role("button", name="Copy link").click()
    tab.page.get_by_text("Link copied").wait_for()
    link = tab.page.evaluate("navigator.clipboard.readText()")
    other = tabs().open(link)
    assert other.page.get_by_role("slider", name="Opacity").input_value() == "0.4"
    assert other.page.get_by_role("combobox", name="Range", exact=True).input_value() == "row"
    expect(other.page.locator("figure.tile:not(.lead)")).to_have_count(3)


def test_exports(compared: Any) -> None:
    assert exported(compared, "Figure PNG")[:8] == b"\x89PNG\r\n\x1a\n"
    assert exported(compared, "Figure PDF").startswith(b"%PDF-")
    assert ">Grad-CAM</text>" in exported(compared, "Figure SVG").decode()
    assert exported(compared, "Scores").decode().splitlines()[0].startswith("image,model,method")
    compared.page.get_by_role("button", name="Export").click()
    assert "vitrine explain" in compared.page.locator(".menu code").inner_text()


def test_presentation_and_its_key(compared: Any) -> None:
    page = compared.page
    page.keyboard.press("p")
    page.get_by_test_id("stSidebar").wait_for(state="hidden")
    page.keyboard.press("Escape")
    page.get_by_test_id("stSidebar").wait_for(state="visible")


@pytest.mark.parametrize(("address", "rooms"), [(f"compare?{CHEAP}", ["On a map"]), ("methods", [])])
def test_a_question_mark_lists_the_keys_of_the_page(server: Any, tab: Any, address: str, rooms: list[str]) -> None:
    tab.open(f"{server.url}/{address}")
    keys = tab.page.get_by_role("dialog", name="Keys")
    tab.page.keyboard.press("?")
    keys.wait_for()
    assert keys.get_by_role("heading", level=3).all_inner_texts() == ["On every page", "In the image strip", *rooms]
    expect(keys.get_by_text("presentation")).to_be_visible()
    assert not found(tab.page)
    tab.page.keyboard.press("Escape")
    keys.wait_for(state="hidden")
