"""Shards run where an engine puts them: progress with counts, stopping, resuming, the same bytes from any engine."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from types import ModuleType

import pytest

from core.engine import ShardReport, Work, map_shards
from core.errors import Cancelled
from core.progress import silent
from core.store.writer import Shard, writing
from tests.exam import EXAM, SHARDS, Answers, build, content


def test_progress_counts_the_shards_and_rises_to_one(tmp_path):
    seen = []
    with writing(EXAM, tmp_path / "e", {}) as draft:
        draft.keep(1, *Answers(7)(1, silent))
        map_shards(Answers(7), SHARDS, draft, lambda *said: seen.append(said))
        assert draft.missing(SHARDS) == []
    fractions, notes = zip(*seen, strict=True)
    assert list(fractions) == sorted(fractions)
    assert fractions[-1] == 1
    assert fractions[:3] == pytest.approx([0, 1 / 12, 2 / 12]), "of the four that are missing"
    assert notes[0] == "answering (shard 1 of 5)"
    assert [note for note in notes if note.startswith("stored")] == [f"stored (shard {k} of 5)" for k in (1, 3, 4, 5)]


def test_a_single_shard_is_not_counted(tmp_path):
    seen = []
    with writing(EXAM, tmp_path / "e", {}) as draft:
        map_shards(Answers(7), 1, draft, lambda *said: seen.append(said))
    assert [note for _, note in seen] == ["answering"] * 3 + ["stored"]


def test_a_report_that_raises_stops_and_what_is_finished_stays(tmp_path):
    whole = content(build(tmp_path / "whole").path)
    log = tmp_path / "log"

    def stop(fraction, note):
        if note == "answering (shard 4 of 5)":
            raise Cancelled

    with pytest.raises(Cancelled):
        build(tmp_path / "e", log=str(log), report=stop)
    assert log.read_text().split() == ["0", "1", "2", "3"]
    log.write_text("")
    assert content(build(tmp_path / "e", log=str(log)).path) == whole
    assert log.read_text().split() == ["3", "4"]


def backwards(work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
    """All shards at once, in as many steps, the last one first."""
    results = [(shard, work(shard, silent)) for shard in shards]
    for fraction in (0.25, 0.5, 0.75):
        for shard in shards:
            report(shard, fraction, "together")
    yield from reversed(results)


def processes(work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
    """Two processes, as a later engine may have them."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(work, shard, silent): shard for shard in shards}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                shard = waiting.pop(future)
                report(shard, 1.0, "answered elsewhere")
                yield shard, future.result()


@pytest.mark.parametrize("engine", [backwards, processes])
def test_another_engine_gives_the_same_bytes(tmp_path, monkeypatch, engine):
    # Streamlit's test runner leaves a page behind as the main module, which each new process would run.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    seen = []
    whole = content(build(tmp_path / "whole").path)
    assert content(build(tmp_path / "e", report=lambda *said: seen.append(said[0]), engine=engine).path) == whole
    assert seen == sorted(seen)
    assert seen[-1] == 1
