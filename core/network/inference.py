"""Networks for inference: less work than the network itself, for passes that keep no output of a layer inside.

Batch norms are part of the convolutions before them, modules work in place where their author had them do so, and
weights are packed.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.network.hooks import hooked, sharing_copy
from core.network.packing import pack, packed_weights, unpack

ROUNDING = 1e-4  # of the largest output: that of deep networks is up to 2e-5, whichever way they are computed

_IN_PLACE = "works_in_place_for_inference"  # marks modules that were set to work in place

_Convolution = nn.Conv2d | nn.ConvTranspose2d
_Pair = tuple[_Convolution, nn.BatchNorm2d]

# By network, so that it is freed with it: what its weights were called when it was copied, and the copy.
_copies: WeakKeyDictionary[nn.Module, tuple[str, nn.Module | None]] = WeakKeyDictionary()
_halves: WeakKeyDictionary[nn.Module, nn.Module | None] = WeakKeyDictionary()  # by such a copy
_lock = threading.RLock()


def overwrite_nothing(net: nn.Module) -> None:
    """Set the network's modules to leave their inputs as they are; copies for inference still overwrite them."""
    for module in net.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
            setattr(module, _IN_PLACE, True)


def for_inference(net: nn.Module, weights: str, images: Callable[[], Tensor]) -> nn.Module:
    """A network on a CPU that computes the same to rounding with less work, or the network itself.

    It shares all modules' weights but those of the convolutions with which it folds batch norms. It is made at the
    first call for these `weights`, a text that identifies them, and shared by all threads. Where the outputs for a
    batch of `images` differ by more than ROUNDING, where it would overwrite these, and where the network has hooks of
    its own, which might read or change a layer, it is left as it is.
    """
    with _lock:
        known = _copies.get(net)
        if known is None or known[0] != weights:
            known = _copies[net] = (weights, _made(net, images))
    return known[1] or net


def for_half_precision(net: nn.Module, weights: str, images: Callable[[], Tensor]) -> nn.Module:
    """What `for_inference` gives, for passes in which torch casts to bfloat16: with weights that are cast already.

    Casting and packing them in every pass takes up to half of it. Where no copy was made, or the outputs for `images`
    are not the same to the bit, it is what `for_inference` gives.
    """
    copy = for_inference(net, weights, images)
    if copy is net:
        return net
    with _lock:
        if copy not in _halves:
            _halves[copy] = _cast(copy, images())
        return _halves[copy] or copy


def keeps(net: nn.Module, copy: nn.Module, layer: str) -> bool:
    """Whether a layer of a network gives the same, to rounding, in its copy for inference.

    What stands in the place of a norm gives the convolution's output; a convolution itself must not be folded.
    """
    module = net.get_submodule(layer)
    return not isinstance(module, _Convolution) or module.weight is copy.get_submodule(layer).weight


def added_bytes(net: nn.Module) -> int:
    """The bytes that the copies of a network for inference take beside it; 0 where there are none."""
    with _lock:
        copy = _copies.get(net, ("", None))[1]
        half = _halves.get(copy) if copy else None
    own = {tensor.data_ptr() for tensor in net.state_dict().values()}
    made = [one for one in (copy, half) if one]
    values = [value for one in made for value in one.state_dict().values()]
    added = {value.data_ptr(): value.nbytes for value in values if value.data_ptr() not in own}
    return sum(added.values()) + sum(value.nbytes for one in made for value in packed_weights(one))


@torch.no_grad()
def _made(net: nn.Module, images: Callable[[], Tensor]) -> nn.Module | None:
    if any(map(hooked, net.modules())):
        return None
    try:
        batch = images()
        if batch.device.type != "cpu":
            return None
        copy = sharing_copy(net)
        pairs = _pairs(copy, batch)
        for convolution, norm in pairs:
            _fold(copy, convolution, norm)
        in_place = [module for module in copy.modules() if hasattr(module, _IN_PLACE)]
        for module in in_place:
            module.inplace = True  # type: ignore[assignment]
        expected = net(batch)
    except Exception:  # noqa: BLE001 - networks of users raise errors of any kind when they are copied or changed
        return None
    if pack(copy, batch) and _agrees(copy, batch, expected):
        return copy
    unpack(copy)
    return copy if (pairs or in_place) and _agrees(copy, batch, expected) else None


def _agrees(net: nn.Module, images: Tensor, expected: Tensor) -> bool:
    """Whether outputs are as expected, to ROUNDING, and images are left as they are."""
    given = images.clone(memory_format=torch.preserve_format)
    try:
        found = net(given)
    except Exception:  # noqa: BLE001 - such as that of a `view` which needs another order in memory
        return False
    close = (found - expected).abs().max() <= ROUNDING * expected.abs().max()  # False for values that are not finite
    return bool(close) and torch.equal(given, images)


