"""Relevance and excitation: conserved, equal to rules written out as matrices, and to captum where it has them."""

import captum.attr
import pytest
import torch
import torchvision
from torch import nn

from core.errors import Unsupported, VitrineError
from core.explain import EXPLAINERS, explain
from core.explain.methods.relevance import SUMS, _propagated, conditional_relevance
from core.explain.methods.relevance_rules import (
    Operation,
    by_alpha1beta0,
    by_epsilon,
    by_gamma,
    excitatory,
)
from core.explain.targets import Units
from core.network.hooks import capture
from tests import nets
from tests.nets import doubled, query, relative

RULES = ["composite", "epsilon", "gamma", "alpha1beta0"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make", [lambda: nets.GapNet(bias=False, norm=False), lambda: nets.TinyCnn(bias=False)])
def test_relevance_is_conserved_without_biases(make, rule):
    found = explain("lrp", query(nets.seeded(make)), {"rule": rule, "epsilon": 1e-9})
    assert torch.allclose(found.maps.sum((1, 2)), found.scores, rtol=1e-3)
    assert found.remarks["share of the score kept"] == pytest.approx(1, abs=1e-3)


class Normed(nn.Module):
    """A batch norm behind a convolution, one before a ReLU that no convolution feeds, and a residual sum."""

    def __init__(self):
        super().__init__()
        self.stem, self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.alone, self.conv = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.fc = nn.Linear(8, nets.CLASSES, bias=False)

    def forward(self, x):
        x = nn.functional.relu(self.first(self.stem(x)))
        x = x + self.conv(nn.functional.relu(self.alone(x)))
        return self.fc(nn.functional.relu(x).mean((2, 3)))


def unshifted(make):
    """The seeded network with batch norms that scale, some by negative factors, and do not shift."""
    net = nets.seeded(make)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
            module.bias.data.zero_()
            module.weight.data[::3] *= -1
    return net


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "make",
    [lambda: nets.ReusedRelu(bias=False), lambda: nets.GapNet(bias=False), Normed],
    ids=["sum", "folded", "alone"],
)
def test_relevance_is_conserved_over_sums_and_batch_norms(make, rule):
    q = doubled(query(unshifted(make)))
    assert q.model.survey.folded or make is not nets.GapNet
    found = explain("lrp", q, {"rule": rule, "epsilon": 1e-9})
    assert torch.allclose(found.maps.double().sum((1, 2)), found.scores, rtol=1e-4)
    assert found.remarks["share of the score kept"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_epsilon_tends_to_input_times_gradient(net):
    q = doubled(query(net))
    ours = explain("lrp", q, {"rule": "epsilon", "epsilon": 1e-9}).maps
    assert relative(ours, explain("input_x_gradient", q).maps) <= 1e-3


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not")
@pytest.mark.parametrize("make", [nets.TinyCnn, lambda: nets.GapNet(norm=False), torchvision.models.squeezenet1_1])
def test_epsilon_equals_captum(make):
    side = 64 if make is torchvision.models.squeezenet1_1 else nets.SIDE
    net = nets.seeded(make).eval()
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Identity):
            net.features[int(name.split(".")[1])] = nn.Dropout()
            net.eval()
    q = doubled(query(nets.seeded(make), side=side))
    theirs = captum.attr.LRP(net.double()).attribute(q.images.clone(), target=1).detach().sum(1)
    ours = explain("lrp", q, {"rule": "epsilon", "epsilon": 1e-9}).maps
    assert relative(ours, theirs) <= 1e-3


