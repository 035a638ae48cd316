"""Segments: how finely an image may be cut, and the running maps of methods that mask some of them."""

import pytest
import torch

from core.errors import BadParameter
from core.explain import explain
from core.explain.segments import pieces
from tests.nets import query

ON_SEGMENTS = ("feature_ablation", "kernel_shap", "lime_image", "superpixel_tree")


@pytest.mark.parametrize("name", ON_SEGMENTS)
def test_an_image_is_cut_into_4_to_400_segments(name):
    for count in (3, 401):
        with pytest.raises(BadParameter, match=f"{name}.segments cannot be {count}. It must lie between 4 and 400"):
            explain(name, query("gap", count=1), {"segments": count})
    settings = {"segments": 4, "cut": "slic", **({} if name == "feature_ablation" else {"samples": 50})}
    assert explain(name, query("gap", count=1), settings).finished


@pytest.mark.parametrize(
    ("samples", "batch", "expected"), [(150, 10, [70, 130, 150]), (128, 64, [64, 128]), (100, 200, [100])]
)
def test_samples_so_far_come_with_each_block_and_at_the_end(samples, batch, expected):
    segmentation = pieces(query("gap", count=1, batch=batch), "slic", 10, "grey")

    def draw(span):
        return torch.ones(len(span), segmentation.count, dtype=torch.bool)

    found = list(segmentation.sampled(samples, "logit", draw))
    assert [len(draws) for draws, _ in found] == [len(scores) for _, scores in found] == expected
