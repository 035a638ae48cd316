"""Transformations against one step after another with scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from core.randomness import generator
from core.units.visualisation.transformations import Transformations, transformations_for


def smooth(height, width):
    """An image of slow waves, which resampling changes little."""
    rows, columns = np.mgrid[:height, :width] / 20
    return np.stack([0.5 + 0.3 * np.sin(rows + k) * np.cos(columns * (k + 1) / 2) for k in range(3)])


def one_after_another(image, transformations, rng):
    """Pad, crop, scale and rotate around the centre, crop, and resize to the size of the image."""
    t = transformations
    first, scale, angle, second = t._drawn(rng)
    height, width = image.shape[1:]
    padded = np.pad(image, [(0, 0), (t.pad + 40,) * 2, (t.pad + 40,) * 2], constant_values=0.5)  # and what comes later
    size = np.array(padded.shape[1:])
    centre = (size - 1) / 2
    x, y = first.tolist()
    moved = [ndimage.shift(one, (-y, -x), order=1, cval=0.5) for one in padded]
    scaled = [
        ndimage.affine_transform(one, np.eye(2) / scale, centre - centre / scale, order=1, cval=0.5) for one in moved
    ]
    turned = [ndimage.rotate(one, -angle, reshape=False, order=1, cval=0.5) for one in scaled]
    x, y = second.tolist()
    moved = np.stack([ndimage.shift(one, (-y, -x), order=1, cval=0.5) for one in turned])
    window = np.array([height, width]) + 2 * t.pad - t.jitter - t.jitter_after
    rows = centre[0] + (np.arange(height) + 0.5 - height / 2) * window[0] / height
    columns = centre[1] + (np.arange(width) + 0.5 - width / 2) * window[1] / width
    places = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([ndimage.map_coordinates(one, places, order=1) for one in moved])


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_one_resampling_does_what_the_steps_do(size, number):
    image, transformations = smooth(*size), Transformations(6, 8, 0.1, 10, 4)
    found = transformations(torch.tensor(image)[None].float(), generator(0, number))[0].numpy()
    expected = one_after_another(image, transformations, generator(0, number))
    inner = (slice(None), slice(12, -12), slice(12, -12))  # edges against the grey are sharp and differ
    assert np.abs(found[inner] - expected[inner]).max() < 0.01
    assert np.abs(found - expected).mean() < 0.01


def test_each_step_moves_the_image_as_its_name_says():
    image = torch.full((1, 1, 65, 65), 0.5)
    image[0, 0, 32 - 10, 32] = 1.0  # above the centre
    for seed in range(8):
        turned = Transformations(rotate=90)
        angle = turned._drawn(generator(seed))[2]
        row, column = divmod(int(turned(image, generator(seed))[0, 0].argmax()), 65)
        radians = np.radians(angle)
        assert abs(row - (32 - 10 * np.cos(radians))) <= 1
        assert abs(abs(column - 32) - abs(10 * np.sin(radians))) <= 1
        zoomed = Transformations(zoom=0.5)
        scale = zoomed._drawn(generator(seed))[1]
        row, column = divmod(int(zoomed(image, generator(seed))[0, 0].argmax()), 65)
        assert abs(row - (32 - 10 * scale)) <= 1
        assert column == 32


@pytest.mark.parametrize("number", range(6))
def test_shifts_alone_copy_pixels(number):
    image = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    transformations = Transformations(pad=3, jitter=4, jitter_after=2)
    x, y = (first + second for first, second in zip(*transformations._drawn(generator(1, number))[::3], strict=True))
    padded = torch.nn.functional.pad(image, (3, 3, 3, 3), value=0.5)
    top, left = int(y) + 3, int(x) + 3
    expected = padded[..., top : top + 20, left : left + 24]
    assert torch.allclose(transformations(image, generator(1, number)), expected, atol=1e-5)


def test_corners_are_grey_and_not_black():
    black = torch.zeros(1, 3, 40, 40)
    seen = Transformations(pad=10)(black, generator(0))
    assert seen[0, :, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [[0.5] * 4] * 3
    assert seen[0, :, 20, 20].tolist() == [0.0] * 3
    turned = Transformations(rotate=180)
    for seed in range(40):  # half of the draws turn the corners out
        if abs(turned._drawn(generator(seed))[2]) in {36, 54, 126, 144}:
            corners = turned(torch.ones(1, 1, 40, 40), generator(seed))[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
            assert corners.tolist() == pytest.approx([0.5] * 4)


def test_nothing_to_do_changes_nothing():
    image = torch.rand(1, 3, 7, 9)
    assert Transformations()(image, generator(0)) is image


def test_draws_are_those_of_lucid():
    drawn = [Transformations(12, 8, 0.1, 10, 4)._drawn(generator(0, number)) for number in range(4000)]
    scales, angles = [one[1] for one in drawn], [one[2] for one in drawn]
    assert sorted(set(np.round(scales, 6))) == pytest.approx([1 + (i - 5) / 50 for i in range(11)])
    assert sorted(set(np.round(angles, 6))) == list(range(-10, 11))
    assert np.mean([angle == 0 for angle in angles]) == pytest.approx(6 / 26, abs=0.03)
    assert {tuple(one[0].tolist()) for one in drawn} == {(x, y) for x in range(-4, 5) for y in range(-4, 5)}
    assert {tuple(one[3].tolist()) for one in drawn} == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}


def test_lengths_are_of_an_image_of_224_pixels():
    settings = {"pad": 12.0, "jitter": 8.0, "zoom": 0.1, "rotate": 10.0, "jitter_after": 4.0}
    assert transformations_for((224, 300), **settings) == Transformations(12, 8, 0.1, 10, 4)
    assert transformations_for((112, 112), **settings) == Transformations(6, 4, 0.1, 10, 2)
