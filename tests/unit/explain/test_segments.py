"""Segments: how finely an image may be cut, and the running maps of methods that mask some of them."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from skimage.segmentation import quickshift

from core.errors import BadParameter
from core.explain import EXPLAINERS, explain
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


@pytest.mark.parametrize("side", [112, 224])
def test_the_passes_of_feature_ablation_are_about_the_segments_of_a_photo(side):
    card = EXPLAINERS["feature_ablation"]
    claimed = card.passes(card.chosen({"cut": "quickshift", "segments": 400}), side).forward
    assert claimed == card.passes(card.chosen({"cut": "quickshift", "segments": 4}), side).forward
    for photo in (skimage.data.coffee(), skimage.data.astronaut(), skimage.data.chelsea()):
        pixels = np.asarray(Image.fromarray(photo).resize((side, side)), np.float32) / 255
        count = len(np.unique(quickshift(pixels, kernel_size=4, max_dist=200, ratio=0.2, rng=0)))
        assert count / 2 < claimed < 2 * count
    assert card.passes(card.chosen({"cut": "slic", "segments": 90}), side).forward == 90
