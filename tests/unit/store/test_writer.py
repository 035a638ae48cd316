"""A study is whole or absent, and a build that was killed goes on where it was."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import StudyError, UnknownName
from core.files import file_sha256
from core.store.manifest import ArrayFacts, TableFacts
from core.store.schema import LOG
from core.store.writer import remove, writing
from core.study import Study, list_studies
from core.study.schema import STUDY
from tests.small_studies import MANIFEST, ROOT, SMALL, content, interrupted, shard, write

pytestmark = pytest.mark.usefixtures("small_studies")


def test_what_is_written_is_read(tmp_path):
    study = write(tmp_path / "s")
    assert study.table("images")["image"].tolist() == list(range(6))
    assert study.array("crops").tolist() == [[k] * 3 for k in (0, 0, 1, 1, 2, 2)]
    assert isinstance(study.array("crops"), np.memmap)
    assert not study.array("crops").flags.writeable
    assert study.labels == ("rose",)
    assert study.manifest.arrays["crops"] == ArrayFacts(shape=(6, 3), dtype="uint8")
    assert study.manifest.tables["images"] == TableFacts(rows=6, columns=("image", "path", "problem"))
    assert study.damaged() == []
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    for wrong in (study.table, study.array):
        with pytest.raises(UnknownName, match="of this study called 'imges'"):
            wrong("imges")


def test_the_bytes_are_those_of_the_first_release(tmp_path):
    """Hashes of what was written before stores had schemas; those of tables depend on the version of pyarrow."""
    path = write(tmp_path / "s").path
    zeros = "f452a91f44bbceb37a30391c174c42e2f4cd74b61b54aa6e4c74068042efe7bf"
    crops = "df6f6056fdd9a5dcf5bd17690e850c7cb8a936d90f8b40a6023e4f17465a90c5"
    for name in STUDY.arrays:
        assert file_sha256(path / f"{name}.npy") == (crops if name == "crops" else zeros)
    text = (path / MANIFEST).read_text("utf-8")
    manifest = json.loads(text)
    assert text == json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    for name, facts in manifest["files"].items():
        if name.endswith(".parquet"):
            facts.update(bytes=0, sha256="")
    plain = json.dumps(manifest, indent=1)
    assert hashlib.sha256(plain.encode()).hexdigest() == (
        "e9e110d6fcf0fd50927e7da21a32024ffa01d4e50cd765b970156e98a172c218"
    )
    expected = io.BytesIO()
    numbers = pa.table({"number": pa.array([1, 2], pa.int64())})
    pq.write_table(numbers, expected, compression="zstd")
    assert (path / "rules.parquet").read_bytes() == expected.getvalue()
    assert pq.ParquetFile(path / "images.parquet").num_row_groups == 3
    assert pq.ParquetFile(path / "images.parquet").schema_arrow.metadata is None


def test_an_interrupted_build_continues_to_the_same_bytes(tmp_path):
    whole = write(tmp_path / "a").path
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "b", {"a": 1}, 1)
    assert not (tmp_path / "b").exists()
    with writing(SMALL, tmp_path / "b", {"a": 1}) as draft:
        assert draft.missing(3) == [0, 2]
    assert content(write(tmp_path / "b").path) == content(whole)


def test_a_draft_of_something_else_is_not_continued(tmp_path):
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "s", {"a": 1}, 0)
    with writing(SMALL, tmp_path / "s", {"a": 2}) as draft:
        assert draft.missing(3) == [0, 1, 2]


def test_a_half_written_shard_does_not_count(tmp_path):
    tables, arrays, _ = shard(0)
    with writing(SMALL, tmp_path / "s", {"a": 1}) as draft, pytest.raises(TypeError):
        draft.keep(0, tables, arrays, {"not JSON": object()})
    with writing(SMALL, tmp_path / "s", {"a": 1}) as draft:
        assert draft.missing(1) == [0]


def test_the_same_study_is_not_built_twice_and_another_is_not_overwritten(tmp_path):
    path = tmp_path / "s"
    before = {f: f.stat().st_mtime_ns for f in write(path).path.iterdir()}
    write(path)
    assert before == {f: f.stat().st_mtime_ns for f in path.iterdir()}
    with pytest.raises(StudyError, match="contains a study with other settings"):
        write(path, {"a": 2})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(StudyError, match="something other"):
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
        from core.store.writer import writing
        from core.study.schema import STUDY
        with writing(STUDY, sys.argv[1], {}) as draft:
            print("held", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"The study s is being built by process {holder.pid}"):
            write(tmp_path / "s")
        with pytest.raises(StudyError, match=f"process {holder.pid}"):
            remove(STUDY, tmp_path / "s")
        holder.send_signal(signal.SIGKILL)
    assert write(tmp_path / "s")  # the lock ended with its holder


@pytest.mark.parametrize("space", [2_000, 30_000])
def test_a_full_disk_leaves_no_study_and_loses_no_shard(tmp_path, space):
    """A limit on the size of files stands for the full disk: a write fails in the middle."""
    code = f"""
        import resource, signal, sys
        import numpy as np
        from core.errors import StudyError
        from tests.unit.store.test_writer import SMALL, shard
        from core.store.writer import writing
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with writing(SMALL, sys.argv[1], {{"a": 1}}) as draft:
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
    with writing(SMALL, tmp_path / "s", {"a": 1}) as draft:
        assert draft.missing(3) == [1, 2]


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(StudyError, match=r"cannot be written \(Permission denied\). Choose another folder"):
        write(tmp_path / "s")