@torch.no_grad()
def _cast(net: nn.Module, images: Tensor) -> nn.Module | None:
    """A copy whose convolutions and linear layers have the weights to which torch casts theirs; None if it differs."""
    copy = sharing_copy(net)
    unpack(copy)
    for module in copy.modules():
        if type(module) in (nn.Conv2d, nn.Linear):  # others may read their weights in another way
            for name, value in list(module.named_parameters(recurse=False)):
                cast = value.to(torch.bfloat16, memory_format=torch.preserve_format)
                setattr(module, name, nn.Parameter(cast, requires_grad=False))
    with torch.autocast("cpu", torch.bfloat16):
        try:
            expected = net(images)
        except RuntimeError:  # of operations that torch does not cast
            return None
        if pack(copy, images) and _gives(copy, images, expected):
            return copy
        unpack(copy)
        return copy if _gives(copy, images, expected) else None


def _gives(net: nn.Module, images: Tensor, expected: Tensor) -> bool:
    """Whether outputs are as expected, to the bit."""
    with suppress(RuntimeError):
        return torch.equal(net(images), expected)
    return False


def _pairs(net: nn.Module, images: Tensor) -> list[_Pair]:
    """The convolutions whose output nothing but one batch norm in inference reads, in a pass of these images."""
    with ExitStack() as stack, _Reads() as reads:
        for module in net.modules():
            if type(module) in (nn.Conv2d, nn.ConvTranspose2d):
                stack.callback(module.register_forward_hook(reads.made).remove)
            elif _is_norm(module):
                stack.callback(module.register_forward_pre_hook(reads.begin).remove)
                stack.callback(module.register_forward_hook(reads.end).remove)
        net(images)
    return [pair for pair in reads.pairs() if _foldable(*pair)]


def _is_norm(module: nn.Module) -> bool:
    """Whether this is a batch norm, with or without timm's dropout and activation after it (`BatchNormAct2d`)."""
    if type(module) is nn.BatchNorm2d:
        return True
    return isinstance(module, nn.BatchNorm2d) and list(module._modules) == ["drop", "act"]


def _foldable(convolution: _Convolution, norm: nn.BatchNorm2d) -> bool:
    if norm.training or norm.running_mean is None or norm.running_var is None:  # it normalises by the batch itself
        return False
    tensors = [*convolution.parameters(), *norm.parameters(), norm.running_mean, norm.running_var]
    first = convolution.weight
    return first.is_floating_point() and all((one.dtype, one.device) == (first.dtype, first.device) for one in tensors)


def _fold(net: nn.Module, convolution: _Convolution, norm: nn.BatchNorm2d) -> None:
    """Give the convolution the norm's scale and shift, computed in float64; what a norm has inside stays in `net`."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # `_foldable`
    assert variance is not None
    scale = (variance.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.double()
    before = 0 if convolution.bias is None else convolution.bias.double()
    shift = (before - mean.double()) * scale + (0 if norm.bias is None else norm.bias.double())
    weight = convolution.weight
    if isinstance(convolution, nn.ConvTranspose2d):  # (in, out / groups, h, w), the inputs of each group together
        groups = convolution.groups
        factors = scale.view(groups, 1, -1).expand(groups, len(weight) // groups, -1).reshape(*weight.shape[:2], 1, 1)
    else:  # (out, in / groups, h, w)
        factors = scale.view(-1, 1, 1, 1)
    for name, value in (("weight", weight.double() * factors), ("bias", shift)):
        setattr(convolution, name, nn.Parameter(value.to(weight.dtype), requires_grad=False))
    for module in net.modules():
        for name, child in module._modules.items():
            if child is norm:
                module._modules[name] = nn.Sequential(OrderedDict(norm.named_children()))


class _Reads(TorchDispatchMode):
    """Which operations and batch norms read the outputs of convolutions, while the block runs on this thread."""

    def __init__(self) -> None:
        super().__init__()
        self._outputs: list[tuple[_Convolution, Tensor]] = []  # kept, so that no other tensor takes its identity
        self._calls: list[tuple[nn.BatchNorm2d, Tensor]] = []
        self._reads: Counter[int] = Counter()  # by the identity of the output, outside of batch norms
        self._inside = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: nothing is compiled here, and skipping would import its compiler, which takes seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        if not self._inside:
            self._reads.update(id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor))
        return func(*args, **(kwargs or {}))

    def made(self, module: _Convolution, _inputs: Any, output: Tensor) -> None:
        """A hook: a convolution has its output; what it did to it itself, such as adding the bias, does not count."""
        self._outputs.append((module, output))
        self._reads.pop(id(output), None)

    def begin(self, module: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        """A hook: a batch norm begins."""
        self._inside = True
        self._calls.append((module, inputs[0]))

    def end(self, _module: nn.BatchNorm2d, _inputs: Any, _output: Tensor) -> None:
        """A hook: a batch norm ends."""
        self._inside = False

    def pairs(self) -> list[_Pair]:
        """Convolutions and batch norms that were called once each, the one for the other alone."""
        convolutions = Counter(module for module, _ in self._outputs)
        norms = Counter(module for module, _ in self._calls)
        readers = Counter(id(value) for _, value in self._calls)
        makers = {id(output): module for module, output in self._outputs}
        return [
            (makers[id(value)], norm)
            for norm, value in self._calls
            if id(value) in makers
            and convolutions[makers[id(value)]] == norms[norm] == readers[id(value)] == 1
            and not self._reads[id(value)]
        ]
