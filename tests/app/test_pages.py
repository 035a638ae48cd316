"""Every page without a browser: by its address, with an example and with an upload, and with what is hostile."""

import html
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from streamlit.testing.v1 import AppTest

from core.data.model_options import ModelOptions
from core.data.samples import samples
from core.explain import EXPLAINERS  # here, so that no page's time limit pays for importing torch
from core.explain.method import Explainer, Need
from core.explain.target_name import TargetName
from core.models import load
from core.models.sources.flower_networks import FOLDER
from core.workbench import Workbench
from pages.ui.explore.method_sets import REVIEW, SETS
from pages.ui.session import state
from tests.packets import packets
from tests.pages_list import FILES, HEADERS, PAGES, SCRIPT


@pytest.fixture
def app() -> Iterator[AppTest]:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []
    assert not [box.value for box in one.error if "defect" in box.value]


def parts(app: AppTest) -> list[str]:
    return [element.proto.component_name for element in app.get("bidi_component")]


def said(app: AppTest) -> str:
    return html.unescape(" ".join(box.value for box in [*app.error, *app.warning, *app.info]))


@pytest.mark.parametrize("title", list(PAGES.values()))
def test_a_page_is_alive_without_being_asked(app: AppTest, title: str) -> None:
    app.run()
    app.switch_page(FILES[title]).run()
    assert "vitrine_image_strip" in parts(app)
    assert ("vitrine_class_chips" in parts(app)) == ("classes" in HEADERS[title])
    assert not app.error
    assert not app.warning


def test_start_has_an_explained_example(app: AppTest) -> None:
    app.run()
    assert "vitrine_comparison_grid" in parts(app)
    session = app.session_state["location"]
    assert session.image
    assert session.model
    phases = [header["phase"] for header in packets(app, "packet") if "ask" in header]
    assert phases == ["done", "done"]
    assert len(shown(app, "vitrine_class_chips")["classes"]) >= 5
    doors = {link.proto.page for link in app.get("page_link")}
    assert {"compare", "patches", "methods"} <= doors


def test_an_upload_is_there_on_every_page(app: AppTest, photo: bytes) -> None:
    app.query_params["m"] = "saliency"
    app.run()
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    own = app.session_state["location"].image
    for title in PAGES.values():
        app.switch_page(FILES[title]).run()
        assert app.session_state["location"].image == own, title
        assert not app.error, title
        assert not app.warning, title


def test_free_forgets_results_and_keeps_images(app: AppTest, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[tuple[int, int, int]] = []
    free = state.Session.free

    def counted(session: state.Session) -> None:
        held = len(session.cache)
        free(session)
        freed.append((held, len(session.cache), len(session.uploads())))

    monkeypatch.setattr(state.Session, "free", counted)
    app.run()
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    own = app.session_state["location"].image
    assert re.fullmatch(r"Clear cached results \((< 1|\d+) of \d+ MB\)", app.button(key="clear-results").label)
    app.button(key="clear-results").click().run()
    ((before, after, images),) = freed
    assert before > 0
    assert after == 0
    assert images > 0
    assert app.session_state["location"].image == own
    assert "vitrine_comparison_grid" in parts(app)
    assert not app.error
    assert not app.warning


def test_removing_uploads_says_how_many_and_keeps_results_and_all_else(
    app: AppTest, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = state.Session()
    monkeypatch.setattr(state, "session", lambda: session)
    app.query_params.update({"m": "saliency", "seed": "3"})
    app.run()
    assert "remove-uploads" not in [button.key for button in app.sidebar.button]
    for name, content in (("mine.png", photo), ("other.png", turned(photo)), ("third.png", turned(turned(photo)))):
        app.file_uploader[0].set_value([(name, content, "image/png")]).run()
    own = app.session_state["location"].image
    session.label(own, ("red-petals", 4))
    session.share(own)
    assert re.fullmatch(r"Remove 3 uploaded images \(< 1 MB\)", app.button(key="remove-uploads").label)
    shown = session.comparison
    assert shown
    app.button(key="remove-uploads").click().run()
    assert (session.uploads(), session.true, session.shared()) == ({}, {}, set())
    assert shown.bench.cached(*shown.tiles[0], shown.seed), "results stay until they are cleared"
    here = app.session_state["location"]
    assert (here.image in state.samples(), here.methods, here.seed) == (True, ("saliency",), 3)
    assert "remove-uploads" not in [button.key for button in app.sidebar.button]
    assert not app.error


def turned(image: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(image)).rotate(90).save(stream, "PNG")
    return stream.getvalue()


def test_a_reset_says_how_many_settings_and_resets_those_of_its_method_only(app: AppTest) -> None:
    app.query_params.update({"m": "rise,occlusion", "set": ["rise.masks:300", "rise.cells:5", "occlusion.window:16"]})
    app.run()
    app.switch_page(FILES["Compare"]).run()
    texts = {button.key: button.label for button in app.button if (button.key or "").startswith("reset.")}
    assert texts == {"reset.rise": "Reset 2 changed settings", "reset.occlusion": "Reset 1 changed setting"}
    app.button(key="reset.rise").click().run()
    assert (app.session_state["settings"]["rise"], app.session_state["settings"]["occlusion"]) == ({}, {"window": 16})


EVIL = "<img src=x onerror=alert(1)> ![x](http://example.com/x.png)"


def test_a_label_is_shown_as_text(app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    shutil.copy(FOLDER / "flowers-single-6c.safetensors", tmp_path / "own.safetensors")
    labels.write_text("\n".join(f"{EVIL} {index}" for index in range(6)))
    monkeypatch.setenv("VITRINE_MODEL", f"flowers:{tmp_path / 'own.safetensors'}")
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"labels": str(labels)}))
    app.query_params["cls"] = [f"{EVIL} 3", f"{EVIL} 9"]
    app.query_params["m"] = "saliency"
    app.run()
    assert app.session_state["location"].targets == (TargetName((3,)),)
    assert any(entry["label"].startswith(EVIL) for entry in shown(app, "vitrine_class_chips")["classes"]), (
        "as JSON it is text"
    )
    assert "<img" in said(app), "the address named a class that there is not"
    for title in ("", "Compare", "Methods"):
        if title:
            app.switch_page(FILES[title]).run()
        texts = [*app.markdown, *app.caption, *app.header, *app.subheader, *app.error, *app.warning, *app.info]
        assert [box.value for box in texts if "<img" in box.value or "![x]" in box.value] == []


