"""Relevance and VEBI against numpy and captum, and filters planted on purpose."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import NeuronGuidedBackprop
from torch import nn

from core.errors import BadParameter, Unsupported
from core.explain.filter_relevance import Features, Relevance, StoredRelevance
from core.explain.methods.relevant_filters import combined, filter_maps
from core.explain.targets import Classes, Units
from core.network.hooks import ablate, capture
from core.units.analysis import Subject, analyse
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.relevance import mu_lasso, relevance_ablation
from core.units.store import UnitStore
from tests import nets
from tests.planted_units import InMemory, planted_images, planted_model

LAYERS = ("features.1", "features.4", "features.7")  # the first is the batch norm of a convolution
UNITS = (8, 12, 16)


@pytest.fixture
def model():
    return nets.model("gap")


def found(model, images, labels=None, layers=LAYERS, **settings):
    """The tables of the analysis."""
    subject = Subject(model, layers, InMemory(images, labels or [-1] * len(images)), batch=10)
    return analyse("relevance", subject, settings).tables


def given(weights, classes=5):
    """The relevance with these weights: class -> feature -> weight."""
    rows = np.zeros((classes, sum(UNITS)))
    for label, of in weights.items():
        for feature, weight in of.items():
            rows[label, feature] = weight
    return Relevance(Features(tuple(zip(LAYERS, UNITS, strict=True))), rows)


def vectors(model, images, layers=LAYERS):
    """The features by the definition, with loops."""
    with torch.no_grad(), capture(model.net, *layers) as outputs:
        model.net(images)
    rows = []
    for row in range(len(images)):
        parts = []
        for layer in layers:
            squares = [float((one.relu().double() ** 2).sum()) for one in outputs[layer][row]]
            parts += [one / sum(squares) for one in squares]
        rows.append(np.array(parts) / np.linalg.norm(parts))
    return np.stack(rows)


def test_weights_are_those_of_the_mu_lasso_on_shares_of_squared_maps(model):
    images, labels = nets.images(40), [number % 3 for number in range(40)]
    tables = found(model, images, labels, classes="true", mu=4)
    features = vectors(model, images).T
    solutions = mu_lasso(features, np.eye(3)[:, labels], [0.2, 0.4, 0.8, 2, 4])
    every = Relevance.of(tables, tuple(zip(LAYERS, UNITS, strict=True)))
    for label, (*path, last) in enumerate(solutions):
        np.testing.assert_allclose(every.weights[label], last.weights, atol=1e-5)
        own = tables["path"][tables["path"]["label"] == label]
        assert own["error"].tolist() == pytest.approx([one.error for one in (*path, last)], rel=1e-6)
        assert own["mu"].tolist() == pytest.approx([0.2, 0.4, 0.8, 2, 4])
        ranked = tables["weights"][tables["weights"]["label"] == label]
        assert ranked["weight"].is_monotonic_decreasing
        assert ranked["rank"].tolist() == list(range(last.features))
    assert not every.weights[3:].any()
    classes = tables["classes"]
    assert classes["images"].tolist() == [14, 13, 13, 0, 0]
    assert (tables["units"]["classes"] == (every.weights > 0).sum(0)).all()


def test_filters_that_tell_classes_apart_are_found(model):
    """Images are labelled by which of two filters of the first layer responds more."""
    images = nets.images(64)
    features = vectors(model, images, LAYERS[:1])
    first, second = np.argsort(-features.std(0))[:2]
    lead = features[:, first] / features[:, first].mean() - features[:, second] / features[:, second].mean()
    labels = (lead < np.median(lead)).astype(int).tolist()
    tables = found(model, images, labels, LAYERS[:1], classes="true", mu=8)
    every = Relevance.of(tables, ((LAYERS[0], 8),))
    assert every.relevant(0)[0][:2] == (LAYERS[0], first)
    assert every.relevant(1)[0][:2] == (LAYERS[0], second)


def test_labels_may_be_those_of_the_model(model):
    images = nets.images(12)
    with torch.no_grad():
        expected = np.bincount(model.net(images).argmax(1).numpy(), minlength=5).tolist()
    assert found(model, images)["classes"]["images"].tolist() == expected
    with pytest.raises(Unsupported, match="None of the images has a class"):
        found(model, images, classes="true")


def test_the_planted_units_are_those_of_their_classes():
    planted = planted_images(60)
    subject = Subject(planted_model(), ("relu",), planted.image_set())
    tables = analyse("relevance", subject, {"classes": "true", "mu": 2, "positive": True}).tables
    best = tables["weights"][tables["weights"]["rank"] == 0]
    assert dict(zip(best["label"], best["unit"], strict=True)) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert tables["weights"]["weight"].min() > 0


def test_it_is_stored_and_read_again(tmp_path):
    folder = planted_images(30).write(tmp_path / "data", masks=False)
    config = UnitsConfig(analysis="relevance", model="planted", data=str(folder), settings={"mu": 3.0})
    store = build_analysis(config, tmp_path / "out", model=planted_model())
    assert store.tables["layers"]["name"].tolist() == ["conv", "copy"]  # every convolution, where none is named
    again = StoredRelevance(UnitStore(tmp_path / "out").path).relevance
    assert again.features.layers == (("conv", 6), ("copy", 6))
    assert np.count_nonzero(again.weights) == len(store.tables["weights"]) > 0


def test_one_weight_selects_its_filter_and_the_map_is_captums(model):
    query = nets.query("gap", count=2)
    query = query.with_targets(Classes(torch.tensor([1, 1])))
    for feature, layer, unit in ((10, "features.4", 2), (3, "features.1", 3)):
        shown = filter_maps(query, given({1: {feature: 0.7}}))
        module = dict(model.net.named_modules())[layer]
        guided = NeuronGuidedBackprop(model.net, module)
        signal = guided.attribute(
            query.images.clone(), neuron_selector=lambda a, unit=unit: 0.5 * (a[:, unit].clamp(min=0) ** 2).sum((1, 2))
        )
        for row, (one,) in enumerate(shown):
            assert (one.layer, one.filter) == (layer, unit)
            norm = signal[row].clamp(min=0).norm(dim=0)
            expected = (norm - norm.min()) / (norm.max() - norm.min())
            torch.testing.assert_close(one.map, expected, atol=1e-5, rtol=0)
            assert one.evidence > 0


def test_filters_are_ranked_by_response_times_weight(model):
    query = nets.query("gap", count=1).with_targets(Classes(torch.tensor([0])))
    weights = {0: 0.5, 9: 0.3, 21: 0.9, 22: -3.0, 30: 0.2}
    (shown,) = filter_maps(query, given({0: weights}), filters=4)
    (vector,) = vectors(model, query.images)
    total = sum(map(abs, weights.values()))
    evidence = {feature: vector[feature] * weight / total for feature, weight in weights.items()}
    expected = sorted((one for one in evidence if evidence[one] > 0), key=lambda one: -evidence[one])
    offsets = dict(zip(LAYERS, (0, 8, 20), strict=True))
    assert [offsets[one.layer] + one.filter for one in shown] == expected[:4]
    assert [one.evidence for one in shown] == pytest.approx([evidence[one] for one in expected[:4]], rel=1e-6)
    assert torch.equal(combined(shown, (32, 32)), torch.stack([one.map for one in shown]).amax(0))
    assert query.log.forwards == 1
    assert query.log.backwards == len(shown)


def test_a_class_without_relevant_filters_has_no_map(model):
    query = nets.query("gap", count=1).with_targets(Classes(torch.tensor([2])))
    assert filter_maps(query, given({1: {4: 1.0}})) == [[]]
    assert not combined([], (32, 32)).any()


def test_strides_leave_no_checkerboard():
    net = nn.Sequential(nn.Conv2d(3, 2, 1, stride=2, bias=False), nn.ReLU(), nn.Conv2d(2, 2, 1, bias=False))
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten())
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.fill_(0.5)
    model = nets.model(net)
    image = torch.ones(1, 3, nets.SIDE, nets.SIDE)
    query = replace(nets.query(model, count=1, target=0), images=image)
    last = Relevance(Features((("2", 2),)), np.array([[1.0, 0], [0, 0]]))
    ((plain,),) = filter_maps(query, last, smooth=False)
    assert plain.map[::2, ::2].min() == 1
    assert plain.map[1::2].max() == 0
    assert not filter_maps(query, last)[0][0].map.any()  # the signal is the same everywhere


def test_what_cannot_be_asked_gets_a_sentence(model):
    query = nets.query("gap", count=1)
    known = given({0: {1: 1.0}})
    with pytest.raises(Unsupported, match="VEBI explains single classes"):
        filter_maps(query.with_targets(Units(torch.tensor([1]), "features.4")), known)
    with pytest.raises(BadParameter, match="This relevance is that of 2 classes"):
        filter_maps(query, replace(known, weights=known.weights[:2]))
    smooth = nets.query("norelu", count=1)
    with pytest.raises(Unsupported, match="uses no ReLU"):
        filter_maps(smooth, Relevance(Features((("features.0", 8),)), np.ones((5, 8))))
    subject = Subject(replace(model, output="regression"), LAYERS, InMemory(nets.images(2), [0, 1]))
    with pytest.raises(Unsupported, match="relevance is that of one class of several"):
        analyse("relevance", subject)


def test_accuracy_lost_is_that_of_networks_without_the_filters():
    model, images = nets.model("gap", seed=3), nets.images(30)
    with torch.no_grad():
        labels = model.net(images).argmax(1).tolist()
    labels[0] = (labels[0] + 1) % 5  # one that is wrong from the start
    known = given({0: {1: 1.0, **dict.fromkeys(range(8, 14), 0.5), 30: 0.1, 31: -2.0}, 1: {2: 0.1, 21: 0.2}})
    table = relevance_ablation(model, known, InMemory(images, [*labels[:-1], -1]), draws=0, batch=7)
    sets = {0: ({1}, set(range(6)), {10}), 1: ({2}, set(), {1})}
    present = sorted(set(labels[:-1]))
    assert table["label"].tolist() == [*present, -1]
    for one in table[:-1].itertuples():
        rows = [row for row, label in enumerate(labels[:-1]) if label == one.label]
        without = {layer: ablate(some) for layer, some in zip(LAYERS, sets.get(one.label, ()), strict=False)}
        with torch.no_grad(), capture(model.net, edit=without):
            right = model.net(images[rows]).argmax(1) == one.label
        clean = 1 - (0 in rows) / len(rows)
        assert one.baseline == pytest.approx(clean)
        assert one.lost == pytest.approx(clean - float(right.float().mean()))
        assert one.units == sum(map(len, sets.get(one.label, ())))
    assert 0.5 < table["lost"].max() < 1
    assert table["lost"].iloc[-1] == pytest.approx(np.average(table["lost"][:-1], weights=table["images"][:-1]))
    assert table["random"].isna().all()
    most = relevance_ablation(model, known, InMemory(images, labels), top=1, draws=0)
    assert most["units"].tolist() == [1] * len(most)


def test_random_filters_are_as_many_of_each_layer_and_cost_less_than_the_planted_ones():
    net = nets.colour_reader()
    with torch.no_grad():
        net[4].bias.copy_(torch.tensor([0.1, 0.05, 0.0]))
    model, rows, labels = nets.model(net), torch.zeros(12, 3, 32, 32), [row % 3 for row in range(12)]
    for row, label in zip(rows, labels, strict=True):
        row[label] = 1
    images, features = InMemory(rows, labels), Features((("0", 6), ("1", 6)))
    known = Relevance(features, np.hstack([np.zeros((3, 6)), np.eye(3, 6)]))
    table = relevance_ablation(model, known, images, draws=60)
    assert table["baseline"].tolist() == [1, 1, 1, 1]
    assert table["lost"].tolist() == [0, 1, 1, pytest.approx(2 / 3)]  # of the first class the largest bias is left
    assert table["random"].iloc[1] == pytest.approx(1 / 6, abs=0.15)  # one of the six of the second layer
    assert (table["lost_low"].iloc[-1], table["lost_high"].iloc[-1]) == (
        pytest.approx(2 / 3, abs=0.3), pytest.approx(2 / 3, abs=0.35)
    )  # fmt: skip
    assert table["lost_low"].iloc[-1] < 2 / 3 < table["lost_high"].iloc[-1]
    assert relevance_ablation(model, known, images, draws=60, batch=5).equals(table)
    everything = relevance_ablation(model, Relevance(features, np.ones((3, 12))), images, draws=2)
    assert everything["lost"].tolist() == everything["random"].tolist() == table["lost"].tolist()
    with pytest.raises(Unsupported, match="None of the images has a class"):
        relevance_ablation(model, known, InMemory(nets.images(2), [-1, -1]))
