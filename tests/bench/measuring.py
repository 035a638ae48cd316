"""Time and memory of work, as benchmarks measure them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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
