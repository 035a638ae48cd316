"""Inversion of layers that can be inverted, and the descent against the published one in its own units."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import BadParameter, Cancelled, UnknownName, Unsupported
from core.images import Preprocess
from core.models.model import as_model, content_sha
from core.params import checked, params_of
from core.randomness import generator
from core.units.visualisation import INVERSIONS, invert, invert_layers
from core.units.visualisation.inversion import TYPICAL, depth_factor
from core.units.visualisation.regularisers import alpha_norm, total_variation
from tests.nets import GapNet, as_published, images, model, seeded

SIDE = 8
SIZE = 3 * SIDE * SIDE
FREE = {"norm_weight": 0.0, "variation_weight": 0.0}  # no regularisers


class Orthogonal(nn.Module):
    """The image itself, an orthogonal matrix of all its pixels, an in-place ReLU, and a head."""

    def __init__(self):
        super().__init__()
        self.identity, self.flat, self.linear = nn.Identity(), nn.Flatten(), nn.Linear(SIZE, SIZE, bias=False)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(SIZE, 2)
        nn.init.orthogonal_(self.linear.weight)

    def forward(self, x):
        return self.head(self.relu(self.linear(self.flat(self.identity(x)))))


@pytest.fixture(scope="module")
def orthogonal():
    made = model(seeded(Orthogonal), side=SIDE)
    return replace(made, net=as_published(made.net))  # not frozen: it overwrites what the layer before returned


def photo(made, seed=0):
    """An image within the range of pixels, and its network input."""
    pixels = torch.rand(made.preprocess.shape, generator=torch.Generator().manual_seed(seed))
    return pixels.permute(1, 2, 0).numpy(), made.preprocess.normalised(pixels)


@pytest.mark.parametrize(("layer", "preset"), [("identity", "mahendran"), ("linear", "mahendran"), ("linear", "adam")])
def test_an_invertible_layer_gives_the_image_back(orthogonal, layer, preset):
    pixels, image = photo(orthogonal)
    found = invert(orthogonal, image, layer, **FREE, **INVERSIONS[preset])
    assert found.pictures[0] == pytest.approx(pixels, abs=0.01)
    assert found.errors[0, -1] < 1e-4
    assert found.errors.shape == (1, 401)
    assert found.finished


def test_what_a_relu_drops_differs_between_restarts(orthogonal):
    pixels, image = photo(orthogonal)
    found = invert(orthogonal, image, "relu", steps=150, restarts=2, **FREE, **INVERSIONS["adam"])
    assert (found.errors[:, -1] < 0.7 * found.errors[:, 0]).all()
    assert np.abs(found.pictures[0] - found.pictures[1]).mean() > 0.05
    assert np.abs(found.pictures[0] - pixels).mean() > 0.05


def test_the_descent_is_the_published_one_in_its_own_units(orthogonal):
    """Mahendran & Vedaldi's steps on pixels from 0 to 255 less the mean, with their constants."""
    _, image = photo(orthogonal)
    steps, weight, std = 40, orthogonal.net.linear.weight.double(), orthogonal.preprocess.std
    std = torch.tensor(std, dtype=torch.float64).view(3, 1, 1)
    wanted = weight @ image.double().flatten()
    size = wanted.square().sum()
    sigma = 255 * TYPICAL * SIZE**0.5
    noise = torch.randn(1, 3, SIDE, SIDE, generator=generator(3, 0)).double()
    x, momentum, before, errors = noise * sigma / noise.norm(), 0.0, 0.0, []
    for step in range(steps):
        leaf = x.clone().requires_grad_()
        features = weight @ (leaf / 255 / std).flatten()
        error = (features - wanted).square().sum() / size
        norms = 8e-10 / 2 * leaf.pow(6).sum() + 100 / 2 * (
            leaf.diff(dim=2).square().sum() + leaf.diff(dim=3).square().sum()
        )
        (gradient,) = torch.autograd.grad(sigma**2 * error + norms, leaf)
        errors.append(float(error.detach()))
        rate = 0.004 * (1 if step < 10 else 0.1 if step < 30 else 0.01)
        momentum = 0 if rate != before else momentum
        before, momentum = rate, 0.9 * momentum - rate * gradient
        x = x + momentum
    assert depth_factor(orthogonal, "linear") == 10
    found = invert(orthogonal, image, "linear", steps=steps, variation_weight=10.0, seed=3)
    assert found.errors[0, :-1] == pytest.approx(errors, rel=1e-3)
    mean = torch.tensor(orthogonal.preprocess.mean).view(3, 1, 1)
    expected = (x[0] / 255 + mean).clamp(0, 1).permute(1, 2, 0)
    assert found.pictures[0] == pytest.approx(expected.numpy(), abs=1e-3)


