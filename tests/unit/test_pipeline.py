"""A study from a tiny model and a folder of random pictures: what it holds, what it refuses, that it repeats."""

import json
import math
import resource
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.errors import BadParameter, Cancelled, StudyError, TooLarge, Unavailable, UnknownName, Unsupported
from core.explain import Query
from core.images import decode
from core.mining import heatmaps, pulse
from core.mining import shard as shards
from core.mining.average import average, stretched
from core.mining.rules import mine, transactions_of
from core.mining.settings import MiningConfig, PatchConfig, StudyConfig, TransactionConfig
from core.pipeline import build_study, config_of, expected_passes, planned
from tests.nets import CLASSES, SIDE, model

PATCHES = PatchConfig(window=10, count=4, draws=60)
MINING = MiningConfig(support=0.3, filters=5)


def draw(path, seed, mode="RGB", size=(40, 36)):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five images of each of three classes, one of a class the model lacks, and files that cannot be read."""
    root = tmp_path_factory.mktemp("data") / "set"
    for label in range(3):
        for number in range(5):
            draw(root / f"class_{label}" / f"{number}.png", 10 * label + number)
    draw(root / "class_1" / "grey.png", 50, "L")
    draw(root / "class_1" / "large.jpg", 51, size=(1500, 400))
    draw(root / "zebra" / "one.png", 52)
    (root / "class_0" / "broken.png").write_bytes((root / "class_0" / "1.png").read_bytes()[:60])
    (root / "class_0" / "text.jpg").write_text("no image")
    (root / "class_2" / "empty.png").write_bytes(b"")
    (root / "class_2" / "notes.txt").write_text("ignored")
    (root / "class_2" / "self.png").symlink_to("self.png")
    (root / "loop").symlink_to(root)
    (root / "nothing").mkdir()
    return root


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    """Several shards although there are few images, and no waiting for a disk: these builds outlive no machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD", 4)
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def gap():
    return model("gap")


def config(folder, **changes):
    return replace(StudyConfig("gap", str(folder), patches=PATCHES, mining=MINING, batch=3, thumbnail=16), **changes)


@pytest.fixture(scope="module")
def study(data, gap, tmp_path_factory):
    return build_study(
        config(data, transactions=TransactionConfig(filters=8, matrix=True)),
        tmp_path_factory.mktemp("studies") / "s",
        model=gap,
    )


def content(study):
    return {file.name: file.read_bytes() for file in study.path.iterdir() if file.name != "build.json"}


def test_unreadable_images_are_skipped_counted_and_listed(study):
    images = study.table("images")
    bad = images[images["problem"] != ""]
    assert bad["path"].tolist() == ["class_0/broken.png", "class_0/text.jpg", "class_2/empty.png", "class_2/self.png"]
    assert bad["problem"].str.endswith(".").all()
    assert (bad["predicted"] == -1).all()
    assert (bad["patches"] == 0).all()
    assert study.manifest["data"]["images"] == len(images) == 22
    assert study.manifest["data"]["skipped"] == 4
    assert study.manifest["data"]["strange"] == ["loop", "nothing", "zebra"]
    assert images.loc[images["path"] == "zebra/one.png", "label"].tolist() == [-1]
    assert images["image"].tolist() == list(range(22))
    assert study.manifest["data"]["left"] == {"links to a folder that they lie in": 1}
    thumbnails = study.array("thumbnails")
    assert not thumbnails[bad["image"]].any()
    assert thumbnails[images.loc[images["problem"] == "", "image"]].any((1, 2, 3)).all()


def test_tables_and_arrays_fit_together(study, gap):
    patches, images, windows = study.table("patches"), study.table("images"), study.table("windows")
    count = len(patches)
    assert count == images["patches"].sum() == windows["kept"].sum() == len(study.array("items"))
    assert len(windows) == images["candidates"].sum()
    assert study.array("crops").shape == (count, 10, 10, 3)
    assert study.array("matrix").shape == (count, 16)
    assert study.array("pooled").shape == (len(images), 16)
    assert (patches["label"].to_numpy() == images["predicted"].to_numpy()[patches["image"]]).all()
    assert (patches["drop"] - (patches["before"] - patches["after"])).abs().max() < 1e-6
    assert (patches.groupby("image").size() == images.set_index("image")["patches"][lambda n: n > 0]).all()
    assert set(images["stop"]) <= {"tau", "k exhausted", "map exhausted", "map empty", ""}
    items, responses = study.array("items"), study.array("responses")
    assert (patches["filters"].to_numpy() == (items >= 0).sum(1)).all()
    assert (patches["response"].to_numpy() == responses[:, 0]).all()
    assert (np.diff(responses, axis=1) <= 0).all()
    matrix = np.asarray(study.array("matrix"), np.float32) * 100
    known = np.take_along_axis(matrix, np.maximum(items, 0), 1)
    assert np.allclose(np.where(items >= 0, known, 0), responses, rtol=2e-3, atol=1e-2)
    classes = study.table("classes")
    assert len(classes) == CLASSES
    assert classes["images"].sum() == 17
    assert classes["patches"].sum() == count
    assert study.labels == gap.labels


