"""One method across many images in a browser: uploads with a broken file among them, a folder, its pages, exports."""

import io
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from core.cli import main
from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pixels[..., seed % 3] //= 8
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images, the third of them broken, and a text."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(40):
        (root / f"{number:02}.png").write_bytes(png(number))
    (root / "02.png").write_bytes(png(2)[:90])
    (root / "notes.txt").write_text("no image")
    return root


def titles(tab: Any) -> list[str]:
    return tab.page.locator("figure.tile .title").all_inner_texts()


def images(tab: Any) -> None:
    """Open the choice of images."""
    tab.page.get_by_test_id("stPopover").filter(has_text="Images").get_by_role("button").first.click()


def open_folder(tab: Any, path: Path) -> None:
    """Open a folder in the choice of images."""
    images(tab)
    field = tab.page.get_by_label("Folder or zip archive of images")
    field.fill(str(path))
    field.press("Enter")
    tab.page.get_by_role("button", name="Open folder").click()


def test_a_folder_is_compared_page_by_page(tab: Any, server: Any, folder: Path) -> None:
    tab.open(f"{server.url}/compare?by=images&method=saliency")
    open_folder(tab, folder)
    expect(tab.page.get_by_text("photos is open: 40 images. Left out: files that are no images (notes.txt): 1.")
           ).to_be_visible()  # fmt: skip
    expect(tab.page.locator("figure.tile")).to_have_count(24)
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(23)
    broken = tab.page.locator('figure.tile[data-phase="failed"]')
    expect(broken).to_have_count(1)
    expect(broken).to_contain_text("02.png is incomplete or damaged")
    assert titles(tab) == [f"{number:02}.png" for number in range(24)]
    colours = tab.page.evaluate(PAINTED)
    assert len(set(colours)) == 23, "every tile has the map and the photo of its own image"
    strip = tab.page.get_by_role("group", name="Images")
    expect(strip.locator('button[data-id^="folder-"] img[src]')).to_have_count(23)  # what is broken has none
    tab.page.get_by_role("button", name="Later images of the folder").click()
    expect(tab.page.get_by_text("25–40 of 40").first).to_be_visible()
    expect(strip.locator('button[data-id^="folder-"] img[src]')).to_have_count(16)
    tab.page.get_by_role("button", name="Page 2", exact=True).click()
    expect(tab.page.locator("figure.tile")).to_have_count(16)
    tab.settle()
    assert titles(tab) == [f"{number:02}.png" for number in range(24, 40)]
    expect(tab.page).to_have_url(re.compile(r"by=images.*page=2|page=2.*by=images"))
    tab.page.get_by_role("button", name="Close photos").click()
    expect(strip.locator('button[data-id^="folder-"]')).to_have_count(0)
    tab.settle()
    assert "00.png" not in titles(tab)


