"""A device without float64, as Apple's MPS: no method makes a tensor of it there, or moves one there.

The CPU stands in: tensors of `OnDevice` count as on the device, with all that is computed from them, until they are
copied to the CPU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from core.environment import exact
from core.explain import EXPLAINERS, explain
from core.explain.methods import mask_search
from tests import nets
from tests.contract.test_explainers import home

MPS = torch.device("mps")
TO_CPU = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.item, Tensor.__float__, Tensor.__bool__, Tensor.__int__}


class OnDevice(Tensor):
    """A tensor that counts as on the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class Device(TorchFunctionMode):
    """Follows what is on the device, and refuses float64 there as torch does."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called for every function of torch."""
        kwargs = dict(kwargs or {})
        given = tree_flatten((args, kwargs))[0]
        named = [one for one in given if isinstance(one, torch.device)]
        if getattr(function, "__self__", None) is Tensor.device:
            return MPS if isinstance(args[0], OnDevice) else torch.device("cpu")
        on_device = any(isinstance(one, OnDevice) for one in given)
        if function is Tensor.to and not named:
            others = [one for one in args[1:] if isinstance(one, Tensor)]
            on_device = isinstance(others[0] if others else args[0], OnDevice)
        elif named or function in TO_CPU or kwargs.get("force"):
            on_device = MPS in named
        cpu = torch.device("cpu")
        args, kwargs = tree_map(lambda one: cpu if isinstance(one, torch.device) else one, (args, kwargs))
        result = function(*args, **kwargs)

        def placed(one: Any) -> Any:
            if not isinstance(one, Tensor):
                return one
            if not on_device:
                return one.as_subclass(Tensor) if isinstance(one, OnDevice) else one
            if one.dtype == torch.float64:
                raise TypeError(f"{function.__name__} makes float64 on a device that has none")
            if isinstance(one, OnDevice):
                return one
            if one.is_leaf and one.requires_grad:  # stays a leaf
                return one.detach().as_subclass(OnDevice).requires_grad_()
            return one.as_subclass(OnDevice)

        return tree_map(placed, result)


def test_the_stand_in_refuses_what_mps_refuses():
    images = torch.rand(2, 3).as_subclass(OnDevice)
    with Device():
        assert images.device == MPS
        assert (images * 2).device == MPS
        assert images.cpu().double().dtype == torch.float64
        assert torch.zeros(2, device=exact(images.device), dtype=torch.float64).device == torch.device("cpu")
        for wrong in (
            images.double,
            lambda: (images * 2).to(torch.float64),
            lambda: torch.zeros(2, dtype=torch.float64, device=images.device),
            lambda: torch.zeros(2, dtype=torch.float64).to(images.device),
        ):
            with pytest.raises(TypeError, match="float64"):
                wrong()


@pytest.mark.parametrize("name", EXPLAINERS)
def test_no_method_needs_float64_on_the_device(name, monkeypatch):
    heard = mask_search._heard

    def followed(query, work):
        with Device():
            return heard(query, work)

    monkeypatch.setattr(mask_search, "_heard", followed)  # on threads of its own
    model = home(name)
    asked = nets.query(model, count=1)
    on_device = replace(asked, images=asked.images.as_subclass(OnDevice))
    with Device():
        explain(name, on_device, nets.quick(EXPLAINERS[name]))