def test_crops_are_the_pixels_of_the_views(study, gap, data):
    patches, images = study.table("patches"), study.table("images")
    for number in (0, len(patches) - 1):
        one = next(patches.iloc[[number]].itertuples())
        file = data / images["path"][one.image]
        view = gap.preprocess.view(decode(file.read_bytes(), file.name).pixels)
        assert (study.array("crops")[number] == view[one.y : one.y + 10, one.x : one.x + 10]).all()


def test_predictions_and_scores_are_those_of_the_model(study, gap, data):
    images = study.table("images")
    for number in (0, 8, 15):
        file = data / images["path"][number]
        inputs = gap.preprocess.tensor(gap.preprocess.view(decode(file.read_bytes(), "x").pixels))[None]
        probabilities = gap.net(inputs).softmax(1)[0]
        assert images["predicted"][number] == int(probabilities.argmax())
        assert images["probability"][number] == pytest.approx(float(probabilities.max()), abs=1e-5)
        own = study.table("windows").query("image == @number")
        covered = inputs.clone()
        for window in own[own["after"].notna()].itertuples():
            covered[..., window.y : window.y + 10, window.x : window.x + 10] = 0
            after = float(gap.net(covered).softmax(1)[0, images["predicted"][number]])
            assert window.after == pytest.approx(after, abs=1e-5)


def test_passes_are_counted(study):
    images, windows = study.table("images"), study.table("windows")
    readable = int((images["problem"] == "").sum())
    passes = study.manifest["passes"]
    assert passes["perturbed"] == int(windows["after"].notna().sum())
    assert passes["forwards"] == readable + passes["perturbed"]
    assert passes["backwards"] == readable
    assert expected_passes(config_of(study), 100) == 400


def test_stored_rules_are_what_mining_gives_again(study):
    stored, again = study.table("rules"), mine(study, config_of(study).mining).rules
    assert len(stored) == len(again) > 0
    assert [list(one) for one in stored["filters"]] == again["filters"].tolist()
    assert stored["score"].tolist() == again["score"].tolist()
    filters = study.table("filters")
    assert filters["patches"].sum() == (study.array("items") >= 0).sum()
    wide = np.asarray(study.array("matrix"), float) * 100
    assert np.allclose(filters["mean"], wide.mean(0), rtol=0.01, atol=0.05)
    assert np.allclose(filters["deviation"], wide.std(0), rtol=0.02, atol=0.1)
    assert np.allclose(filters["largest"], wide.max(0), rtol=0.01)


def test_averages_weigh_patches_by_response(study):
    mined = mine(study, config_of(study).mining)
    table, arrays = study.table("averages"), study.array("averages")
    assert len(table) == len(arrays) == len(mined.edges)
    row = table.iloc[0].astype(object)
    image, patches, weights = average(study, mined, row["label"], row["filter"])
    assert len(patches) == len(set(patches.tolist())) == row["patches"]
    assert weights.sum() == pytest.approx(row["weight"])
    crops = np.asarray(study.array("crops")[patches], float) / 255
    truth = (crops * weights[:, None, None, None]).sum(0) / weights.sum()
    assert image == pytest.approx(truth)
    assert np.asarray(arrays[0], float) == pytest.approx(truth, abs=1e-3)
    plain, _, _ = average(study, mined, row["label"], row["filter"], uniform=True)
    assert plain == pytest.approx(crops.mean(0))
    one, strongest, _ = average(study, mined, row["label"], row["filter"], top=1)
    assert one == pytest.approx(crops[0])
    assert strongest[0] == patches[0]
    held = transactions_of(study).first(MINING.filters).items[patches]
    assert (held == row["filter"]).any(1).all()
    none, nobody, _ = average(study, mined, row["label"], 15_000)
    assert not none.any()
    assert not len(nobody)
    assert stretched(np.array([0.2, 0.4])).tolist() == [0, 1]
    assert stretched(np.array([0.3, 0.3])).tolist() == [0.3, 0.3]


