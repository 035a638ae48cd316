"""What a study holds: its tables and arrays, number by number."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.card import Passes
from core.images import decode
from core.mining.averages import average, stretched
from core.mining.rules import mine, stored, transactions_of
from core.study.build import build_study, config_of, expected_passes
from tests.nets import CLASSES
from tests.tiny_build import MINING, config, draw


def test_unreadable_images_are_skipped_counted_and_listed(study):
    images = study.table("images")
    bad = images[images["problem"] != ""]
    assert bad["path"].tolist() == ["class_0/broken.png", "class_0/text.jpg", "class_2/empty.png", "class_2/self.png"]
    assert bad["problem"].str.endswith(".").all()
    assert (bad["predicted"] == -1).all()
    assert (bad["patches"] == 0).all()
    assert study.manifest.data.images == len(images) == 22
    assert study.manifest.data.skipped == 4
    assert study.manifest.data.unmatched == ("loop", "nothing", "zebra")
    assert images.loc[images["path"] == "zebra/one.png", "label"].tolist() == [-1]
    assert images["image"].tolist() == list(range(22))
    assert study.manifest.data.left_out == {
        "files that are no images (notes.txt)": 1,
        "links to a folder that they lie in": 1,
    }
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
            after = float(gap.net(covered).softmax(1)[0, images["label"][number]])
            assert window.after == pytest.approx(after, abs=1e-5)


def test_passes_are_counted(study, gap):
    images, windows = study.table("images"), study.table("windows")
    readable = int((images["problem"] == "").sum())
    passes = study.manifest.passes
    assert passes.perturbed == int(windows["after"].notna().sum())
    assert passes.forwards == readable + passes.perturbed
    assert passes.backwards == readable
    assert expected_passes(config_of(study), 100, gap) == Passes(400, 100)


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
    plain, _, times = average(study, mined, row["label"], row["filter"], uniform=True)
    assert plain == pytest.approx(np.average(crops, 0, times))
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


def test_extreme_supports_work(data, gap, study):
    everything = mine(study, replace(MINING, support=1.0))
    assert (everything.rules["support"] == 1).all()
    assert len(mine(study, replace(MINING, support=0.01)).rules) >= len(everything.rules)


def test_numbers_are_finite(study):
    for name, facts in study.manifest.tables.items():
        frame = study.table(name)
        assert tuple(frame.columns) == facts.columns
        for column in frame.select_dtypes("number"):
            missing = frame[column].isna()
            assert not missing.any() or (name, column) == ("windows", "after")
    assert math.isfinite(study.log["seconds"]["heatmaps"])


def test_moved_images_are_reported_and_thumbnails_stay(study, data, tmp_path):
    assert study.lost() == []
    shutil.copytree(data / "class_0", tmp_path / "class_0")
    assert len(study.lost(tmp_path)) == 22 - 4 - 5
    assert study.array("thumbnails").shape == (22, 16, 16, 3)


def test_the_patches_that_images_kept_are_counted(study):
    from core.study.browse import STOPS, patches_per_image

    images = study.table("images")
    read = images[images["problem"] == ""]
    found = patches_per_image(images)
    assert found.to_numpy().sum() == len(read)
    assert (found.sum(axis=1) == read["patches"].value_counts().sort_index()).all()
    assert found.sum().to_dict() == read["stop"].value_counts().to_dict()
    assert set(found) <= set(STOPS)
    assert patches_per_image(images[images["problem"] != ""]).empty


def test_stored_rules_are_what_mining_gives(study, gap, tmp_path):
    draw(tmp_path / "one" / "class 3" / "a.png", 1)
    without = build_study(config(tmp_path / "one"), tmp_path / "s", model=gap)
    assert len(study.table("rules"))
    assert not len(without.table("rules"))
    for one in (study, without):
        own = config_of(one).mining
        kept, mined = stored(one, own), mine(one, own, seed=one.manifest.seed)
        assert kept.config == mined.config
        assert kept.sets_of == mined.sets_of
        for name in ("itemsets", "rules", "shared", "nodes", "edges"):
            table, again = getattr(kept, name), getattr(mined, name)
            assert list(table) == list(again)
            pd.testing.assert_frame_equal(table, again, check_exact=True, check_dtype=bool(len(again)))
            for column in {"filters", "labels", "supports"} & set(table):
                assert {type(entry) for entry in table[column]} <= {list}
                assert {type(item) for entry in table[column] for item in entry} <= {int, float}
