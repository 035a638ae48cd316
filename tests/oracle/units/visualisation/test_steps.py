"""Steps of an ascent against numpy, one after another in the order of Yosinski et al."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from core.units.visualisation.steps import Refinement, climb


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 3, 9, 11)), rng.normal(size=(2, 3, 9, 11))


def refined(pixels, gradient, step, decay, blur, every, small_norm, small_contribution):
    pixels = pixels * (1 - decay)
    if every and step % every == 0:
        pixels = np.stack([[gaussian_filter(one, blur, mode="mirror") for one in image] for image in pixels])
    if small_norm:
        pixels = kept(pixels, np.linalg.norm(pixels, axis=1), small_norm)
    if small_contribution:
        pixels = kept(pixels, np.abs((gradient * pixels).sum(1)), small_contribution)
    return pixels


def kept(pixels, sizes, percent):
    limits = np.percentile(sizes.reshape(len(sizes), -1), percent, axis=1)
    return pixels * (sizes >= limits[:, None, None])[:, None]


@pytest.mark.parametrize(
    "settings",
    [
        (0, 0.5, 4, 50, 0),
        (0.3, 0, 0, 20, 0),
        (0.0001, 1.0, 4, 0, 0),
        (0, 0.5, 4, 0, 90),
        (0.1, 0.7, 2, 30, 60),
    ],
)
@pytest.mark.parametrize("step", [0, 1, 4])
def test_pixels_are_refined_in_the_published_order(settings, step):
    pixels, gradient = drawn()
    found = Refinement(*settings)(torch.tensor(pixels), torch.tensor(gradient), step)
    assert found.numpy() == pytest.approx(refined(pixels, gradient, step, *settings))


def test_progress_gains_as_much_as_it_is_told():
    pixels, gradient = map(torch.tensor, drawn())
    moved = climb("progress", 1e9, 2.0)(pixels, gradient) - pixels
    assert (moved * gradient).flatten(1).sum(1).tolist() == pytest.approx([2, 2])
    capped = climb("progress", 1e-5, 2.0)(pixels, gradient) - pixels
    assert torch.allclose(capped, 1e-5 * gradient)
    assert torch.equal(climb("progress", 1e9, 2.0)(pixels, 0 * gradient), pixels)


def test_adam_steps_by_its_rate_at_first():
    pixels, gradient = map(torch.tensor, drawn())
    up = climb("adam", 0.05, 0)
    first = up(pixels, gradient)
    assert torch.allclose(first - pixels, 0.05 * gradient.sign(), atol=1e-6)
    m, v = 0.1 * gradient, 0.001 * gradient**2  # and a second step, by the paper
    m, v = 0.9 * m + 0.1 * 2 * gradient, 0.999 * v + 0.001 * (2 * gradient) ** 2
    expected = first + 0.05 * (m / (1 - 0.9**2)) / ((v / (1 - 0.999**2)).sqrt() + 1e-8)
    assert torch.allclose(up(first, 2 * gradient), expected)