def test_the_same_build_gives_the_same_bytes_and_so_does_a_resumed_one(data, gap, study, tmp_path):
    settings = config_of(study)
    again = build_study(settings, tmp_path / "again", model=gap)
    assert content(again) == content(study)
    assert json.loads((again.path / "build.json").read_text())["seconds"]

    def stop_in_the_third_shard(fraction, note):
        if note.startswith("reading images 9"):
            raise Cancelled

    with pytest.raises(Cancelled):
        build_study(settings, tmp_path / "s", model=gap, report=stop_in_the_third_shard)
    assert not (tmp_path / "s").exists()
    notes = []
    resumed = build_study(settings, tmp_path / "s", model=gap, report=lambda f, note: notes.append(note))
    assert not any(note.startswith(("reading images 1 ", "reading images 5 ")) for note in notes)
    assert content(resumed) == content(study)


def test_covering_step_by_step_gives_the_same_study(data, gap, study, tmp_path, monkeypatch):
    assert not planned(config_of(study), gap).stepwise, "a tiny network is not worth it"
    monkeypatch.setattr(shards, "WORTH", 0)
    monkeypatch.setattr(shards, "SPARED", 0.1)
    assert planned(config_of(study), gap).stepwise
    independent = replace(PATCHES, perturbation="independent")
    assert not planned(replace(config_of(study), patches=independent), gap).stepwise
    steps = build_study(config_of(study), tmp_path / "s", model=gap)
    assert content(steps) == content(build_study(config_of(study), tmp_path / "t", model=gap))
    assert steps.manifest["passes"] == study.manifest["passes"]
    for name in ("windows", "patches", "rules"):
        pd.testing.assert_frame_equal(steps.table(name), study.table(name), rtol=1e-4)


@pytest.mark.parametrize("ranking", ["raw", "zscore"])
def test_progress_rises_to_one(data, gap, tmp_path, ranking):
    seen = []
    settings = config(data, transactions=TransactionConfig(filters=8, ranking=ranking))
    build_study(settings, tmp_path / "s", model=gap, report=lambda f, note: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_a_finished_study_is_returned_and_other_settings_are_refused(data, gap, study):
    assert build_study(config_of(study), study.path, model=gap).manifest == study.manifest
    with pytest.raises(Exception, match="holds a study of other settings"):
        build_study(replace(config_of(study), seed=1), study.path, model=gap)


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


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rise", {"masks": 50, "centred": True}),
        ("guided_grad_cam", {"reduce": "sum"}),
    ],
)
def test_settings_that_allow_signs_are_refused_when_a_map_has_some(gap, tmp_path, name, settings):
    root = bitmaps(tmp_path / "data", range(4))
    given = config(root, explainer=name, settings=settings)
    with pytest.raises(
        Unsupported, match=r"with these settings gives maps below zero, and patches need .* such as grad_cam"
    ):
        build_study(given, tmp_path / "s", model=gap)
    assert not (tmp_path / "s").exists()


def test_the_one_forward_gives_the_same_map_as_asking_alone(gap):
    from core.explain import Query, explain
    from core.mining.heatmaps import read

    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    reading = read(gap, images, gap.survey.default, explainer="grad_cam", settings={})
    alone = explain("grad_cam", Query(gap, images, gap.net(images).argmax(1)))
    assert torch.allclose(reading.maps, alone.maps, atol=1e-6)
    assert reading.query.ledger.forwards == reading.query.ledger.backwards == 3


def test_a_given_layer_is_the_one_that_is_studied(data, gap, tmp_path):
    other = gap.net.features[5]
    study = build_study(config(data, limit=4, layer="features.5"), tmp_path / "s", model=gap)
    assert gap.survey.default != "features.5"
    assert study.manifest["model"]["layer"] == "features.5"
    assert study.manifest["model"]["filters"] == 12
    assert not {"pooled", "matrix"} & set(study.manifest["arrays"]), "kept only where they are of use, or asked for"
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
            fill="blur",
        ),
        transactions=TransactionConfig(filters=6, ranking="share", matrix=True),
        mining=MiningConfig(0.4, 0.1, 1, 7, 4, "all", 3, balanced=True, fold=False, limit=500),
    )  # fmt: skip
    for part in (settings.patches, settings.transactions, settings.mining):
        kept = {name for name, value in vars(part).items() if value == getattr(type(part)(), name)}
        assert not kept, "the test is to change every setting"
    study = build_study(settings, tmp_path / "s", model=gap)
    assert config_of(type(study)(study.path)) == settings
    assert study.array("matrix").dtype == np.float16
    assert isinstance(study.array("matrix"), np.memmap)


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


