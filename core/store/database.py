"""Databases of what users add to results: SQLite files, safe for several processes and threads at a time."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
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

# Of tags and marks.
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


def user_database(folder: Path) -> "Database":
    """The database of tags and marks in the user's own folder."""
    return Database(folder / NAME, _STEPS)


@dataclass(frozen=True)
class Database:
    """An SQLite file with a layout of its own; each use opens a new connection, so that users need no coordination.

    Every method raises Unavailable if the file is damaged, of a newer version of Vitrine, or cannot be opened.
    """

    file: Path
    steps: tuple[str, ...]  # each upgrades the layout from the version of its index to the next; none ever changes

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection for reading; None if there is no file, as reading creates none."""
        if not os.path.lexists(self.file):
            yield None
            return
        with self._connected() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection for writing; the block is one transaction, of which all or nothing is stored."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(str(error.strerror)) from None
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    raise self.damaged()  # nothing is added to what may have to be repaired
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def damaged(self) -> Unavailable:
        """The error about a file that holds something else than its layout; it is never replaced unasked."""
        message = f"{self.file} is damaged and cannot be read."
        return Unavailable(message, "Restore it from a backup, or move it away to begin anew.")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        for ending in ("", "-wal", "-shm", "-journal"):  # SQLite opens all of these
            _refuse_special(self.file.with_name(f"{self.file.name}{ending}"))
        try:
            with closing(self._opened()) as connection:
                yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a message may quote bytes of the file
            if _is_busy(error):
                message = f"{self.file} is in use by another program."
                raise Unavailable(message, "Try again when it has finished.") from None
            if _code(error) in _REFUSED:
                raise self._unwritable(str(error)) from None
            raise self.damaged() from None

    def _opened(self) -> sqlite3.Connection:
        """A new connection to tables of this version."""
        # SQLite waits for others on its own, but not while one of them sets write-ahead logging or closes the last
        # connection.
        deadline = time.monotonic() + WAIT
        while True:
            connection = sqlite3.connect(self.file, timeout=WAIT, isolation_level=None)
            try:
                self._upgrade(connection)
                if not _layout(connection) >= _own_layout(self.steps):
                    raise self.damaged()
                return connection
            except BaseException as error:
                connection.close()
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Upgrade the tables to this version; done once for each file."""
        version, newest = _version(connection), len(self.steps)
        # Asked again, as another process may have upgraded meanwhile: tables and version appear together.
        if version < 0 or (version == 0 and _layout(connection) and _version(connection) == 0):
            raise self.damaged()
        if version > newest:
            raise Unavailable(f"{self.file} was written by a newer version of Vitrine.", "Update Vitrine.")
        if version == newest:
            return
        if not _layout(connection) >= _own_layout(self.steps[:version]):
            raise self.damaged()  # before it is changed
        connection.execute("PRAGMA journal_mode=WAL")  # readers and a writer do not wait for each other
        connection.execute("BEGIN IMMEDIATE")
        for step in self.steps[_version(connection) :]:  # another process may have upgraded meanwhile
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={newest}")
        connection.commit()

    def _unwritable(self, reason: str) -> Unavailable:
        message = f"Tags and reviews cannot be stored in {self.file.parent}: {reason}."
        return Unavailable(message, "Make that folder writable, or point VITRINE_HOME elsewhere.")


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
        raise Unavailable(f"{file} {problem}, so it cannot be read.", "Move it away to begin anew.")


def _code(error: BaseException) -> int:
    """SQLite's primary result code; 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_busy(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _layout(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Names and definitions of everything in a database; triggers make it different from any of ours."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    if any(kind == "trigger" for kind, _, _ in rows):
        return set()
    return {(str(name), " ".join(str(sql).split())) for _, name, sql in rows}


@cache
def _own_layout(steps: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """The layout of a new database after these steps."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for step in steps:
            connection.executescript(step)
        return frozenset(_layout(connection))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
