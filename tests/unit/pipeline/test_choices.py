"""What settings, networks and folders make of a study."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from core.explain import Query
from core.images import decode
from core.mining import plan as plans
from core.mining.settings import TransactionConfig
from core.pipeline import build_study, config_of, planned
from tests.nets import SIDE, model
from tests.tiny_build import PATCHES, config, content, draw


def test_covering_step_by_step_gives_the_same_study(data, gap, study, tmp_path, monkeypatch):
    assert not planned(config_of(study), gap).stepwise, "a tiny network is not worth it"
    monkeypatch.setattr(plans, "WORTH", 0)
    monkeypatch.setattr(plans, "SPARED", 0.1)
    assert planned(config_of(study), gap).stepwise
    independent = replace(PATCHES, perturbation="independent")
    assert not planned(replace(config_of(study), patches=independent), gap).stepwise
    steps = build_study(config_of(study), tmp_path / "s", model=gap)
    assert content(steps) == content(build_study(config_of(study), tmp_path / "t", model=gap))
    assert steps.manifest["passes"] == study.manifest["passes"]
    for name in ("windows", "patches", "rules"):
        pd.testing.assert_frame_equal(steps.table(name), study.table(name), rtol=1e-4)


@pytest.mark.parametrize("ranking", ["zscore", "share"])
def test_other_rankings_choose_other_filters(data, gap, study, tmp_path, ranking):
    settings = config(data, transactions=TransactionConfig(filters=8, ranking=ranking))
    other = build_study(settings, tmp_path / "s", model=gap)
    assert other.array("items").shape == study.array("items").shape
    assert (other.array("items") != study.array("items")).any()
    assert other.table("patches")["x"].equals(study.table("patches")["x"])
    if ranking == "zscore":
        wide = np.asarray(study.array("matrix"), np.float64)
        z = np.where(wide > 0, (wide - wide.mean(0)) / np.maximum(wide.std(0), 1e-9), -np.inf)
        agree = np.argmax(z, 1) == other.array("items")[:, 0]
        assert agree.mean() > 0.95  # float16 may turn a near tie


def test_share_ranks_by_the_part_of_a_filters_response_that_falls_into_the_patch(data, gap, tmp_path):
    settings = config(data, transactions=TransactionConfig(filters=4, ranking="share"))
    study = build_study(settings, tmp_path / "s", model=gap)
    images, patches = study.table("images"), study.table("patches")
    items, responses = study.array("items"), study.array("responses")
    differs = 0
    for row, patch in enumerate(patches.itertuples()):
        file = data / images["path"][patch.image]
        inputs = gap.preprocess.tensor(gap.preprocess.view(decode(file.read_bytes(), file.name).pixels))[None]
        with torch.no_grad():
            maps = torch.nn.functional.interpolate(gap.net.features(inputs), size=(SIDE, SIDE), mode="bilinear")[0]
        window = maps[:, patch.y : patch.y + 10, patch.x : patch.x + 10].sum((1, 2)).numpy()
        share = window / np.maximum(maps.sum((1, 2)).numpy(), 1e-12)
        held = items[row][items[row] >= 0]
        assert len(held) == min(4, int((window > 1e-6).sum()))
        assert responses[row][: len(held)] == pytest.approx(window[held], rel=1e-4)
        assert (np.diff(share[held]) <= 1e-5).all()
        assert np.delete(share, held).max() <= share[held].min() + 1e-5
        differs += held[0] != window.argmax()
    assert differs, "the strongest response is not the largest share"


def test_label_target_and_correct_images_only(data, gap, tmp_path):
    labels = build_study(config(data, patches=replace(PATCHES, target="label")), tmp_path / "a", model=gap)
    images, patches = labels.table("images"), labels.table("patches")
    assert (patches["label"].to_numpy() == images["label"].to_numpy()[patches["image"]]).all()
    assert images.loc[images["path"] == "zebra/one.png", "stop"].tolist() == ["no label"]
    right = build_study(config(data, patches=replace(PATCHES, correct_only=True)), tmp_path / "b", model=gap)
    images = right.table("images")
    readable = images[images["problem"] == ""]
    assert (readable["patches"] > 0).equals((readable["label"] == readable["predicted"]) & (readable["candidates"] > 0))
    assert "not correct" in set(images["stop"])


@pytest.mark.parametrize(
    ("name", "explainer", "settings"),
    [
        ("cnn", "grad_cam", {}),
        ("residual", "grad_cam", {}),
        ("vit", "grad_cam", {}),
        ("gap", "saliency", {"reduce": "sum_abs"}),
    ],
)
def test_other_networks_and_explainers(data, tmp_path, name, explainer, settings):
    made = model(name)
    study = build_study(config(data, explainer=explainer, settings=settings, limit=6), tmp_path / "s", model=made)
    assert len(study.table("images")) == 6
    assert ("pooled" in study.manifest["arrays"]) == (name in {"gap", "residual"} and bool(made.survey.head))


def test_every_map_of_one_sign_can_be_studied(data, gap):
    from core.explain import EXPLAINERS
    from core.mining.heatmaps import read

    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for name, method in EXPLAINERS.items():
        if method.family == "cam" and not method.signed and not method.unmet(gap):
            reading = read(gap, images, gap.survey.default, explainer=name, settings={})
            direct = read(
                gap, images, gap.survey.default, explainer=name, settings={}, labels=gap.net(images).argmax(1)
            )
            assert reading.maps.shape == (2, SIDE, SIDE)
            assert torch.equal(reading.maps, direct.maps)
            assert float(reading.maps.min()) >= 0


def test_the_one_forward_gives_the_same_map_as_asking_alone(gap):
    from core.explain import explain
    from core.mining.heatmaps import read

    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    reading = read(gap, images, gap.survey.default, explainer="grad_cam", settings={})
    alone = explain("grad_cam", Query(gap, images, gap.net(images).argmax(1)))
    assert torch.allclose(reading.maps, alone.maps, atol=1e-6)
    assert reading.query.ledger.forwards == reading.query.ledger.backwards == 3


def test_limit_takes_evenly_from_the_classes(data, gap):
    plan = planned(config(data, limit=8), gap)
    assert [plan.folder.labels.count(label) for label in (0, 1, 2, -1)] == [3, 2, 2, 1]


def test_one_image_of_one_class_and_no_labels_at_all(tmp_path, gap):
    draw(tmp_path / "one" / "class 3" / "a.png", 1)
    study = build_study(config(tmp_path / "one"), tmp_path / "s", model=gap)
    assert len(study.table("images")) == 1
    assert not len(study.table("rules"))  # one patch, or two, are no pattern … unless they agree
    draw(tmp_path / "loose" / "a.png", 1)
    draw(tmp_path / "loose" / "b.png", 2)
    study = build_study(config(tmp_path / "loose"), tmp_path / "t", model=gap)
    assert study.manifest["data"]["labelled"] == 0


def test_a_folder_in_which_nothing_can_be_read(tmp_path, gap):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"x")
    study = build_study(config(tmp_path / "bad"), tmp_path / "s", model=gap)
    assert study.manifest["data"]["skipped"] == 1
    assert not len(study.table("patches"))
    assert study.array("crops").shape == (0, 10, 10, 3)
