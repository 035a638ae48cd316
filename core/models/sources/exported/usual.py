"""Torch's own modules in place of onnx2pytorch's stand-ins: methods have rules for them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from core.models.sources.exported.operators import Joined, gathered, sliced
from core.models.sources.exported.step import Step, Value


def usual(step: Step, *, final: bool) -> Step:
    """The step with the usual operation, if there is one; `final` says that its result is the output."""
    if step.operator == "Softmax":
        return replace(step, function=nn.Softmax(-1)) if final else step
    change = _CHANGES.get(step.operator)
    return change(step, step.function) if change else step


def _max_pool(step: Step, function: Any) -> Step:
    if not hasattr(function, "return_indices") or len(step.results) > 1:
        return step
    function.return_indices = False
    return replace(step, several=False)


def _batch_norm(step: Step, function: Any) -> Step:
    return step if function.has_lazy else replace(step, function=function.bnu)


def _dropout(step: Step, _function: Any) -> Step:
    return replace(step, function=nn.Identity(), arguments=step.arguments[:1], results=step.results[:1], several=False)


def _concat(step: Step, function: Any) -> Step:
    return replace(step, function=Joined(**function.keywords))


def _gather(step: Step, function: Any) -> Step:
    return replace(step, function=partial(gathered, dim=function.dim))


def _slice(step: Step, function: Any) -> Step:
    stored = {"starts": function.starts, "ends": function.ends, "axes": function.dim}  # before opset 10
    return replace(step, function=partial(sliced, **stored) if len(step.arguments) == 1 else sliced)


def _clip(step: Step, function: Any) -> Step:
    """A ReLU, if the ends are constants that make one."""
    ends = [*step.arguments[1:], None, None][:2]
    low, high = (own if end is None else end for own, end in zip((function.min, function.max), ends, strict=True))
    if low is None or isinstance(low, Value) or isinstance(high, Value) or float(low) != 0:
        return step
    kinds: Mapping[float | None, type[nn.Module]] = {None: nn.ReLU, 6.0: nn.ReLU6}
    kind = kinds.get(None if high is None else float(high))
    return replace(step, function=kind(), arguments=step.arguments[:1]) if kind else step


def _layer_norm(step: Step, function: Any) -> Step:
    weight, bias = (*step.arguments[1:], None, None)[:2]
    if len(step.results) > 1 or function.axis != -1 or not isinstance(weight, Tensor) or isinstance(bias, Value):
        return step
    norm = nn.LayerNorm(weight.shape[0], function.eps, bias=bias is not None)
    norm.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        norm.bias = nn.Parameter(bias, requires_grad=False)
    return replace(step, function=norm, arguments=step.arguments[:1], several=False)


_CHANGES: Mapping[str, Callable[[Step, Any], Step]] = {
    "MaxPool": _max_pool,
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Clip": _clip,
    "LayerNormalization": _layer_norm,
}
