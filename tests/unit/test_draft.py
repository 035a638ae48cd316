"""A study is whole or absent, and a build that was killed goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.draft import remove, writing
from core.errors import StudyError, UnknownName
from core.study import MANIFEST, Study, list_studies

ROOT = Path(__file__).resolve().parents[2]
MANIFESTED = {"config": {"model": "m"}, "model": {}, "data": {"folder": "."}}


def shard(number):
    frame = pd.DataFrame({"image": [2 * number, 2 * number + 1], "path": ["a.png", "b.png"]})
    return {"images": frame}, {"crops": np.full((2, 3), number, np.uint8)}, {"forwards": number}


def write(path, identity=None, shards=3):
    with writing(path, identity or {"a": 1}) as draft:
        if not draft.finished:
            for number in draft.missing(shards):
                draft.keep(number, *shard(number))
            draft.write_table("images", draft.tables("images", shards))
            draft.write_table("classes", [pd.DataFrame({"label": [0], "name": ["rose"]})])
            draft.write_array("crops", draft.arrays("crops", shards))
            draft.finish({**MANIFESTED, "facts": draft.facts(shards)}, {"seconds": {}})
    return Study(path)


def interrupted(path, identity, *shards):
    """A writing that ends in the middle, after some shards."""
    with writing(path, identity) as draft:
        for number in shards:
            draft.keep(number, *shard(number))
        raise InterruptedError


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "build.json"}


def test_what_is_written_is_read(tmp_path):
    study = write(tmp_path / "s")
    assert study.table("images")["image"].tolist() == list(range(6))
    assert study.array("crops").tolist() == [[k] * 3 for k in (0, 0, 1, 1, 2, 2)]
    assert isinstance(study.array("crops"), np.memmap)
    assert not study.array("crops").flags.writeable
    assert study.labels == ("rose",)
    assert study.manifest["arrays"]["crops"] == {"shape": [6, 3], "dtype": "uint8"}
    assert study.manifest["tables"]["images"] == {"rows": 6, "columns": ["image", "path"]}
    assert [f["forwards"] for f in study.manifest["facts"]] == [0, 1, 2]
    assert study.damaged() == []
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    for wrong in (study.table, study.array):
        with pytest.raises(UnknownName, match="of this study called 'imges'"):
            wrong("imges")


def test_an_interrupted_build_continues_to_the_same_bytes(tmp_path):
    whole = write(tmp_path / "a").path
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "b", {"a": 1}, 1)
    assert not (tmp_path / "b").exists()
    with writing(tmp_path / "b", {"a": 1}) as draft:
        assert draft.missing(3) == [0, 2]
    assert content(write(tmp_path / "b").path) == content(whole)


def test_a_draft_of_something_else_is_not_continued(tmp_path):
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "s", {"a": 1}, 0)
    with writing(tmp_path / "s", {"a": 2}) as draft:
        assert draft.missing(3) == [0, 1, 2]


def test_a_half_written_shard_does_not_count(tmp_path):
    tables, arrays, _ = shard(0)
    with writing(tmp_path / "s", {"a": 1}) as draft, pytest.raises(TypeError):
        draft.keep(0, tables, arrays, {"not JSON": object()})
    with writing(tmp_path / "s", {"a": 1}) as draft:
        assert draft.missing(1) == [0]


def test_the_same_study_is_not_built_twice_and_another_is_not_overwritten(tmp_path):
    path = tmp_path / "s"
    before = {f: f.stat().st_mtime_ns for f in write(path).path.iterdir()}
    write(path)
    assert before == {f: f.stat().st_mtime_ns for f in path.iterdir()}
    with pytest.raises(StudyError, match="holds a study of other settings"):
        write(path, {"a": 2})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(StudyError, match="holds something else"):
        write(tmp_path / "full")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match=r"file is a file, and a study becomes a folder\. Choose another name"):
        write(tmp_path / "file")
    with pytest.raises(StudyError, match="cannot be a study"):
        write(tmp_path / "file" / "s")
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty").name == "empty"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "full", "s"]


def test_leftovers_of_a_finished_build_are_cleared(tmp_path):
    path = write(tmp_path / "s").path
    (tmp_path / ".s.draft").mkdir()
    write(path)
    assert not (tmp_path / ".s.draft").exists()


def test_the_second_builder_is_told_who_holds_the_study(tmp_path):
    code = """
        import sys, time
        from core.draft import writing
        with writing(sys.argv[1], {}) as draft:
            print("held", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"The study s is being built by process {holder.pid}"):
            write(tmp_path / "s")
        with pytest.raises(StudyError, match=f"process {holder.pid}"):
            remove(tmp_path / "s")
        holder.send_signal(signal.SIGKILL)
    assert write(tmp_path / "s")  # the lock ended with its holder


