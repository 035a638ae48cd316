"""Masks on the page of measures: drawn, uploaded for one image or for many, kept, and on the command line."""

import io
import re
import shlex
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.comparison import MeasureRequest, Pair
from core.data.masks import mask_folder
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui import components
from pages.ui.session import masks, state
from tests.app.measure.test_measure import assessment, checked, finished, measure, png, said, table
from tests.pages_list import FILES

COLUMN = "Energy-based pointing ↑"
WHOLE = [[0, 0, 48, 0, 48, 40, 0, 40]]
PART = [[10.0, 5.0, 30.0, 5.0, 30.0, 20.0, 10.0, 20.0], [2.0, 30.0, 20.0, 22.0, 30.0, 38.0]]


class Drawing:
    """What the part of the page in the browser is given, and what it answers."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.outlines: object = None

    def show(self, data: dict[str, Any], key: str, drawn: Callable[[], None]) -> None:
        self.data.append(data)
        if self.outlines is not None:
            st.session_state[key], self.outlines = {"done": self.outlines}, None
            drawn()


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawing]:
    one = Drawing()
    monkeypatch.setattr(components, "mask_drawing", one.show)
    return one


def white(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


def draw(session: state.Session, app: AppTest, drawing: Drawing, outlines: object) -> AppTest:
    drawing.outlines = outlines
    return finished(session, app.button(key="draw-mask").click().run())


def command(app: AppTest) -> list[str]:
    return shlex.split(next(one.value for one in app.code if "vitrine" in one.value))


def test_a_mask_is_drawn_kept_changed_and_removed(
    session: state.Session, photo: bytes, drawing: Drawing, tmp_path: Path
) -> None:
    picture = session.add(photo, "mine.jpg")
    app = measure(session, metrics="energy_pointing,deletion_auc", img=picture.sha)
    before = table(app)
    assert before["Saliency"][COLUMN] == "–"
    assert "--masks" not in command(app)
    app = draw(session, app, drawing, PART)
    assert drawing.data[0]["outlines"] == []
    assert (drawing.data[0]["width"], drawing.data[0]["height"]) == picture.pixels.shape[1::-1]
    after = table(app)
    assert re.match(r"0\.\d+ · #\d", after["Saliency"][COLUMN])
    assert after["Saliency"]["Deletion AUC ↓"] == before["Saliency"]["Deletion AUC ↓"], "it needs no mask"

    words = command(app)
    assert words[words.index("--masks") + 1] == "MASKS"
    assert "MASKS is a folder with the mask, mine.png, which can be downloaded under Mask." in said(app)
    assert masks.given(picture).file == "mine.png"
    (tmp_path / "mine.png").write_bytes(masks.given(picture).content)
    bench, size = assessment(session).comparison.bench, picture.pixels.shape[:2]
    read = mask_folder(tmp_path, ["mine.jpg"]).mask("mine.jpg", size, bench.model.preprocess)
    assert np.array_equal(read.mask, assessment(session).annotations[picture.key].mask)

    app.switch_page(FILES["Methods"]).run()
    app = finished(session, app.switch_page(FILES["Measure"]).run())
    assert table(app)["Saliency"][COLUMN] == after["Saliency"][COLUMN], "also after another page"
    app = draw(session, app, drawing, WHOLE)
    assert drawing.data[-1]["outlines"] == PART, "it goes on from what was drawn"
    assert table(app)["Saliency"][COLUMN].startswith("1.000")
    next(one for one in app.button if one.label == "Remove this mask").click().run()
    assert table(finished(session, app))["Saliency"][COLUMN] == "–"


@pytest.mark.parametrize("outlines", [[], [[1, 2, 3]], "nonsense", [[500, 500, 600, 500, 600, 600]]])
def test_a_drawing_that_marks_nothing_is_refused(
    session: state.Session, photo: bytes, drawing: Drawing, outlines: object
) -> None:
    picture = session.add(photo, "mine.jpg")
    app = measure(session, metrics="energy_pointing", img=picture.sha)
    drawing.outlines = outlines
    app.button(key="draw-mask").click().run()
    (error,) = checked(app).error
    assert error.value.startswith("The drawing ")
    assert masks.given(picture) is None
    assert len(drawing.data) == 1


def test_a_mask_replaces_that_of_an_example_until_it_is_removed(session: state.Session, drawing: Drawing) -> None:
    app = measure(session, metrics="energy_pointing")
    before = table(app)["Saliency"][COLUMN]
    (picture,) = assessment(session).comparison.pictures
    height, width = picture.pixels.shape[:2]
    app = draw(session, app, drawing, [[0, 0, width, 0, width, height, 0, height]])
    assert table(app)["Saliency"][COLUMN].startswith("1.000")
    next(one for one in app.button if one.label == "Remove this mask").click().run()
    assert table(finished(session, app))["Saliency"][COLUMN] == before


def test_a_new_mask_does_not_stop_other_measures(session: state.Session, drawing: Drawing) -> None:
    app = measure(session, metrics="energy_pointing,deletion_auc")
    found = assessment(session)
    draw(session, app, drawing, [[0, 0, 300, 0, 300, 300, 0, 300]])
    assert assessment(session) is found
    assert not found.job.stopping


def test_measures_of_compare_go_on_when_the_page_changes(session: state.Session) -> None:
    app = measure(session, metrics="energy_pointing,deletion_auc")
    app = app.switch_page(FILES["Compare"]).run()
    found = assessment(session)
    found.start(found.open([MeasureRequest("cascading_randomisation")]))
    job = found.job
    app.query_params["metrics"] = "energy_pointing,deletion_auc"
    app = app.switch_page(FILES["Measure"]).run()
    assert assessment(session) is found
    assert found.job is job
    assert not job.stopping
    finished(session, app)
    assert found.outcome(Pair(found.comparison.tiles[0], MeasureRequest("cascading_randomisation")))


def test_masks_of_many_images_are_matched_by_name(session: state.Session) -> None:
    for seed in range(5):
        session.add(png(seed), f"{seed}.png")
    app = measure(session, by="images", of="uploads", metrics="energy_pointing", m="saliency,random")
    assert table(app)["Saliency"][COLUMN] == "–"
    assert "0 of 5 images have a mask of their object." in said(app)
    half = np.zeros((64, 64), bool)
    half[:, :32] = True
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("masks/1.png", white(half))
        archive.writestr("masks/2.png", white(half[:, :20]))
        archive.writestr("notes.txt", "nothing")
    uploader = next(one for one in app.file_uploader if one.key.startswith("masks-of-many"))
    uploader.set_value([
        ("0.png", white(half), "image/png"), ("stray.png", white(half), "image/png"),
        ("set.zip", stream.getvalue(), "application/zip"),
    ]).run()  # fmt: skip
    assert "3 masks added" not in said(app)
    assert "4 masks added. Left out: files that hold no masks (notes.txt): 1." in said(app)
    app = finished(session, app)
    text = said(app)
    assert "2 of 5 images have a mask of their object." in text
    assert "Without a mask: 3.png, 4.png." in text
    assert "does not have the proportions of the image" in text
    assert "1 mask belongs to none of the images (stray)." in text
    assert "n = 2" in table(app)["Saliency"][COLUMN]
    known = assessment(session).annotations
    assert len(known) == 2
    for mask in known.values():
        assert mask.mask.mean() == pytest.approx(0.5)
    assert command(app)[command(app).index("--masks") + 1] == "MASKS"

    single = session.add(png(1), "1.png")
    app.query_params["img"] = single.sha
    app.query_params["by"] = "methods"
    app = measure(session, metrics="energy_pointing", img=single.sha)
    assert "From masks/1.png, one of the masks for many images." in said(app)
    app = measure(session, by="images", of="uploads", metrics="energy_pointing", m="saliency,random")
    next(one for one in app.button if one.label == "Remove these files").click().run()
    assert table(finished(session, app))["Saliency"][COLUMN] == "–"


def test_the_class_box_of_many_images_says_its_default(session: state.Session) -> None:
    session.add(png(0), "0.png")
    app = measure(session, by="images", of="uploads", metrics="entropy")
    box = next(one for one in app.selectbox if one.label == "Class")
    assert box.value is None
    assert box.placeholder == "Predicted for each image"
