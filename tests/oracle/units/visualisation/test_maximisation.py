"""Activation maximisation against closed forms, and what it leaves as it was."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.card import Card
from core.errors import BadParameter, Cancelled, Unsupported
from core.images import Preprocess
from core.models import load
from core.models.model import as_model, content_sha
from core.params import checked, params_of
from core.units.visualisation import (
    MAXIMISATIONS,
    Direction,
    Neuron,
    WholeLayer,
    channel,
    class_logit,
    maximise,
)
from core.units.visualisation.images import Fourier
from core.units.visualisation.maximisation import check
from core.units.visualisation.objectives import similarity
from core.units.visualisation.reading import inputs, read
from tests.nets import CLASSES, GapNet, colour_reader, images, model, seeded

STILL = {"pad": 0.0, "jitter": 0.0, "zoom": 0.0, "rotate": 0.0, "jitter_after": 0.0}


def tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


@pytest.mark.parametrize("optimiser", ["ascent", "adam"])
def test_a_linear_objective_less_the_norm_converges_to_its_closed_form(optimiser):
    made, weight = model("linear"), 20.0
    std = torch.tensor(made.preprocess.std).view(3, 1, 1)
    mean = torch.tensor(made.preprocess.mean).view(3, 1, 1)
    gradient = made.net.fc.weight[3].view(3, 32, 32) / std  # of the logit, by pixels in [0, 1]
    found = maximise(
        made, class_logit(3), image="pixels", optimiser=optimiser, rate=0.01 if optimiser == "ascent" else 0.0005,
        steps=60 if optimiser == "ascent" else 400, noise=0.0, penalty=weight, **STILL,
    )  # fmt: skip
    expected = mean + gradient / (2 * weight)
    assert 0 < expected.min() < expected.max() < 1
    assert tensor(found.picture)[0].numpy() == pytest.approx(expected.numpy(), abs=1e-4)
    best = float(made.net.fc.bias[3] + gradient.square().sum() / (4 * weight))
    assert found.objective[-1, 0] == pytest.approx(best, rel=1e-3)


def test_components_converge_to_the_closed_form_of_their_prior():
    made, examples, weight = model("linear"), images(9), 2.0
    found = maximise(
        made, class_logit(1), image="components", optimiser="ascent", rate=0.1, steps=80, noise=0.0, penalty=weight,
        examples=examples, **STILL,
    )  # fmt: skip
    std, mean = (torch.tensor(one).view(3, 1, 1) for one in (made.preprocess.std, made.preprocess.mean))
    flat = (examples * std + mean).flatten(1).double()
    covariance = np.cov(flat.numpy().T)
    gradient = (made.net.fc.weight[1].view(3, 32, 32) / std).flatten().double().numpy()
    expected = flat.mean(0).numpy() + covariance @ gradient / (2 * weight)  # mean + U Uᵀ w / 2λ
    assert tensor(found.picture).flatten().numpy() == pytest.approx(expected.clip(0, 1), abs=1e-3)


@pytest.mark.parametrize("name", MAXIMISATIONS)
def test_every_preset_raises_the_objective(name):
    net = seeded(GapNet)
    with torch.no_grad():
        net.fc.weight.mul_(300)  # gradients of the size that the published rates are for
    made = model(net)
    settings = {**MAXIMISATIONS[name], "steps": 40}
    found = maximise(made, class_logit(1), **settings)
    assert found.picture.shape == (32, 32, 3)
    assert found.picture.dtype == np.float32
    assert 0 <= found.picture.min() < found.picture.max() <= 1
    assert found.objective.shape == (40, 1)
    assert found.objective[-5:].mean() > found.objective[:5].mean()
    assert found.finished
    assert not found.note
    assert found.settings == {**{p.name: p.default for p in params_of(maximise)}, **settings}
    with torch.no_grad():
        response = made.net(made.preprocess.normalised(tensor(found.picture)))[0, 1]
    assert found.responses[0] == pytest.approx(float(response), rel=1e-4)


def test_presets_are_settings_that_go_together():
    params = params_of(maximise)
    for name, preset in MAXIMISATIONS.items():
        settings = checked(params, preset, name)
        assert {key: settings[key] for key in preset} == preset
        check(settings)


def test_a_card_reads_the_settings():
    card = Card.of(
        maximise, "Activation maximisation", family="", source="", formula="", caution="",
        cost=lambda settings, side: settings["steps"], validate=check,
    )  # fmt: skip
    assert card.summary.endswith(".")
    assert card.defaults["steps"] == 256
    with pytest.raises(BadParameter, match=r"Set maximise\.image to pixels"):
        card.chosen({"blur_every": 4})
    with pytest.raises(BadParameter, match="between 1 and 5,000"):
        card.chosen({"steps": 0})


def test_a_class_of_a_bundled_network_is_recognised_in_its_picture():
    made, target = load("flowers-double-12c"), 4
    found = maximise(made, class_logit(target))
    with torch.no_grad():
        logits = made.net(made.preprocess.normalised(tensor(found.picture)))
    assert found.objective.shape == (256, 1)
    assert float(made.probabilities(logits)[0, target]) >= 0.99


@pytest.mark.parametrize(
    "objective",
    [channel("features.4", 3), Neuron("features.7", 2), WholeLayer("features.4"), Direction("pool", (1.0, -1.0) * 8)],
    ids=["channel", "neuron", "layer", "direction"],
)
def test_units_layers_and_directions_rise(objective):
    found = maximise(model("gap"), objective, steps=24)
    assert found.objective[-1] > found.objective[0]


def test_the_picture_of_a_colour_is_that_colour():
    made = model(colour_reader())
    for unit in range(3):
        picture = maximise(made, channel("0", unit), steps=60).picture.mean((0, 1))
        assert picture.argmax() == unit


def test_the_same_seed_gives_the_same_bytes():
    made = model("gap")

    def drawn(seed, pictures=1):
        return maximise(made, class_logit(0), steps=12, seed=seed, pictures=pictures)

    first, state = drawn(3), torch.random.get_rng_state()
    torch.manual_seed(5)
    assert drawn(3).picture.tobytes() == first.picture.tobytes()
    assert drawn(3).objective.tobytes() == first.objective.tobytes()
    assert drawn(4).picture.tobytes() != first.picture.tobytes()
    assert drawn(3, pictures=2).picture == pytest.approx(first.picture, abs=1e-4)
    torch.random.set_rng_state(state)


def test_threads_that_share_a_network_do_not_disturb_each_other():
    made = model("gap")
    asked = [channel("features.4", 0), class_logit(2), channel("features.0", 1)] * 2
    alone = [maximise(made, one, steps=12).picture for one in asked]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda one: maximise(made, one, steps=12).picture, asked))
    assert [one.tobytes() for one in together] == [one.tobytes() for one in alone]


def test_the_network_and_the_global_generator_stay_as_they_were():
    made = model("gap")
    sha, state = content_sha(made.net.state_dict()), torch.random.get_rng_state()
    maximise(made, channel("features.4", 1), steps=4)
    assert content_sha(made.net.state_dict()) == sha
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in made.net.parameters())
    assert not any(module._forward_hooks for module in made.net.modules())
    assert not made.net.training
    assert torch.equal(state, torch.random.get_rng_state())


def test_diverse_pictures_are_less_alike():
    made = model("gap")
    alike = []
    for weight in (0.0, 3.0):
        found = maximise(
            made, channel("features.7", 2), steps=60, pictures=3, diversity=weight, diverse_layer="features.4"
        )
        assert found.pictures.shape == (3, 32, 32, 3)
        colours = torch.from_numpy(found.pictures).permute(0, 3, 1, 2)
        with torch.no_grad():
            maps = read(made, inputs(made.preprocess, colours), ["features.4"])["features.4"]
        alike.append(float(similarity(maps)))
    assert alike[1] < alike[0] - 0.05


def test_running_pictures_are_shown_and_may_stop_the_work():
    made, seen = model("gap"), []

    def watch(running):
        seen.append(running)
        return running.step >= 16

    found = maximise(made, class_logit(0), steps=40, watch=watch)
    assert [running.step for running in seen] == [8, 16]
    assert seen[0].pictures.shape == (1, 32, 32, 3)
    assert not found.finished
    assert np.array_equal(found.pictures, seen[-1].pictures)
    assert np.array_equal(found.objective, seen[-1].objective)
    assert found.passes.forward == 17


def test_cancelling_keeps_the_last_picture():
    made, reports = model("gap"), []

    def report(fraction, note):
        reports.append((fraction, note))
        if fraction >= 0.5:
            raise Cancelled

    found = maximise(made, class_logit(0), steps=20, report=report)
    assert not found.finished
    assert found.objective.shape == (10, 1)
    assert np.array_equal(found.picture, maximise(made, class_logit(0), steps=10).picture)
    assert (0, "steps 0 of 20") in reports

    def at_once(fraction, note):
        raise Cancelled

    with pytest.raises(Cancelled):
        maximise(made, class_logit(0), steps=20, report=at_once)


class Dead(nn.Module):
    """Answers to bright images only: grey ones leave its ReLU inactive."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 1, bias=True), nn.ReLU()
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            self.conv.weight.fill_(scale)
            self.conv.bias.fill_(-2.0)
            self.head.weight.fill_(1.0)

    def forward(self, x):
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


