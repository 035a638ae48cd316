"""Random weights: the order of layers, their stages, private copies, and what is drawn."""

import pytest
import torch
import torch.fx
from torch import nn

from core.measure.robustness.random_weights import in_stages, private_copy, randomise, weighted_layers
from core.network.hooks import capture
from tests import nets


def layers_of(net, side=nets.SIDE):
    return weighted_layers(net, lambda: net(nets.images(1, side=side)))


def draw(tensor):
    return torch.Generator().manual_seed(tensor)


class Backwards(nn.Module):
    """Modules defined in another order than they are used, one of them twice and one never."""

    def __init__(self):
        super().__init__()
        self.never = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)
        self.twice = nn.Linear(4, 4)
        self.first = nn.Linear(3 * nets.SIDE**2, 4)

    def forward(self, x):
        x = self.twice(self.first(x.flatten(1)))
        return self.last(self.twice(x.relu()))


def test_layers_are_in_the_order_of_their_use_with_their_norms():
    assert layers_of(nets.GapNet()) == [("fc",), ("features.7",), ("features.4",), ("features.0", "features.1")]
    assert layers_of(nets.ReusedRelu()) == [("fc",), ("two",), ("one",), ("stem", "norm")]
    assert layers_of(Backwards()) == [("last",), ("twice",), ("first",)]
    assert layers_of(nets.Additive()) == [("",)]


def test_layers_of_a_transformer_are_complete_and_in_order():
    """Its token and its embedding of positions lie outside of layers, and its attention calls no module."""
    net = nets.tiny_vit()
    found = [name for layer in layers_of(net) for name in layer]
    owners = {name.rpartition(".")[0] for name, _ in net.named_parameters()}
    assert sorted(found) == sorted(owners)
    first = [layer[0] for layer in layers_of(net)]
    blocks = [int(name.split("encoder_layer_")[1][0]) for name in first if "encoder_layer_" in name]
    assert blocks == sorted(blocks, reverse=True)
    assert found[0] == "heads.head"
    assert {"conv_proj", ""} < set(found[-4:])


@pytest.mark.parametrize(("layers", "count"), [(26, 8), (5, 3), (4, 9), (9, 9), (1, 5), (7, 2), (30, 29)])
def test_stages_hold_all_layers_in_order_and_the_first_one_alone(layers, count):
    whole = [(str(number),) for number in range(layers)]
    found = in_stages(whole, count)
    assert [layer for stage in found for layer in stage] == whole
    assert len(found) == min(layers, count)
    sizes = [len(stage) for stage in found]
    assert sizes[0] == 1
    assert max(sizes[1:], default=1) - min(sizes[1:], default=1) <= 1


def test_one_stage_is_the_whole_network():
    assert in_stages([("a",), ("b",)], 1) == [[("a",), ("b",)]]
    assert in_stages([], 3) == []


def test_a_private_copy_shares_tensors_and_no_module():
    net = nets.seeded(nets.GapNet)
    copy = private_copy(net)
    assert all(one is other for one, other in zip(net.parameters(), copy.parameters(), strict=True))
    assert all(one is other for one, other in zip(net.buffers(), copy.buffers(), strict=True))
    assert not set(map(id, net.modules())) & set(map(id, copy.modules()))


def test_a_traced_network_is_copied_like_any_other():
    """Its forward is generated code, as that of networks converted from ONNX."""
    net = torch.fx.symbolic_trace(nets.seeded(nets.TinyCnn))
    before = net(nets.images(1))
    copy = private_copy(net)
    randomise(copy, layers_of(net), draw)
    assert torch.equal(net(nets.images(1)), before)
    assert not torch.allclose(copy(nets.images(1)), before)


def test_hooks_of_the_original_stay_there():
    net = nets.seeded(nets.GapNet)
    with capture(net, "features.4") as outputs:
        copy = private_copy(net)
    assert not any(module._forward_hooks for module in net.modules())
    copy(nets.images(1))
    outputs.clear()
    net(nets.images(1))
    assert outputs == {}


def test_random_weights_replace_those_of_the_copy_alone():
    net = nets.seeded(nets.GapNet)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    copy = private_copy(net)
    randomise(copy, [("features.0", "features.1")], draw)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    changed = {name for name, value in copy.state_dict().items() if not torch.equal(before[name], value)}
    drawn = {"features.0.weight", "features.0.bias", "features.1.weight"}  # the norm's biases are all zero
    assert changed == drawn | {"features.1.running_mean", "features.1.running_var"}
    assert not any(parameter.requires_grad for name, parameter in copy.named_parameters() if name in drawn)


def test_statistics_of_norms_are_reset_or_kept():
    for kept in (False, True):
        copy = private_copy(nets.seeded(nets.GapNet))
        mean, var = copy.features[1].running_mean, copy.features[1].running_var
        randomise(copy, [("features.0", "features.1")], draw, statistics=kept)
        expected = (mean, var) if kept else (torch.zeros(8), torch.ones(8))
        assert torch.equal(copy.features[1].running_mean, expected[0])
        assert torch.equal(copy.features[1].running_var, expected[1])


def test_random_weights_keep_their_scale():
    net = nn.Sequential(nn.Linear(300, 200), nn.LayerNorm(200))
    with torch.no_grad():
        net[0].weight.normal_(3, 2)
        net[1].weight.normal_(3, 2)
        net[1].bias.fill_(7)
    copy = private_copy(net)
    randomise(copy, [("0", "1")], draw)
    weights = copy[0].weight
    assert weights.mean() == pytest.approx(0, abs=0.1)
    assert weights.square().mean() == pytest.approx(3**2 + 2**2, rel=0.03)
    assert abs(torch.corrcoef(torch.stack([weights.flatten(), net[0].weight.flatten()]))[0, 1]) < 0.02
    assert copy[1].weight.mean() == pytest.approx(3, abs=0.5)
    assert copy[1].weight.std() == pytest.approx(2, rel=0.2)
    assert torch.equal(copy[1].bias, net[1].bias)  # all its values are the same


def test_a_layers_draw_does_not_depend_on_the_others():
    net = nets.seeded(nets.TinyCnn)
    together, alone = private_copy(net), private_copy(net)
    randomise(together, layers_of(net), draw)
    randomise(alone, [("features.3",)], draw)
    assert torch.equal(together.features[3].weight, alone.features[3].weight)
    assert torch.equal(alone.features[0].weight, net.features[0].weight)
    assert not torch.equal(together.features[0].weight, net.features[0].weight)


def test_a_shared_tensor_stays_shared():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    copy = private_copy(net)
    randomise(copy, [("1",)], draw)
    assert copy[0].weight is copy[1].weight
    assert copy[0].weight is not net[0].weight
