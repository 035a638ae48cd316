"""Time and memory of work, as benchmarks measure them, and networks to measure beside."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from core.network.hooks import sharing_copy

ROOT = Path(__file__).resolve().parents[2]
# Not ru_maxrss, which begins at what the parent had.
_PEAK = "import re; print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def processor_seconds(work: Callable[[], object]) -> float:
    """Time of this process on the processor, which other processes do not change."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_memory(code: str, *arguments: object) -> tuple[str, float]:
    """What Python code prints, run with these arguments in a process of its own, and the most MB that it had."""
    command = [sys.executable, "-c", f"{code}\n{_PEAK}", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    said, _, peak = out.strip().rpartition("\n")
    return said, int(peak) / 1000


def as_published(net: nn.Module) -> nn.Module:
    """The network as its authors run it: activations overwrite their inputs, which takes up to a third less time."""
    copy = sharing_copy(net)
    for module in copy.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
    return copy


@torch.no_grad()
def normalised(net: nn.Module, images: Tensor) -> nn.Module:
    """The network in inference, its batch norms with the statistics of images (n, C, H, W), as training leaves them.

    With others, random weights give probabilities near 0 and 1, which half precision changes more than is allowed.
    """
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    net(images)
    return net.eval()
