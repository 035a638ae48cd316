"""What settings, networks and folders make of a study."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.errors import BadParameter
from core.explain import Query
from core.images import decode
from core.progress import silent
from core.study import Study
from core.study import plan as plans
from core.study.build import build_study, config_of, planned
from core.study.config import EARLIER, MiningConfig, PatchConfig, TransactionConfig
from core.units.ablation_study import files_of_folder, read_batches, run_ablation
from tests.nets import SIDE, model
from tests.tiny_build import PATCHES, bitmaps, config, content, deep, draw


def test_covering_step_by_step_gives_the_same_study(data, gap, study, tmp_path, monkeypatch):
    assert not planned(config_of(study), gap).stepwise, "a tiny network is not worth it"
    monkeypatch.setattr(plans, "WORTH", 0)
    monkeypatch.setattr(plans, "SPARED", 0.1)
    assert planned(config_of(study), gap).stepwise
    independent = replace(PATCHES, perturbation="independent")
    assert not planned(replace(config_of(study), patches=independent), gap).stepwise
    steps = build_study(config_of(study), tmp_path / "s", model=gap)
    assert content(steps) == content(build_study(config_of(study), tmp_path / "t", model=gap))
    assert steps.manifest.passes == study.manifest.passes
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


@pytest.mark.parametrize("watched", ["label", "explained"])
def test_the_score_of_the_true_class_or_of_the_explained_one_is_watched(data, gap, tmp_path, watched):
    study = build_study(config(data, patches=replace(PATCHES, watched=watched)), tmp_path / "s", model=gap)
    images, patches = study.table("images"), study.table("patches")
    assert (patches["label"].to_numpy() == images["predicted"].to_numpy()[patches["image"]]).all(), "as explained"
    first = patches[patches["rank"] == 0].merge(images, on="image", suffixes=("", "_true"))
    differ = first["label_true"] != first["predicted"]
    assert differ.any()
    for row in first.itertuples():
        known = row.label_true >= 0
        file = data / row.path
        inputs = gap.preprocess.tensor(gap.preprocess.view(decode(file.read_bytes(), file.name).pixels))[None]
        with torch.no_grad():
            scores = gap.net(inputs).softmax(1)[0]
        assert row.before == pytest.approx(
            float(scores[row.label_true if known and watched == "label" else row.predicted]), abs=1e-5
        )
    assert PatchConfig().watched == "label", (
        "the paper's reading: the score of Y, while the map explains the prediction"
    )


def test_settings_that_a_study_of_before_does_not_have_are_those_of_before(data, gap, study, tmp_path):
    path = tmp_path / "old"
    shutil.copytree(study.path, path)
    manifest = json.loads((path / "study.json").read_text("utf-8"))
    for part, names in EARLIER.items():
        for name in names:
            del manifest["config"][part][name]
    (path / "study.json").write_text(json.dumps(manifest), "utf-8")
    old = config_of(Study(path))
    assert (old.patches.watched, old.mining.strict, old.mining.skip_large, old.mining.per_rule) == (
        "explained", False, False, False,
    )  # fmt: skip
    new = config_of(study)
    assert replace(new.mining, **EARLIER["mining"]) == old.mining
    assert replace(new.patches, **EARLIER["patches"]) == old.patches


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
    assert ("pooled" in study.manifest.arrays) == (name in {"gap", "residual"} and bool(made.survey.head))


def test_every_map_of_one_sign_can_be_studied(data, gap):
    from core.explain import EXPLAINERS
    from core.study.heatmaps import read

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
    from core.study.heatmaps import read

    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    reading = read(gap, images, gap.survey.default, explainer="grad_cam", settings={})
    alone = explain("grad_cam", Query(gap, images, gap.net(images).argmax(1)))
    assert torch.allclose(reading.maps, alone.maps, atol=1e-6)
    assert reading.query.log.forwards == reading.query.log.backwards == 3


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
    assert study.manifest.data.labelled == 0


def test_a_folder_in_which_nothing_can_be_read(tmp_path, gap):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    study = build_study(config(tmp_path / "bad"), tmp_path / "s", model=gap)
    assert study.manifest.data.skipped == 1
    assert not len(study.table("patches"))
    assert study.array("crops").shape == (0, 10, 10, 3)


def test_a_given_layer_is_the_one_that_is_studied(data, gap, tmp_path):
    other = gap.net.features[5]
    study = build_study(config(data, limit=4, layer="features.5"), tmp_path / "s", model=gap)
    assert gap.survey.default != "features.5"
    assert study.manifest.model.layer == "features.5"
    assert study.manifest.model.filters == 12
    assert not {"pooled", "matrix"} & set(study.manifest.arrays), "kept only where they are of use, or asked for"
    images, patches, seen = study.table("images"), study.table("patches"), []
    handle = other.register_forward_hook(lambda module, given, out: seen.append(out.clone()))
    for row, patch in enumerate(patches.itertuples()):
        file = data / images["path"][patch.image]
        inputs = gap.preprocess.tensor(gap.preprocess.view(decode(file.read_bytes(), file.name).pixels))[None]
        with torch.no_grad():
            gap.net(inputs)
        maps = torch.nn.functional.interpolate(seen[-1], size=(SIDE, SIDE), mode="bilinear")[0]
        window = maps[:, patch.y : patch.y + 10, patch.x : patch.x + 10].sum((1, 2)).numpy()
        items = study.array("items")[row]
        assert study.array("responses")[row][items >= 0] == pytest.approx(window[items[items >= 0]], rel=1e-4)
        assert window.max() == pytest.approx(window[items[0]], rel=1e-4)
    handle.remove()


def test_every_setting_is_recorded_as_it_was_given(data, gap, tmp_path):
    settings = config(
        data, limit=4, seed=3, explainer="saliency", settings={"reduce": "sum_abs"},
        patches=PatchConfig(
            window=9, count=3, draws=40, sampling="fixed", max_overlap=0.5, tau=0.02, perturbation="independent",
            score="logit", target="label", correct_only=True, difference="drop", from_clean=False, keep_last=False,
            fill="blur", watched="explained",
        ),
        transactions=TransactionConfig(filters=6, ranking="share", matrix=True),
        mining=MiningConfig(
            0.4, strict=False, confidence=0.1, least=1, best=7, filters=4, sets="all", max_size=3, balanced=True,
            fold=False, limit=500, skip_large=False, per_rule=False,
        ),
    )  # fmt: skip
    for part in (settings.patches, settings.transactions, settings.mining):
        kept = {name for name, value in vars(part).items() if value == getattr(type(part)(), name)}
        assert not kept, "the test is to change every setting"
    study = build_study(settings, tmp_path / "s", model=gap)
    assert config_of(type(study)(study.path)) == settings
    assert study.array("matrix").dtype == np.float16
    assert isinstance(study.array("matrix"), np.memmap)


def test_images_too_large_to_read_are_skipped_with_the_reason(tmp_path, gap):
    root = bitmaps(tmp_path / "data", range(4))
    Image.new("1", (8000, 8000)).save(root / "class_0" / "vast.png")
    with (root / "class_1" / "heavy.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(55_460_000)
    study = build_study(config(root), tmp_path / "s", model=gap)
    images = study.table("images").set_index("path")
    assert study.manifest.data.skipped == 2
    assert "64 megapixels; the limit is 50" in images.loc["class_0/vast.png", "problem"]
    assert "55.5 MB is over the limit of 50 MB" in images.loc["class_1/heavy.png", "problem"]
    assert (images.loc[images["problem"] == "", "patches"] > 0).all()


def test_a_window_as_large_as_the_image_is_its_only_patch(tmp_path, gap):
    root = bitmaps(tmp_path / "data", range(4))
    patches = PatchConfig(window=SIDE, sampling="dense", tau=0.0)
    study = build_study(config(root, patches=patches), tmp_path / "s", model=gap)
    assert study.table("patches")[["image", "x", "y", "size"]].to_numpy().tolist() == [
        [k, 0, 0, SIDE] for k in range(4)
    ]
    assert set(study.table("images")["stop"]) == {"map exhausted"}
    with pytest.raises(BadParameter, match=f"A window of {SIDE + 1} pixels does not fit into the {SIDE} pixels"):
        planned(config(root, patches=PatchConfig(window=SIDE + 1)), gap)


def test_a_window_of_values_is_that_of_every_image_that_is_read(gap, tmp_path):
    """The same as images whose values were scaled before, in the study and when its images are read for an ablation."""
    plain, scaled = deep(tmp_path / "plain", 0, 4095, 12), deep(tmp_path / "scaled", 1000, 2000)
    settings = config(plain, window=(1000.0, 2000.0))
    shown, whole = (build_study(one, tmp_path / f"{n}", model=gap) for n, one in enumerate((settings, config(plain))))
    expected = build_study(config(scaled), tmp_path / "e", model=gap)
    assert np.allclose(shown.array("pooled"), expected.array("pooled"), atol=1e-4)
    assert not np.allclose(shown.array("pooled"), whole.array("pooled"), atol=1e-2)
    assert config_of(shown).window == (1000.0, 2000.0)
    sets = {"mined": {0: (0, 1), 1: (2,)}}
    tables = [
        run_ablation(one, sets, gap, folder=folder, draws=3).per_class
        for one, folder in ((shown, plain), (expected, scaled), (shown, ""))
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])
    inputs = [
        torch.cat([batch for batch, _ in read_batches(gap, files_of_folder(gap, folder), 16, silent, window)])
        for folder, window in ((plain, shown.manifest.settings.value_window()), (scaled, None))
    ]
    assert torch.allclose(inputs[0], inputs[1], atol=1e-3)


def test_studies_of_earlier_versions_have_no_window(study, tmp_path):
    shutil.copytree(study.path, tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / "study.json").read_text())
    del manifest["config"]["window"]
    (tmp_path / "s" / "study.json").write_text(json.dumps(manifest))
    assert config_of(Study(tmp_path / "s")).window == ()


@pytest.mark.parametrize("window", [(5.0,), (2.0, 1.0), (1.0, 2.0, 3.0)])
def test_a_window_that_is_none_is_a_sentence(data, gap, window):
    with pytest.raises(BadParameter, match="The window cannot be"):
        planned(config(data, window=window), gap)
