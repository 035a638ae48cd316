"""A store of another schema than a study's: an exam with one table and one array, built shard by shard."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.engine import Engine, here, map_shards
from core.progress import Report, silent
from core.store.manifest import Manifest
from core.store.reader import Store
from core.store.schema import Column, Schema, Values
from core.store.writer import Shard, writing

SHARDS = 5


@dataclass(frozen=True)
class Questions:
    """How many questions an exam asked."""

    asked: int
    answered: int


@dataclass(frozen=True, kw_only=True)
class ExamManifest(Manifest):
    """The manifest of an exam."""

    seed: int
    questions: Questions


EXAM = Schema(
    "exam",
    3,
    ExamManifest,
    tables={"answers": {"question": Column("whole"), "answer": Column("whole", high=3), "correct": Column("truth")}},
    arrays={"scores": Values("float32", ("answers", 4), 0, 1)},
    optional={"hints": Values("uint8")},
    counts=lambda manifest: {"answers": manifest.tables["answers"].rows},
)


@dataclass(frozen=True)
class Answers:
    """The work on a shard: a few questions, answered by chance."""

    seed: int
    log: str = ""  # a file that gets a line for each shard worked on

    def __call__(self, shard: int, report: Report) -> Shard:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{shard}\n")
        rng = np.random.default_rng([self.seed, shard])
        count = 3 + shard
        for question in range(count):
            report(question / count, "answering")
        answers = rng.integers(0, 4, count)
        questions = pd.DataFrame({"question": 10 * shard + np.arange(count), "answer": answers})
        scores = rng.random((count, 4), np.float32)
        return Shard(
            {"answers": questions.assign(correct=questions["answer"] == 2)}, {"scores": scores}, {"answered": count}
        )


def build(
    path: Path, seed: int = 7, log: str = "", report: Report = silent, engine: Engine = here
) -> Store[ExamManifest]:
    """Build an exam, or go on with an interrupted one."""
    with writing(EXAM, path, {"seed": seed}) as draft:
        if not draft.finished:
            map_shards(Answers(seed, log), SHARDS, draft, report, engine=engine)
            draft.write_table("answers", draft.tables("answers", SHARDS))
            draft.write_array("scores", draft.arrays("scores", SHARDS))
            answered = sum(facts["answered"] for facts in draft.facts(SHARDS))
            own = {"seed": seed, "questions": Questions(asked=50, answered=answered)}
            draft.finish(own, {"seconds": {}, "finished": "today"})
    return Store(EXAM, path)


def content(path: Path) -> dict[str, bytes]:
    """All files of a finished store."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


def disturbed(act: Callable[[], object], moment: int = 0) -> int:
    """How many times `act` is about to change the disk; at the `moment`-th time this process is killed."""
    changes = 0

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal changes
            changes += 1
            if changes == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **kwargs)

        return wrapped

    names = ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink")
    before = {name: getattr(os, name) for name in names}
    try:
        for name in names:
            setattr(os, name, counted(before[name]))
        act()
    finally:
        for name in names:
            setattr(os, name, before[name])
    return changes


if __name__ == "__main__":
    disturbed(lambda: build(Path(sys.argv[1]), log=sys.argv[2]), int(sys.argv[3]))
