"""Words pinned to patches: stored in SQLite, safe for many at a time, with the JSON files of earlier versions."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.errors import BadParameter, Unavailable
from core.store import database
from core.study.tags import Tags
from tests.hostile.studies import LONGEST
from tests.hostile.tags import damaged_tags, fuzzed_tags, tags_used

FUZZED = int(os.environ.get("VITRINE_TEST_FUZZ", "25"))
ROOT = Path(__file__).resolve().parents[3]


def test_tags_survive_and_leave(tmp_path):
    tags = Tags(tmp_path / "home", "a" * 64)
    assert tags.all() == {}
    assert not (tmp_path / "home").exists(), "reading makes nothing"
    tags.change([7, 3], "artefact", True)
    tags.change([3], "ünusual", True)
    again = Tags(tmp_path / "home", "a" * 64)
    assert again.all() == {3: ("artefact", "ünusual"), 7: ("artefact",)}
    assert again.patches("artefact") == (3, 7)
    again.change([3, 9], "artefact", False)
    assert tags.all() == {3: ("ünusual",), 7: ("artefact",)}
    assert Tags(tmp_path / "home", "b" * 64).all() == {}, "another study has its own"
    assert [file.name for file in (tmp_path / "home").iterdir()] == [database.NAME]


@pytest.mark.parametrize("content", [b"no database" * 400, b"\0" * 4096, b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_database_is_a_sentence(tmp_path, content):
    (tmp_path / database.NAME).write_bytes(content)
    tags = Tags(tmp_path, "b" * 64)
    for act in (tags.all, lambda: tags.change([1], "x", True)):
        with pytest.raises(Unavailable, match=r"vitrine\.sqlite is damaged and cannot be read\. Restore it"):
            act()
    assert (tmp_path / database.NAME).read_bytes() == content


def test_a_page_of_the_database_that_was_overwritten_is_a_sentence(tmp_path):
    tags = Tags(tmp_path, "b" * 64)
    tags.change(range(2000), "artefact", True)
    file = tmp_path / database.NAME
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(Unavailable, match="is damaged and cannot be read"):
        tags.all()


def test_a_database_of_a_newer_version_is_a_sentence(tmp_path):
    Tags(tmp_path, "b" * 64).change([1], "x", True)
    with database.user_database(tmp_path).writing() as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(Unavailable, match="newer version of Vitrine"):
        Tags(tmp_path, "b" * 64).all()


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "home").write_text("")
    tags = Tags(tmp_path / "home", "c" * 64)
    assert tags.all() == {}
    with pytest.raises(Unavailable, match="cannot be"):
        tags.change([1], "x", True)


def earlier(home, study, tags):
    """What an earlier version stored."""
    file = home / "tags" / f"{study[:16]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tags, indent=0), "utf-8")
    return file


def test_the_files_of_earlier_versions_are_taken_over_and_stay(tmp_path):
    files = [earlier(tmp_path, letter * 64, {"3": ["artefact", "ünusual"], "7": ["artefact"]}) for letter in "abc"]
    before = [file.read_bytes() for file in files]
    tags = {letter: Tags(tmp_path, letter * 64) for letter in "abc"}
    assert [one.all() for one in tags.values()] == [{3: ("artefact", "ünusual"), 7: ("artefact",)}] * 3
    assert not (tmp_path / database.NAME).exists(), "reading makes nothing"
    tags["a"].change([3], "artefact", False)
    assert tags["a"].all() == {3: ("ünusual",), 7: ("artefact",)}, "what was taken off stays off"
    assert tags["b"].all() == {3: ("artefact", "ünusual"), 7: ("artefact",)}, "another study's wait for their turn"
    tags["b"].change([9], "new", True)
    assert tags["b"].all() == {3: ("artefact", "ünusual"), 7: ("artefact",), 9: ("new",)}
    assert [file.read_bytes() for file in files] == before


def test_a_damaged_file_of_an_earlier_version_is_a_sentence_and_loses_nothing(tmp_path):
    file = earlier(tmp_path, "b" * 64, {"1": ["x"]})
    whole = file.read_bytes()
    tags = Tags(tmp_path, "b" * 64)
    for content in ("{", "[]", '{"a": ["x"]}', '{"1": 5}'):
        file.write_text(content)
        for act in (tags.all, lambda: tags.change([2], "y", True)):
            with pytest.raises(Unavailable, match=r"b\.json cannot be read\. Repair or delete that file"):
                act()
    file.write_bytes(whole)
    tags.change([2], "y", True)
    assert tags.all() == {1: ("x",), 2: ("y",)}


def test_threads_and_processes_do_not_lose_each_others_words(tmp_path):
    """All begin at the same time, with no database yet and a file of an earlier version to take over."""
    code = """
