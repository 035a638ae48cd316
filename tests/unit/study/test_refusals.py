"""What a build refuses: settings that cannot be, models without positions, batches beyond the memory."""

import pytest
import torch

from core.errors import BadParameter, TooLarge, Unavailable, UnknownName, Unsupported
from core.explain import Query
from core.explain.execution import Execution
from core.study import heatmaps
from core.study import shard as shards
from core.study.build import build_study, planned
from core.study.config import MiningConfig, PatchConfig
from tests.nets import SIDE, model
from tests.tiny_build import bitmaps, config


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
        ({"layer": "fc"}, Unsupported, "has no spatial positions"),
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


@pytest.mark.parametrize("place", ["forward", "explainer", "covering"])
def test_a_batch_beyond_the_memory_is_a_sentence(data, gap, tmp_path, monkeypatch, place):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    owner, name = {
        "forward": (heatmaps, "_recorded"), "explainer": (heatmaps, "explain"), "covering": (shards, "relevant"),
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

    query = Query(gap, torch.zeros(4, 3, SIDE, SIDE), torch.zeros(4, dtype=torch.int64), execution=Execution(batch=4))
    handle = gap.net.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        heatmaps.explain("saliency", query, halve=False)
    handle.remove()
    assert pushed == [4]


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
        Unsupported, match=r"with these settings gives maps below zero, and patches require .* such as grad_cam"
    ):
        build_study(given, tmp_path / "s", model=gap)
    assert not (tmp_path / "s").exists()
