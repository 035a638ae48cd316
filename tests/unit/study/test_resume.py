"""A build that is killed again and again ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.data import flowers

ROOT = Path(__file__).resolve().parents[3]

# A build that kills itself at the n-th time that something happens, counted from the first time its report says a
# word: the report says it again ("said"), or a file is about to be on the disk ("written").
BUILD = textwrap.dedent("""
    import os, signal, sys
    from core.network import cancellation
    from core.study.build import build_study
    from core.study.config import StudyConfig

    cancellation.EVERY = float("inf")  # else a slow machine says things more often
    name, word, kind, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    sync, seen = os.fsync, {"said": 0, "written": 0}

    def happened(what):
        seen[what] += 1
        if what == kind and seen[what] == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def report(fraction, note):
        if note.startswith(word):
            happened("said")

    def written(handle):
        if seen["said"]:
            happened("written")
        sync(handle)

    os.fsync = written
    build_study(StudyConfig("flowers-double-12c", "data", batch=16), name, report=report)
""")

# Four shards; every build but the last is killed, each a little further on, with so many shards finished.
MOMENTS = [
    ("comparing images", "said", 100, 0),
    ("reading images 1 ", "said", 40, 0),
    ("reading images 1 ", "written", 7, 0),  # among the files of the first shard
    ("masking patches", "said", 1, 0),
    ("transactions", "written", 20, 1),  # among the files of the second
    ("heatmaps", "said", 13, 2),  # in the third, the second just finished
    ("transactions", "said", 2, 3),
    ("joining", "written", 1, 4),
    ("averaging patches", "said", 30, 4),
    ("finishing", "written", 2, 4),  # the manifest is as good as written, the study not yet there
]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_every_stage(tmp_path):
    flowers.write("double-12c", tmp_path / "data", per_class=18, seed=9)  # 216 images

    def build(name, word="nothing", kind="said", count=1):
        command = [sys.executable, "-c", BUILD, name, word, kind, str(count)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode

    assert build("whole") == 0
    draft, grown = tmp_path / ".killed.draft", []
    for word, kind, count, _ in MOMENTS:
        assert build("killed", word, kind, count) == -signal.SIGKILL, (word, kind, count)
        assert not (tmp_path / "killed").exists()
        grown.append(len([one for one in draft.iterdir() if one.name.isdigit()]) if draft.exists() else 0)
    # Nothing finished is lost, and the kills lie where they are meant to.
    assert grown == [shards for *_, shards in MOMENTS]
    assert build("killed") == 0
    assert not draft.exists()
    files = {file.name for file in (tmp_path / "whole").iterdir()}
    assert files == {file.name for file in (tmp_path / "killed").iterdir()}
    for name in files - {"build.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