def test_methods_has_a_card_for_each_explainer(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = Workbench.usable
    monkeypatch.setattr(Workbench, "usable", lambda self: {**usable(self), "rise": "RISE is out of order."})
    app.run()
    app.switch_page(FILES["Methods"]).run()
    texts = html.unescape("\n".join(box.value for box in app.markdown))
    formulas = [box.value for box in app.code]
    for name, method in EXPLAINERS.items():
        for text in (f"#### {method.title}", method.summary, method.about, method.caution, method.source, f"`{name}`"):
            assert text in texts, name
        assert method.formula in formulas, name
    assert "RISE is out of order." in said(app)
    assert f"vitrine {version('vitrine')}" in html.unescape(" ".join(box.value for box in app.caption))


def test_a_method_that_cannot_work_says_why_in_its_tile(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Need("order", lambda model, title: f"{title} is out of order.")
    monkeypatch.setattr(Explainer, "unmet_need", lambda self, model: broken if self.name == "cam" else None)
    app.query_params["m"] = "saliency,cam"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    end = time.monotonic() + 240
    while (
        len(told := {one["title"]: one for one in packets(app, "packet") if one.get("phase") in {"done", "failed"}}) < 2
    ):
        assert time.monotonic() < end
        app.run()
    assert told["CAM"]["error"] == "CAM is out of order."
    assert told["Saliency"]["phase"] == "done"


def test_own_weights_have_the_labels_that_the_app_was_given(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, labels = f"flowers:{tmp_path / 'own.safetensors'}", tmp_path / "labels.txt"
    shutil.copy(FOLDER / "flowers-single-6c.safetensors", tmp_path / "own.safetensors")
    labels.write_text("\n".join(f"sort {index}" for index in range(6)))
    monkeypatch.setenv("VITRINE_MODEL", name)
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"labels": str(labels)}))
    app.query_params["cls"] = "sort 3"
    app.run()
    assert (app.session_state["location"].model, app.session_state["location"].targets) == (name, (TargetName((3,)),))
    assert not app.warning