def test_the_energy_falls_and_is_the_error_with_the_regularisers():
    made = model("gap")
    image = images(1)[0]
    found = invert(made, image, "features.4", steps=60, variation_weight=0.5, by_depth=False)
    assert found.energies[0, -1] < found.energies[0, 30] < found.energies[0, 0]
    assert (found.energies > found.errors).all()
    variance = TYPICAL**2 * image.numel()
    noise = torch.randn(1, *image.shape, generator=generator(0, 0))
    start = noise * variance**0.5 / noise.norm()
    regularised = 3.38 / 2 * alpha_norm(start, 6)[0] + 0.5 / 2 * total_variation(start, 2)[0]
    assert found.energies[0, 0] - found.errors[0, 0] == pytest.approx(float(regularised) / variance, rel=1e-4)


def test_features_that_died_on_the_way_come_back():
    """At the start no unit is active: without redirected gradients the error would stay one."""
    net = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        net[0].weight.fill_(1 / 64)
        net[0].bias.fill_(-4.0)
    made = model(net)
    bright = made.preprocess.normalised(torch.full((3, 32, 32), 0.9))
    found = invert(made, bright, "2", steps=150, **FREE, **INVERSIONS["adam"])
    assert found.errors[0, 0] == 1
    assert found.errors[0, -1] < 0.01
    assert not found.note
    flat = invert(made, bright, "2", steps=10, rate=1e-9)
    assert flat.note.startswith("The encoding was not reached")


def test_adam_lowers_the_energy():
    found = invert(model("cnn"), images(1)[0], "features.3", steps=60, **INVERSIONS["adam"])
    assert found.energies[0, -1] < 0.5 * found.energies[0, 0]


def test_only_the_central_positions_count():
    made, image = model("gap"), images(1)[0]
    found = invert(made, image, "features.4", neighbourhood=4, steps=1)
    with torch.no_grad():
        features = nn.Sequential(*list(made.net.features)[:5])
        noise = torch.randn(1, *image.shape, generator=generator(0, 0))
        start = noise * (TYPICAL * image.numel() ** 0.5 / noise.norm())
        std = torch.tensor(made.preprocess.std).view(3, 1, 1)
        wanted, begun = (features(one)[..., 6:10, 6:10] for one in (image[None], start / std))
    expected = float((begun - wanted).square().sum() / wanted.square().sum())
    assert found.errors[0, 0] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(BadParameter, match="has 16 × 16 positions, too few for a neighbourhood of 17"):
        invert(made, image, "features.4", neighbourhood=17)


def test_deeper_layers_lose_more_of_the_image():
    made, image = model("gap"), images(1)[0]
    found = invert_layers(made, image, ["features.0", "features.4", "pool"], steps=80, by_depth=False)
    assert [one.layer for one in found] == ["features.0", "features.4", "pool"]
    target = made.preprocess.colours(image).permute(1, 2, 0).numpy()
    off = [np.abs(one.pictures[0] - target).mean() for one in found]
    assert off[0] < off[1] < off[2]
    stages = invert_layers(made, image, steps=2)
    assert tuple(one.layer for one in stages) == made.survey.stages


def test_the_variation_weighs_more_in_deeper_layers():
    made = model("gap")
    factors = [depth_factor(made, layer.name) for layer in made.survey.layers]
    assert factors == sorted(factors)
    assert set(factors) == {1, 10, 100}


def test_the_same_seed_gives_the_same_bytes_and_each_restart_its_own():
    made, image = model("gap"), images(1)[0]
    three, one, other = (
        invert(made, image, "features.4", steps=6, restarts=count, seed=seed)
        for count, seed in ((3, 1), (1, 1), (1, 2))
    )
    assert three.pictures[:1].tobytes() == one.pictures.tobytes()
    assert three.pictures[0].tobytes() != three.pictures[1].tobytes()
    assert one.pictures.tobytes() != other.pictures.tobytes()
    assert three.errors[:1].tobytes() == one.errors.tobytes()


