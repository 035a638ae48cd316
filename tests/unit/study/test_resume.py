"""A build that is killed again and again ends with the bytes of an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.data import flowers

ROOT = Path(__file__).resolve().parents[3]

# Builds, each in a process of its own, which has imported PyTorch but computed nothing. A build kills itself at the
# n-th time that something happens, counted from the first time its report says a word: the report says it again
# ("said"), or a file is about to be on the disk ("written"). How each of them ended is printed.
BUILDS = textwrap.dedent("""
    import json, os, signal, sys
    from core.network import cancellation
    from core.study.build import build_study
    from core.study.config import StudyConfig

    cancellation.EVERY = float("inf")  # else a slow machine says things more often
    sync, seen = os.fsync, {"said": 0, "written": 0}

    def build(name, word="nothing", kind="said", count=1):
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

    for line in sys.stdin:
        if not (child := os.fork()):
            build(*json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
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

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    draft, grown = tmp_path / ".killed.draft", []
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", BUILDS]
    with subprocess.Popen(
        run, cwd=tmp_path, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as builder:

        def build(*what):
            print(json.dumps(what), file=builder.stdin, flush=True)
            return int(builder.stdout.readline())

        assert build("whole") == 0
        for word, kind, count, _ in MOMENTS:
            assert build("killed", word, kind, count) == -signal.SIGKILL, (word, kind, count)
            assert not killed.exists()
            grown.append(len([one for one in draft.iterdir() if one.name.isdigit()]) if draft.exists() else 0)
        # Nothing finished is lost, and the kills lie where they are meant to.
        assert grown == [shards for *_, shards in MOMENTS]
        assert build("killed") == 0
    assert not draft.exists()
    files = {file.name for file in whole.iterdir()}
    assert files == {file.name for file in killed.iterdir()}
    for name in files - {"build.json"}:
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