def matrix_rule(weight, bias, x, received, rule, gamma=0.25):
    """A rule with every contribution z[i, j] = w[i, j] x[j] written into one matrix."""
    z = weight * x[None]
    if rule == "epsilon":
        total = z.sum(1) + bias
    elif rule == "alpha1beta0":
        z, bias = z.clamp(min=0), bias.clamp(min=0)
        total = z.sum(1) + bias
    elif rule == "excitation":
        z = weight.clamp(min=0) * x.clamp(min=0)[None]
        total = z.sum(1)
    else:
        sign = torch.sign(z.sum(1) + bias)[:, None]
        z = z + gamma * torch.where(torch.sign(z) == sign, z, 0.0)
        bias = bias + gamma * torch.where(torch.sign(bias) == sign[:, 0], bias, 0.0)
        total = z.sum(1) + bias
    return torch.where(total[:, None] == 0, 0.0, z / total[:, None] * received[:, None]).sum(0)


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha1beta0", "excitation"])
def test_rules_equal_matrices(rule):
    """A convolution as the matrix that it is, found by pushing every unit image through it."""
    generator = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double().requires_grad_(False)
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
    conv.bias.copy_(torch.randn(3, generator=generator))
    x = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64)
    units = torch.eye(72, dtype=torch.float64).view(72, 2, 6, 6)
    matrix = nn.functional.conv2d(units, conv.weight, None, 2, 1).flatten(1).T
    received = torch.randn(1, 3, 3, 3, generator=generator, dtype=torch.float64)
    bias = conv.bias.view(1, 3, 1, 1).expand(1, 3, 3, 3).flatten()
    operation = Operation(
        x, conv.weight, conv.bias.view(1, 3, 1, 1), lambda a, w: nn.functional.conv2d(a, w, None, 2, 1)
    )
    ours = {
        "epsilon": lambda: by_epsilon(operation, received, 1e-12),
        "gamma": lambda: by_gamma(operation, received, 0.25, 1e-12),
        "alpha1beta0": lambda: by_alpha1beta0(operation, received, 1e-12),
        "excitation": lambda: excitatory(operation, received),
    }[rule]()
    expected = matrix_rule(matrix, bias, x.flatten(), received.flatten(), rule)
    assert torch.allclose(ours.flatten(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["lrp", "excitation_bp", "contrastive_ebp"])
@pytest.mark.parametrize(("net", "word"), [("vit", "gelu"), ("norelu", "gelu"), ("additive", "einsum")])
def test_an_operation_without_rule_is_named(name, net, word):
    reason = EXPLAINERS[name].unmet(nets.model(net))
    assert word in reason or "has none" in reason
    with pytest.raises(Unsupported):
        explain(name, query(net))


def test_two_signals_multiplied_are_refused():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            x = self.conv(x).relu()
            return self.fc((x * x.mean((2, 3), keepdim=True)).mean((2, 3)))

    q = query(nets.seeded(Gated), count=1)
    assert EXPLAINERS["lrp"].unmet(q.model) == "LRP has no rule for mul, which Gated uses."
    with pytest.raises(Unsupported, match="two signals that are multiplied"):
        _propagated(q, SUMS["clamp"], 0, contrast=False)


def test_units_are_explained_too():
    q = query("gap", target=5, unit_layer="features.8", layer="features.2")
    walked = explain("excitation_bp", q)
    alive = q.net.features(q.images)[:, 5].amax((1, 2)) > 0
    assert torch.allclose(walked.maps.sum((1, 2)), alive.float(), atol=1e-5)
    found = explain("lrp", query(nets.seeded(lambda: nets.GapNet(False, False)), target=5, unit_layer="features.8"))
    assert torch.allclose(found.maps.sum((1, 2)), found.scores, rtol=1e-3, atol=1e-7)
    with pytest.raises(Unsupported, match="not units"):
        explain("contrastive_ebp", q)


def test_a_score_of_zero_has_nothing_to_hand_down():
    """A network that ends in a ReLU says exactly zero of many classes; that neither crashes nor looks like evidence."""
    net = nets.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * nets.SIDE**2, 4), nn.ReLU()))
    net[1].bias.data.fill_(-1e4)
    found = explain("lrp", query(nets.model(net)), {})
    assert not found.maps.any()
    assert "zero" in found.remarks["share of the score kept"]


class Block(nn.Module):
    """A basic block of a ResNet; where it halves the sides, a convolution of 1 × 1 and its batch norm stand beside."""

    def __init__(self, inner, outer, stride):
        super().__init__()
        self.one, self.one_norm = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.two, self.two_norm = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        self.beside = nn.Sequential()
        if stride > 1:
            self.beside = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        branch = self.two_norm(self.two(self.relu(self.one_norm(self.one(x)))))
        branch += self.beside(x)
        return self.relu(branch)