def test_images_too_large_to_read_are_skipped_with_the_reason(tmp_path, gap):
    root = bitmaps(tmp_path / "data", range(4))
    Image.new("1", (8000, 8000)).save(root / "class_0" / "vast.png")
    (root / "class_1" / "heavy.png").write_bytes(bytes(12_600_000))
    study = build_study(config(root), tmp_path / "s", model=gap)
    images = study.table("images").set_index("path")
    assert study.manifest["data"]["skipped"] == 2
    assert "64 megapixels; the limit is 50" in images.loc["class_0/vast.png", "problem"]
    assert "12.6 MB is over the 10 MB limit" in images.loc["class_1/heavy.png", "problem"]
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


def test_a_folder_in_which_nothing_can_be_read(tmp_path, gap):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"x")
    study = build_study(config(tmp_path / "bad"), tmp_path / "s", model=gap)
    assert study.manifest["data"]["skipped"] == 1
    assert not len(study.table("patches"))
    assert study.array("crops").shape == (0, 10, 10, 3)


def test_moved_images_are_reported_and_thumbnails_stay(study, data, tmp_path):
    assert study.lost() == []
    shutil.copytree(data / "class_0", tmp_path / "class_0")
    assert len(study.lost(tmp_path)) == 22 - 4 - 5
    assert study.array("thumbnails").shape == (22, 16, 16, 3)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"patches": PatchConfig(window=300)}, BadParameter, "window of 300 pixels does not fit"),
        (
            {"mining": MiningConfig(support=0)},
            BadParameter,
            r"mining.support cannot be 0\. It must lie between 0.01 and 1",
        ),
        ({"mining": MiningConfig(support=1.5)}, BadParameter, "mining.support cannot be 1.5"),
        ({"patches": PatchConfig(sampling="all")}, BadParameter, "patches.sampling cannot be 'all'"),
        ({"batch": 0}, BadParameter, "study.batch"),
        ({"layer": "features.99"}, Unsupported, "features.99"),
        ({"layer": "fc"}, Unsupported, "has no positions"),
        ({"explainer": "grad_kam"}, UnknownName, "grad_cam"),
        ({"explainer": "lrp"}, Unsupported, r"LRP gives maps of both signs.* such as grad_cam\."),
        ({"settings": {"speed": 1}}, UnknownName, "speed"),
        ({"data": "/nowhere"}, Unavailable, "/nowhere"),
        (
            {"explainer": "extremal_perturbation", "settings": {"areas": "2"}},
            BadParameter,
            r"extremal_perturbation\.areas cannot be '2'",
        ),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(data, gap, tmp_path, changes, error, match):
    with pytest.raises(error, match=match):
        build_study(config(data, **changes), tmp_path / "s", model=gap)
    assert list(tmp_path.iterdir()) == []


