"""Opening a model in the browser: from the list, with own weights, by its name; and what a stranger may open."""

import html
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file, save
from streamlit.testing.v1 import AppTest

from core import environment
from core.data.model_options import ModelOptions
from core.errors import Unavailable
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.images import decode
from core.models.sources import flower_networks
from core.study.config import StudyConfig
from pages.ui.session import networks, opened_models, shared_networks, state
from pages.ui.shell import open_model
from pages.ui.study import build_form
from tests import exported
from tests.pages_list import FILES, SCRIPT

NAME = "flowers@mine.safetensors"


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    reload()


@pytest.fixture(scope="module")
def weights() -> bytes:
    """A network of three classes with random weights, as a safetensors file."""
    torch.manual_seed(5)
    return save(flower_networks.architecture(3).state_dict())


def visit(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def dialog(kind: str = open_model.LIST) -> AppTest:
    """A new session with the dialog open."""
    app = visit()
    app.button(key="open-model").click().run()
    app.session_state["open-model-kind"] = kind
    return app.run()


def drop(app: AppTest, kind: str, name: str, data: bytes) -> AppTest:
    label = "Weights" if kind == "weights" else "Labels"
    next(one for one in app.file_uploader if one.label.startswith(label)).set_value([(name, data, "")]).run()
    return app


def opening(app: AppTest) -> AppTest:
    """Press Open and wait for the end."""
    app.button(key="open-chosen").click().run()
    return until(app, lambda: app.session_state["opening"] is None)


def until(app: AppTest, true: Callable[[], bool]) -> AppTest:
    end = time.monotonic() + 240
    while not true():
        assert time.monotonic() < end
        app.run()
    return app


def said(app: AppTest) -> str:
    assert [fault.value for fault in app.exception] == []
    boxes = [*app.error, *app.warning, *app.info, *app.caption, *app.markdown]
    return html.unescape(" ".join(box.value for box in boxes))


def table(app: AppTest) -> Any:
    """The table of models in the dialog."""
    return next(one.value for one in app.dataframe if "Name" in one.value and "License" in one.value)


def reload() -> None:
    """Forget what was opened, as a new session does: here all sessions are one for Streamlit."""
    for one in state.sessions():
        one.models.clear()
        one.dropped.clear()


def commands(app: AppTest) -> list[str]:
    return [one.value for one in app.code]


def own(weights: bytes, **files: bytes) -> AppTest:
    """A session that has opened its own weights."""
    app = drop(dialog(open_model.WEIGHTS), "weights", "mine.safetensors", weights)
    for name, data in files.items():
        drop(app, "labels", f"{name}.txt", data)
    return opening(app)


def test_own_weights_predict_what_torch_computes(weights: bytes, tmp_path: Path) -> None:
    app = own(weights, labels=b"ant\nbee\ncat\n")
    assert said(app)
    assert app.session_state["location"].model == NAME
    assert app.query_params["model"] == NAME
    (tmp_path / "w.safetensors").write_bytes(weights)
    net = flower_networks.architecture(3).eval()
    net.load_state_dict(load_file(tmp_path / "w.safetensors"))
    image = app.session_state["location"].image
    example = next(one.path for one in state.samples().values() if one.path.name == image)
    pixels = torch.from_numpy(decode(example.read_bytes(), image).pixels.copy()).permute(2, 0, 1)[None] / 255
    pixels = torch.nn.functional.interpolate(pixels, (128, 128), mode="bilinear", antialias=True)
    expected = net((pixels - 0.5) / 0.25).softmax(1)[0]
    chips = next(one.proto.json for one in app.get("bidi_component") if "class_chips" in one.proto.component_name)
    shown = {entry["label"]: entry["chance"] for entry in json.loads(chips)["classes"]}
    assert set(shown) == {"ant", "bee", "cat"}
    for label, value in zip(("ant", "bee", "cat"), expected.tolist(), strict=True):
        assert shown[label] == pytest.approx(value, abs=2e-3)


def test_it_works_on_every_page_and_its_command_line_is_shown(weights: bytes) -> None:
    app = own(weights, labels=b"ant\nbee\ncat\n")
    for title, file in FILES.items():
        app.switch_page(file).run()
        assert "defect" not in said(app), title
        assert app.session_state["location"].model == NAME
    app.switch_page(FILES["Start"]).run()
    app.button(key="open-model").click().run()
    assert f"vitrine app --model {NAME} --labels labels.txt" in commands(app)
    assert f"{NAME}: 1 MB in memory" in said(app), "copies for inference are counted, too"
    app.button(key=f"close-{NAME}").click().run()
    assert app.session_state["location"].model == "flowers-double-12c"
    assert NAME not in app.selectbox(key="model").options
    assert not list((Path(opened_models._folder())).glob("*/*"))


def test_what_was_assumed_stands_below_the_model(weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights)
    tensors = {f"module.{name}": value for name, value in load_file(tmp_path / "w.safetensors").items()}
    app = own(save(tensors))
    model = networks.load(f"flowers@{opened_models._folder().glob('*/*.safetensors').__next__()}")
    assert model.notes
    assert all(note in said(app) for note in model.notes)


def test_a_reload_finds_it_again_and_another_folder_does_not(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(weights, labels=b"ant\nbee\ncat\n")
    reload()
    again = visit(model=NAME)
    assert again.session_state["location"].model == NAME
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "other"))
    reload()
    other = visit(model=NAME)
    assert f"There is no model called '{NAME}'" in said(other)
    assert other.session_state["location"].model == "flowers-double-12c"


