"""Layers with packed weights against those of torch."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from core.network import packing
from core.network.incremental import CleanPass
from core.network.packing import PackedConv2d, PackedLinear, pack, packed_weights, unpack
from tests import nets

HALF = torch.bfloat16

pytestmark = pytest.mark.skipif(not packing._supported(), reason="needs a torch that was built with oneDNN")

CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(5, 7, 3),
    "without bias": lambda: nn.Conv2d(5, 7, 3, bias=False),
    "pointwise": lambda: nn.Conv2d(5, 7, 1),
    "strides, padding and dilation": lambda: nn.Conv2d(5, 7, (3, 2), (2, 1), (1, 2), (2, 1)),
    "groups": lambda: nn.Conv2d(6, 8, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6),
}  # fmt: skip


def drawn(*shape, seed=0):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def pair(layer, numbers=torch.float32):
    """A layer without gradients, and a packed copy of it."""
    layer = layer.to(numbers).requires_grad_(False)
    twin = copy.deepcopy(layer)
    assert pack(twin, drawn(1, 3, 2, 2))
    return layer, twin


def packed_in(layer):
    return [*packed_weights(layer)]


@pytest.mark.parametrize("make", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
@pytest.mark.parametrize("numbers", [torch.float32, HALF])
def test_a_packed_convolution_is_the_same(make, numbers):
    layer, twin = pair(make(), numbers)
    assert type(twin) is PackedConv2d
    for seed, (count, side) in enumerate([(3, 9), (1, 9), (3, 12)]):
        images = drawn(count, layer.in_channels, side, side, seed=seed).to(numbers)
        found, expected = twin(images), layer(images)
        assert found.dtype == numbers
        assert found.shape == expected.shape
        assert torch.equal(found, expected) if numbers == HALF else nets.relative(found, expected) <= 1e-6
        assert len(packed_in(twin)) == 1


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (6,)])
def test_a_packed_linear_layer_is_the_same_to_the_bit(shape):
    layer, twin = pair(nn.Linear(6, 5), HALF)
    assert type(twin) is PackedLinear
    values = drawn(*shape).to(HALF)
    assert torch.equal(twin(values), layer(values))
    assert len(packed_in(twin)) == 1


def test_values_are_cast_as_autocast_does():
    for made, values in ((nn.Conv2d(3, 4, 3), drawn(2, 3, 6, 6)), (nn.Linear(6, 5), drawn(2, 6))):
        layer, twin = pair(made, HALF)
        with torch.autocast("cpu", HALF):
            assert torch.equal(twin(values), layer(values))
        assert packed_in(twin)


def test_weights_are_packed_anew_for_other_shapes_and_threads_alone(monkeypatch):
    _, twin = pair(nn.Conv2d(3, 4, 3))
    shapes, make = [], PackedConv2d.pack
    monkeypatch.setattr(PackedConv2d, "pack", lambda self, shape: shapes.append(tuple(shape)) or make(self, shape))
    small, large, threads = (2, 3, 6, 6), (8, 3, 6, 6), torch.get_num_threads()
    for shape in (small, small, large, large, small):
        twin(drawn(*shape))
    assert shapes == [small, large, small]
    try:
        torch.set_num_threads(threads + 1)
        twin(drawn(*small))
    finally:
        torch.set_num_threads(threads)
    twin(drawn(*small))
    assert shapes == [small, large, small, small, small]


def test_what_packed_weights_cannot_compute_is_computed_as_before():
    layer, twin = pair(nn.Conv2d(3, 4, 3))
    images = drawn(2, 3, 6, 6)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(twin(leaf).sum(), leaf)
    with torch.autocast("cpu", HALF):
        assert torch.equal(twin(images), layer(images))
    assert torch.equal(twin(images[0]), layer(images[0]))
    assert gradient.abs().sum() > 0
    _, half = pair(nn.Linear(6, 5), HALF)
    assert half(drawn(2, 6).to(HALF).requires_grad_()).requires_grad
    assert not packed_in(nn.ModuleList([half]))


def test_windows_are_computed_with_ordinary_weights():
    """Their shapes change all the time."""
    layer, twin = pair(nn.Conv2d(3, 4, 3))
    images = CleanPass(drawn(1, 3, 16, 16), torch.channels_last)
    changed = images.changed(drawn(2, 3, 4, 4, seed=1), [2, 9], [1, 5])
    assert type(twin(changed)) is type(changed)
    assert torch.equal(twin(changed).whole(), layer(changed).whole())
    assert not packed_in(twin)


def test_a_gradient_that_nobody_wants_does_not_matter():
    _, twin = pair(nn.Conv2d(3, 4, 3))
    with torch.no_grad():
        twin(drawn(2, 3, 6, 6).requires_grad_())
    assert packed_in(twin)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.ConvTranspose2d(3, 4, 3),
        nn.Conv2d(3, 4, 3).double(),
        nn.Linear(3, 4),
        type("Own", (nn.Conv2d,), {})(3, 4, 3),
    ],
    ids=["reflecting", "same", "transposed", "double", "linear", "subclass"],
)
def test_other_layers_are_left(layer):
    kind = type(layer)
    assert not pack(layer, drawn(1, 3, 2, 2))
    assert type(layer) is kind


def test_nothing_is_packed_for_another_order_in_memory():
    layer = nn.Conv2d(1, 4, 3)
    assert not pack(layer, drawn(1, 1, 2, 2)), "with one channel there is no order"
    assert not pack(layer, drawn(1, 3, 2, 2).contiguous())


def test_nothing_is_packed_where_torch_cannot(monkeypatch):
    def refuses(self, shape):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(PackedConv2d, "pack", refuses)
    packing._supported.cache_clear()
    assert not pack(nn.Conv2d(3, 4, 3), drawn(1, 3, 2, 2))
    packing._supported.cache_clear()


def test_copies_and_files_hold_no_packed_weights():
    _, twin = pair(nn.Conv2d(3, 4, 3))
    images = drawn(2, 3, 6, 6)
    expected = twin(images)
    for other in (copy.deepcopy(twin), pickle.loads(pickle.dumps(twin))):
        assert not packed_in(other)
        assert torch.equal(other(images), expected)
    assert packed_in(twin)
    assert set(twin.state_dict()) == {"weight", "bias"}


def test_an_unpacked_layer_is_an_ordinary_one():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)).to(HALF).requires_grad_(False)
    images = drawn(2, 3, 4, 4).to(HALF)
    expected = net(images)
    assert pack(net, images)
    assert torch.equal(net(images), expected)
    unpack(net)
    assert [type(layer) for layer in net] == [nn.Conv2d, nn.Flatten, nn.Linear]
    assert "packed" not in {name for layer in net for name in vars(layer)}
    assert torch.equal(net(images), expected)


def test_threads_with_other_shapes_do_not_disturb_each_other():
    layer, twin = pair(nn.Conv2d(3, 8, 3))
    batches = [drawn(count, 3, 8, 8, seed=count) for count in (1, 2, 3, 5)]
    expected, wrong, ready = [layer(batch) for batch in batches], [], threading.Barrier(len(batches))

    def work(batch, right):
        ready.wait()
        wrong.extend(_ for _ in range(50) if nets.relative(twin(batch), right) > 1e-6)

    threads = [threading.Thread(target=work, args=each) for each in zip(batches, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