def test_models_without_positions_and_empty_folders_are_refused(data, tmp_path):
    with pytest.raises(Unsupported, match="linear has none"):
        planned(config(data), model("linear"))
    for folder in ("empty", "texts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    for folder in ("empty", "texts"):
        with pytest.raises(Unavailable, match=f"no image in .*{folder}"):
            planned(config(tmp_path / folder), model("gap"))


def test_extreme_supports_work(data, gap, study):
    everything = mine(study, replace(MINING, support=1.0))
    assert (everything.rules["support"] == 1).all()
    assert len(mine(study, replace(MINING, support=0.01)).rules) >= len(everything.rules)


def test_changed_images_make_another_study(data, gap, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(data, root, symlinks=True)
    build_study(config(root, limit=6), tmp_path / "s", model=gap)
    draw(root / "class_0" / "0.png", 999, size=(90, 90))
    with pytest.raises(Exception, match="other settings, images or weights"):
        build_study(config(root, limit=6), tmp_path / "s", model=gap)


def test_numbers_are_finite(study):
    for name, facts in study.manifest["tables"].items():
        frame = study.table(name)
        assert list(frame.columns) == facts["columns"]
        for column in frame.select_dtypes("number"):
            missing = frame[column].isna()
            assert not missing.any() or (name, column) == ("windows", "after")
    assert math.isfinite(study.log["seconds"]["heatmaps"])


def told(settings, path, model, until=None, **how):
    """What a build reports; `until` a note is reached, at which it is cancelled."""
    notes = []

    def report(fraction, note):
        notes.append(note)
        if until and note.startswith(until):
            raise Cancelled

    if until:
        with pytest.raises(Cancelled):
            build_study(settings, path, model=model, report=report, **how)
    else:
        build_study(settings, path, model=model, report=report, **how)
    return notes


def test_other_rules_need_no_new_passes(data, gap, tmp_path, monkeypatch):
    settings, other = config(data, limit=8), config(data, limit=8, mining=replace(MINING, support=0.8))

    def too_many(*args, **kwargs):
        raise TooLarge("too many")

    with monkeypatch.context() as patch:
        patch.setattr("core.pipeline.mine", too_many)
        with pytest.raises(TooLarge):
            build_study(settings, tmp_path / "s", model=gap)
    notes = told(other, tmp_path / "s", gap)
    assert not any(note.startswith("reading images") for note in notes)
    whole = build_study(other, tmp_path / "t", model=gap)
    assert content(build_study(other, tmp_path / "s", model=gap)) == content(whole)
    with pytest.raises(StudyError, match="other settings"):
        build_study(settings, tmp_path / "s", model=gap)


def test_a_disk_that_fills_up_at_the_end_loses_no_shard(data, gap, tmp_path):
    settings = config(data, limit=6)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    notes = []
    for stage in ("joining", "rules mined", "averaging patches", "finishing"):

        def filling(fraction, note, stage=stage):
            notes.append(note)
            if note == stage:
                resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))

        try:
            with pytest.raises(
                StudyError, match=r"The disk is full: the study s could not be written\. Free some space"
            ):
                build_study(settings, tmp_path / "s", model=gap, report=filling)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert notes[-1] == stage
        assert not (tmp_path / "s").exists()
    notes += told(settings, tmp_path / "s", gap)
    assert notes.count("reading images 1 to 4") == 5, "only the first of five builds read them"
    whole = build_study(settings, tmp_path / "t", model=gap)
    assert content(build_study(settings, tmp_path / "s", model=gap)) == content(whole)


def bitmaps(root, values):
    """Images of one size, in the same number of bytes whatever they show."""
    for number, value in enumerate(values):
        path = root / f"class_{number % 2}" / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(value)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)).save(path)
    return root


def test_images_of_the_same_size_are_other_images(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(6))
    settings = config(root)
    build_study(settings, tmp_path / "s", model=gap)
    told(settings, tmp_path / "t", gap, until="reading images 5")
    bitmaps(root, range(1, 7))
    with pytest.raises(StudyError, match="other settings, images or weights"):
        build_study(settings, tmp_path / "s", model=gap)
    fresh = build_study(settings, tmp_path / "u", model=gap)
    assert content(build_study(settings, tmp_path / "t", model=gap)) == content(fresh)


def test_images_that_change_under_the_build_are_refused(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(6))

    def exchange(fraction, note):
        if note.startswith("reading images 5"):
            bitmaps(root, range(1, 7))

    with pytest.raises(StudyError, match=r"class_1/3\.bmp changed while the study was being built\. Build it again"):
        build_study(config(root), tmp_path / "s", model=gap, report=exchange)
    fresh = build_study(config(root), tmp_path / "t", model=gap)
    assert content(build_study(config(root), tmp_path / "s", model=gap)) == content(fresh)


def test_other_names_of_classes_make_another_study(gap, tmp_path):
    root = bitmaps(tmp_path / "data", range(4))
    build_study(config(root), tmp_path / "s", model=gap)
    with pytest.raises(StudyError, match="other settings"):
        build_study(config(root), tmp_path / "s", model=replace(gap, labels=gap.labels[::-1]))


def test_a_folder_given_from_here_is_found_from_anywhere(gap, tmp_path, monkeypatch):
    bitmaps(tmp_path / "here" / "fl", range(4))
    monkeypatch.chdir(tmp_path / "here")
    study = build_study(config("fl"), "s", model=gap)
    assert study.manifest["data"]["folder"] == "../fl"
    assert study.lost() == []
    monkeypatch.chdir("/")
    again = type(study)(tmp_path / "here" / "s")
    assert again.lost() == []
    (tmp_path / "here" / "fl" / "class_0" / "0.bmp").unlink()
    assert again.lost() == ["class_0/0.bmp"]
    absolute = build_study(config(tmp_path / "here" / "fl"), tmp_path / "t", model=gap)
    assert absolute.manifest["data"]["folder"] == str(tmp_path / "here" / "fl")