class SmallResNet(nn.Module):
    """A stem with a pooling, a block that keeps the size, and one that halves it."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(6, 6, 1), Block(6, 8, 2))
        self.average, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, nets.CLASSES)

    def forward(self, x):
        x = self.blocks(self.pool(self.norm(self.stem(x)).relu()))
        return self.fc(self.average(x).flatten(1))


def as_matrix(conv, norm, shape):
    """A convolution and the batch norm after it as one matrix and bias, for inputs of this shape."""
    size = shape[0] * shape[1] * shape[2]
    units = torch.eye(size, dtype=torch.float64).view(size, *shape)
    columns = nn.functional.conv2d(units, conv.weight, None, conv.stride, conv.padding)
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]
    shift = norm.bias[:, None, None] - scale * norm.running_mean[:, None, None]
    return (columns * scale).flatten(1).T, shift.expand_as(columns[0]).flatten()


class ByMatrices:
    """The walk through a SmallResNet of 8 × 8 pixels with every operation a matrix, one image at a time."""

    def __init__(self, net, image):
        first, second = net.blocks
        shapes = [(3, 8, 8), (6, 4, 4), (6, 4, 4), (8, 2, 2)]
        self.stem, self.x = as_matrix(net.stem, net.norm, shapes[0]), image.flatten()
        self.lit = self.through(self.stem, self.x).relu()
        self.pooled, self.places = nn.functional.max_pool2d(self.lit.view(1, 6, 8, 8), 2, return_indices=True)
        self.blocks, below = [], self.pooled.flatten()
        for block, shape, outer in zip((first, second), shapes[1:], shapes[2:], strict=False):
            one = as_matrix(block.one, block.one_norm, shape)
            two = as_matrix(block.two, block.two_norm, outer)
            beside = as_matrix(*block.beside, shape) if len(block.beside) else None
            middle = self.through(one, below).relu()
            branch, direct = self.through(two, middle), self.through(beside, below) if beside else below
            self.blocks.append((one, two, beside, below, middle, branch, direct))
            below = (branch + direct).relu()
        self.top = below
        self.mean = torch.eye(8, dtype=torch.float64).repeat_interleave(4, 1) / 4
        self.fc = net.fc.weight, net.fc.bias
        self.logits = self.through(self.fc, self.mean @ below)

    @staticmethod
    def through(linear, x):
        return linear[0] @ x + linear[1]

    def down(self, received, convolution, average, share):
        """From the averages over positions to the output of the stem."""
        received = matrix_rule(self.mean, torch.zeros(8), self.top, received, average)
        for one, two, beside, below, middle, branch, direct in reversed(self.blocks):
            part = torch.where(received == 0, 0, share(branch, direct) * received)
            into = matrix_rule(*one, below, matrix_rule(*two, middle, part, convolution), convolution)
            rest = received - part
            received = into + (matrix_rule(*beside, below, rest, convolution) if beside else rest)
        unpooled = nn.functional.max_unpool2d(received.view(1, 6, 4, 4), self.places, 2)
        return unpooled.flatten()


@pytest.fixture(scope="module")
def small_resnet():
    """A question about two images of 8 × 8 pixels, in double precision, with some negative scales."""
    net = nets.seeded(SmallResNet)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data[::3] *= -1
            module.bias.data.add_(torch.linspace(-0.3, 0.3, len(module.bias)))
    return doubled(query(net, side=8, layer="norm"))


@pytest.mark.parametrize("rule", RULES)
def test_relevance_in_a_residual_network_with_batch_norms_equals_matrices(rule, small_resnet):
    ours = explain("lrp", small_resnet, {"rule": rule, "epsilon": 1e-9}).maps
    for image, found in zip(small_resnet.images, ours, strict=True):
        walk = ByMatrices(small_resnet.net, image)
        assert torch.allclose(walk.logits, small_resnet.net(image[None])[0])
        start = torch.where(torch.arange(nets.CLASSES) == 1, walk.logits, 0)
        head, convolution = ("epsilon", "alpha1beta0") if rule == "composite" else (rule, rule)
        received = matrix_rule(*walk.fc, walk.mean @ walk.top, start, head)
        received = walk.down(received, convolution, "epsilon", lambda branch, direct: branch / (branch + direct))
        expected = matrix_rule(*walk.stem, walk.x, received, convolution).view(3, 8, 8).sum(0)
        assert float(expected.abs().max()) > 1e-3
        assert relative(found, expected) <= 1e-5


@pytest.mark.parametrize("contrast", [False, True])
@pytest.mark.parametrize("skip", list(SUMS))
def test_excitation_in_a_residual_network_with_batch_norms_equals_matrices(skip, contrast, small_resnet):
    share = {
        "clamp": lambda branch, direct: branch.relu() / (branch.relu() + direct.relu()),
        "proportional": lambda branch, direct: branch / (branch + direct),
        "ignore": lambda branch, direct: torch.ones_like(branch),
    }[skip]
    ours = _propagated(small_resnet, SUMS[skip], 0, contrast=contrast)
    for image, found in zip(small_resnet.images, ours, strict=True):
        walk = ByMatrices(small_resnet.net, image)
        start = (torch.arange(nets.CLASSES) == 1).double()
        weight, bias = walk.fc
        received = matrix_rule(weight, bias, walk.mean @ walk.top, start, "excitation")
        if contrast:
            received -= matrix_rule(-weight, bias, walk.mean @ walk.top, start, "excitation")
        expected = walk.down(received, "excitation", "excitation", share).view(6, 8, 8).sum(0)
        assert float(expected.abs().max()) > 1e-3
        assert relative(found, expected) <= 1e-9


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("net", "layer"), [("gap", "features.1"), ("gap", "features.5"), ("residual", "norm")])
def test_maps_by_way_of_every_unit_sum_to_the_whole_map(net, layer, rule):
    q = doubled(query(net))
    units = q.model.survey.layer(layer).units
    parts = torch.stack([conditional_relevance(q, layer, unit, rule=rule) for unit in range(units)])
    assert relative(parts.sum(0), explain("lrp", q, {"rule": rule}).maps) <= 1e-6
    assert relative(parts[0], parts.sum(0)) > 1e-3


def test_the_map_by_way_of_a_unit_is_the_gradient_of_what_it_passes_on():
    """Without biases the ε rule gives input × gradient, here of the unit's map times its own slope."""
    q, layer, unit = doubled(query(nets.seeded(lambda: nets.GapNet(bias=False, norm=False)))), "features.4", 3
    leaf = q.images.clone().requires_grad_()
    with torch.enable_grad(), capture(q.net, layer) as outputs:
        score = q.net(leaf).gather(1, q.targets.indices[:, None]).sum()
    (slope,) = torch.autograd.grad(score, outputs[layer], retain_graph=True)
    (through,) = torch.autograd.grad((outputs[layer] * slope)[:, unit].sum(), leaf)
    ours = conditional_relevance(q, layer, unit, rule="epsilon", epsilon=1e-9)
    assert relative(ours, (leaf.detach() * through).sum(1)) <= 1e-3


def test_the_map_of_a_unit_by_way_of_itself_is_its_whole_map():
    q = query("gap", layer="features.5").with_targets(Units(torch.tensor([2, 2]), "features.5"))
    assert relative(conditional_relevance(q, "features.5", 2), explain("lrp", q).maps) <= 1e-5
    assert not conditional_relevance(q, "features.5", 1).any()
    with pytest.raises(Unsupported, match="does not lie before what is explained"):
        conditional_relevance(q, "features.8", 0)


def test_a_map_by_way_of_what_is_not_there_is_refused():
    for layer, unit in (("features.5", 99), ("nothing", 0)):
        with pytest.raises(VitrineError, match=r"features.5|nothing"):
            conditional_relevance(query("gap"), layer, unit)
    with pytest.raises(Unsupported, match="LRP has no rule for"):
        conditional_relevance(query("vit"), "", 0)