def test_an_inactive_start_is_raised_by_redirected_gradients():
    for settings in ({}, {**MAXIMISATIONS["l2"], "penalty": 1e-4}):
        found = maximise(model(Dead()), channel("relu", 0), **{**settings, "steps": 60})
        assert found.objective[0] == 0
        assert found.responses[0] > 0
        assert found.seed == 0


def test_a_start_without_a_gradient_is_repeated_with_the_next_seed():
    class Lucky(nn.Module):
        """Has a gradient only where the first pixel is brighter than the middle grey."""

        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 2, 1), nn.Linear(2, 2)

        def forward(self, x):
            lit = (x[:, 0, 0, 0] > 0).float()[:, None]
            return self.head(self.conv(x).mean((2, 3)) * lit)

    grey = Preprocess(crop=16, resize=16, mean=(0.5,) * 3, std=(0.25,) * 3)
    made = as_model("lucky", seeded(Lucky), preprocess=grey)
    image = Fourier(3, (16, 16))
    lit = [bool(image.colours(image.start(1, 0.01, seed))[0, 0, 0, 0] > 0.5) for seed in range(12)]
    asked = next(seed for seed in range(10) if not lit[seed] and not lit[seed + 1] and any(lit[seed + 2 : seed + 5]))
    found = maximise(made, class_logit(0), steps=3, seed=asked, **STILL)
    assert found.seed == asked + lit[asked:].index(True)
    again = maximise(made, class_logit(0), steps=3, seed=found.seed, **STILL)
    assert again.picture.tobytes() == found.picture.tobytes()


