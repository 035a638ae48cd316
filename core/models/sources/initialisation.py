"""Networks built without the global random state, for weights that are replaced at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWING = (torch.Tensor.normal_, torch.Tensor.uniform_, torch.rand, torch.randn, torch.randperm, torch.normal)
_INIT = torch.nn.init.__name__  # its functions hand a generator on, of None too


@contextmanager
def uninitialised() -> Iterator[None]:
    """Networks built on this thread while the block runs get parameters without values, on the device "meta".

    Initialisation would take seconds, for values that are replaced at once.
    """
    with _OwnGenerator(values=False):
        yield


@contextmanager
def seeded() -> Iterator[None]:
    """Networks built on this thread while the block runs draw from a generator of their own."""
    with _OwnGenerator(values=True):
        yield


class _OwnGenerator(TorchFunctionMode):
    """Random values of this thread from a fixed seed; empty tensors without memory unless `values`."""

    def __init__(self, *, values: bool) -> None:
        super().__init__()
        self.generator, self.values = torch.Generator().manual_seed(0), values

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch for every operation of this thread."""
        kwargs = dict(kwargs or {})
        if func is torch.empty and not self.values:
            kwargs["device"] = "meta"
        elif func in _DRAWING or (getattr(func, "__module__", "") == _INIT and "generator" in kwargs):
            filled = args[0] if args else kwargs.get("tensor")
            if isinstance(filled, torch.Tensor) and filled.is_meta:
                return filled  # torch would compute its shape slowly
            kwargs["generator"] = kwargs.get("generator") or self.generator
        return func(*args, **kwargs)
