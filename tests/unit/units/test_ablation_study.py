import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.errors import Unavailable, Unsupported
from core.explain.filter_relevance import BUNDLED, StoredRelevance
from core.models import load
from core.units.ablation_study import compared_sets, expected_passes, run_ablation
from tests.nets import SIDE, model


@pytest.fixture
def net():
    return model("gap")


class Shelf:
    """A study of the images of a folder, with or without the averages of its filters' maps."""

    def __init__(self, net, folder, count=6, *, pooled=True):
        rng, views = np.random.default_rng(0), []
        self.paths, self.root = [], folder
        for number in range(count):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            path = folder / f"{number % 2}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True, parents=True)
            Image.fromarray(pixels).save(path)
            self.paths.append(path.relative_to(folder).as_posix())
            views.append(net.preprocess.tensor(pixels))
        from core.units.ablation import pooled as averages

        self.filters = averages(net, torch.stack(views), net.survey.default).numpy()
        self.labels = net.labels
        arrays = {"pooled": {}} if pooled else {}
        facts = SimpleNamespace(layer=net.survey.default, filters=self.filters.shape[1])
        self.manifest = SimpleNamespace(
            model=facts,
            arrays=arrays,
            data=SimpleNamespace(folder=str(folder)),
            settings=SimpleNamespace(value_window=lambda: None),
        )

    @property
    def folder(self):
        return Path(self.manifest.data.folder)

    def array(self, name):
        return self.filters

    def table(self, name):
        labels = [number % 2 for number in range(len(self.paths))]
        return pd.DataFrame({"path": self.paths, "label": labels, "problem": ""})


def test_files_and_kept_averages_agree(net, tmp_path):
    sets = {"mined": {0: [1, 2], 1: [3]}}
    kept = run_ablation(Shelf(net, tmp_path), sets, net, draws=3)
    read = run_ablation(Shelf(net, tmp_path, pooled=False), sets, net, draws=3, batch=4)
    pd.testing.assert_frame_equal(kept.per_class, read.per_class)
    assert kept.per_class["images"].tolist() == [3, 3]


def test_no_filters_are_the_baseline(net, tmp_path):
    found = run_ablation(Shelf(net, tmp_path), {"mined": {}}, net, draws=2).per_class
    assert (found["mined"] == found["baseline"]).all()
    assert (found["random_mean"] == found["baseline"]).all()


def test_what_cannot_be_used_is_left_out_and_listed(net, tmp_path):
    study = Shelf(net, tmp_path / "own", pooled=False)
    other = tmp_path / "other"
    whole = run_ablation(study, {"mined": {0: [1]}}, net, folder=study.root, draws=2)
    assert whole.skipped == {}
    shutil.copytree(study.root, other)
    (other / "1" / "1.png").write_bytes((other / "1" / "1.png").read_bytes()[:40])
    (other / "zebra").mkdir()
    shutil.copy(other / "0" / "0.png", other / "zebra")
    found = run_ablation(study, {"mined": {0: [1]}}, net, folder=other, draws=2)
    assert found.per_class["images"].tolist() == [3, 2]
    assert set(found.skipped) == {"zebra/", "1/1.png"}
    assert found.skipped["zebra/"] == "The model has no class zebra."
    assert found.skipped["1/1.png"].startswith("1/1.png ")
    assert found.summary()["skipped"][0] == {"path": "zebra/", "problem": "The model has no class zebra."}
    (study.root / "0" / "2.png").unlink()
    gone = run_ablation(study, {"mined": {0: [1]}}, net, draws=2)
    assert list(gone.skipped) == ["0/2.png"]
    assert gone.per_class["images"].tolist() == [2, 3]