def test_a_model_whose_scores_are_no_numbers_is_a_sentence(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = load_file(FOLDER / "flowers-single-6c.safetensors")
    weights["head.weight"] *= 1e38  # a number still, but not what comes of it
    weights["norm4.weight"] *= 1e10
    save_file(weights, tmp_path / "huge.safetensors")
    monkeypatch.setenv("VITRINE_MODEL", f"flowers:{tmp_path / 'huge.safetensors'}")
    app.run()
    assert len(app.error) == 1
    assert "scores that are not finite" in said(app)
    known = next(name for name in app.selectbox(key="model").options if "huge" not in name)
    app.selectbox(key="model").set_value(known).run()
    assert not app.error
    assert "vitrine_comparison_grid" in parts(app)


def test_an_upload_becomes_the_image_looked_at(app: AppTest, photo: bytes) -> None:
    app.run()
    example = app.session_state["location"].image
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    assert app.session_state["location"].image not in {example, ""}
    assert not app.error
    app.switch_page(FILES["Compare"]).run()
    assert "vitrine_comparison_grid" in parts(app)


def picture(mode: str, size: tuple[int, int] = (40, 30), kind: str = "PNG", **more: object) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind, **more)
    return stream.getvalue()


HOSTILE = {
    "empty.png": b"",
    "text.png": b"<script>alert(1)</script>",
    "cut.jpg": picture("RGB", (400, 300), "JPEG")[:500],
    "bomb.png": picture("1", (20_000, 20_000)),
    "heavy.png": picture("RGB") + bytes(12_600_000),
    "<b>bold</b> ![x](http://example.com/x.png) :red[x] $x$.png": b"no image",
    "é" * 300 + ".png": b"no image",
}