def test_a_model_of_the_list_is_found_by_words_and_opened() -> None:
    app = dialog()
    app.text_input(key="open-model-search").set_value("flowers mit 128").run()
    rows = table(app)
    assert rows["Name"].tolist() == [one for one in networks.listed() if one.startswith("flowers")]
    facts = next(card for card in flower_networks.cards() if card["name"] == "flowers-single-6c")
    row = rows[rows["Name"] == "flowers-single-6c"].iloc[0]
    assert row["Parameters (M)"] == round(facts["parameters"] / 1e6, 1)
    assert row["Accuracy (%)"] == round(100 * facts["accuracy"], 1)
    index = rows["Name"].tolist().index("flowers-single-6c")
    app.session_state["open-model-list--flowers mit 128"] = {"selection": {"rows": [index]}}
    app.run()
    assert commands(app) == ["vitrine app --model flowers-single-6c"]
    opening(app)
    assert app.session_state["location"].model == "flowers-single-6c"
    app.button(key="open-model").click().run()
    app.text_input(key="open-model-search").set_value("no such thing").run()
    assert "No model matches 'no such thing'" in said(app)


def test_one_of_several_sets_of_weights_is_chosen(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights)
    raw = load_file(tmp_path / "w.safetensors")
    averaged = {name: value * 0.5 for name, value in raw.items()}
    stream = io.BytesIO()
    torch.save({"model": raw, "model_ema": averaged}, stream)
    app = drop(dialog(open_model.WEIGHTS), "weights", "mine.pth", stream.getvalue())
    choice = next(one for one in app.selectbox if one.label == "Set of weights")
    assert choice.options == ["model_ema", "model"]
    assert commands(app)[0] == "vitrine app --model flowers@mine.pth"
    choice.set_value("model").run()
    assert commands(app)[0] == "vitrine app --model flowers@mine.pth --weight-set model"
    opening(app)
    one = state.Session()
    monkeypatch.setattr(networks, "session", lambda: one)
    network = networks.loaded("flowers@mine.pth")
    assert network is not None
    assert all(torch.equal(value, raw[name]) for name, value in network.net.state_dict().items())
    assert "Tensors under 'model' were taken." in said(app)


def test_families_and_licenses_are_searched() -> None:
    app = dialog()
    app.text_input(key="open-model-search").set_value("swin_transformer bsd").run()
    assert table(app)["Name"].tolist() == ["swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t"]
    app.text_input(key="open-model-search").set_value("swag").run()
    assert table(app)["Name"].tolist() == ["regnet_y_128gf", "vit_h_14"]


def test_the_names_of_timm_are_listed() -> None:
    app = dialog()
    app.selectbox(key="open-model-source").set_value("timm").run()
    app.text_input(key="open-model-search").set_value("resnet18.a1").run()
    assert table(app)["Name"].tolist() == ["timm:resnet18.a1_in1k"]
    assert table(app)["License"].tolist() == ["apache-2.0"]
    app.session_state["open-model-list-timm-resnet18.a1"] = {"selection": {"rows": [0]}}
    assert "timm:resnet18.a1_in1k has 11.7 million parameters." in said(app.run())


