"""An exam that is killed again and again ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Builds each of these exams; of the first one it kills itself at the n-th report with these words, if there are any.
BUILD = textwrap.dedent("""
    import os, signal, sys
    from core.exam.build import build_exam
    from core.exam.config import ExamConfig

    words, count, *names = sys.argv[1:]
    seen = 0

    def report(fraction, note):
        global seen
        seen += words != "" and words in note
        if words and seen == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    config = ExamConfig(variant="single-6c", methods=("saliency", "cam"), images=10, folds=2, measures=("auc_iou",))
    for name in names:
        build_exam(config, name, report=report)
""")


def test_killed_at_several_stages(tmp_path):
    def build(words, count, *names):
        command = [sys.executable, "-c", BUILD, words, str(count), *names]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode

    draft, shards = tmp_path / ".killed.draft", []
    for words, count in (("CAM (shard 2 of 3)", 2), ("finishing", 3)):
        assert build(words, count, "killed") == -signal.SIGKILL, words
        assert not (tmp_path / "killed").exists()
        shards.append(sum(one.name.isdigit() for one in draft.iterdir()))
    assert shards == [1, 3]
    assert build("", 0, "killed", "whole") == 0
    assert not draft.exists()
    files = {file.name for file in (tmp_path / "whole").iterdir()}
    assert files == {file.name for file in (tmp_path / "killed").iterdir()}
    for name in files - {"build.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
