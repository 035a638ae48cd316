"""Half precision: whether a model uses it on this machine."""

import json
import threading
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.environment import Precision, precision
from core.models.model import Model
from core.network.throughput import stored
from core.serialization import digest

PAYS = 0.8  # times full precision: CPUs that multiply bfloat16 need 0.2 to 0.6 for the layer, others more than 1
LEAST = 250_000_000  # multiplications for an image; smaller networks gained little or nothing in trials
ROUNDS = 9

_multiplications: dict[str, int] = {}
_lock = threading.Lock()


def precision_of(model: Model, folder: Path) -> Precision:
    """The precision of methods that combine many scores of a model.

    That of VITRINE_PRECISION, if it is set. Otherwise half on a GPU; on a CPU that multiplies bfloat16 faster half for
    scores, if the model needs at least LEAST multiplications for an image. Gradients take up to 1.4 times as long there
    in networks with depthwise convolutions.

    Maps must not depend on the load of the machine. So the model is not timed: its multiplications are counted. The
    CPU is timed with one fixed layer, whose ratios on the two kinds of CPUs are far from PAYS, in rounds that alternate
    so that other load slows both. The first measurement is stored in `folder` and used by all later calls.
    """
    if asked := precision():
        return asked
    if model.device.type != "cpu":
        return "half" if model.device.type == "cuda" else "full"
    return "scores" if multiplications(model) >= LEAST and cpu_ratio(folder) < PAYS else "full"


def multiplications(model: Model) -> int:
    """Multiplications of matrices and convolutions in a forward of one image, counted once per process."""
    with _lock:
        if model.key not in _multiplications:
            image = torch.zeros(1, *model.preprocess.shape, device=model.device)
            with torch.no_grad(), _Counter() as counter:
                model.net(image.contiguous(memory_format=model.order))
            _multiplications[model.key] = counter.total
        return _multiplications[model.key]


@lru_cache
def cpu_ratio(folder: Path) -> float:
    """The time of a convolution in half precision over that in full, as stored in `folder`, else measured and stored.

    If the file cannot be written, the ratio holds for this process only.
    """
    facts = {**torch.cpu.get_capabilities(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    path = folder / f"half-{digest(facts)[:24]}.json"
    with _lock:
        if not (ratio := _read(path)):
            measured = _measured()
            ratio = stored(path, {**facts, "ratio": measured}, _read) or measured
        return ratio


def _read(path: Path) -> float:
    """The ratio in a file; 0 if there is none."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return max(0.0, float(json.loads(path.read_text("utf-8"))["ratio"]))
    return 0.0


@torch.no_grad()
def _measured() -> float:
    """The shortest times of the layer in half over those in full precision, both measured in turns."""
    layer = nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False)
    images = torch.zeros(8, 256, 14, 14).contiguous(memory_format=torch.channels_last)
    times = [[_timed(layer, images, half) for half in (False, True)] for _ in range(ROUNDS + 1)][1:]
    full, half = map(min, zip(*times, strict=True))
    return half / full


def _timed(layer: nn.Module, images: Tensor, half: bool) -> float:
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        layer(images)
    return time.perf_counter() - start


class _Counter(TorchDispatchMode):
    """Counts the multiplications of this thread while the block runs."""

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # here, as it imports triton

        super().__init__()
        self.total, self._counts = 0, flop_registry

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        result = func(*args, **(kwargs or {}))
        if count := self._counts.get(func.overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=result) // 2  # of a product and its sum
        return result
