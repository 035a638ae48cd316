"""Ablation of filters against closed forms."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from core.network.hooks import ablate, capture
from core.units.ablation import ablation, from_images, from_pooled, pooled
from tests.nets import CLASSES, colour_reader, images, model


def planted():
    """Images in which one of three colours is bright, and a network with one filter for each colour."""
    net = colour_reader()
    with torch.no_grad():
        net[4].bias.copy_(torch.tensor([0.1, 0.05, 0.0]))
    rows = torch.zeros(12, 3, 32, 32)
    labels = [i % 3 for i in range(12)]
    for row, label in zip(rows, labels, strict=True):
        row[label] = 1
    return model(net), rows, labels


@pytest.mark.parametrize("shortcut", [True, False])
def test_one_filter_per_class_takes_its_class_away(shortcut):
    made, rows, labels = planted()
    layer = made.survey.default
    sets = {"mined": {k: [k] for k in range(3)}, "none": {}, "all": {k: range(6) for k in range(3)}}
    answers = from_images(made, layer, shortcut=shortcut)
    found = ablation(answers, [(rows, labels)], sets, 6, ["a", "b", "c"], draws=10)
    table = found.per_class
    assert table["baseline"].tolist() == [1, 1, 1]
    assert table["none"].tolist() == [1, 1, 1]
    assert table["all"].tolist() == [1, 0, 0]  # constant logits: the class with the largest bias
    assert table["mined"].tolist() == [1, 0, 0]  # of class a only its bias is left, the largest
    assert table["filters"].tolist() == [1, 1, 1]
    assert found.draws.shape == (3, 10)
    summary = found.summary()
    assert summary["baseline"] == 1
    assert summary["mined"] == pytest.approx(1 / 3)
    assert summary["random_mean"] == pytest.approx(found.draws.mean())
    assert summary["random_std"] == pytest.approx(found.draws.mean(0).std())
    assert summary["filters_per_class"] == 1
    assert [row["name"] for row in summary["per_class"]] == ["a", "b", "c"]


def test_summary_tells_spread_over_classes_and_the_price_of_a_filter():
    made, rows, labels = planted()
    sets = {"mined": {0: [0, 4], 1: [1], 2: []}, "other": {0: [3, 4, 5], 1: [1], 2: [0, 1, 2, 3]}}
    found = ablation(from_images(made, made.survey.default), [(rows, labels)], sets, 6, ["a", "b", "c"], draws=40)
    table, summary = found.per_class, found.summary()
    assert table["mined"].tolist() == [1, 0, 1]  # of a only the bias is left, which is the largest
    assert table["other"].tolist() == [1, 0, 0]
    assert table["drop_per_filter"].tolist() == pytest.approx([0, 1, np.nan], nan_ok=True)
    assert summary["baseline_std_over_classes"] == 0
    assert summary["mined_std_over_classes"] == pytest.approx(np.sqrt(2) / 3)
    assert summary["other_std_over_classes"] == pytest.approx(np.sqrt(2) / 3)
    assert summary["mined_drop_per_filter"] == pytest.approx((1 / 3) / (3 / 3))
    assert summary["other_drop_per_filter"] == pytest.approx((2 / 3) / (8 / 3))
    drawn = found.draws.mean(1)
    assert 0 < drawn[1] < 1
    assert summary["random_std_over_classes"] == pytest.approx(drawn.std())
    assert summary["random_drop_per_filter"] == pytest.approx(1 - drawn.mean())  # one filter per class
    assert summary["per_class"][2]["drop_per_filter"] is None


def test_random_sets_have_a_fixed_number_of_filters_or_as_many_as_the_rules():
    made, rows, labels = planted()
    answers, sets = from_images(made, made.survey.default), {"mined": {0: [0], 1: [1, 3], 2: []}}
    fixed, equal = (
        ablation(answers, [(rows, labels)], sets, 6, "abc", draws=200, random_filters=count) for count in (4, 0)
    )
    # A class keeps its images if its own filter is not among the drawn ones; class a even without, by its bias.
    assert fixed.draws.mean(1)[0] == equal.draws.mean(1)[0] == 1
    assert fixed.draws.mean(1)[1:] == pytest.approx([1 - 4 / 6] * 2, abs=0.1)
    assert equal.draws.mean(1)[1:] == pytest.approx([1 - 2 / 6, 1], abs=0.1)
    assert fixed.per_class["filters"].tolist() == [1, 2, 0]
    assert (fixed.summary()["random_filters"], equal.summary()["random_filters"]) == (4, 1)
    lost = 1 - fixed.per_class["random_mean"].mean()
    assert fixed.summary()["random_drop_per_filter"] == pytest.approx(lost / 4)
    all_of_them = ablation(answers, [(rows, labels)], sets, 6, "abc", draws=3, random_filters=100)
    assert all_of_them.random_filters == 6
    assert all_of_them.draws.tolist() == [[1] * 3, [0] * 3, [0] * 3]


def test_what_was_not_tried_is_none_and_no_number():
    made, rows, labels = planted()
    answers = from_images(made, made.survey.default)
    facts = ablation(answers, [(rows, labels)], {"mined": {}}, 6, "abc", draws=0).summary()
    for name in ("random_mean", "random_std", "random_std_over_classes", "random_drop_per_filter"):
        assert facts[name] is None
    assert facts["mined_drop_per_filter"] is None
    assert facts["mined"] == 1
    assert [row["random_mean"] for row in facts["per_class"]] == [None] * 3
    json.dumps(facts, allow_nan=False)


def laid(layout, channels=6):
    """A network whose studied layer puts out channels last, or a class token and tokens, read by position."""

    class Laid(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, channels, 8, 8)
            self.mix = nn.Linear(channels, channels)
            self.fc = nn.Linear(channels * (16 + (layout == "tokens")), CLASSES)

        def forward(self, x):
            x = self.conv(x).permute(0, 2, 3, 1)
            if layout == "tokens":
                x = x.flatten(1, 2)
                x = torch.cat([x.mean(1, keepdim=True), x], 1)
            return self.fc(self.mix(x).relu().flatten(1))

    torch.manual_seed(0)
    return Laid()


@pytest.mark.parametrize("layout", ["tokens", "channels-last"])
def test_layers_that_are_no_grid_lose_the_same_filters_everywhere(layout):
    net = laid(layout)
    made, rows = model(net), images(4)
    assert made.survey.layer("mix").layout == layout
    kept = (torch.rand(5, 6, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    kept[0], kept[1] = 1, 0
    found = from_images(made, "mix", shortcut=False)(rows, kept)
    with torch.no_grad():
        x = net.conv(rows).permute(0, 2, 3, 1)
        if layout == "tokens":
            x = x.flatten(1, 2)
            x = torch.cat([x.mean(1, keepdim=True), x], 1)
        x = net.mix(x)
        for k, mask in enumerate(kept):
            truth = net.fc((x * mask).relu().flatten(1))  # the filters are the last axis of both
            assert torch.allclose(found[:, k], truth, atol=1e-5)
    assert not torch.allclose(found[:, 0], found[:, 2], atol=1e-3)
    assert torch.allclose(found[0, 1], found[1, 1], atol=1e-5)
    averages = pooled(made, rows, "mix")
    positions = x[:, 1:] if layout == "tokens" else x.flatten(1, 2)
    assert torch.allclose(averages, positions.mean(1), atol=1e-5)


def test_filters_of_a_transformer_are_silenced_in_every_token():
    made, rows = model("vit"), images(2)
    layer = made.survey.default
    facts = made.survey.layer(layer)
    assert facts.layout == "tokens"
    kept = torch.ones(2, facts.units)
    kept[1, ::2] = 0
    found = from_images(made, layer)(rows, kept)
    taken = made.net.get_submodule(layer).register_forward_hook(lambda module, given, out: out * kept[1])
    with torch.no_grad():
        truth = made.net(rows)
    taken.remove()
    assert torch.allclose(found[:, 1], truth, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(found[:, 0], made.net(rows), atol=1e-5)
    assert not torch.allclose(found[:, 0], found[:, 1], atol=1e-3)


def test_random_draws_repeat_and_do_not_depend_on_batches():
    made, rows, labels = planted()
    answers = from_images(made, made.survey.default)
    sets = {"mined": {0: [0, 1], 1: [1, 2], 2: [2, 3]}}
    whole = ablation(answers, [(rows, labels)], sets, 6, "abc")
    parts = ablation(answers, [(rows[:5], labels[:5]), (rows[5:], labels[5:])], sets, 6, "abc")
    assert (whole.draws == parts.draws).all()
    assert whole.per_class.equals(parts.per_class)
    assert (ablation(answers, [(rows, labels)], sets, 6, "abc", seed=1).draws != whole.draws).any()


def test_shortcut_equals_silencing_inside_the_network():
    made = model("gap")
    rows = images(6)
    kept = (torch.rand(9, 16, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    layer = made.survey.default
    slow = from_images(made, layer, shortcut=False)(rows, kept)
    fast = from_pooled(made)(pooled(made, rows, layer), kept)
    assert torch.allclose(slow, fast, atol=1e-5)
    assert torch.allclose(from_images(made, layer)(rows, kept), slow, atol=1e-5)


@pytest.mark.parametrize("name", ["gap", "cnn", "residual"])
def test_copies_of_one_image_equal_one_pass_for_every_mask(name):
    made = model(name)
    rows = images(2)
    layer = made.survey.default
    count = made.survey.layer(layer).units
    kept = torch.ones(3, count)
    kept[1, : count // 2] = 0
    kept[2] = 0
    found = from_images(made, layer, shortcut=False)(rows, kept)
    for k, silent in enumerate(([], range(count // 2), range(count))):
        with capture(made.net, edit={layer: ablate(silent)}), torch.no_grad():
            truth = made.net(rows)
        assert torch.allclose(found[:, k], truth, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(found[:, 0], made.net(rows), atol=1e-5)
    assert np.allclose(found[0, 2], found[1, 2], atol=1e-5)  # nothing left: the same answer for every image


def test_random_sets_of_different_classes_are_drawn_apart():
    masks = {}

    def noting(rows, keep):
        masks[int(rows[0])] = keep
        return torch.zeros(len(rows), len(keep), 3)

    sets = {"mined": {label: (0, 1, 2) for label in range(3)}}
    ablation(noting, [(torch.arange(3), [0, 1, 2])], sets, 64, "abc", draws=8)
    drawn = {label: kept[2:] for label, kept in masks.items()}
    assert all((kept == 0).sum(1).tolist() == [3] * 8 for kept in drawn.values())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        alike = (drawn[one] == drawn[other]).all(1)
        assert not alike.any(), "of 41,664 sets the same one"


def test_a_class_without_filters_has_no_loss_per_filter_whatever_it_loses():
    def losing(rows, keep):
        """The right class with nothing ablated, another one in every other case."""
        logits = torch.zeros(len(rows), len(keep), 2)
        logits[:, 0, 1] = 1
        return logits

    found = ablation(losing, [(torch.zeros(4), [1] * 4)], {"mined": {}}, 6, "ab", draws=2)
    assert found.per_class["baseline"].tolist() == [1]
    assert found.per_class["mined"].tolist() == [0]
    assert found.per_class["drop_per_filter"].isna().all()
    assert not np.isinf(found.per_class["drop_per_filter"]).any()
    assert found.summary()["per_class"][0]["drop_per_filter"] is None


class Branches(nn.Module):
    """A network that concatenates two branches, as SqueezeNet and DenseNet do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = (nn.Conv2d(given, 4, 3, padding=1) for given in (3, 4, 4))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head(torch.cat([self.left(x).relu(), self.right(x).relu()], 1).mean((2, 3)))


@pytest.mark.parametrize("layer", ["stem", "left", "right"])
def test_filters_of_one_branch_are_ablated_as_those_of_any_layer(layer):
    made, rows = model(Branches()), images(3)
    keep = torch.ones(4, 4)
    keep[[1, 2, 3], [0, 1, 2]] = 0
    expected = torch.zeros(3, 4, CLASSES)
    for copy, mask in enumerate(keep):
        with torch.no_grad(), capture(made.net, edit={layer: lambda maps, mask=mask: maps * mask[:, None, None]}):
            expected[:, copy] = made.net(rows)
    assert not torch.allclose(expected[:, 0], expected[:, 1])
    assert torch.allclose(from_images(made, layer)(rows, keep), expected, atol=1e-6)


def test_an_error_of_the_network_itself_is_raised():
    made = model(Branches())
    with pytest.raises(RuntimeError, match="channels"):
        from_images(made, "left")(torch.zeros(1, 2, 32, 32), torch.ones(2, 4))
