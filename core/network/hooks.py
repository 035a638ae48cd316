"""Forward hooks that capture or edit the outputs of layers and leave no trace in the network."""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from core.errors import Unsupported
from core.registry import unknown

Edit = Callable[[Tensor], Tensor]

_OF_ONE_BLOCK = "of_one_block"  # marks hooks that are removed at the end of a block


def ablate(channels: Iterable[int]) -> Edit:
    """The edit that sets the given channels (dimension 1) of a layer's output to zero."""
    chosen = sorted(set(channels))

    def edit(output: Tensor) -> Tensor:
        keep = torch.ones(output.shape[1], dtype=output.dtype, device=output.device)
        keep[chosen] = 0
        return output * keep.view(1, -1, *[1] * (output.dim() - 2))

    return edit


@contextmanager
def capture(net: nn.Module, *layers: str, edit: Mapping[str, Edit] | None = None) -> Iterator[dict[str, Tensor]]:
    """Capture the outputs of the named layers during the block, optionally edited.

    Yields a dict that fills with one tensor per layer at each forward of the entering thread; forwards of other threads
    are unaffected, so several sessions may share one network. The captured output is the edited one, still part of the
    gradient graph. Raises UnknownName for a layer the network lacks, Unsupported for one whose output is no tensor.
    """
    edits = dict(edit or {})
    outputs: dict[str, Tensor] = {}

    def captured(name: str) -> Edit:
        def hook(output: Tensor) -> Tensor:
            outputs[name] = edits[name](output) if name in edits else output
            # The network continues with a copy: a later in-place operation must not overwrite the captured tensor.
            return outputs[name].clone()

        return hook

    with _hooked(net, {name: captured(name) for name in [*layers, *edits]}):
        yield outputs


@contextmanager
def observe(net: nn.Module, observers: Mapping[str, Callable[[Tensor], None]]) -> Iterator[None]:
    """Call the observer of each named layer with its output during the block, as soon as the layer has computed it.

    For outputs that are too many or too large to be kept by `capture`. An observer may not keep or change what it gets:
    the network continues with it. Threads and errors as in `capture`.
    """
    with _hooked(net, observers):
        yield


@contextmanager
def _hooked(net: nn.Module, functions: Mapping[str, Callable[[Tensor], Tensor | None]]) -> Iterator[None]:
    """Call a function with each output of its layer on the entering thread; what it returns replaces the output."""
    owner = threading.get_ident()

    def hook_for(name: str) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
            if threading.get_ident() != owner:
                return None
            if not isinstance(output, Tensor):
                raise Unsupported(f"Layer '{name}' does not return a tensor.", "Choose another layer.")
            return functions[name](output)

        hook.__dict__[_OF_ONE_BLOCK] = True
        return hook

    with ExitStack() as stack:
        for name in functions:
            handle: RemovableHandle = module_named(net, name).register_forward_hook(hook_for(name))
            stack.callback(handle.remove)
        yield


def sharing_copy(net: nn.Module) -> nn.Module:
    """A network of its own modules with the same parameters and buffers, so that it can be given hooks of its own.

    Other threads may use the network meanwhile: their hooks of a block are not copied.
    """
    memo: dict[int, Any] = {}
    for module in net.modules():
        tensors = (*module._parameters.values(), *module._buffers.values())
        memo.update({id(tensor): tensor for tensor in tensors if tensor is not None})
        hooks = module._forward_hooks.copy()  # at once, while others add and remove theirs
        kept = ((key, hook) for key, hook in hooks.items() if not hasattr(hook, _OF_ONE_BLOCK))
        memo[id(module._forward_hooks)] = OrderedDict(kept)
    return copy.deepcopy(net, memo)


def hooked(module: nn.Module) -> bool:
    """Whether a module has hooks of its own, which are not removed at the end of a block."""
    lasting = any(not hasattr(hook, _OF_ONE_BLOCK) for hook in module._forward_hooks.copy().values())
    return bool(lasting or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks)


def module_named(net: nn.Module, name: str) -> nn.Module:
    """The module called `name`, or UnknownName with the nearest layer names."""
    if name:
        with suppress(AttributeError):
            return net.get_submodule(name)
    raise unknown("layer", name, [known for known, _ in net.named_modules() if known])
