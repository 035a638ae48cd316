"""Predictions: those of the network itself, stored once, continued after a stop, with what could not be read."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.data.model_options import ModelOptions
from core.errors import Cancelled, StoreError, Unavailable, Unsupported
from core.images import Preprocess
from core.models import load
from core.models.model import as_model
from core.network.hooks import capture
from core.review import predictions as builder
from core.review import reading, shard
from core.review.predictions import predictions
from core.review.source import folder_source, study_source
from core.study import BUNDLED, Study
from core.study.build import build_study
from core.workbench import study_model
from tests import nets
from tests.tiny_build import config
from tests.unit.review.planted import folder, source_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def gap():
    return nets.model("gap")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = folder(tmp_path_factory.mktemp("data") / "photos", class_0=3, class_1=4, class_4=2, horn=2)
    (root / "class 1" / "broken.png").write_bytes((root / "class 1" / "00.png").read_bytes()[:300])
    return root


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four images and batches of two."""
    for module in (builder, shard):
        monkeypatch.setattr(module, "SHARD", 4)
        monkeypatch.setattr(module, "BATCH", 2)


def content(found):
    return {file.name: file.read_bytes() for file in found.path.iterdir() if file.name != "build.json"}


def test_predictions_are_those_of_the_network_itself(gap, data, tmp_path):
    found = predictions(folder_source(data, gap.labels), gap, folder=tmp_path)
    images = found.images
    for row in np.flatnonzero(images["problem"] == "").tolist():
        pixels = np.asarray(Image.open(data / images["path"][row]))
        inputs = gap.preprocess.tensor(pixels)[None]
        with torch.no_grad(), capture(gap.net, "features.8") as seen:
            logits = gap.net(inputs)[0]
        own = logits.softmax(0)
        order = logits.argsort(descending=True)
        assert images["predicted"][row] == order[0]
        assert images["confidence"][row] == pytest.approx(float(own.max()), abs=1e-6)
        assert images["margin"][row] == pytest.approx(float(own[order[0]] - own[order[1]]), abs=1e-6)
        assert found.array("top")[row].tolist() == order.tolist()
        assert np.allclose(found.array("logits")[row], logits[order], atol=1e-5)
        assert np.allclose(found.pooled[row], seen["features.8"].mean((2, 3))[0], atol=1e-6)
        label = images["label"][row]
        if label >= 0:
            assert images["truth"][row] == pytest.approx(float(own[label]), abs=1e-6)
            assert images["rank"][row] == order.tolist().index(label)
            assert images["right"][row] == (label == order[0])


def test_unknown_classes_and_damaged_images_are_counted(gap, data, tmp_path):
    found = predictions(folder_source(data, gap.labels), gap, folder=tmp_path)
    images = found.images.set_index("path")
    assert (images.loc[["horn/00.png", "horn/01.png"], "right"] == -1).all()
    assert images.loc["class 1/broken.png", ["predicted", "right"]].tolist() == [-1, -1]
    assert "class 1/broken.png" in images.loc["class 1/broken.png", "problem"]
    assert len(found.judged) == 9
    unknown, lost = found.notes
    assert "2 of 12 images have no class, as the model has no class of the name horn" in unknown
    assert lost.startswith("1 of 12 images have no prediction, such as: class 1/broken.png")


def test_images_without_classes_have_predictions(gap, data, tmp_path):
    found = predictions(folder_source(data / "class 0", gap.labels), gap, folder=tmp_path)
    assert len(found.judged) == 0
    assert (found.images["predicted"] >= 0).all()
    assert found.images["truth"].isna().all()


