"""One method across many images, without a browser: uploads, archives, folders, and what is broken among them."""

import html
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.comparison import Comparison
from core.data.listing import LeftOut
from core.data.uploaded import MOST, images_of
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.images import decode
from core.models import load
from core.workbench import Workbench
from pages.ui.explore import gallery
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    pixels[..., seed % 3] //= 8
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def compare(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Compare"]).run()
    return checked(app)


def checked(app: AppTest) -> AppTest:
    assert [fault.value for fault in app.exception] == []
    assert not [box.value for box in app.error if "defect" in box.value]
    return app


def said(app: AppTest) -> str:
    boxes = [*app.error, *app.warning, *app.info, *app.caption]
    return html.unescape(" ".join(box.value for box in boxes))


def part(app: AppTest, name: str) -> dict[str, Any]:
    found = [one.proto.json for one in app.get("bidi_component") if one.proto.component_name == f"vitrine_{name}"]
    return json.loads(found[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty images, one of them broken, and a text."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(30):
        (root / f"{number:02}.png").write_bytes(png(number))
    (root / "03.png").write_bytes(png(3)[:90])
    (root / "notes.txt").write_text("no image")
    return root


def opened(app: AppTest, folder: Path) -> AppTest:
    app.text_input(key="open-folder").set_value(str(folder)).run()
    next(button for button in app.button if button.label == "Open folder").click().run()
    return checked(app)


def test_uploads_are_explained_by_one_method_for_their_own_classes(session: state.Session) -> None:
    for seed in range(6):
        session.add(png(seed), f"{seed}.png")
    app = compare(by="images", method="saliency")
    grid = part(app, "comparison_grid")
    assert grid["gallery"]
    shown = session.comparison
    assert shown
    until(lambda: not shown.running)
    assert [row["picture"] for row in grid["rows"]] == [f"{seed}.png" for seed in range(6)]
    assert [tile.request.name for tile in shown.tiles] == ["saliency"] * 6
    for row, seed in zip(grid["rows"], range(6), strict=True):
        alone = Workbench(shown.bench.model)
        index, label, chance = alone.top(decode(png(seed), ""), 1)[0]
        assert (row["target"], row["label"]) == (str(index), label)
        assert row["chance"] == pytest.approx(chance, abs=1e-5)
    app.run()
    strip = part(app, "image_strip")
    assert "--target" not in strip["command"]
    assert all(f"{seed}.png" in strip["command"] for seed in range(6))
    assert not [one for one in app.get("bidi_component") if one.proto.component_name == "vitrine_class_chips"]


def test_one_class_may_be_explained_for_all(session: state.Session) -> None:
    for seed in range(3):
        session.add(png(seed), f"{seed}.png")
    app = compare(by="images", method="saliency", **{"class": "4"})
    assert [row["target"] for row in part(app, "comparison_grid")["rows"]] == ["4", "4", "4"]
    shown = session.comparison
    assert shown
    until(lambda: not shown.running)
    assert "--target" in shown.command()
    assert app.query_params["by"] == "images", "a link keeps it"
    assert app.query_params["class"] == "4"


def test_a_folder_is_paged_and_what_is_broken_stops_no_other(session: state.Session, folder: Path) -> None:
    app = opened(compare(by="images", method="saliency"), folder)
    assert "photos is open: 30 images. Left out: files that are no images (notes.txt): 1." in said(app)
    strip = part(app, "image_strip")
    assert len([item for item in strip["items"] if item["id"].startswith("folder-")]) == 24
    assert strip["folder"] == {"name": "photos", "span": "1–24 of 30", "pages": 2}
    grid = part(app, "comparison_grid")
    assert [row["picture"] for row in grid["rows"]] == [f"{number:02}.png" for number in range(24)]
    assert grid["rows"][3]["label"] == ""
    assert grid["cells"][3] == ["unread-3"]
    shown = session.comparison
    assert shown
    until(lambda: not shown.running)
    assert shown.count() == "maps 23 of 23"
    assert "Images 1–24 of 30" in said(app)
    app.session_state[app.session_state["gallery.pages"]] = 2
    app.run()
    assert app.query_params["page"] == "2"
    assert [row["picture"] for row in part(app, "comparison_grid")["rows"]] == [f"{n:02}.png" for n in range(24, 30)]
    assert session.folder
    assert len(session.folder._shas) <= 30


def test_only_what_is_shown_of_a_large_folder_is_decoded(
    session: state.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    content = png(0)
    for number in range(3000):
        (many / f"{number:04}.png").write_bytes(content)
    app = opened(compare(by="images", method="saliency"), many)
    assert session.folder
    assert len(session.folder) == 3000
    assert len(session.folder._shas) <= 24
    assert len(part(app, "image_strip")["items"]) <= len(state.samples()) + 24 + 1
    assert len(part(app, "comparison_grid")["cells"]) == 24


@pytest.mark.parametrize(("content", "reason"), [(None, "There is no image in"), ("notes.txt", "notes.txt")])
def test_a_folder_without_images_is_one_sentence(
    session: state.Session, tmp_path: Path, content: str | None, reason: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if content:
        (empty / content).write_text("no image")
    app = opened(compare(by="images"), empty)
    assert reason in said(app)
    assert session.folder is None


def test_a_folder_can_be_paged_and_closed(session: state.Session, folder: Path) -> None:
    app = opened(compare(by="images", method="saliency"), folder)
    assert session.folder
    sha = session.folder.picture(5).sha
    shown = session.folder.item(5)
    assert session.folder.number(shown) == 5
    assert session.folder.number("folder-other-5") is None
    assert session.upload(sha)
    session.folder.turn(1)
    assert session.folder.numbers() == range(24, 30)
    session.folder.turn(1)
    assert session.folder.numbers() == range(24)
    assert [row["picture"] for row in part(app, "comparison_grid")["rows"]][:1] == ["00.png"]
    session.folder = None
    assert session.upload(sha) is None
    checked(app.run())
    assert part(app, "image_strip")["folder"] is None
    assert "isn't available here" in said(app), "as every image that is not there any more"


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def test_an_archive_is_unpacked_and_what_is_left_out_is_counted() -> None:
    left_out = LeftOut()
    packed = archive({"a/1.png": png(1), "b.txt": b"no image", "../up.png": png(2), ".hidden.png": png(3)})
    found = list(images_of([("x.png", png(0)), ("y.zip", packed)], left_out, 10**9))
    assert found == [("x.png", png(0)), ("a/1.png", png(1))]
    assert sum(left_out.counts.values()) == 3
    assert any("b.txt" in reason for reason in left_out.reasons())


def test_more_images_than_the_limit_are_counted() -> None:
    left_out = LeftOut()
    one = png(0)
    found = list(images_of([("y.zip", archive({f"{n}.png": one for n in range(MOST + 7)}))], left_out, 10**9))
    assert len(found) == MOST
    assert left_out.counts == {f"images above {MOST} at a time": 7}
    left_out = LeftOut()
    assert len(list(images_of([(f"{n}.png", one) for n in range(5)], left_out, 2 * len(one)))) == 2
    assert sum(left_out.counts.values()) == 3


@pytest.mark.parametrize("data", [b"PK\3\4 damaged", archive({"a.png": png(0)})[:-30]])
def test_a_damaged_archive_is_one_reason(data: bytes) -> None:
    left_out = LeftOut()
    assert list(images_of([("x.zip", data), ("a.png", png(0))], left_out, 10**9)) == [("a.png", png(0))]
    assert any("x.zip is damaged" in reason for reason in left_out.reasons())


def test_a_shared_server_opens_only_what_it_offers(
    session: state.Session, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    monkeypatch.setenv("VITRINE_DATA", str(folder))
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.png").write_bytes(png(50))
    (folder / "z-link.png").symlink_to(other / "secret.png")
    app = opened(compare(by="images", method="saliency"), other)
    assert "This server does not offer that folder" in said(app)
    assert session.folder is None
    monkeypatch.setattr("pages.ui.session.visitors.IMAGES", 25)
    app = opened(app, folder)
    assert session.folder
    assert "photos is open: 25 images. Of 31 images in it." in said(app)
    monkeypatch.setattr("pages.ui.session.visitors.IMAGES", 5000)
    app = opened(app, folder)
    with pytest.raises(Exception, match="outside the folders"):
        session.folder.picture(30)
    assert str(folder.parent) not in json.dumps(part(app, "image_strip"))


def test_a_presentation_leafs_through_all_images(session: state.Session, folder: Path) -> None:
    app = opened(compare(by="images", method="saliency"), folder)
    app.session_state[app.session_state["gallery.pages"]] = 2
    app.run()

    def shown() -> tuple[str, list[int]]:
        grid = part(app, "comparison_grid")
        return grid["gallery"], [int(row["picture"].removesuffix(".png")) for row in grid["rows"]]

    def present(on: bool) -> None:
        app.session_state["location"] = replace(app.session_state["location"], present=on)
        app.run()

    def leaf(by: int) -> None:
        app.session_state["gallery.leaf"] += by
        app.run()

    assert shown() == ("25–30 of 30", list(range(24, 30)))
    present(True)
    assert part(app, "image_strip")["leafing"]
    assert shown() == ("25–30 of 30", list(range(24, 30)))
    assert app.query_params["leaf"] == "5"
    leaf(1)
    assert shown() == ("1–6 of 30", list(range(6))), "after the last images the first"
    leaf(-1)
    leaf(-1)
    assert shown() == ("19–24 of 30", list(range(18, 24)))
    present(False)
    assert shown() == ("1–24 of 30", list(range(24))), "the page of the images presented last"
    assert "leaf" not in app.query_params


@pytest.mark.parametrize(("seconds", "started"), [(2.4, 24), (2.6, 23), (70, 0)])
def test_a_page_of_quick_maps_starts_without_a_click(
    session: state.Session, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, started: int
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(Workbench, "estimate", lambda self, requests: seconds * len(requests))
    monkeypatch.setattr(Comparison, "start", lambda self, tiles: begun.append(len(tiles)))
    (folder / "03.png").write_bytes(png(3))
    opened(compare(by="images", method="saliency"), folder)
    assert begun[-1] == started


def test_images_are_listed_by_group(session: state.Session) -> None:
    app = compare(by="images", method="saliency")
    rows = part(app, "comparison_grid")["rows"]
    assert len(rows) >= 2, "the examples, where nothing else is there"
    assert gallery.PAGE == 24


def flowers(root: Path) -> dict[str, bytes]:
    """Two class folders of the flower network, and one that it does not know."""
    members = {f"{name}/{n}.png": png(10 * at + n) for at, name in enumerate(CLASSES) for n in range(2)}
    for name, content in members.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return members


CLASSES = ("red-petals", "tulips", "violet-stem")


def marks(members: dict[str, bytes]) -> dict[str, tuple[str, str]]:
    """The expected mark and, where it is another, the true label of each image that is explained for its prediction."""
    model = load("flowers-double-12c")
    expected = {}
    for name, content in members.items():
        predicted = model.labels[int(Workbench(model).logits(decode(content, name)).argmax())]
        true = name.partition("/")[0]
        if true not in model.labels:
            expected[name] = ("", "")
        else:
            expected[name] = ("right", "") if predicted == true else ("wrong", true)
    return expected


def marked(app: AppTest) -> dict[str, tuple[str, str]]:
    return {row["picture"]: (row["mark"], row["true"]) for row in part(app, "comparison_grid")["rows"]}


def test_class_folders_mark_the_predictions(session: state.Session, tmp_path: Path) -> None:
    members = flowers(tmp_path / "flowers")
    app = opened(compare(by="images", method="saliency", model="flowers-double-12c"), tmp_path / "flowers")
    expected = marks(members)
    assert marked(app) == expected
    right = [mark for mark, _ in expected.values()].count("right")
    assert f"Predictions right: {right} of 4 shown with a known true class" in said(app)
    shown = session.comparison
    assert shown
    until(lambda: not shown.running)
    app = compare(by="images", method="saliency", model="flowers-double-12c", **{"class": "4"})
    labels = load("flowers-double-12c").labels
    for name, (mark, true) in marked(app).items():
        of = name.partition("/")[0]
        assert true == (of if of in labels and of != labels[4] else "")
        assert mark in ({"right", "true"} if of == labels[4] else {"", "wrong"})


def test_copies_of_an_image_in_two_class_folders_have_no_true_class(session: state.Session, tmp_path: Path) -> None:
    members = flowers(tmp_path / "flowers")
    (tmp_path / "flowers/violet-stem/0.png").write_bytes(members["red-petals/0.png"])
    app = opened(compare(by="images", method="saliency", model="flowers-double-12c"), tmp_path / "flowers")
    assert marked(app)["red-petals/0.png"] == marked(app)["violet-stem/0.png"] == ("", "")


def test_an_archive_of_class_folders_gives_true_classes(session: state.Session, tmp_path: Path) -> None:
    members = flowers(tmp_path / "flowers")
    app = compare(by="images", method="saliency", model="flowers-double-12c")
    app.file_uploader[0].set_value([("flowers.zip", archive(members), "application/zip")]).run()
    checked(app)
    assert "The class folders give the true classes of 4 images." in said(app)
    assert marked(app) == marks(members)
    labels = load("flowers-double-12c").labels
    assert set(session.true.values()) == {(name, labels.index(name)) for name in CLASSES if name in labels}


def test_a_folder_that_is_opened_again_is_read_again(session: state.Session, folder: Path) -> None:
    app = opened(compare(by="images", method="saliency"), folder)
    before = part(app, "comparison_grid")["rows"][0]
    assert session.folder
    session.folder.thumbnail(0)
    (folder / "00.png").write_bytes(png(77))
    (folder / "03.png").write_bytes(png(3))
    app = opened(app, folder)
    rows = part(app, "comparison_grid")["rows"]
    assert rows[0]["picture"] == before["picture"]
    assert rows[0]["photo"] != before["photo"]
    assert rows[3]["label"], "what was broken is mended"
    assert session.folder.picture(0).sha == decode(png(77), "").sha