@pytest.mark.parametrize("space", [2_000, 30_000])
def test_a_full_disk_leaves_no_study_and_loses_no_shard(tmp_path, space):
    """A limit on the size of files stands for the full disk: a write fails in the middle."""
    code = f"""
        import resource, signal, sys
        import numpy as np
        from core.errors import StudyError
        from tests.unit.test_draft import shard
        from core.draft import writing
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with writing(sys.argv[1], {{"a": 1}}) as draft:
                draft.keep(0, *shard(0))
                resource.setrlimit(resource.RLIMIT_FSIZE, ({space}, {space}))
                tables, arrays, facts = shard(1)
                draft.keep(1, tables, arrays | {{"large": np.zeros(200_000)}}, facts)
        except StudyError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert told.stdout.startswith("The disk is full: the study s could not be written. Free some space")
    assert not (tmp_path / "s").exists()
    with writing(tmp_path / "s", {"a": 1}) as draft:
        assert draft.missing(3) == [1, 2]


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(StudyError, match=r"cannot be written \(Permission denied\). Choose another folder"):
        write(tmp_path / "s")


def test_damaged_foreign_and_newer_studies_are_refused_in_one_sentence(tmp_path):
    path = write(tmp_path / "s").path
    manifest = json.loads((path / MANIFEST).read_text())

    def refused(match):
        with pytest.raises(StudyError, match=match) as caught:
            Study(path)
        assert caught.value.message.endswith(".")
        assert "\n" not in str(caught.value)

    crops = (path / "crops.npy").read_bytes()
    (path / "crops.npy").write_bytes(crops[:-1])
    refused("The study s is damaged: crops.npy is missing or incomplete")
    (path / "crops.npy").write_bytes(crops[:-1] + b"x")
    assert Study(path).damaged() == ["crops.npy"]
    (path / "crops.npy").unlink()
    refused("crops.npy is missing")
    (path / "crops.npy").write_bytes(crops)
    (path / MANIFEST).write_text(json.dumps({**manifest, "version": 99}))
    refused("has format 99, and this version of Vitrine reads up to 1")
    for text in ('{"version": 1}', "[1, 2]", '{"name": "another app"}'):
        (path / MANIFEST).write_text(text)
        refused("is not the manifest of a study")
    (path / MANIFEST).write_text(json.dumps(manifest)[:-40])
    refused("damaged: study.json cannot be read")
    (path / MANIFEST).write_bytes(b"\xff\xfe\x00")
    refused("damaged: study.json cannot be read")
    (path / MANIFEST).unlink()
    refused("There is no study in")
    with pytest.raises(StudyError, match="is a file, and a study is a folder"):
        Study(path / "crops.npy")


def test_studies_are_listed_broken_ones_with_the_reason(tmp_path):
    write(tmp_path / "b")
    write(tmp_path / "a")
    (tmp_path / "b" / "crops.npy").unlink()
    (tmp_path / "other").mkdir()
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "c", {})
    listed = list_studies(tmp_path, tmp_path / "nowhere")
    assert [(one.path.name, one.study is not None) for one in listed] == [("a", True), ("b", False)]
    assert "damaged" in listed[1].problem


def test_lost_images_are_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    assert write(tmp_path / "s").lost(tmp_path / "images") == ["b.png"] * 3


def test_removing_takes_studies_and_drafts_only(tmp_path):
    path = write(tmp_path / "s").path
    remove(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "c", {})
    remove(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "dear").mkdir()
    with pytest.raises(StudyError, match="There is no study in"):
        remove(tmp_path / "dear")
    assert (tmp_path / "dear").is_dir()
