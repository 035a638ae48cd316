"""The user's database: one SQLite file for what users add to stored results."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from core.environment import limit
from core.errors import Unavailable

NAME = "vitrine.sqlite"
WAIT = 30  # seconds for another process to finish writing

# What SQLite reports about the place of a database, not about its content.
_REFUSED = {
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}  # fmt: skip

# Each step upgrades a database from the version of its index to the next; released steps never change.
_STEPS = (
    """
    CREATE TABLE tags (study TEXT NOT NULL, patch INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (study, patch, tag))
        WITHOUT ROWID;
    CREATE TABLE imported (file TEXT PRIMARY KEY) WITHOUT ROWID;
    """,
    """
    CREATE TABLE marks (model TEXT NOT NULL, label INTEGER NOT NULL, layer TEXT NOT NULL, unit INTEGER NOT NULL,
        verdict TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (model, label, layer, unit)) WITHOUT ROWID;
    """,
)


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to the database in a folder; None if there is none, as reading creates no file.

    Raises Unavailable, as `writing` does.
    """
    if not os.path.lexists(folder / NAME):
        yield None
        return
    with _connected(folder) as connection:
        yield connection


@contextmanager
def writing(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database in a folder; the block is one transaction.

    Raises Unavailable if the file is damaged, of a newer version of Vitrine, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, str(error.strerror)) from None
    with _connected(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise damaged(folder)  # nothing is added to what may have to be repaired
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def _connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """A new connection for each use, so that threads and processes need no coordination."""
    file = folder / NAME
    for ending in ("", "-wal", "-shm", "-journal"):  # SQLite opens all of these
        _refuse_special(folder / f"{NAME}{ending}")
    try:
        with closing(sqlite3.connect(file, timeout=WAIT, isolation_level=None)) as connection:
            _upgrade(connection, file)
            if not _layout(connection) >= _own_layout(len(_STEPS)):
                raise damaged(folder)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a message may quote bytes of the file
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Unavailable(f"{file} is in use by another program.", "Try again when it has finished.") from None
        if code in _REFUSED:
            raise _unwritable(folder, str(error)) from None
        raise damaged(folder) from None


def damaged(folder: Path) -> Unavailable:
    """The error about a database that holds something else than tags and marks; it is never replaced unasked."""
    message = f"{folder / NAME} is damaged and cannot be read."
    return Unavailable(message, "Restore it from a backup, or move it away to begin anew.")


def _refuse_special(file: Path) -> None:
    """Raise Unavailable for a pipe, a device, a folder and a file beyond the limit, which SQLite would open."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"{file} cannot be opened ({error.strerror}).", "Move it away to begin anew.") from None
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit("tags"):
        problem = "is too large" if stat.S_ISREG(facts.st_mode) else "is not a regular file"
        raise Unavailable(f"{file} {problem}, so tags cannot be read.", "Move it away to begin anew.")


def _layout(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Names and definitions of everything in a database; triggers make it different from any of ours."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    if any(kind == "trigger" for kind, _, _ in rows):
        return set()
    return {(str(name), " ".join(str(sql).split())) for _, name, sql in rows}


@cache
def _own_layout(version: int) -> frozenset[tuple[str, str]]:
    """The layout of a new database of a version."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for step in _STEPS[:version]:
            connection.executescript(step)
        return frozenset(_layout(connection))


def _upgrade(connection: sqlite3.Connection, file: Path) -> None:
    """Upgrade the tables to this version; done once for each file."""
    version = _version(connection)
    # Asked again, as another process may have upgraded meanwhile: tables and version appear together.
    if version < 0 or (version == 0 and _layout(connection) and _version(connection) == 0):
        raise damaged(file.parent)
    if version > len(_STEPS):
        raise Unavailable(f"{file} was written by a newer version of Vitrine.", "Update Vitrine.")
    if version == len(_STEPS):
        return
    if not _layout(connection) >= _own_layout(version):
        raise damaged(file.parent)  # before it is changed
    connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer do not wait for each other
    connection.execute("BEGIN IMMEDIATE")
    for step in _STEPS[_version(connection) :]:  # another process may have upgraded meanwhile
        for statement in step.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(_STEPS)}")
    connection.commit()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _unwritable(folder: Path, reason: str) -> Unavailable:
    message = f"Tags and reviews cannot be stored in {folder}: {reason}."
    return Unavailable(message, "Make that folder writable, or point VITRINE_HOME elsewhere.")
