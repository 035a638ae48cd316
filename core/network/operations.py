"""The operations a network calls: their names, rules that replace them, and a count of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Any]

# Every function through which networks call an operation, under the one name that rules and surveys use.
OPERATIONS: Mapping[Callable[..., Any], str] = {
    function: name
    for name, functions in {
        "relu": (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        "relu6": (F.relu6,),
        "hardtanh": (F.hardtanh, F.hardtanh_),
        "leaky_relu": (F.leaky_relu, F.leaky_relu_),
        "elu": (F.elu, F.elu_),
        "gelu": (F.gelu,),
        "silu": (F.silu,),
        "hardswish": (F.hardswish,),
        "hardsigmoid": (F.hardsigmoid,),
        "sigmoid": (F.sigmoid, torch.sigmoid, Tensor.sigmoid, Tensor.sigmoid_),
        "tanh": (F.tanh, torch.tanh, Tensor.tanh),
        "softmax": (F.softmax, torch.softmax, Tensor.softmax),
        "conv2d": (F.conv2d, torch.conv2d),
        "linear": (F.linear,),
        "max_pool2d": (F.max_pool2d, torch.max_pool2d, F.max_pool2d_with_indices),
        "avg_pool2d": (F.avg_pool2d,),
        "adaptive_avg_pool2d": (F.adaptive_avg_pool2d,),
        "adaptive_max_pool2d": (F.adaptive_max_pool2d,),
        "batch_norm": (F.batch_norm, torch.batch_norm),
        "layer_norm": (F.layer_norm, torch.layer_norm),
        "local_response_norm": (F.local_response_norm,),
        "attention": (F.scaled_dot_product_attention, F.multi_head_attention_forward),
        "add": (torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, Tensor.__radd__),
        "mul": (torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__imul__, Tensor.__rmul__),
        "cat": (torch.cat, torch.concat),
        "mean": (torch.mean, Tensor.mean),
        "dropout": (F.dropout, F.dropout2d, torch.dropout),
        "flatten": (torch.flatten, Tensor.flatten, Tensor.reshape, Tensor.view, torch.reshape),
    }.items()
    for function in functions
}


def operation_of(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The name in OPERATIONS of this call, or ""; hardtanh from 0 to 6 is how torch's own module calls ReLU6."""
    name = OPERATIONS.get(func, "")
    if name != "hardtanh":
        return name
    ends = dict(zip(("min_val", "max_val"), args[1:3], strict=False)) | dict(kwargs)
    return "relu6" if (ends.get("min_val", -1), ends.get("max_val", 1)) == (0, 6) else name


class Rules(TorchFunctionMode):
    """Replaces operations on this thread while the block runs, whether called by a module or directly.

    `table` maps names of OPERATIONS to rules; a rule receives the original function and the arguments of the call.
    `fired` counts the replaced calls per name, so that a rule that was never applied can be detected.
    """

    def __init__(self, table: Mapping[str, Rule]) -> None:
        super().__init__()
        self.table = table
        self.fired: dict[str, int] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        name = operation_of(func, args, kwargs or {})
        rule = self.table.get(name)
        if rule is None:
            return func(*args, **(kwargs or {}))
        self.fired[name] = self.fired.get(name, 0) + 1
        return rule(func, *args, **(kwargs or {}))


# Reading `.data`, `.T` and similar attributes also calls the mode; nothing is computed there.
_ATTRIBUTES = frozenset({"__get__", "detach", "clone", "requires_grad_", "contiguous", "to"})

# An operation with a plain number in place of a second tensor.
_BY_NUMBER = {"add": "shift", "sub": "shift", "mul": "scale", "div": "scale", "true_divide": "scale"}


class OperationCounter(TorchFunctionMode):
    """Counts the operations that make real-valued tensors on this thread while the block runs.

    By their names in OPERATIONS, or by torch's own name for rarer ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, int] = {}
        self.overwrites: dict[str, int] = {}  # those of them that overwrote their input

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        source = args[0] if args and func in OPERATIONS else None
        version = source._version if isinstance(source, Tensor) else 0
        result = func(*args, **(kwargs or {}))
        name = operation_of(func, args, kwargs or {}) or getattr(func, "__name__", "")
        if name in _BY_NUMBER and not all(isinstance(operand, Tensor) for operand in args[:2]):
            name = _BY_NUMBER[name]
        made = result[0] if isinstance(result, tuple) and result else result
        if isinstance(made, Tensor) and made.is_floating_point() and name not in _ATTRIBUTES:
            self.calls[name] = self.calls.get(name, 0) + 1
            if isinstance(source, Tensor) and source._version > version:
                self.overwrites[name] = self.overwrites.get(name, 0) + 1
        return result
