"""Receptive fields against gradients of networks with positive weights, and against published sizes."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.network.hooks import capture
from core.network.receptive_field import receptive_fields
from tests import nets


class Dilated(nn.Sequential):
    """Kernels of unequal sides, dilation, padding and rounding up."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, (5, 3), stride=(2, 1), padding=(1, 2)),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
            nn.Conv2d(4, 4, 3, padding="same", dilation=2),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(4, 4, 2, groups=2),
        )


class Branches(nn.Module):
    """A residual block whose branches see different areas, joined channels and adaptive pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.wide = nn.Conv2d(4, 4, 5, padding=2)
        self.narrow = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(8, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = torch.cat([self.wide(x) + x, self.narrow(F.pad(x, (1, 1, 1, 1))[:, :, 1:-1, 1:-1])], 1)
        return self.pool(self.last(x))


class ChannelsLast(nn.Module):
    """A block of ConvNeXt, and a shuffle of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.linear = nn.Linear(4, 4)
        self.after = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        count, channels, height, width = x.shape
        x = x.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, channels, height, width)
        return self.after(x)


class Squeezed(nn.Module):
    """A map multiplied by its own mean: every position depends on the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * F.adaptive_avg_pool2d(x, 1)


def positive(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(0.1, 1)
    return net.eval()


def averaged(net):
    """Maximum pooling reads all of its window, but passes the gradient to one pixel of it: here it averages."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                same = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
                setattr(module, name, same)
    return net


def supports(net, layer, side):
    """The hull of the gradient of every position, (h, w, 4)."""
    image = torch.ones(1, 3, *side).requires_grad_()
    with capture(net, layer) as outputs:
        net(image)
    maps = outputs[layer].sum(1)[0]
    found = np.zeros((*maps.shape, 4), int)
    for row in range(maps.shape[0]):
        for column in range(maps.shape[1]):
            slope = torch.autograd.grad(maps[row, column], image, retain_graph=True)[0].abs().sum((0, 1)) > 0
            rows, columns = np.flatnonzero(slope.any(1)), np.flatnonzero(slope.any(0))
            found[row, column] = rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    return found


@pytest.mark.parametrize(
    ("make", "layer", "side"),
    [
        (Dilated, "2", (31, 26)),
        (Dilated, "3", (31, 26)),
        (Dilated, "5", (31, 26)),
        (Branches, "last", (23, 20)),
        (Branches, "pool", (23, 20)),
        (Branches, "pool", (22, 22)),
        (ChannelsLast, "after", (15, 12)),
        (Squeezed, "", (9, 8)),
        (nets.GapNet, "features.7", (32, 32)),
    ],
)
def test_boxes_are_the_support_of_the_gradient(make, layer, side):
    net = positive(nn.Sequential(OrderedDict(net=nets.seeded(make))))
    layer = f"net.{layer}".rstrip(".")
    field = receptive_fields(net, torch.ones(1, 3, *side), [layer])[layer]
    expected = supports(averaged(net), layer, side)
    height, width = expected.shape[:2]
    boxes = [[field.box(row, column) for column in range(width)] for row in range(height)]
    assert (len(field.rows.starts), len(field.columns.starts)) == (height, width)
    assert np.array_equal(boxes, expected)


@pytest.mark.parametrize(
    ("name", "layer", "size", "jump"),
    [
        ("alexnet", "features.10", 163, 16),
        ("vgg16", "features.28", 196, 16),
        ("resnet18", "layer4", 435, 32),
        ("resnet50", "layer4", 427, 32),
        ("mobilenet_v2", "features.18", 491, 32),
        ("shufflenet_v2_x0_5", "conv5", 527, 32),
    ],
)
def test_sizes_are_the_published_ones(name, layer, size, jump):
    import torchvision

    net = getattr(torchvision.models, name)(weights=None).eval()
    field = receptive_fields(net, torch.zeros(1, 3, 224, 224), [layer])[layer]
    assert (field.rows.size, field.rows.jump) == (size, jump)
    assert field.columns.size == size
    assert field.clipped(field.boxes([0], [0])).all()


def test_a_position_in_the_middle_is_not_clipped():
    field = receptive_fields(nets.seeded(nets.GapNet), torch.zeros(1, 3, 32, 32), ["features.4"])["features.4"]
    assert field.box(8, 8) == (8 * 2 - 3, 8 * 2 - 3, 8, 8)
    boxes = field.boxes([8, 0, 8], [8, 8, 15])
    assert boxes[0].tolist() == [8 * 2 - 3, 8 * 2 - 3, 8, 8]
    assert field.clipped(boxes).tolist() == [False, True, True]


def test_attention_reads_the_whole_image():
    net = nets.seeded(nets.tiny_vit).eval()
    fields = receptive_fields(net, torch.zeros(1, 3, 32, 32), ["conv_proj", "encoder.layers.encoder_layer_1"])
    assert fields["conv_proj"].box(1, 2) == (8, 16, 8, 8)
    assert fields["encoder.layers.encoder_layer_1"].box(0, 0) == (0, 0, 32, 32)