def test_a_slow_server_leaves_no_tile_out(
    tab: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of the page that run again before the server sent them: without `unsent.keep` most runs of this fail."""
    monkeypatch.setenv("VITRINE_TEST_BATCH", "1500")
    server = Server(tmp_path)
    try:
        tab.open(f"{server.ready().url}/compare?by=images&method=saliency")
        open_folder(tab, folder)
        for _ in range(3):
            expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(23)
            tab.page.keyboard.press("Escape")
            tab.page.get_by_role("button", name="Page 2", exact=True).click()
            expect(tab.page.locator("figure.tile")).to_have_count(16)
            tab.page.get_by_role("button", name="Page 1", exact=True).click()
        expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(23)
    finally:
        server.stop()


# What is painted in each tile with a map: a sum over its canvas and over its photo.
PAINTED = """() => [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
  .flatMap((place) => [...place.shadowRoot.querySelectorAll('figure.tile.mapped')])
  .map((tile) => {
    const canvas = tile.querySelector('.sheet canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.reduce((sum, one, index) => (sum * 31 + one) % 1000003, 7) + tile.querySelector('img').src;
  })"""


def test_uploads_are_exported_together(tab: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tab.open(f"{server.url}/compare?by=images&method=saliency")
    images(tab)
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": png(n)} for n in range(3)]
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": png(9)[:80]}
    tab.page.locator('input[type="file"]').set_input_files([*files, broken])
    expect(tab.page.get_by_text("broken.png is incomplete or damaged")).to_be_visible()
    expect(tab.page.get_by_label("Folder or zip archive of images")).to_be_visible()  # the choice stays open
    expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(3)
    tab.settle()
    assert titles(tab) == ["0.png", "1.png", "2.png"]
    tab.page.keyboard.press("Escape")
    saved = {}
    for kind in ("NPZ", "CSV", "PNG"):
        tab.page.get_by_role("button", name="Export", exact=True).click()
        with tab.page.expect_download() as download:
            tab.page.locator(".menu button", has_text=kind).click()
        saved[kind] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename == f"3 images.{kind.lower()}"
    assert saved["CSV"].decode().count(".png,") == 3
    assert Image.open(io.BytesIO(saved["PNG"])).width > 3 * 256
    tab.page.get_by_role("button", name="Export", exact=True).click()
    command = tab.page.locator(".menu code").inner_text()
    for file in files:
        (tmp_path / file["name"]).write_bytes(file["buffer"])
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0
    with np.load(io.BytesIO(saved["NPZ"])) as shown:
        assert len(shown.files) == 3
        for name in shown.files:
            image, method, target = name.split("-")
            with np.load(tmp_path / "out" / image / "maps.npz") as made:
                assert np.allclose(made[f"{method}-{target}"], shown[name], atol=1e-6)


def test_a_link_keeps_the_images_and_one_class(tabs: Callable[..., Any], server: Any) -> None:
    tab = tabs()
    tab.open(f"{server.url}/compare?by=images&method=grad_cam&class=2")
    expect(tab.page.locator('figure.tile[data-phase="done"]').first).to_be_visible()
    tab.settle()
    address = tab.page.url
    assert {"by=images", "class=2"} <= set(address.partition("?")[2].split("&"))
    labels = tab.page.locator("figure.tile .target").all_inner_texts()
    assert len({label.partition(" · ")[0] for label in labels}) == 1
    again = tabs()
    again.open(address)
    expect(again.page.locator('figure.tile[data-phase="done"]').first).to_be_visible()
    again.settle()
    assert again.page.locator("figure.tile .target").all_inner_texts() == labels
    again.page.get_by_role("radio", name="Methods").click()
    expect(again.page.locator("figure.tile.lead")).to_have_count(1)


def test_class_folders_mark_predictions_and_a_presentation_fits(tab: Any, server: Any, tmp_path: Path) -> None:
    root = tmp_path / "flowers"
    for number, name in enumerate(("red-petals", "violet-stem")):
        (root / name).mkdir(parents=True)
        for n in range(4):
            (root / name / f"{n}.png").write_bytes(png(10 * number + n))
    tab.open(f"{server.url}/compare?by=images&method=saliency")
    open_folder(tab, root)
    expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(8)
    expect(
        tab.page.get_by_text(re.compile(r"Predictions right: \d of 8 shown with a known true class"))
    ).to_be_visible()
    tab.settle()
    right = 0
    for name, target in zip(titles(tab), tab.page.locator("figure.tile .target").all_inner_texts(), strict=True):
        true, predicted = name.partition("/")[0], target.partition(" · ")[0]
        assert ("✓ right" in target) == (predicted == true)
        assert target.endswith(f"✗ wrong\nTrue class: {true}") == (predicted != true)
        right += predicted == true
    expect(tab.page.get_by_text(f"Predictions right: {right} of 8 ")).to_be_visible()
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("button", name="Present", exact=True).click()
    expect(tab.page.locator(".presentation figure.tile")).to_have_count(6)
    tab.settle()
    note = tab.page.locator(".presentation .note")
    assert note.bounding_box()["y"] + note.bounding_box()["height"] <= 900
    for caption in tab.page.locator(".presentation figcaption").all():
        frame = caption.locator("xpath=following-sibling::*[1]").bounding_box()
        assert caption.locator(".target").bounding_box()["y"] > caption.locator(".title").bounding_box()["y"]
        assert caption.bounding_box()["y"] + caption.bounding_box()["height"] <= frame["y"]


def test_keys_leaf_through_a_presentation(tab: Any, server: Any, folder: Path) -> None:
    tab.open(f"{server.url}/compare?by=images&method=saliency")
    open_folder(tab, folder)
    expect(tab.page.locator('figure.tile[data-phase="done"]')).to_have_count(23)
    tab.settle()
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("button", name="Page 2", exact=True).click()
    expect(tab.page.locator("figure.tile")).to_have_count(16)
    tab.settle()
    tab.page.keyboard.press("p")
    note = tab.page.locator(".presentation .note")
    expect(note).to_contain_text("25–30 of 40")
    expect(tab.page.locator(".presentation figure.mapped")).to_have_count(6)
    tab.page.keyboard.press("ArrowRight")
    expect(note).to_contain_text("31–36 of 40")
    tab.page.keyboard.press("ArrowRight")
    expect(note).to_contain_text("37–40 of 40")
    expect(tab.page.locator(".presentation figure.mapped")).to_have_count(4)
    tab.settle()
    assert titles(tab) == [f"{number:02}.png" for number in range(36, 40)]
    expect(tab.page).to_have_url(re.compile("leaf=7"))
    tab.page.keyboard.press("ArrowRight")
    expect(note).to_contain_text("1–6 of 40")
    tab.settle()
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator("figure.tile")).to_have_count(24)
    expect(tab.page.get_by_text("Images 1–24 of 40")).to_be_visible()
    tab.settle()
    assert "leaf=" not in tab.page.url
