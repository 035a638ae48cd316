"""Incremental scores against full passes, operation by operation and on whole networks."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from core.models.model import frozen
from core.network.incremental import CleanPass, CumulativePass, PatchedImages, spared
from tests import nets


def scene(order=torch.contiguous_format, side=21):
    return CleanPass(torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)), order)


def copies(made, side=5):
    """Seven copies with a window each, in all corners and between."""
    tops, lefts = [0, 0, 16, 16, 7, 8, 3], [0, 16, 0, 16, 5, 9, 12]
    patches = torch.randn(7, made.image.shape[1], side, side, generator=torch.Generator().manual_seed(9))
    return made.changed(patches, tops, lefts)


KERNEL = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))

LOCAL = {
    "convolution": lambda x: F.conv2d(x, KERNEL, torch.ones(4), padding=1),
    "strided": lambda x: F.conv2d(x, KERNEL, stride=2, padding=1),
    "striding over": lambda x: F.conv2d(x, KERNEL[:, :, :1, :1], stride=3),
    "dilated": lambda x: F.conv2d(x, KERNEL, dilation=2, padding=2),
    "unpadded": lambda x: F.conv2d(x, KERNEL),
    "uneven": lambda x: F.conv2d(x, KERNEL[:, :, :1], stride=(1, 2), padding=(0, 1)),
    "depthwise": lambda x: F.conv2d(x, KERNEL[:3, :1], padding=1, groups=3),
    "max pool": lambda x: F.max_pool2d(x, 2),
    "overlapping max pool": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max pool over the edge": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "batch norm": lambda x: F.batch_norm(x, torch.ones(3), torch.full((3,), 2.0)),
    "activations": lambda x: F.silu(F.relu6(F.relu(x) * 3) - 0.5),
    "sum of two reaches": lambda x: x + F.conv2d(x, KERNEL[:3], padding=1),
    "joined channels": lambda x: torch.cat([x, F.max_pool2d(x, 3, 1, 1), F.conv2d(x, KERNEL, padding=1)], 1),
    "channel weights": lambda x: x * torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1) + torch.ones(3, 1, 1),
}


def in_place(x):
    y = F.conv2d(x, KERNEL[:3], padding=1)
    y += x
    return F.relu(y, inplace=True)


ORDERS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", [*LOCAL, "in place"])
def test_operations_on_windows_equal_those_on_whole_copies(name, order):
    apply = LOCAL.get(name, in_place)
    made = scene(order)
    with torch.no_grad():
        expected = apply(copies(made).whole())
        for _ in range(2):  # the second time on what the first has kept
            found = apply(copies(made))
            assert isinstance(found, PatchedImages), "the whole map was computed"
            assert found.patch[0].numel() < 0.8 * expected[0].numel()
            assert found.shape == expected.shape
            assert torch.allclose(found.whole(), expected, atol=1e-5)


FAR = {
    "mean": lambda x: x.mean((2, 3)),
    "flatten": lambda x: F.linear(x.flatten(1), torch.ones(2, 3 * 21 * 21)),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 3),
    "softmax over places": lambda x: x.flatten(2).softmax(-1),
    "permuted": lambda x: x.permute(0, 2, 3, 1) * 2,
    "large kernel": lambda x: F.conv2d(x, torch.ones(1, 3, 15, 15), padding=7),
    "padded average pool": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "reflection": lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
    "statistics of its own": F.instance_norm,
    "scaled by its mean": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(),
    "in place with a whole": lambda x: F.relu(x).mul_(x.mean((2, 3), keepdim=True)) + F.relu(x),
    "whole in place": lambda x: torch.zeros(7, 3, 21, 21).add_(x),
    "transposed": lambda x: F.conv_transpose2d(x, KERNEL.transpose(0, 1), stride=2),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", FAR)
def test_operations_that_reach_everywhere_get_whole_copies(name, order):
    with torch.no_grad():
        found, expected = FAR[name](copies(scene(order))), FAR[name](copies(scene(order)).whole())
        found = found.whole() if isinstance(found, PatchedImages) else found
    assert torch.allclose(found, expected, atol=1e-5)


ARCHITECTURES = ["resnet18", "squeezenet1_1", "mobilenet_v2", "densenet121", "googlenet", "shufflenet_v2_x0_5",
                 "efficientnet_b0"]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_of_torchvision_score_windows_as_full_passes(name, order):
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = frozen(torchvision.models.get_model(name, weights=None, num_classes=7, **options))
        image = torch.randn(1, 3, 96, 96)
    made = CleanPass(image, order)
    boxes = torch.tensor([[0, 0, 16, 16], [80, 80, 16, 16], [33, 47, 16, 16], [90, 10, 6, 16]])
    with torch.no_grad():
        changed = made.filled(boxes, torch.zeros(3, 96, 96))
        found, expected = net(changed), net(changed.whole())
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_filling_changes_the_boxes_and_nothing_else():
    made, fill = scene(), torch.full((3, 21, 21), 5.0)
    boxes = torch.tensor([[0, 0, 4, 9], [19, 2, 2, 3], [5, 5, 10, 1]])
    ring = torch.zeros(3, 21, 21, dtype=torch.bool)
    ring[:, ::2] = True
    for inside in (None, ring):
        whole = made.filled(boxes, fill, inside).whole()
        for n, (top, left, height, width) in enumerate(boxes.tolist()):
            expected = made.image[0].clone()
            own = torch.zeros(21, 21, dtype=torch.bool)
            own[top : top + height, left : left + width] = True
            own = own if inside is None else own & inside[n]
            expected[:, own] = 5.0
            assert torch.equal(whole[n], expected)


@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "norelu", "linear", "vit"])
@pytest.mark.parametrize("unit", ["", "features"])
def test_windows_of_a_query_equal_full_passes(net, unit):
    q = nets.query(net, batch=3)
    if unit:
        q = nets.query("gap", batch=3, unit_layer="features.5")
    fill = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    boxes = torch.tensor([[0, 0, 6, 6], [26, 26, 6, 6], [10, 3, 9, 4], [0, 0, 32, 32], [31, 31, 1, 1]])
    own = torch.stack([boxes, boxes.flip(0)])
    for given in (boxes, own):
        found = q.windows(given, fill, "prob")
        for row in range(2):
            for column, (top, left, h, w) in enumerate(given.expand(2, -1, -1)[row].tolist()):
                image = q.images[row : row + 1].clone()
                image[0, :, top : top + h, left : left + w] = fill[row, :, top : top + h, left : left + w]
                expected = q.score(image, q.targets[row : row + 1], "prob")
                assert float(found[row, column]) == pytest.approx(float(expected), abs=1e-5)


class Drifting(nn.Module):
    """Makes its kernel anew at every call, so that the cached one can never be used for it."""

    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return F.conv2d(x, KERNEL * self.calls, padding=1)


def test_what_is_kept_is_never_mistaken_for_something_else():
    made, net, other = scene(), Drifting(), Drifting()
    with torch.no_grad():
        for _ in range(5):
            assert torch.allclose(net(copies(made)).whole(), other(copies(made).whole()), atol=1e-5)


PLACES = torch.tensor([[0, 0], [3, 4], [16, 16], [5, 9], [16, 0], [4, 4]])


def stepped(net, images, order, side=5):
    """Results and those of whole passes of three images that change in turn, some of them dropping out."""
    steps, now = CumulativePass(images, order), images.clone()
    tops, lefts = PLACES[:3].T.tolist()
    yield net(steps.first(tops, lefts, side)), net(now)
    for rank, rows in enumerate([[0, 1, 2], [0, 2], [0, 2], [2]]):
        tops, lefts = PLACES[[(2 * rank + row) % len(PLACES) for row in rows]].T.tolist()
        patches = torch.randn(len(rows), 3, side, side, generator=torch.Generator().manual_seed(rank))
        for row, patch, y, x in zip(rows, patches, tops, lefts, strict=True):
            now[row, :, y : y + side, x : x + side] = patch
        yield net(steps.then(rows, patches, tops, lefts)), net(now[rows])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", [*LOCAL, "in place", *FAR])
def test_changes_on_top_of_changes_equal_whole_copies(name, order):
    apply = {**LOCAL, **FAR, "in place": in_place, "whole in place": lambda x: torch.zeros(x.shape).add_(x)}[name]

    def net(x):  # what comes after reads what was kept
        y = apply(x)
        return F.relu(F.conv2d(y, torch.ones(2, y.shape[1], 3, 3), padding=1)) if y.dim() == 4 else y

    images = torch.randn(3, 3, 21, 21, generator=torch.Generator().manual_seed(5))
    was = images.clone()
    with torch.no_grad():
        for found, expected in stepped(net, images, order):
            assert torch.allclose(found.whole() if isinstance(found, PatchedImages) else found, expected, atol=1e-4)
    assert torch.equal(images, was)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_of_torchvision_score_steps_as_full_passes(name):
    options = {"init_weights": False} if name == "googlenet" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = frozen(torchvision.models.get_model(name, weights=None, num_classes=7, **options))
        images = torch.randn(3, 3, 96, 96)
    with torch.no_grad():
        for found, expected in stepped(net, images, torch.channels_last, side=24):
            assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_window_spares_what_lies_beyond_its_surroundings():
    net = frozen(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(8 * 400, 2)))
    assert spared(net, (3, 20, 20), 5) == (8 * 27 + 8 * 8) * (400 - 49)
    assert spared(net, (3, 20, 20), 20) == 0
    assert spared(nets.model("linear").net, (3, nets.SIDE, nets.SIDE), 4) == 0
