"""Damaged databases of tags, and the use that must survive them: a VitrineError of one short sentence, or it works."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from core.errors import VitrineError
from core.store import database
from core.study.tags import Tags
from tests.hostile.studies import NO_FILES


def _database(folder: Path, *statements: str, version: int = 1) -> None:
    with sqlite3.connect(folder / database.NAME) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version}")
    connection.close()


_TAGS = "CREATE TABLE tags (study TEXT NOT NULL, patch INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (study, patch, tag)) WITHOUT ROWID"  # noqa: E501 - as it is created
_IMPORTED = "CREATE TABLE imported (file TEXT PRIMARY KEY) WITHOUT ROWID"
_LOOSE = "CREATE TABLE tags (study, patch, tag)"


def _row(study: str, patch: str, tag: str) -> str:
    return f"INSERT INTO tags VALUES ({study}, {patch}, {tag})"


def damaged_tags(folder: Path, study: str) -> Iterator[tuple[str, Path]]:
    """Folders of a user with something wrong in the database of tags, or beside it, by what it is."""
    key = f"'{study[:16]}'"
    statements: dict[str, tuple[str, ...]] = {
        "no tables": (),
        "table tags missing": (_IMPORTED,),
        "table imported missing": (_TAGS,),
        "columns missing": ("CREATE TABLE tags (study TEXT)", _IMPORTED),
        "columns renamed": ("CREATE TABLE tags (a, b, c)", _IMPORTED),
        "columns too many": ("CREATE TABLE tags (study, patch, tag, more)", _IMPORTED),
        "file missing": (_TAGS, "CREATE TABLE imported (name TEXT)"),
        "tags is a view": ("CREATE VIEW tags AS SELECT 'a' AS study, 1 AS patch, 'x' AS tag", _IMPORTED),
        "tags never end": (
            "CREATE VIEW tags AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            f"SELECT {key} AS study, i AS patch, 'x' AS tag FROM n",
            _IMPORTED,
        ),
        "imported is a view": (_TAGS, "CREATE VIEW imported AS SELECT 1 AS file"),
        "a trigger": (
            _TAGS, _IMPORTED, "CREATE TRIGGER t BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'no'); END",
        ),
        "a check": (
            "CREATE TABLE tags (study TEXT, patch INTEGER, tag TEXT CHECK (0), PRIMARY KEY (study, patch, tag))",
            _IMPORTED,
        ),
        "patch a text": (_LOOSE, _IMPORTED, _row(key, "'one'", "'x'")),
        "patch a float": (_LOOSE, _IMPORTED, _row(key, "1.5", "'x'")),
        "patch null": (_LOOSE, _IMPORTED, _row(key, "NULL", "'x'")),
        "patch negative": (_LOOSE, _IMPORTED, _row(key, "-5", "'x'")),
        "patch huge": (_LOOSE, _IMPORTED, _row(key, str(2**62), "'x'")),
        "patch a blob": (_LOOSE, _IMPORTED, _row(key, "x'00ff'", "'x'")),
        "tag null": (_LOOSE, _IMPORTED, _row(key, "1", "NULL")),
        "tag a number": (_LOOSE, _IMPORTED, _row(key, "1", "7"), _row(key, "1", "'x'")),
        "tag a blob": (_LOOSE, _IMPORTED, _row(key, "1", "x'ffff'")),
        "tag not utf-8": (_LOOSE, _IMPORTED, _row(key, "1", "CAST(x'ff' AS TEXT)")),
        "tag empty": (_LOOSE, _IMPORTED, _row(key, "1", "''")),
        "tag very long": (_LOOSE, _IMPORTED, _row(key, "1", f"'{'t' * 100_000}'")),
        "imported twice": (_TAGS, "CREATE TABLE imported (file TEXT, b TEXT)"),
    }  # fmt: skip
    for name, some in statements.items():
        home = _home(folder, name)
        _database(home, *some)
        yield name, home
    for version in (-1, 2, 3, 2**31 - 1):
        home = _home(folder, f"version {version}")
        _database(home, _TAGS, _IMPORTED, version=version)
        yield f"version {version}", home
    home = _home(folder, "version 0 with tables")
    _database(home, _TAGS, _IMPORTED, version=0)
    yield "version 0 with tables", home
    whole = _whole(folder, study)
    contents = {
        "empty": b"",
        "a text": b"no database" * 400,
        "zeros": bytes(8192),
        "header only": whole[:100],
        "half": whole[: len(whole) // 2],
        "first page only": whole[:4096],
        "page size 0": whole[:16] + b"\0\0" + whole[18:],
        "encoding wrong": whole[:56] + b"\0\0\0\x09" + whole[60:],
        "pages of ff": whole[:4096] + b"\xff" * (len(whole) - 4096),
        "schema of ff": whole[:120] + b"\xff" * 3000 + whole[3120:],
        "read version 9": whole[:18] + b"\x09\x09" + whole[20:],
    }
    for name, content in contents.items():
        home = _home(folder, name)
        (home / database.NAME).write_bytes(content)
        yield name, home
    for kind, make in NO_FILES.items():
        home = _home(folder, f"database a {kind}")
        make(home / database.NAME)
        yield f"database a {kind}", home
        for ending in ("-wal", "-journal", "-shm"):
            home = _home(folder, f"{ending} a {kind}")
            (home / database.NAME).write_bytes(whole)
            make(home / f"{database.NAME}{ending}")
            yield f"{ending} a {kind}", home
    for ending in ("-wal", "-journal"):
        home = _home(folder, f"{ending} junk")
        (home / database.NAME).write_bytes(whole)
        (home / f"{database.NAME}{ending}").write_bytes(b"\x37\x7f\x06\x82" + os.urandom(5000))
        yield f"{ending} junk", home
    earlier = [
        b"{", b"[" * 200_000, b'{"1": 5}', b'{"1": "abc"}', b'{"1": [5]}', b'{"x": ["a"]}', b'{"1e5": ["a"]}',
        b'{"99999999999999999999": ["a"]}', b'{"-1": ["a"]}', b'{"1": ["\\ud800"]}', b"\xff", b"[]", b"null",
    ]  # fmt: skip
    for number, content in enumerate(earlier):
        home = _home(folder, f"earlier {number}")
        (home / "tags").mkdir()
        (home / "tags" / f"{study[:16]}.json").write_bytes(content)
        yield f"file of an earlier version: {content[:40]!r}", home
    for kind, make in NO_FILES.items():
        home = _home(folder, f"earlier {kind}")
        (home / "tags").mkdir()
        make(home / "tags" / f"{study[:16]}.json")
        yield f"file of an earlier version is a {kind}", home


def fuzzed_tags(folder: Path, study: str, count: int, seed: int = 0) -> Iterator[tuple[str, Path]]:
    """Databases of tags with a few bytes changed by chance."""
    rng = random.Random(seed)
    whole = _whole(folder, study)
    for number in range(count):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 3, 30, 300])):
            content[rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(1000)] = rng.randrange(256)
        home = _home(folder, "fuzzed")
        (home / database.NAME).write_bytes(bytes(content[: rng.choice([len(content), rng.randrange(len(content))])]))
        yield f"number {number} of seed {seed}", home


def tags_used(home: Path, study: str) -> VitrineError | None:
    """Read and change tags as the pages do; returns the first error. The damaged file stays as it was."""
    file = home / database.NAME
    before = file.read_bytes() if file.is_file() and file.stat().st_size < 10**9 and not file.is_symlink() else None
    tags = Tags(home, study)
    failed = None
    for act in (tags.all, lambda: tags.change([2], "y", True), lambda: tags.patches("y"), tags.all):
        try:
            words = act()
            if isinstance(words, dict):
                assert all(type(patch) is int and all(type(w) is str for w in ws) for patch, ws in words.items())
        except VitrineError as error:
            failed = failed or error
    if failed and before is not None and "damaged" in failed.message:
        assert file.read_bytes() == before
    return failed


def _home(folder: Path, name: str) -> Path:
    home = folder / name.replace(" ", "-")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    return home


def _whole(folder: Path, study: str) -> bytes:
    """The bytes of a sound database."""
    home = _home(folder, "sound")
    tags = Tags(home, study)
    tags.change(range(300), "artefact", True)
    tags.change(range(0, 300, 7), "wrong label", True)
    with sqlite3.connect(home / database.NAME) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return (home / database.NAME).read_bytes()
