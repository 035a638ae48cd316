"""A build that is killed again and again ends with the bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.data import flowers

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kill_at_ten_random_moments(tmp_path):
    flowers.write("double-12c", tmp_path / "data", per_class=27, seed=9)  # 324 images: six shards

    def build(name):
        words = ["study", "build", "--model", "flowers-double-12c", "--data", "data", "--out", name]
        command = [sys.executable, "-m", "core", *words, "--batch", "16"]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "VITRINE_DEVICE": "cpu"}
        return subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    start = time.monotonic()
    undisturbed = build("whole")
    assert undisturbed.wait() == 0, undisturbed.stderr.read()
    took = time.monotonic() - start
    chance = random.Random(0)
    draft, killed, grown = tmp_path / ".killed.draft", 0, []
    while killed < KILLS:
        one = build("killed")
        try:
            one.wait(chance.uniform(0.2, 0.7) * took)
            break  # finished in spite of everything
        except subprocess.TimeoutExpired:
            one.send_signal(signal.SIGKILL)
            one.wait()
            killed += 1
            assert not (tmp_path / "killed").exists()
            grown.append(len(list(draft.glob("0*[0-9]"))) if draft.exists() else 0)
            if grown[-1] == 6:  # all shards are there: begin again, so that ten kills are ten kills
                subprocess.run(["rm", "-rf", draft], check=True)
    last = build("killed")
    assert last.wait() == 0, last.stderr.read()
    print(f"{killed} kills, shards found after each: {grown}")
    assert killed == KILLS
    assert not draft.exists()
    files = {file.name for file in (tmp_path / "whole").iterdir()}
    assert files == {file.name for file in (tmp_path / "killed").iterdir()}
    for name in files - {"build.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
