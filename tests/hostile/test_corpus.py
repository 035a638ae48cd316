"""Everything hostile that we know of, and what chance makes of small sound inputs: one sentence each, or it works."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def handled(folder: Path, *words: str) -> tuple[str, float]:
    """What `python -m tests.hostile` prints, and the seconds that it computed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VITRINE_HOME": str(folder / "home")}
    (folder / "inputs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", str(folder / "inputs"), *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=850,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_corpus(tmp_path):
    said, seconds = handled(tmp_path)
    assert int(re.findall(r"(\d+) inputs: ", said)[-1]) >= 300
    assert seconds < 120
    written = {path.name for path in (tmp_path / "inputs" / "arguments").iterdir()}
    assert written == {"photo.png", "pipe.png", "out"}


def test_five_thousand_fuzzed_inputs(tmp_path):
    said, _ = handled(tmp_path, "5000")
    assert int(re.findall(r"(\d+) inputs: ", said)[-1]) >= 5000
