"""ReLUs that pass a gradient although they are inactive, for starts at which every ReLU on the way is inactive."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import torch
from torch import Tensor

from core.network.operations import Rules


def redirected() -> Rules:
    """The replaced operations under which a forward has to run.

    Where an image's gradient is zero behind a ReLU, its inactive inputs receive the gradients that would raise them:
    the rule of Lucid, for the ascent of a sum over the images. Elsewhere gradients are those of ReLU and ReLU6.
    """
    return Rules({"relu": partial(_rectify, inf), "relu6": partial(_rectify, 6.0)})


def _rectify(full: float, relu: Callable[..., Tensor], source: Tensor, *rest: Any, **named: Any) -> Any:
    with torch.no_grad():  # on a copy: an in-place ReLU would overwrite its source
        value = relu(source.clone(), *rest, **named)
    return _Redirected.apply(source, value, full)


class _Redirected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source: Tensor, value: Tensor, full: float) -> Tensor:
        """The value, unchanged."""
        ctx.save_for_backward((source > 0) & (source < full), source <= 0)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of a ReLU; of an image for which it is zero, the gradients that raise inactive inputs."""
        active, inactive = ctx.saved_tensors
        signal = received[0]
        plain = torch.where(active, signal, 0)
        raising = torch.where(active | (inactive & (signal > 0)), signal, 0)
        blocked = (plain == 0).flatten(1).all(1).view(-1, *[1] * (signal.dim() - 1))
        return torch.where(blocked, raising, plain), None, None