def test_a_folder_of_damaged_images_is_a_sentence(gap, tmp_path):
    (tmp_path / "data" / "class 0").mkdir(parents=True)
    (tmp_path / "data" / "class 0" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    with pytest.raises(Unavailable, match="No image of data can be used"):
        predictions(folder_source(tmp_path / "data", gap.labels), gap, folder=tmp_path / "home")


def test_they_are_computed_once_and_again_for_another_model_or_other_images(gap, data, tmp_path, monkeypatch):
    first = predictions(folder_source(data, gap.labels), gap, folder=tmp_path)
    other = predictions(folder_source(data, gap.labels), nets.model("gap", seed=1), folder=tmp_path)
    fewer = predictions(folder_source(data, gap.labels, limit=4), gap, folder=tmp_path)
    assert len({first.path, other.path, fewer.path}) == 3
    monkeypatch.setattr(gap.net, "forward", None)
    assert content(predictions(folder_source(data, gap.labels), gap, folder=tmp_path)) == content(first)


def test_a_stopped_build_continues_to_the_same_bytes(gap, data, tmp_path, small_shards):
    source = folder_source(data, gap.labels)
    whole = predictions(source, gap, folder=tmp_path / "whole")

    def stop(fraction, note):
        if "shard 2" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        predictions(source, gap, folder=tmp_path / "part", report=stop)
    batches = []
    handle = gap.inference.register_forward_hook(lambda net, inputs, output: batches.append(len(output)))
    again = predictions(source, gap, folder=tmp_path / "part")
    handle.remove()
    assert sum(batches) == 7, "the first four images, of which all could be read, are not computed again"
    assert content(again) == content(whole)


KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from core.review import predictions as builder, shard
    from core.review.source import folder_source
    from tests import nets
    for module in (builder, shard):
        module.SHARD, module.BATCH = 4, 2
    def report(fraction, note):
        if "shard 3" in note:
            os.kill(os.getpid(), signal.SIGKILL)
    gap = nets.model("gap")
    builder.predictions(folder_source(sys.argv[1], gap.labels), gap, folder=Path(sys.argv[2]), report=report)
""")


def test_a_killed_build_continues_to_the_same_bytes(gap, data, tmp_path, small_shards):
    command = [sys.executable, "-c", KILLED, str(data), str(tmp_path / "killed")]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    source = folder_source(data, gap.labels)
    (draft,) = (tmp_path / "killed").iterdir()
    assert sorted(part.name for part in draft.iterdir() if part.name.isdigit()) == ["000000", "000001"]
    again = predictions(source, gap, folder=tmp_path / "killed")
    assert content(again) == content(predictions(source, gap, folder=tmp_path / "whole"))


@pytest.mark.parametrize("slow", ["reading", "computing"])
def test_it_stops_within_a_second(gap, data, tmp_path, monkeypatch, slow):
    net = nets.Slow()
    model = nets.model(net)
    source, read, reads = folder_source(data, gap.labels), reading.read_picture, []

    def read_slowly(*words):
        reads.append(words)
        time.sleep(0.1)
        return read(*words)

    if slow == "reading":
        monkeypatch.setattr(reading, "read_picture", read_slowly)
    else:
        net.pause = 0.02
    done, most = (reads, 8) if slow == "reading" else (net.moments, 50)  # of a second

    def report(fraction, note):
        if len(done) > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        predictions(source, model, folder=tmp_path, report=report)
    assert 2 < len(done) < 2 + most


def test_an_image_that_changes_meanwhile_is_a_sentence_and_one_that_vanishes_a_row(gap, data, tmp_path):
    root = folder(tmp_path / "photos", class_0=3)
    source = folder_source(root, gap.labels)
    (root / "class 0" / "01.png").unlink()
    assert predictions(source, gap, folder=tmp_path / "a").images["problem"].ne("").tolist() == [False, True, False]
    (root / "class 0" / "02.png").write_bytes((root / "class 0" / "00.png").read_bytes())
    with pytest.raises(StoreError, match=r"class 0/02\.png has changed since its folder was read"):
        predictions(source, gap, folder=tmp_path / "b")


def test_those_of_a_study_follow_from_its_means_without_its_images(tmp_path, monkeypatch):
    study = Study(BUNDLED / "flowers-double-12c")
    model = study_model(study)
    monkeypatch.setattr(model.net, "forward", None)
    found = predictions(study_source(study), model, folder=tmp_path)
    images = study.table("images")
    assert found.images["path"].tolist() == images["path"].tolist()
    assert found.images["predicted"].tolist() == images["predicted"].tolist()
    assert np.allclose(found.images["confidence"], images["probability"], atol=1e-6)
    assert np.array_equal(found.pooled, study.array("pooled"))
    assert np.array_equal(found.array("thumbnails"), study.array("thumbnails"))
    third = predictions(study_source(study, limit=80), model, folder=tmp_path)
    assert third.images["path"].tolist() == images["path"].tolist()[::3]
    assert third.images["confidence"].tolist() == found.images["confidence"].tolist()[::3]


def test_those_from_the_images_of_a_study_are_the_same(gap, data, tmp_path, monkeypatch):
    """Its hashes are shortened, and what it could not read stays unread."""
    study = build_study(config(data), tmp_path / "study", model=gap)
    stored = predictions(study_source(study), gap, folder=tmp_path)
    monkeypatch.setattr(shard.PredictionWork, "pooled", None)
    computed = predictions(study_source(study), gap, folder=tmp_path)
    assert computed.path != stored.path
    for column in ("path", "label", "predicted", "rank", "right", "problem"):
        assert computed.images[column].tolist() == stored.images[column].tolist()
    assert (computed.images["problem"] != "").sum() == 1
    for column in ("confidence", "margin", "truth"):
        assert np.allclose(computed.images[column], stored.images[column], atol=1e-6, equal_nan=True)
    assert np.allclose(computed.pooled, stored.pooled, atol=1e-6)


def test_a_threshold_decides_on_one_logit(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    torch.manual_seed(0)
    plain = Preprocess(crop=nets.SIDE, resize=nets.SIDE)
    model = as_model("one", net, preprocess=plain, options=ModelOptions(output="sigmoid", threshold=0.3))
    root = folder(tmp_path / "data", negative=2, positive=2)
    found = predictions(folder_source(root, model.labels), model, folder=tmp_path)
    for row, path in enumerate(found.images["path"]):
        inputs = model.preprocess.tensor(np.asarray(Image.open(root / path)))[None]
        positive = float(model.probabilities(model.net(inputs))[0, 1])
        assert found.images["predicted"][row] == int(positive > 0.3)
        assert found.images["margin"][row] == pytest.approx(abs(positive - 0.3), abs=1e-6)


def test_several_labels_may_be_right_together(tmp_path):
    plain, net = Preprocess(crop=nets.SIDE, resize=nets.SIDE), nets.seeded(nets.GapNet).eval()
    root = folder(tmp_path / "data", class_0=1)
    paths, labels = ["class 0/00.png"] * 5, range(5)
    with torch.no_grad():
        outputs = net(plain.tensor(np.asarray(Image.open(root / paths[0])))[None])[0].sigmoid()
    threshold = float(outputs.median())
    options = ModelOptions(output="multilabel", threshold=threshold)
    model = as_model("several", net, preprocess=plain, options=options)
    found = predictions(source_of(root, paths, labels), model, folder=tmp_path)
    assert found.images["right"].tolist() == (outputs > threshold).long().tolist()
    assert found.images["right"].sum() == 2
    assert found.images["margin"].tolist() == pytest.approx([float(outputs.max()) - threshold] * 5, abs=1e-6)


def test_a_regression_is_refused_and_a_network_without_layers_has_no_activations(data, tmp_path):
    plain = Preprocess(crop=nets.SIDE, resize=nets.SIDE)
    values = as_model("v", nets.seeded(nets.GapNet), preprocess=plain, options=ModelOptions(output="regression"))
    with pytest.raises(Unsupported, match="predicts no classes"):
        predictions(folder_source(data, values.labels), values, folder=tmp_path)
    linear = nets.model("linear")
    found = predictions(folder_source(data, linear.labels), linear, folder=tmp_path)
    with pytest.raises(Unsupported, match="no layer with spatial"):
        _ = found.pooled


def test_outputs_that_are_not_finite_are_no_predictions(data, tmp_path):
    class Undefined(nets.GapNet):
        def forward(self, x):
            return super().forward(x) / (x[:, :1, 0, 0] > 0.2)  # of one corner

    model = nets.model(Undefined())
    found = predictions(folder_source(data, model.labels), model, folder=tmp_path)
    problems = found.images["problem"]
    assert 0 < (problems == "The network's outputs are not finite.").sum() < len(problems)


def test_a_study_keeps_its_key_and_a_folder_that_of_its_path(tmp_path, gap):
    root = folder(tmp_path / "data", class_0=2)
    before = folder_source(root, gap.labels)
    (root / "class 0" / "00.png").unlink()
    assert folder_source(root, gap.labels).key == before.key
    study = Study(BUNDLED / "flowers-shortcut-6c")
    assert study_source(study).key == study.manifest.digest


def test_the_means_that_a_study_stores_serve_its_own_model_alone():
    source = study_source(Study(BUNDLED / "flowers-double-12c"), limit=4)
    assert shard.PredictionWork(source, load("flowers-double-12c")).pooled is not None
    other = load("flowers-single-6c")
    assert other.survey.default == source.study.manifest.model.layer, "the same architecture"
    assert shard.PredictionWork(source, other).pooled is None
