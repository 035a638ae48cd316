"""Networks of ONNX as modules of torch: converted, or run by onnxruntime as a black box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.source import package
from core.models.sources.exported.step import Step, Value
from core.models.sources.exported.steps import by_name, last_reads

Run = Callable[[NDArray[Any]], NDArray[Any]]
THREADS = 2  # of onnxruntime; its results are the same with one


@dataclass(frozen=True)
class Exchange:
    """How a network takes images (N, C, H, W) and gives outputs."""

    kind: torch.dtype = torch.float32
    channels_last: bool = False

    def taken(self, images: Tensor) -> Tensor:
        """Images in the layout of the network; whole numbers stay real where gradients flow through them."""
        images = images.permute(0, 2, 3, 1) if self.channels_last else images
        return images.double() if self.kind == torch.float64 else images

    def given(self, outputs: Any) -> Any:
        """Outputs (N, C) in single precision, from those of the network: also from maps of one position."""
        if not isinstance(outputs, Tensor):
            return outputs
        outputs = outputs.flatten(1) if outputs.dim() > 2 and outputs[0].numel() == max(outputs.shape[1:]) else outputs
        return outputs if outputs.dtype == torch.float32 else outputs.float()


class Converted(nn.Module):
    """A converted network; threads may share it."""

    def __init__(self, steps: Sequence[Step], given: str, taken: str, exchange: Exchange) -> None:
        super().__init__()
        self.given, self.taken, self.exchange = given, taken, exchange
        for name, layer in by_name(steps).items():
            parent: nn.Module = self
            *around, last = name.split(".")
            for part in around:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(last, layer)
        self.steps = self._with_buffers(steps)
        self.ends = last_reads(self.steps, taken)

    def forward(self, images: Tensor) -> Any:
        """The outputs (N, C) for images."""
        values: dict[str, Any] = dict(self.named_buffers(recurse=False))
        values[self.given] = self.exchange.taken(images)
        for step, ends in zip(self.steps, self.ends, strict=True):
            # Looked up at each call, so that a layer can be replaced.
            step.run(values, self.get_submodule(step.name) if step.is_layer else step.function)
            for name in ends:
                values.pop(name, None)
        return self.exchange.given(values[self.taken])

    def _with_buffers(self, steps: Sequence[Step]) -> list[Step]:
        """The steps with their constants as buffers, which move to other devices with the network."""
        names: dict[int, str] = {}

        def held(argument: Any) -> Any:
            if not isinstance(argument, Tensor):
                return argument
            if id(argument) not in names:
                names[id(argument)] = f"constant_{len(names)}"
                self.register_buffer(names[id(argument)], argument)
            return Value(names[id(argument)])

        return [replace(step, arguments=tuple(map(held, step.arguments))) for step in steps]


class OneByOne(nn.Module):
    """A network that takes one image at a time, with gradients; its layers, which never see all, are hidden."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.hidden = (network,)

    def forward(self, images: Tensor) -> Tensor:
        """The outputs (N, C)."""
        return torch.cat([self.hidden[0](image[None]) for image in images])


class BlackBox(nn.Module):
    """A network that onnxruntime runs: outputs alone, without gradients and layers."""

    def __init__(self, run: Run, exchange: Exchange, batch: int | None) -> None:
        super().__init__()
        self.run, self.exchange, self.batch = run, exchange, batch

    def forward(self, images: Tensor) -> Any:
        """The outputs (N, C) for images; as many at a time as the network takes."""
        # Copied, as images of which only a window changed are no plain tensors.
        plain = torch.empty(tuple(images.shape), dtype=images.dtype).copy_(images.detach())
        taken = self.exchange.taken(plain)
        if self.exchange.kind == torch.uint8:
            taken = taken.round().clamp(0, 255).to(torch.uint8)
        parts = taken.split(self.batch) if self.batch else (taken,)
        outputs = torch.cat([torch.from_numpy(self._filled(part)) for part in parts])
        return self.exchange.given(outputs).to(images.device)

    def _filled(self, images: Tensor) -> NDArray[Any]:
        """The outputs for at most as many images as the network takes, which is given its full number."""
        missing = (self.batch or 0) - len(images)
        filled = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing > 0 else images
        return self.run(np.ascontiguousarray(filled.numpy()))[: len(images)]


def session(content: bytes) -> Any:
    """A network opened by onnxruntime; the same results at each call and for each number of threads.

    Raises what onnxruntime raises for a network that it cannot run.
    """
    runtime = package("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    options.log_severity_level = 4  # errors are raised, too
    options.use_deterministic_compute = True
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
