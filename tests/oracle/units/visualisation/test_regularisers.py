"""Regularisers against brute force, and their gradients against finite differences."""

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime

from core.units.visualisation.regularisers import alpha_norm, total_variation


def pixels(seed=0):
    return torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def finite_differences(regulariser, image, power):
    def value(flat):
        return float(regulariser(torch.tensor(flat).view(image.shape), power)[0])

    return approx_fprime(image.flatten().numpy(), value, 1e-7).reshape(image.shape)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 3.0])
def test_total_variation_is_a_sum_over_pixels(beta):
    image, total = pixels(), 0.0
    for channel in image[0].numpy():
        for row in range(4):
            for column in range(5):
                down = channel[row + 1, column] - channel[row, column] if row < 3 else 0
                across = channel[row, column + 1] - channel[row, column] if column < 4 else 0
                total += (down**2 + across**2) ** (beta / 2)
    assert total_variation(image, beta)[0].tolist() == pytest.approx([total])


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 3.0])
def test_the_gradient_of_total_variation(beta):
    image = pixels(1)
    expected = finite_differences(total_variation, image, beta)
    assert total_variation(image, beta)[1].numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("beta", [1.0, 1.5])
def test_the_gradient_of_a_flat_image_is_finite(beta):
    flat = torch.zeros(1, 3, 6, 6)
    assert torch.equal(total_variation(flat, beta)[1], torch.zeros_like(flat))
    flat[0, 0, 2, 2] = 1e-9  # less than the limit: 4e-8 for β = 1
    assert total_variation(flat, beta)[1].abs().max() < 0.2  # 3.4 without it


@pytest.mark.parametrize("alpha", [1.5, 2.0, 6.0])
def test_the_alpha_norm_and_its_gradient(alpha):
    image = pixels(2)
    value, gradient = alpha_norm(image, alpha)
    assert value.tolist() == pytest.approx([(np.abs(image.numpy()) ** alpha).sum()])
    assert gradient.numpy() == pytest.approx(finite_differences(alpha_norm, image, alpha), abs=1e-4)


def test_each_image_has_its_own_value():
    both = torch.cat([pixels(0), pixels(1)])
    for regulariser in (total_variation, alpha_norm):
        values, gradients = regulariser(both, 2.0)
        assert values[1:].tolist() == pytest.approx(regulariser(pixels(1), 2.0)[0].tolist())
        assert torch.allclose(gradients[1:], regulariser(pixels(1), 2.0)[1])
