"""Which stored relevance VEBI reads, and what it says without one."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.cache import TensorCache
from core.card import Passes
from core.environment import home
from core.errors import BadParameter, StoreError, Unsupported
from core.exam.build import _identity
from core.exam.config import ExamConfig
from core.exam.plan import planned
from core.explain import EXPLAINERS, explain
from core.explain.filter_relevance import BUNDLED, StoredRelevance, content_of, relevance_for, stored_for
from core.explain.methods.relevant_filters import filter_maps
from core.explain.targets import Classes
from core.images import Picture, picture_file
from core.models import load
from core.models.model import Model
from core.resources import ASSETS
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.workbench import Request, Workbench
from tests import nets
from tests.planted_units import planted_images, planted_model

MODEL = "flowers-single-6c"
OWN = BUNDLED / f"{MODEL}-relevance"


@pytest.fixture(scope="module")
def model() -> Model:
    return load(MODEL)


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of analyses, empty."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    (home() / "units").mkdir(parents=True)
    return home() / "units"


@pytest.fixture(scope="module")
def picture() -> Picture:
    return picture_file(ASSETS / "images/single-violet.png")


def keep(folder: Path, name: str, written: int, source: Path = OWN) -> Path:
    """A copy of a store, written at this moment."""
    copy = Path(shutil.copytree(source, folder / name))
    os.utime(copy / "relevance.json", (written, written))
    return copy


def test_the_newest_of_the_user_is_read_and_else_the_bundled_one(units: Path, model: Model) -> None:
    assert stored_for(model) == OWN
    keep(units, "later", 2_000_000_000)
    keep(units, "earlier", 1_000_000_000)
    keep(units, "other-model", 2_100_000_000, BUNDLED / "flowers-shortcut-6c-relevance")
    (units / "notes").mkdir()
    (units / "file").write_text("nothing")
    assert stored_for(model) == units / "later"
    assert relevance_for(model).path == units / "later"
    assert relevance_for(model, "earlier").path == units / "earlier"
    assert relevance_for(model, OWN.name).path == OWN


def test_a_name_that_is_none_of_the_models_gets_a_sentence(units: Path, model: Model) -> None:
    keep(units, "mine", 2_000_000_000)
    for name in ("flowers-shortcut-6c-relevance", "../units/mine", "\0", str(units / "mine")):
        with pytest.raises(BadParameter, match="There is no relevance of the filters of flowers-single-6c") as raised:
            relevance_for(model, name)
        assert raised.value.hint == f"Choose one of mine, {OWN.name}."
        assert content_of(model, name) == ""


def test_a_manifest_that_cannot_be_read_is_passed_over_and_damage_is_told(units: Path, model: Model) -> None:
    for name, content in {"a": "[]", "b": "{", "c": '{"version": 99, "digest": "", "files": {}}'}.items():
        (units / name).mkdir()
        (units / name / "relevance.json").write_text(content)
    assert stored_for(model) == OWN
    (keep(units, "damaged", 2_000_000_000) / "weights.parquet").write_bytes(b"no table")
    with pytest.raises(StoreError, match="damaged"):
        relevance_for(model)


def test_without_any_the_method_is_refused_with_the_command(units: Path) -> None:
    tiny, method = nets.model("gap"), EXPLAINERS["vebi"]
    assert method.unmet(tiny) == ("VEBI needs the relevance of filters for the classes, and none is stored for gap.")
    with pytest.raises(Unsupported) as raised:
        explain("vebi", nets.query(tiny))
    assert raised.value.message == method.unmet(tiny)
    assert raised.value.hint == f"Store it: vitrine units relevance gap --data FOLDER --out {units}/gap-relevance"
    with pytest.raises(Unsupported, match="No relevance of the filters of gap is stored"):
        relevance_for(tiny)
    assert "no ReLU" in method.unmet(nets.model("norelu"))


def test_the_folder_of_the_hint_is_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_HOME")
    with pytest.raises(Unsupported) as raised:
        explain("vebi", nets.query("gap"))
    assert raised.value.hint.endswith("--data FOLDER --out ~/.vitrine/units/gap-relevance")


def test_what_a_build_stores_is_what_the_map_shows(units: Path, tmp_path: Path) -> None:
    folder = planted_images(40).write(tmp_path / "data")
    model = planted_model()
    settings = {"classes": "true", "mu": 2.0}
    config = UnitsConfig(analysis="relevance", model="planted", data=str(folder), layers=("relu",), settings=settings)
    build_analysis(config, units / "planted", model=model)
    images = planted_images(2).image_set()
    query = replace(
        nets.query(model, count=1, side=model.preprocess.crop),
        images=images.input(1)[None],
        targets=Classes(torch.tensor([1])),
    )
    found = explain("vebi", query, {"filters": 1})
    assert found.remarks == {"relevance": "planted (μ = 2, 40 images)", "filters": "relu · F1"}
    ((one,),) = filter_maps(query, StoredRelevance(units / "planted").relevance, filters=1)
    assert torch.equal(found.maps[0], one.map)
    scores = Passes(1)  # of the image as it is
    assert found.passes == EXPLAINERS["vebi"].passes({"filters": 1}, model.preprocess.crop) + scores
    assert float(one.map.max()) == 1


def test_a_cached_map_is_not_shown_after_new_relevance(units: Path, model: Model, picture: Picture) -> None:
    bench, request = Workbench(model, TensorCache(1 << 26)), Request("vebi", 4)
    first = bench.explain(picture, request)
    assert first.remarks["relevance"] == f"{OWN.name} (μ = 5, 480 images)"
    assert bench.cached(picture, request) is first
    other = Request("grad_cam", 4)
    bench.explain(picture, other)
    edited = keep(units, "mine", 2_000_000_000)
    manifest = edited / "relevance.json"
    manifest.write_text(manifest.read_text("utf-8").replace(StoredRelevance(OWN).manifest.digest, "f" * 64), "utf-8")
    assert bench.cached(picture, request) is None
    assert bench.cached(picture, other) is not None
    assert bench.explain(picture, request).remarks["relevance"] == "mine (μ = 5, 480 images)"
    named = bench.explain(picture, Request("vebi", 4, {"relevance": OWN.name}))
    assert named.remarks == first.remarks


def test_an_exam_of_other_relevance_is_another_exam(units: Path, model: Model) -> None:
    def identities(*methods: str) -> dict[str, object]:
        config = ExamConfig(variant="single-6c", methods=methods, images=6, folds=2)
        return _identity(planned(config, model))

    before, plain = identities("vebi"), identities("saliency")
    assert before["stored"] == {"vebi": content_of(model)}
    edited = keep(units, "mine", 2_000_000_000) / "relevance.json"
    edited.write_text(edited.read_text("utf-8").replace(content_of(model, OWN.name), "f" * 64), "utf-8")
    assert identities("vebi") != before
    assert identities("saliency") == plain
