"""Every method explains every kind of target, or says in one sentence why it does not."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.target_name import TargetName
from tests import nets

KINDS = {
    "difference": TargetName((1,), (3,)),
    "group": TargetName((1, 4, 2)),
    "groups": TargetName((1, 4), (0, 2)),
    "unit": TargetName((5,), layer="features.5"),
}
SENTENCES = {
    ("cam", "difference"): "CAM explains single classes",
    ("cam", "group"): "CAM explains single classes",
    ("cam", "groups"): "CAM explains single classes",
    ("cam", "unit"): "CAM explains single classes",
    ("contrastive_ebp", "difference"): "explains single classes",
    ("contrastive_ebp", "group"): "explains single classes",
    ("contrastive_ebp", "groups"): "explains single classes",
    ("contrastive_ebp", "unit"): "explains single classes",
    ("excitation_bp", "difference"): "which no difference is",
    ("excitation_bp", "groups"): "which no difference is",
    **{("vebi", kind): "VEBI explains single classes" for kind in KINDS},
}


@cache
def shared():
    return nets.model("gap")


def query(kind, **rest):
    name = KINDS[kind]
    base = nets.query(shared(), count=3, layer="features.2" if name.layer else "", **rest)
    return base.with_targets(name.targets().repeated(0, 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_a_map_of_each_image_whatever_the_batch_or_one_sentence(name, kind):
    settings = nets.quick(EXPLAINERS[name])
    asked = query(kind, batch=32)
    if sentence := SENTENCES.get((name, kind)):
        with pytest.raises(Unsupported, match=sentence) as raised:
            explain(name, asked, settings)
        assert raised.value.message.count(".") == 1
        return
    together = explain(name, asked, settings)
    assert together.maps.shape == (3, nets.SIDE, nets.SIDE)
    assert torch.isfinite(together.maps).all()
    assert torch.equal(together.scores, asked.clean_scores())
    again = explain(name, query(kind, batch=2), settings).maps
    alone = replace(asked, images=asked.images[1:2], targets=asked.targets[1:2])
    one = explain(name, alone.fresh(), settings).maps
    scale = 1e-4 * max(float(together.maps.abs().max()), 1e-6)
    assert torch.allclose(again, together.maps, rtol=0, atol=scale)
    assert torch.allclose(one, together.maps[1:2], rtol=0, atol=scale)
