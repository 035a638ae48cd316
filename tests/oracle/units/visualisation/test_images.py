"""Parameters of images against closed forms and numpy's transforms."""

import numpy as np
import pytest
import torch

from core.errors import BadParameter
from core.units.visualisation.images import Components, Fourier, Pixels


@pytest.mark.parametrize("size", [(16, 16), (15, 17), (16, 21), (9, 12), (224, 97)])
def test_a_spectrum_gives_an_image_of_any_size(size):
    image = Fourier(3, size)
    made = image.colours(image.start(2, 3.0, 0))
    assert made.shape == (2, 3, *size)
    assert 0 < made.min() < 0.4
    assert 0.6 < made.max() < 1


@pytest.mark.parametrize(("width", "columns"), [(16, 9), (17, 10)])
def test_an_odd_width_has_one_coefficient_more(width, columns):
    assert Fourier(3, (12, width)).shape == (3, 12, columns, 2)


@pytest.mark.parametrize("size", [(12, 12), (12, 16), (15, 20)])
def test_waves_are_the_scaled_spectrum_transformed_by_numpy(size):
    height, width = size
    image = Fourier(1, size)
    drawn = image.start(1, 1.0, 4)
    numbers = drawn.double().numpy()[0, 0]
    scaled = np.zeros((height, width // 2 + 1), complex)
    for row in range(height):
        for column in range(width // 2 + 1):
            frequency = np.hypot(min(row, height - row) / height, column / width)
            weight = np.sqrt(width * height) / max(frequency, 1 / max(width, height))
            scaled[row, column] = weight * complex(*numbers[row, column])
    expected = np.fft.irfft2(scaled, s=size) / 4
    assert image.waves(drawn)[0, 0].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_power_is_the_same_at_every_frequency_after_rescaling():
    """Normal coefficients: their mean square is that of every ring, apart from columns that conjugates share."""
    side, count = 24, 400
    image = Fourier(1, (side, side))
    waves = image.waves(image.start(count, 0.01, 1))[:, 0].double().numpy()
    scale = image.scale.double().numpy()
    power = (np.abs(np.fft.rfft2(waves * 4) / scale) ** 2).mean(0)[:, 1:-1]
    rows, columns = np.meshgrid(np.fft.fftfreq(side), np.arange(1, side // 2) / side, indexing="ij")
    rings = np.round(np.hypot(rows, columns) * side).astype(int)
    by_ring = [power[rings == ring].mean() for ring in np.unique(rings)]
    assert by_ring == pytest.approx([2 * 0.01**2] * len(by_ring), rel=0.15)


def test_a_greater_decay_makes_smoother_images():
    roughness = []
    for decay in (0.0, 1.0, 2.0):
        image = Fourier(1, (32, 32), decay)
        waves = image.waves(image.start(4, 1.0, 0))
        roughness.append(float(waves.diff(dim=3).square().mean() / waves.square().mean()))
    assert roughness[0] > 2 * roughness[1] > 4 * roughness[2]


def test_colours_are_mixed_by_the_normalised_matrix_and_squashed():
    image = Fourier(3, (8, 8))
    drawn = image.start(1, 1.0, 0)
    matrix = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    matrix /= np.linalg.norm(matrix, axis=0).max()
    waves = image.waves(drawn)[0].double().numpy().reshape(3, -1)
    expected = 1 / (1 + np.exp(-(matrix @ waves)))
    assert image.colours(drawn)[0].numpy().reshape(3, -1) == pytest.approx(expected, abs=1e-6)


def test_a_spectrum_of_zero_is_grey():
    image = Fourier(3, (8, 9))
    assert torch.equal(image.colours(torch.zeros(1, *image.shape)), torch.full((1, 3, 8, 9), 0.5))


def test_one_channel_stays_grey():
    image = Fourier(1, (8, 8))
    drawn = image.start(1, 1.0, 0)
    assert torch.equal(image.colours(drawn), image.waves(drawn).sigmoid())


def test_a_picture_starts_the_same_whatever_the_number_of_pictures():
    image = Fourier(3, (8, 8))
    assert torch.equal(image.start(3, 0.01, 5)[:2], image.start(2, 0.01, 5))
    assert not torch.equal(image.start(1, 0.01, 5), image.start(1, 0.01, 6))
    before = torch.random.get_rng_state()
    image.start(1, 0.01, 5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_pixels_of_zero_are_the_mean_colour_and_clip_to_what_can_be_shown():
    mean = torch.tensor([0.2, 0.5, 0.7]).view(3, 1, 1)
    image = Pixels(mean, (2, 2))
    assert torch.equal(image.colours(torch.zeros(1, 3, 2, 2))[0, :, 0, 0], mean[:, 0, 0])
    clipped = image.colours(image.clipped(torch.full((1, 3, 2, 2), -0.6)))
    assert clipped[0, :, 0, 0].tolist() == pytest.approx([0, 0, 0.1])


def test_components_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    examples = rng.normal(0.5, 0.1, (12, 3, 4, 5))
    fitted = Components.of(torch.tensor(examples, dtype=torch.float32), 5)
    flat = examples.reshape(12, -1)
    variances = np.sort(np.linalg.eigvalsh(np.cov(flat.T)))[::-1][:5]
    basis = fitted.basis.flatten(1).double().numpy()
    assert basis @ basis.T == pytest.approx(np.diag(variances), abs=1e-6)
    assert fitted.colours(torch.zeros(1, 5))[0].numpy() == pytest.approx(examples.mean(0), abs=1e-6)
    assert fitted.squares(torch.tensor([[3.0, 4, 0, 0, 0]])).tolist() == [25]


def test_components_reach_every_image_they_come_from():
    examples = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    fitted = Components.of(examples, 64)
    assert fitted.shape == (5,)
    basis = fitted.basis.flatten(1)
    z = (examples - fitted.mean).flatten(1) @ basis.T / basis.square().sum(1)
    assert torch.allclose(fitted.colours(z), examples, atol=1e-5)


def test_equal_images_have_no_components():
    with pytest.raises(BadParameter, match="equal images do not exist"):
        Components.of(torch.full((3, 3, 4, 4), 0.3), 4)
