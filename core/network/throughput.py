"""Throughput: the best batch size of a model on this machine, measured once and stored, and the time per image."""

import json
import platform
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from core.files import atomic_write
from core.models.model import Model
from core.serialization import digest

SIZES = {"cpu": (4, 8, 16, 32), "cuda": (1, 32, 64, 128, 256)}
CLEARLY = 0.95  # times a smaller batch's time: a larger batch must be faster than that to be worth its memory
SECONDS = 1.5  # limit for measuring; the smallest batch is always measured
ROUNDS = 3
ENOUGH = 0.2  # seconds for one size, after which no further round is needed

T = TypeVar("T")

_batches: dict[Path, int] = {}
_seconds: dict[Path, float] = {}
_lock = threading.Lock()


def batch_of(model: Model, folder: Path) -> int:
    """The fastest batch size of a model on its device: as stored in `folder`, else measured briefly and stored there.

    The batch size affects how sums are rounded, so the first measurement is used by all later calls. If the file
    cannot be read, the measurement is repeated; if it cannot be written, the batch size holds for this process only.
    """
    path = _file(model, folder)
    with _lock:
        return _known(model, path)


def seconds_of(model: Model, folder: Path) -> float:
    """Seconds per image of a forward in that batch, measured once per process, as the load of a machine changes."""
    path = _file(model, folder)
    with _lock:
        batch = _known(model, path)
        if path not in _seconds:
            _seconds[path] = _per_image(model, batch)
        return _seconds[path]


def _known(model: Model, path: Path) -> int:
    if path not in _batches:
        batch = _read(path)
        if not batch:
            fastest, _seconds[path] = _measured(model)
            batch = stored(path, {**_conditions(model), "batch": fastest}, _read) or fastest
        _batches[path] = batch
    return _batches[path]


def _file(model: Model, folder: Path) -> Path:
    return folder / f"{digest(_conditions(model))[:24]}.json"


def _conditions(model: Model) -> dict[str, Any]:
    """Everything that affects the speed of a batch, except the load of the machine."""
    cuda = model.device.type == "cuda"
    return {
        "model": model.sha,
        "side": model.preprocess.crop,
        "device": torch.cuda.get_device_name(model.device) if cuda else torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _read(path: Path) -> int:
    """The batch size in a file; 0 if there is none."""
    try:
        batch = json.loads(path.read_text("utf-8"))["batch"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return batch if isinstance(batch, int) and 0 < batch <= 4096 else 0


def stored(path: Path, facts: Mapping[str, Any], read: Callable[[Path], T]) -> T:
    """Write a measurement atomically and return what `read` finds then; if another process was first, that one's.

    `read` returns something false where there is none, as after a file could not be written.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, keep=read) as file:
            file.write(json.dumps(facts, indent=2).encode())
    return read(path)


def _measured(model: Model) -> tuple[int, float]:
    """The batch size with the shortest time per image, and that time; a larger one only if it is clearly faster."""
    end = time.perf_counter() + SECONDS
    batch, *larger = SIZES.get(model.device.type, SIZES["cpu"])
    shortest = _per_image(model, batch)
    for size in larger:
        if time.perf_counter() + 2 * size * shortest > end:
            break
        try:
            seconds = _per_image(model, size)
        except torch.OutOfMemoryError:
            break
        if seconds < CLEARLY * shortest:
            batch, shortest = size, seconds
    return batch, shortest


@torch.no_grad()
def _per_image(model: Model, batch: int) -> float:
    """The shortest time per image of several forwards, after one to warm up."""
    images = torch.zeros(batch, *model.preprocess.shape, device=model.device).contiguous(memory_format=model.order)
    _timed(model, images)
    times = [_timed(model, images)]
    while len(times) < ROUNDS and sum(times) < ENOUGH:
        times.append(_timed(model, images))
    return min(times) / batch


def _timed(model: Model, images: Tensor) -> float:
    start = time.perf_counter()
    float(model.net(images).sum())  # reading the number waits for the device
    return time.perf_counter() - start