def test_what_the_cache_of_the_hub_holds_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    app = dialog()
    app.selectbox(key="open-model-source").set_value("hf").run()
    assert "holds no image classifier" in said(app)
    assert "vitrine app --model hf:FOLDER" in said(app)
    folder = cache / "models--org--small" / "snapshots" / "abc"
    shape = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], num_labels=3)
    transformers.ResNetForImageClassification(shape).save_pretrained(folder)
    (cache / "models--org--small" / "refs").mkdir()
    (cache / "models--org--small" / "refs" / "main").write_text("abc")
    app.text_input(key="open-model-search").set_value("resnet").run()
    assert table(app)[["Name", "Family", "Classes"]].values.tolist() == [["hf:org/small", "resnet", 3]]
    app.session_state["open-model-list-hf-resnet"] = {"selection": {"rows": [0]}}
    app.run()
    assert commands(app) == ["vitrine app --model hf:org/small"]
    opening(app)
    assert app.session_state["location"].model == "hf:org/small"


class Trap:
    """Runs code where a pickle is read as Python does."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["text", "pickle", "truncated"])
def test_a_file_that_is_no_weights_is_a_sentence_and_not_run(kind: str, weights: bytes, tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"state_dict": torch.zeros(2), "trap": Trap(tmp_path / "ran")}, stream)
    data = {"text": b"hello", "pickle": stream.getvalue(), "truncated": weights[:-100]}[kind]
    app = drop(dialog(open_model.WEIGHTS), "weights", "bad.pth", data)
    if not app.error:  # the file may be readable, and fit nothing
        app.session_state[next(key for key in app.session_state.filtered_state if "architecture" in key)] = "flowers"
        opening(app.run())
    assert "bad.pth" in said(app)
    assert app.error
    assert not (tmp_path / "ran").exists()
    assert app.session_state["location"].model == "flowers-double-12c"


def test_labels_that_do_not_fit_are_a_sentence(weights: bytes) -> None:
    app = own(weights, labels=b"ant\nbee\n")
    assert "2 labels" in said(app) or "labels.txt" in said(app)
    assert app.session_state["location"].model == "flowers-double-12c"


def test_a_file_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_UPLOAD_MB", "1")
    app = drop(dialog(open_model.WEIGHTS), "weights", "big.safetensors", bytes(1_000_001))
    assert "is over the limit of 1 MB" in said(app)
    assert app.button(key="open-chosen").disabled


def test_loading_shows_progress_and_can_be_stopped(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_name: str, _device: object, report: Callable[[float, str], None], _options: object) -> None:
        while True:
            report(0.25, "reading weights")
            time.sleep(0.01)

    app = drop(dialog(open_model.WEIGHTS), "weights", "mine.safetensors", weights)
    monkeypatch.setattr(networks, "load", slow)
    app.button(key="open-chosen").click().run()
    until(app, lambda: any("reading weights" in one.proto.text for one in app.get("progress")))
    assert app.button(key="open-chosen").disabled
    before = len(shared_networks.shared_networks())
    app.button(key="stop-opening").click().run()
    assert app.session_state["opening"] is None
    assert len(shared_networks.shared_networks()) == before - 1
    assert app.session_state["location"].model == "flowers-double-12c"
    assert not app.button(key="open-chosen").disabled


def test_an_exported_network_is_dropped_opened_and_found_again(tmp_path: Path) -> None:
    file = exported.saved(exported.small(3), tmp_path / "made.onnx", batch=1)
    app = drop(dialog(open_model.WEIGHTS), "weights", "My net.ONNX", file.read_bytes())
    assert not [one for one in app.selectbox if one.label == "Architecture"], "it brings its own"
    drop(app, "labels", "labels.txt", b"ant\nbee\ncat\n")
    assert commands(app)[0] == "vitrine app --model 'My net.ONNX' --labels labels.txt"
    opening(app)
    assert app.session_state["location"].model == "My net.ONNX"
    assert "Converted to torch" in said(app)
    assert str(tmp_path) not in said(app)
    chips = next(one.proto.json for one in app.get("bidi_component") if "class_chips" in one.proto.component_name)
    assert {one["label"] for one in json.loads(chips)["classes"]} == {"ant", "bee", "cat"}
    reload()
    again = visit(model="My net.ONNX")
    assert again.session_state["location"].model == "My net.ONNX"
    again.button(key="open-model").click().run()
    again.button(key="close-My net.ONNX").click().run()
    assert not list(opened_models._folder().glob("*/*"))


@pytest.mark.parametrize("kind", ["text", "truncated", "beside"])
def test_a_damaged_exported_network_is_a_sentence(kind: str, tmp_path: Path) -> None:
    file = exported.saved(exported.small(3), tmp_path / "made.onnx", dynamo=True, external_data=kind == "beside")
    data = {"text": b"hello", "truncated": file.read_bytes()[:-100], "beside": file.read_bytes()}[kind]
    app = opening(drop(dialog(open_model.WEIGHTS), "weights", "bad.onnx", data))
    assert app.error
    assert "bad.onnx" in said(app)
    assert app.session_state["location"].model == "flowers-double-12c"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine.py:build", "is code, which is run only when the command line names it"),
        ("resnet18@/no/such.pth", "does not exist"),
        ("resnet99", "There is no model called 'resnet99'"),
        ("net.onnx", "does not exist"),
    ],
)
def test_a_name_that_cannot_be_opened_is_a_sentence(name: str, sentence: str, tmp_path: Path) -> None:
    app = dialog(open_model.NAME)
    app.text_input(key="open-model-name").set_value(name).run()
    opening(app)
    assert sentence in said(app)


def test_a_name_with_a_path_opens_it(weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights)
    app = dialog(open_model.NAME)
    app.text_input(key="open-model-name").set_value(f"flowers@{tmp_path / 'w.safetensors'}").run()
    opening(app)
    assert app.session_state["location"].model == f"flowers@{tmp_path / 'w.safetensors'}"


def test_a_study_is_built_with_the_stored_file(weights: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own(weights)
    one = state.Session()
    monkeypatch.setattr(networks, "session", lambda: one)
    built = []
    monkeypatch.setattr(build_form, "build_study", lambda config, path, **more: built.append((config, more["model"])))
    monkeypatch.setattr(build_form.builds, "start", lambda path, work: work(lambda *_: None))
    monkeypatch.setattr(build_form.visitors, "permitted", Path)
    build_form.start(StudyConfig(NAME, str(tmp_path)), tmp_path / "s")
    [(config, model)] = built
    file = next(opened_models._folder().glob("*/mine.safetensors"))
    assert config.model == f"flowers@{file}"
    assert model.name == NAME


def test_a_stranger_cannot_drop_an_exported_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    app = drop(dialog(open_model.WEIGHTS), "weights", "net.onnx", b"hello")
    assert "Visitors cannot open .onnx files" in said(app)
    assert not list((Path(environment.home())).rglob("*.onnx")), "nothing is stored"
    assert app.button(key="open-chosen").disabled
    with pytest.raises(Unavailable, match="Visitors cannot open"):
        opened_models.exported(Path("net.onnx"), ModelOptions())


@pytest.mark.parametrize("source", ["list", "timm", "name", "architecture"])
def test_a_stranger_opens_own_weights_and_no_others(
    source: str, weights: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    monkeypatch.setattr("core.models.sources.timm.repository", lambda *_: pytest.fail("something was downloaded"))
    app = dialog(open_model.WEIGHTS)
    if source == "list":
        opening(drop(app, "weights", "mine.safetensors", weights))
        assert app.session_state["location"].model == NAME
        assert str(tmp_path) not in said(app)
        reload()
        other = visit(model=NAME)
        assert f"There is no model called '{NAME}'" in said(other)
        return
    if source == "timm":
        app.session_state["open-model-kind"] = open_model.LIST
        app.run()
        app.selectbox(key="open-model-source").set_value("timm").run()
        assert "This server downloads no models of timm for visitors." in said(app)
        assert not [one for one in app.button if one.key == "open-chosen"]
    elif source == "name":
        app.session_state["open-model-kind"] = open_model.NAME
        app.run()
        assert not [one for one in app.text_input if one.key == "open-model-name"]
    else:
        (tmp_path / "secret.pth").write_bytes(weights)
        with pytest.raises(Exception, match="is not an architecture"):
            opened_models.check_architecture(f"flowers@{tmp_path}/secret.pth", ("flowers",))