def test_removing_takes_studies_and_drafts_only(tmp_path):
    path = write(tmp_path / "s").path
    remove(STUDY, path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InterruptedError):
        interrupted(tmp_path / "c", {})
    remove(STUDY, tmp_path / "c")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "dear").mkdir()
    with pytest.raises(StudyError, match="There is no study in"):
        remove(STUDY, tmp_path / "dear")
    assert (tmp_path / "dear").is_dir()


def test_what_a_damaged_study_left_is_removed_or_replaced_and_nothing_foreign(tmp_path):
    path = write(tmp_path / "s").path
    whole = content(path)
    for name in (MANIFEST, "crops.npy", LOG):
        (path / name).write_bytes(b"{")
        write(path)
        assert content(path) == whole
        (path / name).write_bytes(b"{")
        assert [one.path.name for one in list_studies(tmp_path)] == ["s"]
        remove(STUDY, path)
        assert list(tmp_path.iterdir()) == []
        write(path)
    (path / MANIFEST).unlink()
    assert "study.json is missing" in list_studies(tmp_path)[0].problem
    (path / "letter.txt").write_text("dear")
    for act in (partial(remove, STUDY), write):
        with pytest.raises(StudyError, match=r"There is no study in|something other"):
            act(path)
    assert (path / "letter.txt").read_text() == "dear"
    (path / "letter.txt").unlink()
    (path / "letters").mkdir()
    with pytest.raises(StudyError):
        remove(STUDY, path)
    for name, text in (("study.json", '{"name": "another app"}'), ("build.json", '{"scripts": {}}')):
        foreign = tmp_path / name[:-5]
        foreign.mkdir()
        (foreign / name).write_text(text)
        (foreign / "main.c").write_text("int main;")
        with pytest.raises(StudyError):
            remove(STUDY, foreign)
        with pytest.raises(StudyError, match="something other"):
            write(foreign)
        assert len(list(foreign.iterdir())) == 2


def test_a_newer_study_is_not_replaced(tmp_path):
    path = write(tmp_path / "s").path
    manifest = json.loads((path / MANIFEST).read_text())
    for version, match in (
        (99, "something other than a finished study"),
        (1, "of format 1, made by an earlier version"),
    ):
        (path / MANIFEST).write_text(json.dumps({**manifest, "version": version}))
        with pytest.raises(StudyError, match=match):
            write(path)
    remove(STUDY, path)


def test_what_comes_last_may_change_without_the_shards(tmp_path):
    with writing(SMALL, tmp_path / "s", {"a": 1}, {"b": 1}) as draft:
        draft.keep(0, *shard(0))
    with writing(SMALL, tmp_path / "s", {"a": 1}, {"b": 2}) as draft:
        assert draft.missing(2) == [1]
    write(tmp_path / "t")
    with pytest.raises(StudyError, match="other settings"), writing(SMALL, tmp_path / "t", {"a": 1}, {"b": 2}):
        pass


def test_places_where_no_study_can_be_put_are_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    assert write(tmp_path / "link").path == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target" / MANIFEST).is_file()
    (tmp_path / "new").symlink_to("elsewhere")
    write(tmp_path / "new")
    assert (tmp_path / "elsewhere" / MANIFEST).is_file()
    (tmp_path / "self").symlink_to("self")
    with pytest.raises(StudyError, match="is a circular link"):
        write(tmp_path / "self")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in (".", "../here"):
        with pytest.raises(StudyError, match="is the folder you are in"):
            write(name)
    with pytest.raises(StudyError, match="something other"):
        write("..")
    with pytest.raises(StudyError, match="a disk of its own"):
        write("/")
    assert list((tmp_path / "here").iterdir()) == []
    assert write("inside").path.resolve() == tmp_path / "here" / "inside"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["elsewhere", "here", "link", "new", "self", "target"]


def test_a_relative_folder_is_found_from_the_study(tmp_path, monkeypatch):
    from core.study import relative_folder

    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    assert relative_folder(Path("fl"), Path("studies/s")) == "../../fl"
    assert relative_folder(Path("/data/fl"), Path("studies/s")) == "/data/fl"
    path = write(tmp_path / "a" / "s").path
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["data"]["folder"] = relative_folder(Path("fl"), path)
    (path / MANIFEST).write_text(json.dumps(manifest))
    monkeypatch.chdir("/")
    assert Study(path).folder == tmp_path / "a" / "fl"
    (tmp_path / "a").rename(tmp_path / "b")
    assert Study(tmp_path / "b" / "s").folder == tmp_path / "b" / "fl"