import sys, threading
from pathlib import Path
from core.study.tags import Tags
def work(folder, number):
    for patch in range(3):
        Tags(folder, "d" * 64).change([patch], f"{sys.argv[1]}-{number}", True)
for line in sys.stdin:
    threads = [threading.Thread(target=work, args=(Path(line.strip()), number)) for number in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("done", flush=True)
"""
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(number)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(4)
        ]
        words = tuple(sorted(f"{process}-{thread}" for process in range(4) for thread in range(3)))
        for attempt in range(20):  # one in seven fails where opening does not wait for others that open
            home = tmp_path / str(attempt)
            earlier(home, "d" * 64, {"999": ["old"]})
            for one in writers:
                one.stdin.write(f"{home}\n")
                one.stdin.flush()
            assert [one.stdout.readline() for one in writers] == ["done\n"] * 4
            assert Tags(home, "d" * 64).all() == {**dict.fromkeys(range(3), words), 999: ("old",)}


def test_readers_are_not_stopped_by_a_writer(tmp_path):
    tags = Tags(tmp_path, "e" * 64)
    tags.change([1], "x", True)
    read = threading.Event()
    with database.user_database(tmp_path).writing() as connection:
        connection.execute("DELETE FROM tags")
        thread = threading.Thread(target=lambda: tags.all() == {1: ("x",)} and read.set())
        thread.start()
        assert read.wait(10), "it reads what was there before"
        thread.join()
    assert tags.all() == {}


def test_a_database_that_holds_something_else_is_a_sentence_and_stays(tmp_path):
    harmless = {"empty", "encoding wrong", "schema of ff", "-wal junk", "-journal junk"}
    count = 0
    for name, home in damaged_tags(tmp_path, "a" * 64):
        error = tags_used(home, "a" * 64)
        count += 1
        assert (error is None) == (name in harmless), name
        if error:
            assert isinstance(error, Unavailable)
            assert error.message.endswith(".")
            assert len(str(error)) < LONGEST
    assert count > 60


def test_fuzzed_databases_are_a_sentence_or_work(tmp_path):
    refused = 0
    for name, home in fuzzed_tags(tmp_path, "a" * 64, FUZZED):
        if error := tags_used(home, "a" * 64):
            refused += 1
            assert len(str(error)) < LONGEST, name
    assert refused


def test_a_locked_database_is_a_sentence(tmp_path, monkeypatch):
    Tags(tmp_path, "b" * 64).change([1], "x", True)
    monkeypatch.setattr(database, "WAIT", 0.1)
    other = sqlite3.connect(tmp_path / database.NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="is in use by another program"):
        Tags(tmp_path, "b" * 64).change([2], "x", True)
    other.close()


@pytest.mark.parametrize("tag", ["", "x" * 1001, "a\nb", "a\udcff", "\0"])
def test_what_cannot_be_a_tag_is_refused(tmp_path, tag):
    with pytest.raises(BadParameter, match="A tag cannot be"):
        Tags(tmp_path, "b" * 64).change([1], tag, True)