@pytest.mark.parametrize("place", ["forward", "explainer", "covering"])
def test_a_batch_beyond_the_memory_is_a_sentence(data, gap, tmp_path, monkeypatch, place):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    owner, name = {
        "forward": (heatmaps, "_tape"), "explainer": (heatmaps, "explain"), "covering": (shards, "relevant"),
    }[place]  # fmt: skip
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(TooLarge, match=r"^3 images at a time do not fit into memory\. Use a smaller batch \(--batch\)"):
        build_study(config(data), tmp_path / "s", model=gap)
    with pytest.raises(TooLarge, match="even one image at a time"):
        build_study(config(data, batch=1), tmp_path / "t", model=gap)


def test_the_batch_of_a_study_is_not_halved_unseen(gap):
    pushed = []

    def full(net, inputs):
        pushed.append(len(inputs[0]))
        raise torch.OutOfMemoryError("CUDA out of memory")

    query = Query(gap, torch.zeros(4, 3, SIDE, SIDE), torch.zeros(4, dtype=torch.int64), batch=4)
    handle = gap.net.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        heatmaps.explain("saliency", query, halve=False)
    handle.remove()
    assert pushed == [4]


def test_every_image_and_every_average_is_reported(data, gap, tmp_path):
    settings = config(data, limit=8)
    notes = told(settings, tmp_path / "s", gap)
    study = build_study(settings, tmp_path / "s", model=gap)
    for start in (1, 5):
        assert notes.count(f"reading images {start} to {start + 3}") > 4
    assert notes.count("comparing images") > 8
    assert notes.count("averaging patches") >= 2 * len(study.table("averages"))
    assert notes.count("joining") > 10


@pytest.mark.parametrize(
    "stage", ["comparing images", "reading images 5", "heatmaps", "averaging patches", "finishing"]
)
def test_a_build_stops_in_the_midst_of_a_stage(data, gap, tmp_path, stage):
    told(config(data, limit=8), tmp_path / "s", gap, until=stage)
    assert not (tmp_path / "s").exists()


def test_a_forward_of_a_whole_batch_can_be_stopped_in_its_midst(data, gap, tmp_path, monkeypatch):
    before = build_study(config(data, limit=8, batch=64), tmp_path / "s", model=gap)
    monkeypatch.setattr(pulse, "EVERY", 0)
    again = build_study(config(data, limit=8, batch=64), tmp_path / "t", model=gap)
    assert content(again) == content(before)
    seen = []

    def third(fraction, note):
        seen.append(note)
        if note == "heatmaps" and seen.count(note) > 3:
            raise Cancelled

    reached = []
    handle = gap.net.features[-1].register_forward_hook(lambda *args: reached.append(1))
    with pytest.raises(Cancelled):
        build_study(config(data, limit=8, batch=64), tmp_path / "u", model=gap, report=third)
    handle.remove()
    assert not reached, "the first forward did not come to its end"


def test_unfinished_maps_enter_no_study(gap, monkeypatch):
    calls = []

    def stop(fraction, note):
        calls.append(note)
        if len(calls) > 20:
            raise Cancelled

    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with pytest.raises(Cancelled):
        heatmaps.read(gap, images, gap.survey.default, explainer="rise", settings={"masks": 500}, batch=4, report=stop)


def test_settings_of_another_version_are_a_sentence(study, tmp_path):
    shutil.copytree(study.path, tmp_path / "s")
    manifest = json.loads((tmp_path / "s" / "study.json").read_text())
    manifest["config"]["mining"]["speed"] = 1
    (tmp_path / "s" / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(StudyError, match=r"The study s is damaged: its settings are none of this version .*speed"):
        config_of(type(study)(tmp_path / "s"))


def test_the_patches_that_images_kept_are_counted(study):
    from core.mining.catalogue import STOPS, kept

    images = study.table("images")
    read = images[images["problem"] == ""]
    found = kept(images)
    assert found.to_numpy().sum() == len(read)
    assert (found.sum(axis=1) == read["patches"].value_counts().sort_index()).all()
    assert found.sum().to_dict() == read["stop"].value_counts().to_dict()
    assert set(found) <= set(STOPS)
    assert kept(images[images["problem"] != ""]).empty
