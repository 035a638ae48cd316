"""Requests of a workbench: each method, target and layer once, and maps that are those of the layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import export
from core.cache import TensorCache
from core.explain import EXPLAINERS, Query, explain
from core.explain.target_name import TargetName
from core.images import decode
from core.workbench import Request, Workbench
from tests import nets

LAYERS = ["features.2", "features.5"]


@pytest.fixture
def bench() -> Workbench:
    return Workbench(nets.model("gap"), TensorCache(1 << 26))


def test_a_method_that_does_not_depend_on_the_layer_is_requested_once(bench: Workbench) -> None:
    settings = {"saliency": {}, "grad_cam": {}, "rise": {"masks": 9}}
    found = bench.requests(settings, [TargetName((1,)), TargetName((3,))], LAYERS, settle=True)
    assert [(one.name, one.target.index, one.layer) for one in found] == [
        (name, target, layer)
        for target in (1, 3)
        for name, layer in (("saliency", ""), *(("grad_cam", layer) for layer in LAYERS), ("rise", ""))
    ]
    assert all(one.settle and one.settings == settings[one.name] for one in found)
    assert len({one.key for one in found}) == len(found)
    assert {one.layer for one in bench.requests({"grad_cam": {}}, [TargetName((1,))])} == {""}


def test_the_layer_changes_the_map_of_exactly_the_methods_that_follow_it(bench: Workbench, photo: bytes) -> None:
    """Of every method that works on the network, run at two layers."""
    model = bench.model
    images = bench.query(decode(photo, "photo.png"), TargetName((1,))).images
    for name, method in EXPLAINERS.items():
        if method.unmet(model) or not (method.family in {"cam", "gradient", "propagation"} or name == "random"):
            continue
        maps = [
            explain(name, Query(model, images, torch.tensor([1]), layer), method.budget("quick")).maps
            for layer in LAYERS
        ]
        assert torch.equal(*maps) != method.follows_layer(model.survey), name


def test_maps_at_several_layers_are_those_of_each_alone(bench: Workbench, photo: bytes) -> None:
    picture, answers = decode(photo, "photo.png"), {}
    requests = bench.requests({"grad_cam": {}, "layer_cam": {}}, [TargetName((2,))], LAYERS)
    bench.compare(picture, requests, lambda request, answer: answers.update({request.key: answer}))
    for request in requests:
        alone = Workbench(bench.model, TensorCache(1 << 26)).explain(picture, request)
        assert answers[request.key].layer == request.layer
        assert torch.equal(alone.maps, answers[request.key].maps)
    found = [(request, answers[request.key]) for request in requests]
    assert list(export.arrays(found)) == [f"{n}-2@{layer}" for n in ("grad_cam", "layer_cam") for layer in LAYERS]
    assert len({values.tobytes() for values in export.arrays(found).values()}) == 4
    assert [entry["layer"] for entry in export.record(bench, picture, found)["maps"]] == LAYERS * 2
    (table,) = export.agreement(bench, picture, found)
    assert table["methods"][:4] == [f"{n}@{layer}" for n in ("grad_cam", "layer_cam") for layer in LAYERS]
    assert np.array(table["spearman"]).shape == (6, 6)
    (single,) = export.agreement(bench, picture, found[::2])
    assert single["methods"][:2] == ["grad_cam", "layer_cam"]
    assert export.figure(bench, picture, found)[:4] == b"\x89PNG"


def test_the_default_layer_by_name_is_no_other_question(bench: Workbench, photo: bytes) -> None:
    picture, request = decode(photo, "photo.png"), Request("grad_cam", 1)
    first = bench.explain(picture, request)
    assert bench.cached(picture, replace(request, layer=bench.model.survey.default)) is first
    assert bench.cached(picture, replace(request, layer=LAYERS[0])) is None