def test_a_unit_that_nothing_reaches_is_said_in_one_sentence():
    made = model(Dead(scale=0.0))
    with pytest.raises(Unsupported, match="is zero at 5 random starts"):
        maximise(made, channel("relu", 0), steps=3)
    with pytest.raises(Unsupported, match="is zero at 5 random starts"):
        maximise(made, channel("relu", 0), steps=3, image="pixels", penalty=0.1)
    with pytest.raises(Unsupported, match=r"Set maximise\.noise above 0"):
        maximise(made, channel("relu", 0), steps=3, image="pixels", noise=0.0, **STILL)


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(crop=(20, 33), resize=(20, 33)),
        Preprocess(crop=24, resize=24, mean=(0.4,), std=(0.3,), channels="grey"),
        Preprocess(crop=24, resize=24, mean=(0.4, 0.4, 0.4, 0), std=(0.3, 0.3, 0.3, 1), channels="alpha"),
        Preprocess(crop=24, resize=24, mean=(0.4, 0.4, 0.4, 0), std=(0.3, 0.3, 0.3, 1), channels="zeros"),
    ],
    ids=["oblong", "grey", "alpha", "zeros"],
)
@pytest.mark.parametrize("image", ["fourier", "pixels"])
def test_networks_of_other_inputs(preprocess, image):
    net = seeded(GapNet)
    net.features[0] = nn.Conv2d(len(preprocess.mean), 8, 3, padding=1)
    made = as_model("other", net, preprocess=preprocess)
    found = maximise(made, class_logit(1), image=image, steps=12)
    assert found.picture.shape == (*preprocess.size, 3)
    assert found.objective[-1] > found.objective[0]
    if preprocess.channels == "grey":
        assert np.ptp(found.picture, axis=2).max() == 0
    else:
        view = (found.picture * 255).round().astype(np.uint8)  # what an upload of the picture gives
        with torch.no_grad():
            logits = made.net(preprocess.tensor(view)[None])
        assert found.responses[0] == pytest.approx(float(logits[0, 1]), abs=0.02)


def test_a_transformer_and_a_network_without_spatial_layers():
    for name in ("vit", "linear", "norelu"):
        made = model(name)
        found = maximise(made, class_logit(CLASSES - 1), steps=12)
        assert found.objective[-1] > found.objective[0], name
    made = model("vit")
    found = maximise(made, channel(made.survey.default, 3), steps=12)
    assert found.objective[-1] > found.objective[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image": "components"}, "Components need images"),
        ({"diversity": 1.0}, "One picture cannot be diverse"),
        ({"clip": True}, "maximise.clip changes pixels, and the image is made of fourier"),
        ({"image": "pixels", "optimiser": "ascent", "rate": 1e30, "penalty": 1.0}, "left the finite numbers"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises((BadParameter, Unsupported), match=message):
        maximise(model("gap"), class_logit(0), steps=8, **settings)


def test_a_black_box_has_no_gradients():
    with pytest.raises(Unsupported, match="Activation maximisation requires gradients"):
        maximise(replace(model("gap"), differentiable=False), class_logit(0))