@pytest.mark.parametrize("name", list(HOSTILE), ids=range(len(HOSTILE)))
def test_a_hostile_upload_gets_its_sentence_and_nothing_is_lost(
    app: AppTest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_IMAGE_MB", "10")
    app.run()
    before = app.session_state["location"]
    app.file_uploader[0].set_value([(name, HOSTILE[name], "image/png")]).run()
    assert len(app.error) == 1
    assert len(said(app)) < 400
    assert "Traceback" not in said(app)
    assert not {"<", "[", "!", ":red"} & set(app.error[0].value)
    assert app.session_state["location"] == before
    assert "vitrine_comparison_grid" in parts(app)
    app.run()
    assert not app.error


UNUSUAL = {
    "cmyk.jpg": (picture("CMYK", kind="JPEG"), "CMYK"),
    "deep.png": (picture("I;16"), "of 16 bits"),
    "palette.png": (picture("P", transparency=0), "shown on white"),
    "dot.png": (picture("RGB", (1, 1)), ""),
    "moving.gif": (
        picture("RGB", kind="GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "red")]),
        "Page 1 of 2",
    ),
}


@pytest.mark.parametrize("name", list(UNUSUAL))
def test_an_unusual_image_is_taken_and_what_was_done_to_it_is_said(app: AppTest, name: str) -> None:
    content, word = UNUSUAL[name]
    app.run()
    app.file_uploader[0].set_value([(name, content, "image/png")]).run()
    assert not app.error
    assert len(app.session_state["location"].image) > 20
    assert word in said(app)


ADDRESSES = [
    ("model", "no-such-model", "no-such-model"),
    ("cls", "no-such-class", "no-such-class"),
    ("cls", "-5", "-5"),
    ("m", "grad_cam,gradcam", "gradcam"),
    ("set", "rise.masks:many", "many"),
    ("set", "rise.mask:500", "mask"),
    ("set", "nonsense", "nonsense"),
    ("set", "rise.masks:99999999", "99999999"),
    ("layer", "no-such-layer", "no-such-layer"),
    ("seed", "-1", "-1"),
    ("seed", "<script>", "<script>"),
    ("seed", "²", "²"),
    ("settle", "perhaps", "perhaps"),
    ("view", "non sense", "non sense"),
]


@pytest.mark.parametrize(("name", "value", "word"), ADDRESSES)
def test_an_address_that_names_nothing_is_told_and_the_rest_kept(
    app: AppTest, name: str, value: str, word: str
) -> None:
    app.query_params["m"] = "saliency"
    app.query_params[name] = value
    app.run()
    assert word in said(app)
    assert len(app.warning) == 1
    assert app.session_state["location"].methods in {("saliency",), ("grad_cam",)}
    app.run()
    assert word in said(app), "it stays until it is dismissed"
    app.button(key="dismiss").click().run()
    assert not app.warning
    app.run()
    assert not app.warning


def test_an_address_of_more_classes_than_fit_says_which_are_left_out(app: AppTest) -> None:
    app.query_params["cls"] = ["0", "1", "2", "3", "4"]
    app.run()
    assert app.session_state["location"].targets == tuple(TargetName((index,)) for index in range(4))
    assert "Not shown: " in said(app)


@pytest.mark.parametrize(("value", "settles"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_a_switch_of_the_address_is_read_for_what_it_says(app: AppTest, value: str, settles: bool) -> None:
    app.query_params["settle"] = value
    app.run()
    assert app.session_state["location"].settle is settles


def test_an_address_is_taken_over_and_written_back(app: AppTest) -> None:
    app.query_params["cls"] = ["1", "0"]
    app.query_params["m"] = "saliency,grad_cam"
    app.query_params["set"] = "saliency.reduce:sum_abs"
    app.query_params["seed"] = "7"
    app.run()
    place = app.session_state["location"]
    assert place.targets == (TargetName((1,)), TargetName((0,)))
    assert (place.methods, place.seed) == (("saliency", "grad_cam"), 7)
    assert app.session_state["settings"]["saliency"] == {"reduce": "sum_abs"}
    assert "model" not in app.query_params, "at the first run the browser does it"
    app.run()
    assert app.query_params["set"] == "saliency.reduce:sum_abs"
    assert app.query_params["model"] == place.model


def test_a_setting_stands_in_the_form_and_in_the_address(app: AppTest) -> None:
    app.query_params["m"] = "saliency"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    app.selectbox(key="set.saliency.reduce").set_value("sum_abs").run()
    assert app.query_params["set"] == "saliency.reduce:sum_abs"
    app.button(key="reset.saliency").click().run()
    assert "set" not in app.query_params


def test_another_model_begins_with_its_own_prediction(app: AppTest) -> None:
    app.query_params["cls"] = "1"
    app.run()
    models = [name for name in app.selectbox(key="model").options if name != app.session_state["location"].model]
    app.selectbox(key="model").set_value(models[0]).run()
    assert app.session_state["location"].model == models[0]
    assert app.session_state["location"].targets == ()


def test_a_budget_is_shown_in_the_forms_and_in_the_address(app: AppTest) -> None:
    app.query_params["m"] = "rise"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    next(group for group in app.get("button_group") if group.key == "budget").set_value("quick").run()
    assert app.session_state["settings"]["rise"] == {"masks": 300}
    assert app.query_params["set"] == "rise.masks:300"
    app.toggle(key="settle").set_value(True).run()
    assert app.query_params["settle"] == "true"
    assert not app.exception


def taken(app: AppTest, name: str) -> tuple[str, ...]:
    app.menu_button(key="set").click(name).run()
    return app.session_state["location"].methods


def test_ready_sets_choose_what_works_and_say_what_does_not(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = dict.fromkeys(EXPLAINERS, "")
    monkeypatch.setattr(Workbench, "usable", lambda self: reasons)
    monkeypatch.setattr(Workbench, "estimate", lambda self, requests: 1.0 if len(requests) < 4 else 11.0)
    app.query_params["m"] = "saliency"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    assert app.menu_button(key="set").options == list(SETS)
    assert taken(app, "Controls") == ("random", "edge_detector", "centre_gaussian")
    assert len(taken(app, "All under 10 s")) == 3
    assert set(taken(app, "Figure 4 of Song & Zhang's review")) == set(REVIEW)
    assert not said(app)
    reasons["cam"] = reasons["random"] = "No."
    assert taken(app, "CAM family") == tuple(n for n in EXPLAINERS if EXPLAINERS[n].family == "cam" and n != "cam")
    assert "left out" in said(app)
    assert "CAM." in said(app)
    reasons.update(edge_detector="No.", centre_gaussian="No.")
    before = app.session_state["location"].methods
    assert taken(app, "Controls") == before


def shown(app: AppTest, name: str) -> dict[str, Any]:
    """The data sent to a component in the browser."""
    return json.loads(next(part.proto.json for part in app.get("bidi_component") if part.proto.component_name == name))


def test_examples_are_named_by_what_they_show(app: AppTest) -> None:
    app.query_params["model"] = "efficientnet_lite0"  # which shows all of them
    app.run()
    names = {item["id"]: item["name"] for item in shown(app, "vitrine_image_strip")["items"] if not item["own"]}
    assert names == {sample.path.name: sample.alt for sample in samples()}


def test_a_single_map_is_compared_with_the_controls(app: AppTest) -> None:
    app.query_params["m"] = "saliency"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    end = time.monotonic() + 240
    while "vitrine_agreement_matrix" not in parts(app) and time.monotonic() < end:
        app.run()
    (only,) = shown(app, "vitrine_agreement_matrix")["classes"]
    assert only["methods"] == ["Saliency", "Random", "Edge detector"]
    assert only["spearman"][0][0] == only["overlap"][0][0] == 1
    assert only["spearman"][0][1] == only["spearman"][1][0] != only["overlap"][0][1]


def test_every_method_has_its_card(app: AppTest) -> None:
    app.run()
    app.switch_page(FILES["Methods"]).run()
    told = html.unescape(" ".join(box.value for box in app.markdown))
    formulas = [box.value for box in app.code]
    for name, method in EXPLAINERS.items():
        for text in (method.title, method.summary, method.about, method.caution, f"{method.source} · `{name}`"):
            assert text in told, name
        assert method.formula in formulas, name
        assert all(f"`{param.name}` {param.knob.help}" in told for param in method.params), name
    assert told.count("**Cost**") == len(EXPLAINERS)


def test_the_start_page_says_what_every_method_can_do_before_anything_runs(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = dict.fromkeys(EXPLAINERS, "") | {"cam": "It ends otherwise."}
    monkeypatch.setattr(Workbench, "usable", lambda self: reasons)
    app.run()
    layers, methods = (box.value for box in app.dataframe)
    survey = load(app.session_state["location"].model).survey
    assert list(layers["layer"]) == [layer.name for layer in survey.usable]
    assert list(layers["positions"]) == ["{} × {}".format(*layer.cells) for layer in survey.usable]
    assert list(methods["method"]) == [method.title for method in EXPLAINERS.values()]
    reads = dict(zip(EXPLAINERS, methods["layer read, or why not supported"], strict=True))
    assert (reads["cam"], reads["grad_cam"], reads["saliency"]) == (reasons["cam"], survey.default, "the image")
    passes = dict(zip(EXPLAINERS, methods["paper"], strict=True))["rise"]
    assert passes.endswith("8,000 forward")


def test_the_start_page_shows_what_the_network_sees(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_MODEL", f"flowers@{FOLDER / 'flowers-single-6c.safetensors'}")
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"size": [64, 96]}))
    app.run()
    texts = [box.value for box in app.markdown]
    image = next(text for text in texts if text.startswith("**Image** "))
    assert re.match(r"\*\*Image\*\* [\d,]+ × [\d,]+ pixels \(height × width\)\.", image)
    assert any("64 × 96 pixels; covering 64 × 96, crop 64 × 96 (height × width)" in html.unescape(one) for one in texts)
    rows = shown(app, "vitrine_comparison_grid")["rows"]
    assert {row["aspect"] for row in rows} == {1.5}


def test_layers_are_picked_with_their_sizes(app: AppTest) -> None:
    app.query_params["m"] = "grad_cam"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    survey, picker = load(app.session_state["location"].model).survey, app.selectbox(key="layer")
    assert picker.value == survey.default
    sizes = [f"{layer.name} · {layer.units} × {layer.cells[0]} × {layer.cells[1]}" for layer in survey.usable]
    assert list(picker.options) == sizes
    picker.set_value(survey.usable[0].name).run()
    assert app.query_params["layer"] == survey.usable[0].name


def test_a_header_says_how_outputs_are_read_and_images_prepared(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = load_file(FOLDER / "flowers-single-6c.safetensors")
    state |= {name: state[name][:1].contiguous() for name in ("head.weight", "head.bias") if name in state}
    save_file(state, tmp_path / "one.safetensors")
    monkeypatch.setenv("VITRINE_MODEL", f"flowers:{tmp_path / 'one.safetensors'}")
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"size": 96, "mean": [0.5]}))
    app.run()
    text = html.unescape("\n".join(box.value for box in app.caption))
    assert "One logit, read through a sigmoid: positive above 0.5, else negative" in text
    assert "crop 96, mean 0.5 0.5 0.5" in text
    assert "changed from the model's own" in text
    chips = shown(app, "vitrine_class_chips")["classes"]
    assert {entry["label"] for entry in chips} == {"negative", "positive"}
    assert sum(entry["chance"] for entry in chips) == pytest.approx(1)


def test_a_regression_shows_numbers(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_MODEL", "flowers-single-6c")
    monkeypatch.setenv("VITRINE_MODEL_OPTIONS", json.dumps({"output": "regression"}))
    app.run()
    chips = shown(app, "vitrine_class_chips")["classes"]
    assert [entry["target"] for entry in chips] == ["0", "1", "2", "3", "4"]
    assert all(isinstance(entry["chance"], str) and "%" not in entry["chance"] for entry in chips)


def test_the_same_weights_prepared_otherwise_are_another_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.ui.session import networks, state

    one = state.Session()
    monkeypatch.setattr(networks, "session", lambda: one)
    first, second = (networks.of("flowers-single-6c", ModelOptions(size=size)) for size in (0, 64))
    assert (first.preprocess.crop, second.preprocess.crop) == (128, 64)
    assert networks.of("flowers-single-6c", ModelOptions(size=64)) is second
