"""A build that is killed again and again ends with the bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.data import flowers

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10

# A build that kills itself some milliseconds after its report says a given fraction, so that no moment is spared.
BUILD = textwrap.dedent("""
    import os, signal, sys, threading
    from core.mining.settings import StudyConfig
    from core.pipeline import build_study

    name, fraction, delay = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    armed = []

    def report(done, note):
        if done >= fraction and not armed:
            armed.append(threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)))
            armed[0].start()

    build_study(StudyConfig("flowers-double-12c", "data", batch=16), name, report=report)
    if fraction <= 1:
        armed[0].join()
""")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kill_at_ten_random_moments(tmp_path):
    flowers.write("double-12c", tmp_path / "data", per_class=27, seed=9)  # 324 images: six shards

    def build(name, fraction=2.0, delay=0.0):
        command = [sys.executable, "-c", BUILD, name, str(fraction), str(delay)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode

    assert build("whole") == 0
    chance = random.Random(0)
    draft, grown = tmp_path / ".killed.draft", []
    # Two moments at the very end, when nothing but the joining is left, and eight anywhere.
    fractions = [chance.uniform(0, 0.35) for _ in range(KILLS - 2)] + [0.9, 0.97]
    for fraction in fractions:
        assert build("killed", fraction, chance.uniform(0, 0.2 if fraction < 0.9 else 0.02)) == -signal.SIGKILL
        assert not (tmp_path / "killed").exists()
        grown.append(len([one for one in draft.iterdir() if one.name.isdigit()]))
    assert build("killed") == 0
    print(f"{KILLS} kills at {[round(one, 2) for one in fractions]}, finished shards after each: {grown}")
    assert grown == sorted(grown)  # nothing finished is lost
    assert not draft.exists()
    files = {file.name for file in (tmp_path / "whole").iterdir()}
    assert files == {file.name for file in (tmp_path / "killed").iterdir()}
    for name in files - {"build.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
