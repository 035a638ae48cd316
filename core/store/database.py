"""The user's database: one SQLite file for what users add to stored results."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.errors import Unavailable

NAME = "vitrine.sqlite"
WAIT = 30  # seconds for another process to finish writing

# Each step upgrades a database from the version of its index to the next; released steps never change.
_STEPS = (
    """
    CREATE TABLE tags (study TEXT NOT NULL, patch INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (study, patch, tag))
        WITHOUT ROWID;
    CREATE TABLE imported (file TEXT PRIMARY KEY) WITHOUT ROWID;
    """,
)


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to the database in a folder; None if there is none, as reading creates no file.

    Raises Unavailable, as `writing` does.
    """
    if not (folder / NAME).exists():
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
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


@contextmanager
def _connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """A new connection for each use, so that threads and processes need no coordination."""
    file = folder / NAME
    try:
        with closing(sqlite3.connect(file, timeout=WAIT, isolation_level=None)) as connection:
            _upgrade(connection, file)
            yield connection
    except sqlite3.OperationalError as error:
        raise _unwritable(folder, str(error)) from None
    except sqlite3.DatabaseError:
        message = f"{file} is damaged and cannot be read."
        raise Unavailable(message, "Restore it from a backup, or move it away to begin anew.") from None


def _upgrade(connection: sqlite3.Connection, file: Path) -> None:
    """Upgrade the tables to this version; done once for each file."""
    version = _version(connection)
    if version > len(_STEPS):
        raise Unavailable(f"{file} was written by a newer version of Vitrine.", "Update Vitrine.")
    if version == len(_STEPS):
        return
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
