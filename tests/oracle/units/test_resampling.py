"""Resampling against numpy on all copies at once: draws, statistics and every metric."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import BadParameter, UnknownName, Unsupported
from core.explain import Query
from core.images import decode
from core.models import load
from core.network.hooks import capture
from core.units.convolutions import convolution_of, of_same_units, outgoing_weights
from core.units.resampling import METRICS, convolutions, patches, resample
from core.units.resampling.metrics import EPSILON
from core.units.resampling.samples import neighbours
from core.units.resampling.statistics import streamed
from tests.nets import CLASSES, GapNet, colour_reader, doubled, model, query, seeded

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SAMPLES = 20
LAYERS = {"features.0": "features.1", "features.4": "features.4", "features.7": "features.7"}  # read after batch norm


def drawn(asked, count=SAMPLES, deviation=0.1, space="pixels", growing=False):
    """The copies, by numpy from the same numbers."""
    image = asked.images[0].double().numpy()
    mean, std = (np.array(v)[:, None, None] for v in (asked.model.preprocess.mean, asked.model.preprocess.std))
    copies = []
    for number in range(count):
        noise = torch.randn(image.shape, generator=asked.rng(number)).double().numpy()
        factor = 1 + noise * deviation * (number if growing else 1)
        pixels = image * std + mean
        copies.append(image * factor if space == "network" else ((pixels * factor).clip(0, 1) - mean) / std)
    return np.stack(copies)


def observed(asked, copies, layers=LAYERS, rectified=True):
    """Maps (n, K, R, C) of each layer and probabilities (n,) of all copies in one batch, in double precision."""
    net = asked.net
    with torch.no_grad(), capture(net, *layers.values()) as outputs:
        logits = net(torch.from_numpy(copies).to(asked.images)).double()
    maps = {name: outputs[at].double().numpy() for name, at in layers.items()}
    target = int(asked.targets.indices[0])
    return {k: v.clip(0) if rectified else v for k, v in maps.items()}, logits.softmax(1)[:, target].numpy()


def in_double(net="gap", **settings):
    return doubled(asking(net, **settings))


def asking(net="gap", **settings):
    """One question about an image whose pixels lie in [0, 1], as those of pictures do."""
    asked = query(net, count=1, **settings)
    preprocess = asked.model.preprocess
    return replace(asked, images=preprocess.normalised(preprocess.pixels(asked.images).clamp(0.01, 1)))


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("space", ["pixels", "network"])
def test_copies_are_those_of_the_definition(space, growing):
    asked = in_double()
    found = neighbours(asked, range(6), 0.2, space, growing=growing)
    assert np.allclose(found.numpy(), drawn(asked, 6, 0.2, space, growing), atol=1e-6)
    if growing:
        assert torch.equal(found[0], asked.images[0])


def test_copies_depend_on_their_number_alone():
    asked = asking("gap")
    together = neighbours(asked, range(5), 0.1, "pixels")
    assert torch.equal(together[3:], neighbours(asked, [3, 4], 0.1, "pixels"))
    assert not torch.equal(together[3], together[4])
    assert not torch.equal(together, neighbours(asking("gap", seed=1), range(5), 0.1, "pixels"))
    before = torch.random.get_rng_state()
    neighbours(asked, range(2), 0.1, "pixels")
    assert torch.equal(before, torch.random.get_rng_state())


@cache
def expected(maps):
    """Every metric of every layer by numpy, with mean activations, outputs and the clean score."""
    asked = in_double()
    z, o = observed(asked, drawn(asked), rectified=maps == "rectified")
    clean, score = observed(asked, asked.images.numpy(), rectified=maps == "rectified")
    of = {}
    for layer, values in z.items():
        variance, mean = values.var(0), values.mean((0, 2, 3))
        weight = asked.net.get_submodule(layer).weight.detach().numpy()
        of[layer] = {
            "mean": mean,
            "act_sum": clean[layer][0].sum((1, 2)),
            "act_var": clean[layer][0].var((1, 2)),
            "w_sum": weight.sum((1, 2, 3)),
            "w_var": weight.var((1, 2, 3)),
            "corr": correlations(values, o),
            "corr_pooled": pooled_correlations(values, o),
            "prec": 1 / np.maximum(variance.mean((1, 2)), EPSILON),
            "prec_paper": (1 / (variance + EPSILON)).mean((1, 2)),
            "snr": mean**2 / (variance.mean((1, 2)) + EPSILON),
        }
    return of, o, score[0]


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("maps", ["rectified", "output"])
def test_metrics_equal_numpy_on_all_copies(batch, maps):
    found = resample(in_double(batch=batch), samples=SAMPLES, maps=maps)
    of, outputs, score = expected(maps)
    assert found.score == pytest.approx(score)
    assert np.allclose(found.outputs, outputs, rtol=1e-6)
    for layer in LAYERS:
        numbers = {metric: scores[layer] for metric, scores in found.scores.items()} | {"mean": found.means[layer]}
        for name, wanted in of[layer].items():
            assert np.allclose(numbers[name], wanted, rtol=1e-4, atol=1e-5), (layer, name)
    assert {metric for metric in METRICS if not metric.endswith("outgoing")} <= set(of["features.0"])


def correlations(z, o):
    """Equation 2 at each location by numpy, averaged over those that vary; zero where none does."""
    scores = []
    for maps in np.moveaxis(z, 1, 0):
        places = [series for series in maps.reshape(len(o), -1).T if series.std() > 1e-6 * np.abs(z).max()]
        scores.append(np.mean([abs(np.corrcoef(series, o)[0, 1]) for series in places]) if places else 0)
    return scores


def pooled_correlations(z, o):
    means = z.mean((2, 3)).T
    return [abs(np.corrcoef(series, o)[0, 1]) if series.std() else 0 for series in means]


@pytest.mark.parametrize("settings", [{"space": "network"}, {"growing": True}, {"deviation": 0.3}, {"score": "logit"}])
def test_settings_reach_the_copies_and_the_output(settings):
    asked = in_double()
    found = resample(asked, ["features.4"], samples=SAMPLES, **settings)
    copies = drawn(
        asked, SAMPLES, settings.get("deviation", 0.1), settings.get("space", "pixels"), "growing" in settings
    )
    z, o = observed(asked, copies)
    if "score" in settings:
        o = asked.net(torch.from_numpy(copies)).detach().numpy()[:, 1]
    assert np.allclose(found.scores["corr"]["features.4"], correlations(z["features.4"], o), atol=1e-5)
    assert np.allclose(found.scores["prec"]["features.4"], 1 / z["features.4"].var(0).mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("samples", [2, 3, 10])
def test_it_takes_one_forward_for_each_copy_and_one_for_the_image(samples):
    asked = asking("gap", batch=4)
    resample(asked, samples=samples)
    assert (asked.log.forwards, asked.log.backwards) == (samples + 1, 0)


def test_single_precision_keeps_what_double_finds():
    single, double = resample(asking()), resample(in_double())
    for metric in ("prec", "snr", "corr", "act_var"):
        for layer in LAYERS:
            assert np.allclose(single.scores[metric][layer], double.scores[metric][layer], rtol=2e-3, atol=1e-6)


def test_a_filter_that_is_affine_in_the_output_has_correlation_one_and_a_dead_one_zero():
    """Class 1 reads the mean of the green channel alone, so its logit is affine in the one pixel that is not black."""
    asked = doubled(query(model(colour_reader()), count=1))
    asked.images.fill_(-1000)  # clamped to zero, which noise does not change
    asked.images[0, 1, 5, 7] = 0.0  # the mean colour
    found = resample(asked, samples=SAMPLES, score="logit")
    (layer,) = found.scores["corr"]
    assert found.scores["corr"][layer] == pytest.approx([0, 1, 0, 0, 0, 0])
    assert found.scores["corr_pooled"][layer][1] == pytest.approx(1)
    assert found.scores["prec"][layer][3:].tolist() == [1 / EPSILON] * 3  # never active, and so never selected:
    assert found.means[layer][3:].tolist() == [0, 0, 0]
    assert not {3, 4, 5} & set(found.selected("prec", top=6)[layer].tolist())


def test_a_filter_without_noise_has_the_largest_precision():
    net = seeded(GapNet)
    with torch.no_grad():
        net.features[7].weight[3] = 0
        net.features[7].bias[3] = 2.0
    found = resample(asking(net), samples=SAMPLES)
    precision = found.scores["prec"]["features.7"]
    assert precision[3] == precision.max() > precision[found.means["features.7"] > 0].mean()
    assert found.selected("prec")["features.7"][0] == 3
    assert found.scores["corr"]["features.7"][3] == found.scores["corr_pooled"]["features.7"][3] == 0


@pytest.mark.parametrize("batch", [1, 8])
def test_without_noise_nothing_correlates(batch):
    found = resample(asking("residual", batch=batch), samples=5, deviation=0)
    for layer in found.means:
        assert not found.scores["corr"][layer].any()
        assert not found.scores["corr_pooled"][layer].any()
        assert np.isfinite(found.scores["prec"][layer]).all()
    assert np.allclose(found.outputs, found.score)


def test_a_constant_output_correlates_with_nothing():
    net = seeded(GapNet)
    nn.init.zeros_(net.fc.weight)
    found = resample(asking(net), samples=5)
    assert not any(scores.any() for scores in found.scores["corr"].values())


def test_the_convolution_of_a_layer_is_the_one_whose_channels_become_its_units():
    flowers = load("flowers-double-12c")
    expected = {"conv3": "conv3", "norm3": "conv3", "relu3": "conv3", "pool3": "conv3", "head": ""}
    assert {layer: convolution_of(flowers, layer) for layer in expected} == expected
    assert convolution_of(flowers, "nothing") == ""
    assert of_same_units(flowers, "pool3") == ("pool3", "relu3", "norm3", "conv3")
    assert of_same_units(flowers, "conv3") == ("conv3", "norm3"), "one linear layer together"
    assert of_same_units(flowers, "head") == ("head",)


class Residual(nn.Module):
    """A norm that alone reads a convolution, and one that shares it with an addition."""

    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.second, self.second_norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.first_norm(self.first(x)).relu()
        y = self.second(x)
        return self.head((self.second_norm(y) + y).relu().mean((2, 3)))


def test_norms_are_folded_where_what_is_read_stays_the_same():
    asked = asking(seeded(Residual))
    folded = asked.model.inference
    assert [isinstance(norm, nn.BatchNorm2d) for norm in (folded.first_norm, folded.second_norm)] == [False, True]
    layers = convolutions(asked.model)
    assert [layer.at for layer in layers] == ["first_norm", "second_norm"]
    found = streamed(asked, layers, SAMPLES, 0.1, "pixels")
    maps, outputs = observed(asked, drawn(asked), {"first": "first_norm", "second": "second_norm"})
    for name, all_maps in maps.items():
        assert found.moments(name).mean == pytest.approx(all_maps.mean(0), abs=1e-6)
        assert found.moments(name).variance == pytest.approx(all_maps.var(0), rel=1e-4, abs=1e-7)
    assert found.outputs == pytest.approx(outputs, abs=1e-6)
    other = replace(layers[0], at="first")
    of_convolution = streamed(asked, [other], SAMPLES, 0.1, "pixels").moments("first")
    own, _ = observed(asked, drawn(asked), {"first": "first"})
    assert of_convolution.mean == pytest.approx(own["first"].mean(0), abs=1e-6), "it is read before its norm"


def test_outgoing_weights_are_those_that_read_the_filter():
    asked = asking("gap")
    net = asked.net
    sums = resample(asked, samples=2).scores["w_sum_outgoing"]
    assert np.allclose(sums["features.0"], net.features[4].weight.sum((0, 2, 3)), atol=1e-5)
    assert np.allclose(sums["features.4"], net.features[7].weight.sum((0, 2, 3)), atol=1e-5)
    assert np.allclose(sums["features.7"], net.fc.weight.sum(0), atol=1e-5)
    residual = resample(asking("residual"), samples=2).scores["w_var_outgoing"]
    assert "two" not in residual  # it is added to the stem: the layers do not say what reads it


def test_outgoing_weights_of_groups_and_of_several_readers():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.act = nn.ReLU()
            self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4)
            self.wide = nn.Conv2d(8, 5, 1)
            self.fc = nn.Linear(17, CLASSES)

        def forward(self, x):
            x = self.act(self.first(x))
            return self.fc(torch.cat([self.grouped(x), self.wide(x)], 1).mean((2, 3)))

    made = model(seeded(Branches))
    found = outgoing_weights(made, ["first"])["first"]
    probe = torch.zeros(1, 8, 3, 3)
    for unit in range(8):
        probe.zero_()[0, unit] = 1  # the centre of the answer sums all weights that read the unit
        reads = made.net.grouped(probe)[0, :, 1, 1].sum() + made.net.wide(probe)[0, :, 1, 1].sum()
        biases = made.net.grouped.bias.sum() + made.net.wide.bias.sum()
        assert found[unit].sum() == pytest.approx(float(reads - biases), abs=1e-5)
        assert len(found[unit]) == 3 * 9 + 5


def test_units_and_differences_are_outputs_too():
    unit = resample(asking("gap", target=2, unit_layer="features.8"), ["features.7"], samples=6)
    assert unit.scores["corr_pooled"]["features.7"][2] == pytest.approx(1)  # its mean is the output


def test_groups_go_by_the_size_of_the_maps():
    assert [layer.group for layer in convolutions(model("gap"))] == [0, 1, 2]
    assert [layer.group for layer in convolutions(model("gap"), ["features.4", "features.7"])] == [0, 1]


@pytest.mark.parametrize(
    ("net", "layers", "error", "said"),
    [
        ("gap", ["features.2"], Unsupported, "is a ReLU and has no filters"),
        ("gap", ["fc"], Unsupported, "has no spatial positions|is a Linear"),
        ("gap", ["nothing"], UnknownName, "no layer"),
        ("linear", [], Unsupported, "has no convolution"),
        ("vit", ["encoder.layers.encoder_layer_0"], Unsupported, "has no filters"),
    ],
)
def test_other_layers_are_refused_with_a_sentence(net, layers, error, said):
    with pytest.raises(error, match=said):
        resample(asking(net), layers)


def test_of_a_transformer_the_embedding_of_patches_is_resampled():
    assert list(resample(query("vit", count=1), samples=3).means) == ["conv_proj"]


def test_bad_questions_are_refused():
    with pytest.raises(BadParameter, match="2 are given"):
        resample(query("gap", count=2))
    with pytest.raises(BadParameter, match="no variance"):
        resample(asking("gap"), samples=1)
    with pytest.raises(BadParameter, match="no metric called 'best'"):
        resample(asking("gap"), samples=2).selected("best")
    net = seeded(GapNet)
    nn.init.constant_(net.fc.bias, torch.nan)
    with pytest.raises(Unsupported, match="not finite"):
        resample(asking(net), samples=2)


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data with real weights and photos is not here")
@pytest.mark.parametrize("name", ["squeezenet1_0", "mobilenet_v2"])
def test_real_networks_and_a_real_photo(name):
    made = load(f"{name}@{DATA / 'models' / name}.safetensors")
    photo = next((DATA / "photos" / "n02102040").iterdir())
    image = made.preprocess.tensor(made.preprocess.seen(decode(photo.read_bytes(), photo.name)))
    asked = Query(made, image[None], torch.tensor([217]))
    layers = [layer.name for layer in convolutions(made)][::9]
    found = resample(asked, layers, samples=3)
    assert all(np.isfinite(scores).all() for by_layer in found.scores.values() for scores in by_layer.values())
    boxed = [patch for patch in patches(asked, found.selected("corr", top=1), rule="guided") if patch.box]
    assert boxed
    assert all(0 < patch.box[2] <= 224 >= patch.box[3] > 0 for patch in boxed)


def test_it_reports_and_can_be_cancelled():
    class Enough(BaseException):
        pass

    notes = []

    def report(fraction, note):
        notes.append((fraction, str(note)))
        if fraction > 0.4:
            raise Enough

    with pytest.raises(Enough):
        resample(asking("gap", batch=5, report=report), samples=20)
    assert notes[1][1] == "copies of the image 5 of 20"
    assert not any(module._forward_hooks for module in model("gap").net.modules())
