"""A store of another schema than a study's: killed at any moment it goes on to the same bytes, and its words fit."""

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from core.errors import StoreDamaged, StoreError, StudyError, UnknownName
from core.store.manifest import Misfit
from core.store.reader import Store, removable
from core.store.writer import remove, writing
from tests.exam import EXAM, SHARDS, Answers, Questions, build, content, disturbed

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_read_as_it_was_written(tmp_path):
    exam = build(tmp_path / "e")
    assert sorted(file.name for file in exam.path.iterdir()) == [
        "answers.parquet", "build.json", "exam.json", "scores.npy"
    ]  # fmt: skip
    assert (exam.manifest.seed, exam.manifest.questions) == (7, Questions(asked=50, answered=25))
    assert exam.manifest.version == 3
    answers, scores = exam.table("answers"), exam.array("scores")
    assert (len(answers), scores.shape) == (25, (25, 4))
    first = Answers(7)(2, lambda fraction, note: None)
    assert answers[7:12].reset_index(drop=True).equals(first.tables["answers"])
    assert (scores[7:12] == first.arrays["scores"]).all()
    with pytest.raises(UnknownName, match="table of this exam called 'answer'"):
        exam.table("answer")


def test_killed_at_ten_moments_it_goes_on_to_the_same_bytes(tmp_path):
    """Before a change of the disk: at the first, the last, and eight between."""
    whole = content(build(tmp_path / "whole").path)
    last = disturbed(lambda: build(tmp_path / "counted"))
    moments = [1 + round(step * (last - 1) / 9) for step in range(10)]
    assert len(set(moments)) == 10
    stages = set()
    for moment in moments:
        folder = tmp_path / f"at-{moment}"
        folder.mkdir()
        log = folder / "log"
        log.touch()
        command = [sys.executable, "-m", "tests.exam", str(folder / "e"), str(log), str(moment)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL, moment
        draft = folder / ".e.draft"
        shards = [int(one.name) for one in draft.iterdir() if one.name.isdigit()] if draft.exists() else []
        appeared = (folder / "e").exists()
        assert not appeared or content(folder / "e") == whole, "whole or absent"
        stages.add("appeared" if appeared else len(shards))
        log.write_text("")
        assert content(build(folder / "e", log=str(log)).path) == whole, moment
        worked = [int(line) for line in log.read_text().split()]
        assert worked == ([] if appeared else sorted(set(range(SHARDS)) - set(shards))), "nothing finished is lost"
        assert sorted(one.name for one in folder.iterdir()) == ["e", "log"], "nothing is left behind"
    assert len(stages) >= 6, "the kills lie in different stages"


def test_its_errors_speak_of_exams(tmp_path):
    path = build(tmp_path / "e").path

    def refused(act, sentence, kind=StoreError):
        with pytest.raises(kind, match=sentence) as caught:
            act()
        assert not isinstance(caught.value, StudyError)
        assert "study" not in str(caught.value).replace(str(path), "")

    refused(lambda: build(path, seed=8), "contains an exam with other settings")
    refused(lambda: Store(EXAM, tmp_path), "There is no exam in .* Give a folder that holds exam.json")
    refused(lambda: Store(EXAM, path / "exam.json"), "is a file, and an exam is a folder")
    manifest = json.loads((path / "exam.json").read_text())
    for changed, sentence, kind in (
        ({"version": 4}, "The exam e has format 4, and this version of Vitrine reads up to 3", StoreError),
        ({"digest": 1}, "is not the manifest of an exam", StoreError),
        ({"questions": {"asked": 1}}, r"questions\.answered in exam\.json is missing or wrong", StoreDamaged),
        ({"questions": {"asked": True, "answered": 1}}, r"questions\.asked in exam\.json", StoreDamaged),
        ({"tables": {}}, r"tables\.answers in exam\.json", StoreDamaged),
        ({"arrays": {"scores": {"shape": [1, "x"], "dtype": "float32"}}}, r"arrays\.scores\.shape", StoreDamaged),
        ({"arrays": {"scores": {"shape": [1], "dtype": "int64"}}}, r"arrays\.scores in exam\.json", StoreDamaged),
    ):
        (path / "exam.json").write_text(json.dumps({**manifest, **changed}))
        refused(lambda: Store(EXAM, path), sentence, kind)
    assert removable(EXAM, path)
    (path / "exam.json").write_text(json.dumps(manifest))
    (path / "scores.npy").write_bytes(b"")
    refused(lambda: Store(EXAM, path), r"The exam e is damaged: scores\.npy is missing or incomplete", StoreDamaged)
    assert build(path).damaged() == [], "a damaged one is replaced"
    remove(EXAM, path)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_the_schema_is_not_written(tmp_path):
    shard = Answers(7)(0, lambda fraction, note: None)
    with writing(EXAM, tmp_path / "e", {}) as draft:
        with pytest.raises(ValueError, match="table answers has the columns"):
            draft.write_table("answers", [shard.tables["answers"].rename(columns={"answer": "answered"})])
        with pytest.raises(ValueError, match="array scores is of float64"):
            draft.write_array("scores", [shard.arrays["scores"].astype("float64")])
        draft.write_table("answers", [shard.tables["answers"]])
        with pytest.raises(ValueError, match=r"arrays\.scores"):
            draft.finish({"seed": 7, "questions": Questions(1, 1)}, {"seconds": {}, "finished": ""})
    assert not (tmp_path / "e").exists()


def test_writers_and_removers_at_the_same_time_never_meet(tmp_path):
    whole = content(build(tmp_path / "whole").path)
    outcomes = []

    def hammer():
        for _ in range(6):
            for act in (partial(build, tmp_path / "e"), partial(remove, EXAM, tmp_path / "e")):
                try:
                    act()
                    outcomes.append("done")
                except StoreError as error:
                    outcomes.append(error.message)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 48, "nothing else was raised"
    assert outcomes.count("done") >= 2
    assert content(build(tmp_path / "e").path) == whole
    assert sorted(one.name for one in tmp_path.iterdir()) == ["e", "whole"]


def test_tables_that_contradict_each_other_are_damage(tmp_path):
    path = build(tmp_path / "e").path

    def check(store, tables):
        assert (store.name, list(tables)) == ("e", ["answers"])
        raise Misfit("answers and questions differ")

    with pytest.raises(StoreDamaged, match="The exam e is damaged: answers and questions differ"):
        Store(replace(EXAM, check=check), path)


@pytest.mark.parametrize("size", [1, 4096])
def test_what_is_no_regular_file_has_no_size(tmp_path, size):
    """Whatever the manifest says about it."""
    path = build(tmp_path / "e").path
    manifest = json.loads((path / "exam.json").read_text())
    manifest["files"]["answers.parquet"]["bytes"] = size
    (path / "exam.json").write_text(json.dumps(manifest))
    (path / "answers.parquet").unlink()
    (path / "answers.parquet").mkdir()
    with pytest.raises(StoreDamaged, match=r"answers\.parquet is missing or incomplete"):
        Store(EXAM, path)