def test_a_folder_that_cannot_be_used_is_a_sentence(net, tmp_path):
    study = Shelf(net, tmp_path / "own")
    (tmp_path / "bad" / "0").mkdir(parents=True)
    with pytest.raises(Unavailable, match="There is no image in"):
        run_ablation(study, {"mined": {}}, net, folder=tmp_path / "bad")
    (tmp_path / "bad" / "0" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Unavailable, match=r"None of the images in .*bad can be read\. 0/a\.png"):
        run_ablation(study, {"mined": {}}, net, folder=tmp_path / "bad")
    (tmp_path / "bad" / "0").rename(tmp_path / "bad" / "zebra")
    with pytest.raises(Unsupported, match="None of these images belongs to a class"):
        run_ablation(study, {"mined": {}}, net, folder=tmp_path / "bad")


def test_images_that_are_gone_are_a_sentence(net, tmp_path):
    study = Shelf(net, tmp_path, pooled=False)
    study.manifest.data.folder = "gone"
    with pytest.raises(Unavailable, match="are not in gone"):
        run_ablation(study, {"mined": {}}, net)


def test_a_study_without_classes_is_a_sentence(net, tmp_path):
    study = Shelf(net, tmp_path)
    study.table = lambda name: pd.DataFrame({"path": study.paths, "label": -1, "problem": ""})
    with pytest.raises(Unsupported, match="None of these images"):
        run_ablation(study, {"mined": {}}, net)


@pytest.mark.parametrize(("layer", "filters", "module"), [("", 16, "features.0"), ("features.5", 12, "fc")])
def test_as_many_passes_are_made_as_its_time_is_estimated_from(net, tmp_path, layer, filters, module):
    """One per image where averages are enough; at an earlier layer, one per image and set, and one without any."""
    study, rows = Shelf(net, tmp_path, pooled=False), []
    study.manifest.model.layer, study.manifest.model.filters = layer or net.survey.default, filters
    net.net.get_submodule(module).register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    run_ablation(study, {"mined": {0: [1, 2], 1: [3]}}, net, draws=3, batch=4)
    assert sum(rows) == expected_passes(study, net, images=6, sets=1 + 3) == (30 if layer else 6)


def test_relevant_filters_are_those_of_the_layer_with_the_largest_weights():
    flowers, mined = load("flowers-single-6c"), {0: [3, 1, 3], 2: range(128), 5: ()}
    weights = StoredRelevance(BUNDLED / "flowers-single-6c-relevance").relevance.weights[:, 16 + 32 + 64 :]
    sets, missing = compared_sets(flowers, "relu4", mined)  # its channels are those of norm4, which is stored
    assert not missing
    assert sets["mined"] == mined
    assert sets["relevant"][0] == np.argsort(-weights[0], kind="stable")[:2].tolist()
    assert set(sets["relevant"][2]) == set(np.flatnonzero(weights[2] > 1e-6))
    assert len(sets["relevant"][2]) < 128
    assert sets["relevant"][5] == []
    assert all(compared_sets(flowers, layer, mined)[0] == sets for layer in ("conv4", "norm4"))


def test_without_relevance_of_the_layer_there_is_a_sentence(net, tmp_path, monkeypatch):
    flowers, mined = load("flowers-single-6c"), {0: [1]}
    sets, missing = compared_sets(flowers, "head", mined)
    assert sets == {"mined": mined}
    assert missing == "The stored relevance of filters of flowers-single-6c has no layer head."
    sets, missing = compared_sets(net, net.survey.default, mined)
    assert sets == {"mined": mined}
    assert missing.startswith("No relevance of the filters of gap is stored. Store it: vitrine units relevance gap")


def test_the_table_has_relevant_filters_beside_those_of_rules(net, tmp_path):
    sets = {"mined": {0: [1, 2], 1: [3]}, "relevant": {0: [4], 1: [3]}}
    found = run_ablation(Shelf(net, tmp_path), sets, net, draws=2)
    alone = run_ablation(Shelf(net, tmp_path), {"mined": sets["relevant"]}, net, draws=0)
    assert found.per_class["relevant"].tolist() == alone.per_class["mined"].tolist()
    summary = found.summary()
    assert (summary["filters_per_class"], summary["relevant_per_class"]) == (1.5, 1.0)
