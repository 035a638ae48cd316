"""ReLUs whose backward rule is chosen after the forward: one forward serves gradient, guided backprop, deconvnet."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Literal

import torch
from torch import Tensor

from core.network.operations import Rules

ReluRule = Literal["plain", "guided", "deconvnet"]


class Switch:
    """The backward rule of all ReLUs of one forward; set before each backward.

    Plain: pass the gradient where the input was positive. Guided: there, and only positive gradients (Springenberg et
    al. 2014). Deconvnet: all positive gradients (Zeiler & Fergus 2014). ReLU6 also blocks gradients where it saturated.
    """

    def __init__(self) -> None:
        self.rule: ReluRule = "plain"

    def rules(self) -> Rules:
        """The replaced operations under which the forward has to run."""
        return Rules({"relu": partial(_rectify, self, inf), "relu6": partial(_rectify, self, 6.0)})


def _rectify(switch: Switch, full: float, relu: Callable[..., Tensor], source: Tensor, *rest: Any, **named: Any) -> Any:
    with torch.no_grad():  # on a copy: an in-place ReLU would overwrite its source
        value = relu(source.clone(), *rest, **named)
    return _Rectified.apply(source, value, full, switch)


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _source: Tensor, value: Tensor, full: float, switch: Switch) -> Tensor:
        """The value, unchanged."""
        ctx.save_for_backward((value > 0) & (value < full))
        ctx.switch = switch
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient that the rule passes."""
        (active,) = ctx.saved_tensors
        signal = received[0] if ctx.switch.rule == "plain" else received[0].clamp(min=0)
        return signal if ctx.switch.rule == "deconvnet" else torch.where(active, signal, 0), None, None, None