def test_the_network_stays_as_it_was():
    made = model("gap")
    sha, state = content_sha(made.net.state_dict()), torch.random.get_rng_state()
    invert(made, images(1)[0], "features.4", steps=3)
    assert content_sha(made.net.state_dict()) == sha
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in made.net.parameters())
    assert not any(module._forward_hooks for module in made.net.modules())
    assert torch.equal(state, torch.random.get_rng_state())


def test_running_pictures_are_shown_and_may_stop_the_work():
    made, seen = model("gap"), []

    def watch(running):
        seen.append(running)
        return running.restart == 1

    found = invert(made, images(1)[0], "features.4", steps=20, restarts=3, watch=watch)
    assert [(one.restart, one.step) for one in seen] == [(0, 10), (0, 20), (1, 10)]
    assert not found.finished
    assert found.pictures.shape == (2, 32, 32, 3)
    assert np.array_equal(found.pictures[1], seen[-1].picture)
    assert np.isfinite(found.errors[0]).all()
    assert np.isnan(found.errors[1]).tolist() == [False] * 10 + [True] * 11


def test_cancelling_keeps_the_last_picture():
    made, image, notes = model("gap"), images(1)[0], []

    def report(fraction, note):
        notes.append(note)
        if fraction >= 0.75:
            raise Cancelled

    found = invert(made, image, "features.4", steps=10, restarts=2, report=report)
    assert not found.finished
    assert found.pictures.shape == (2, 32, 32, 3)
    assert np.isfinite(found.errors[1]).sum() == 5
    assert "steps 4 of 10 (restart 2 of 2)" in notes
    layers = invert_layers(made, image, ["features.0", "features.4"], steps=10, report=report)
    assert [one.finished for one in layers] == [True, False]

    def at_once(fraction, note):
        raise Cancelled

    with pytest.raises(Cancelled):
        invert(made, image, "features.4", report=at_once)
    with pytest.raises(Cancelled):
        invert_layers(made, image, report=at_once)


@pytest.mark.parametrize("name", ["vit", "residual", "norelu", "linear"])
def test_other_networks(name):
    made = model(name)
    layer = made.survey.default or "fc"
    found = invert(made, images(1)[0], layer, steps=30, **INVERSIONS["adam"])
    assert found.errors[0, -1] < found.errors[0, 0]


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(crop=(20, 33), resize=(20, 33)),
        Preprocess(crop=24, resize=24, mean=(0.4,), std=(0.3,), channels="grey"),
        Preprocess(crop=24, resize=24, mean=(0.4, 0.4, 0.4, 0), std=(0.3, 0.3, 0.3, 1), channels="alpha"),
    ],
    ids=["oblong", "grey", "alpha"],
)
def test_networks_of_other_inputs(preprocess):
    net = seeded(GapNet)
    net.features[0] = nn.Conv2d(len(preprocess.mean), 8, 3, padding=1)
    made = as_model("other", net, preprocess=preprocess)
    pixels, image = photo(made)
    found = invert(made, image, "features.0", steps=120, **FREE, **INVERSIONS["adam"])
    assert found.pictures.shape == (1, *preprocess.size, 3)
    colours = np.broadcast_to(pixels[..., :3], found.pictures[0].shape)
    assert np.abs(found.pictures[0] - colours).mean() < 0.1
    assert found.errors[0, -1] < 0.01


def test_what_cannot_be_inverted_is_said_in_one_sentence(orthogonal):
    _, image = photo(orthogonal)
    with pytest.raises(UnknownName, match="no layer called 'linaer'"):
        invert(orthogonal, image, "linaer")
    mean = torch.zeros_like(image)  # in network units
    with pytest.raises(Unsupported, match="Layer 'linear' of Orthogonal is zero everywhere for this image"):
        invert(orthogonal, mean, "linear")
    with pytest.raises(Unsupported, match="left the finite numbers"):
        invert(orthogonal, image, "linear", rate=1e20)
    with pytest.raises(Unsupported, match="Inversion requires gradients"):
        invert(replace(orthogonal, differentiable=False), image, "linear")


def test_presets_are_settings():
    for name, preset in INVERSIONS.items():
        settings = checked(params_of(invert), preset, name)
        assert {key: settings[key] for key in preset} == preset
