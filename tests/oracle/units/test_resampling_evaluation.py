"""Patch localisation, similarity of sets and the secondary classifier against counting."""

from itertools import chain, combinations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.errors import BadParameter
from core.units.resampling.evaluation import (
    expected_similarity,
    from_released,
    patch_localisation,
    set_similarity,
)
from core.units.resampling.secondary_classifier import crops, secondary_classifier


def test_patches_are_counted_as_on_paper():
    rng = np.random.default_rng(0)
    masks = [rng.random((20, 30)) < 0.02 for _ in range(4)]
    boxes = [[(int(t), int(s), 5, 6) for t, s in rng.integers(0, 14, (7, 2))] for _ in range(3)] + [[]]
    for least in (0, 0.1):
        counts = [[masks[k][t : t + h, s : s + w].sum() / 30 for t, s, h, w in one] for k, one in enumerate(boxes)]
        hits = [[c > 0 and c >= least for c in one] for one in counts]
        found = patch_localisation(boxes, masks, overlap=least)
        assert found.share == pytest.approx(np.mean(list(chain(*hits))))
        assert found.interval.mean == pytest.approx(np.mean([np.mean(one) for one in hits[:3]]))
        assert found.interval.low <= found.share <= found.interval.high
        assert (found.patches, found.images, found.area) == (21, 3, pytest.approx(30 / 600))


def test_the_patch_of_the_whole_image_always_hits_without_an_overlap():
    mask = np.zeros((10, 10), bool)
    mask[3, 4] = True
    whole = [[(0, 0, 10, 10)]]
    assert patch_localisation(whole, [mask]).share == 1
    assert patch_localisation(whole, [mask]).area == 1
    assert patch_localisation(whole, [mask], overlap=0.25).share == 0
    assert patch_localisation(whole, [np.zeros((10, 10), bool)]).share == 0


def test_patches_and_masks_that_are_missing_are_named():
    with pytest.raises(BadParameter, match="No image has a patch"):
        patch_localisation([[]], [np.ones((4, 4), bool)])
    with pytest.raises(BadParameter, match="masks of 1 of 2 images"):
        patch_localisation([[], []], [np.ones((4, 4), bool)])


def test_similarity_of_sets():
    assert set_similarity({1, 2, 3}, [3, 2, 1]) == 1
    assert set_similarity({1, 2}, {3}) == 0
    assert set_similarity([("a", 1), ("a", 2)], [("a", 2), ("b", 1)]) == pytest.approx(1 / 3)
    assert set_similarity((), ()) == 1


@pytest.mark.parametrize("layers", [[(6, 2, 3)], [(7, 5, 5)], [(5, 2, 2), (4, 1, 3)], [(4, 0, 2), (3, 3, 3)]])
def test_the_expected_similarity_is_the_mean_over_all_sets(layers):
    """Of each layer the first set is fixed and the second is every set of its size."""
    first = {(k, unit) for k, (_, a, _) in enumerate(layers) for unit in range(a)}
    sets = [[[(k, u) for u in one] for one in combinations(range(n), b)] for k, (n, _, b) in enumerate(layers)]
    values = [set_similarity(first, chain(*chosen)) for chosen in product(*sets)]
    assert expected_similarity(layers) == pytest.approx(np.mean(values))


def test_the_expected_similarity_of_the_paper_s_selections():
    assert expected_similarity([(256, 5, 5)]) < 0.02
    assert expected_similarity([]) == 1
    with pytest.raises(BadParameter, match="no sets of 5 and 2"):
        expected_similarity([(3, 5, 2)])


def test_the_released_similarity_becomes_the_index():
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = (set(rng.choice(12, 5, replace=False)) for _ in range(2))
        assert from_released(len(a & b) / (len(a) + len(b))) == pytest.approx(set_similarity(a, b))
    assert from_released(0.5) == 1
    assert from_released(0.45) == pytest.approx(9 / 11)
    with pytest.raises(BadParameter, match="similarity of"):
        from_released(0.6)


def test_crops_are_the_resized_boxes():
    image = torch.rand(3, 40, 50)
    found = crops(image, [(0, 0, 40, 50), (10, 20, 16, 16), (3, 4, 1, 2)], 16)
    assert found.shape == (3, 3, 16, 16)
    assert torch.equal(found[1], image[:, 10:26, 20:36])
    assert float(found[0].mean()) == pytest.approx(float(image.mean()), abs=0.01)
    assert torch.allclose(found[2, :, :, 0], image[:, 3, 4, None].expand(3, 16), atol=1e-6)
    assert crops(image, []).shape == (0, 3, 64, 64)


def coloured(images=16, each=4, colours=2, side=16):
    """Patches of images of one colour each, with noise: label and image of each patch."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % colours
    base = F.one_hot(labels, 3).float()[:, :, None, None] * 0.6 + 0.2
    shown = base.repeat_interleave(each, 0) + 0.1 * torch.randn(images * each, 3, side, side, generator=generator)
    return shown, np.repeat(np.arange(images), each), labels.repeat_interleave(each).numpy()


def test_colours_are_learnt_and_counted():
    patches, images, labels = coloured()
    before = torch.random.get_rng_state()
    found = secondary_classifier(patches, images, labels)
    assert torch.equal(before, torch.random.get_rng_state())
    assert found.accuracy == 1
    assert found.chance == 0.5
    assert (found.trained, found.tested, found.trained_images, found.tested_images) == (40, 24, 10, 6)
    assert found == secondary_classifier(patches, images, labels)


def test_shuffled_labels_give_chance_although_patches_of_an_image_are_alike():
    """Each image has a colour and a random label: a split by patch would be right of nearly all patches."""
    generator = torch.Generator().manual_seed(3)
    colours = torch.rand(40, 3, 1, 1, generator=generator)
    patches = colours.repeat_interleave(5, 0).expand(-1, -1, 16, 16)
    labels = np.random.default_rng(4).permutation(np.arange(40) % 2).repeat(5)
    accuracies = [
        secondary_classifier(patches, np.arange(40).repeat(5), labels, seed=seed, epochs=3).accuracy
        for seed in range(6)
    ]
    assert abs(np.mean(accuracies) - 0.5) < 0.15


def test_the_chance_level_is_that_of_the_most_frequent_class():
    patches, images, _ = coloured(images=12)
    mostly = np.where(images < 9, 0, 1)
    found = secondary_classifier(patches, images, mostly, epochs=1)
    assert found.chance == pytest.approx(16 / 20)  # of nine images four are tested, of three one


@pytest.mark.parametrize(("images", "labels"), [([0, 0, 1, 1], [0, 0, 0, 0]), ([0, 0, 1, 1], [0, 0, 1, 1]), ([], [])])
def test_too_few_images_are_refused(images, labels):
    with pytest.raises(BadParameter, match="classes, the smallest with patches of"):
        secondary_classifier(torch.rand(len(images), 3, 16, 16), images, labels)
