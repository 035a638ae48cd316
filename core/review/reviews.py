"""Reviews: verdicts, tags, notes and assignees of cases, by any number of reviewers, in SQLite with their history."""

import json
import sqlite3
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal, get_args

from core.environment import home
from core.errors import BadParameter, Conflict, brief, printable
from core.store.database import Database

Verdict = Literal["", "model wrong", "label wrong", "ambiguous", "unclear"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)[1:]
LONGEST_NOTE, LONGEST_WORD, MOST_TAGS = 2000, 100, 20  # characters of a note and of a name or tag; tags of a case

SOURCE_TABLE = "CREATE TABLE source (name TEXT NOT NULL)"  # the folder or study; empty in files of earlier versions

# A case's revision is the number of the change that made it what it is; an undo gives it back the revision before.
_STEPS = (
    """
    CREATE TABLE cases (model TEXT NOT NULL, image TEXT NOT NULL, revision INTEGER NOT NULL, verdict TEXT NOT NULL,
        tags TEXT NOT NULL, note TEXT NOT NULL, assignee TEXT NOT NULL, reviewer TEXT NOT NULL,
        PRIMARY KEY (model, image)) WITHOUT ROWID;
    CREATE TABLE changes (revision INTEGER PRIMARY KEY, model TEXT NOT NULL, image TEXT NOT NULL,
        reviewer TEXT NOT NULL, at TEXT NOT NULL, before TEXT NOT NULL, undone INTEGER NOT NULL);
    CREATE TABLE positions (model TEXT NOT NULL, reviewer TEXT NOT NULL, image TEXT NOT NULL,
        PRIMARY KEY (model, reviewer)) WITHOUT ROWID;
    """,
    SOURCE_TABLE,
)
_CASE = "image, revision, verdict, tags, note, assignee, reviewer"


@dataclass(frozen=True)
class Review:
    """What is said of one case."""

    image: str  # its path
    verdict: Verdict = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    assignee: str = ""
    reviewer: str = ""  # who changed it last
    revision: int = 0  # grows with every change of any case; 0 for one that was never changed


class Reviews:
    """The reviews of one model on one study or folder; any number of threads and processes may change them at a time.

    Every method raises Unavailable with one sentence if the database is locked, read-only, damaged or of a newer
    version of Vitrine. The file is made by the first change.
    """

    def __init__(self, key: str, model: str, folder: Path | None = None, *, name: str = "") -> None:
        """Open the reviews of the source with this `key` and `name`, for the model with this hash."""
        self.model, self.name = model, name
        self.database = Database((folder or home() / "reviews") / f"{key[:16]}.db", _STEPS)

    def all(self) -> dict[str, Review]:
        """What is said of every case, by path of the image."""
        with self.database.reading() as connection:
            if connection is None:
                return {}
            rows = connection.execute(f"SELECT {_CASE} FROM cases WHERE model = ? ORDER BY image", (self.model,))
            return {review.image: review for review in map(self._review, rows)}

    def get(self, image: str) -> Review:
        """What is said of one case."""
        with self.database.reading() as connection:
            return Review(image) if connection is None else self._stored(connection, image)

    def set(self, review: Review, reviewer: str) -> Review:
        """Store what a reviewer says of a case, and return it with its new revision.

        `review.revision` is that of what the reviewer saw. Raises Conflict, and changes nothing, if somebody else has
        changed the case since; BadParameter for texts that cannot be stored.
        """
        self._check(review, reviewer)
        with self.database.writing() as connection:
            before = self._stored(connection, review.image)
            if before.revision != review.revision:
                raise _conflict(before)
            cursor = connection.execute(
                "INSERT INTO changes (model, image, reviewer, at, before, undone) VALUES (?, ?, ?, ?, ?, 0)",
                (self.model, review.image, reviewer, time.strftime("%Y-%m-%d %H:%M:%S"), _dumped(before)),
            )
            stored = replace(review, reviewer=reviewer, revision=int(cursor.lastrowid or 0))
            self._write(connection, stored)
            store_name(connection, self.name)
        return stored

    def undo(self, reviewer: str) -> Review | None:
        """Take back the reviewer's last change that stands, and return the case as it is now; None if there is none.

        Raises Conflict, and changes nothing, if somebody else has changed that case since.
        """
        with self.database.writing() as connection:
            query = """
                SELECT revision, image, before FROM changes WHERE model = ? AND reviewer = ? AND undone = 0
                ORDER BY revision DESC LIMIT 1
            """
            row = connection.execute(query, (self.model, reviewer)).fetchone()
            if row is None:
                return None
            revision, image, text = row
            now = self._stored(connection, str(image))
            if now.revision != revision:
                raise _conflict(now)
            before = self._before(str(image), text)
            if before.revision:
                self._write(connection, before)
            else:
                connection.execute("DELETE FROM cases WHERE model = ? AND image = ?", (self.model, image))
            connection.execute("UPDATE changes SET undone = 1 WHERE revision = ?", (revision,))
        return before

    def position(self, reviewer: str) -> str | None:
        """The path of the case at which a reviewer stopped, None at the beginning."""
        with self.database.reading() as connection:
            if connection is None:
                return None
            query = "SELECT image FROM positions WHERE model = ? AND reviewer = ?"
            row = connection.execute(query, (self.model, reviewer)).fetchone()
            return None if row is None else str(row[0])

    def stop_at(self, image: str, reviewer: str) -> None:
        """Store the case at which a reviewer is."""
        self._check(Review(image), reviewer)
        with self.database.writing() as connection:
            row = (self.model, reviewer, image)
            connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", row)
            store_name(connection, self.name)

    def history(self) -> list[tuple[str, str, str]]:
        """When who changed which case, oldest first; changes that were taken back are left out."""
        with self.database.reading() as connection:
            if connection is None:
                return []
            query = "SELECT at, reviewer, image FROM changes WHERE model = ? AND undone = 0 ORDER BY revision"
            return [(str(at), str(who), str(image)) for at, who, image in connection.execute(query, (self.model,))]

    def _check(self, review: Review, reviewer: str) -> None:
        """Raise BadParameter for the first part that cannot be stored."""
        if review.verdict not in ("", *VERDICTS):
            raise BadParameter(f"A verdict cannot be {short(review.verdict)}.", f"Choose one of {', '.join(VERDICTS)}.")
        if not _is_word(reviewer) or not reviewer.strip():
            message = f"A reviewer cannot be called {short(reviewer)}."
            raise BadParameter(message, f"Use 1 to {LONGEST_WORD} characters that can be printed.")
        if len(review.tags) > MOST_TAGS or not all(_is_word(tag) and tag for tag in review.tags):
            message = f"A case cannot have the tags {short(review.tags)}."
            raise BadParameter(message, f"Use at most {MOST_TAGS}, of 1 to {LONGEST_WORD} characters each.")
        if not _is_word(review.assignee):
            message = f"An assignee cannot be called {short(review.assignee)}."
            raise BadParameter(message, f"Use at most {LONGEST_WORD} characters that can be printed.")
        if not _is_note(review.note):
            message = f"A note cannot be {short(review.note)}."
            raise BadParameter(message, f"Use at most {LONGEST_NOTE:,} characters that can be printed.")

    def _stored(self, connection: sqlite3.Connection, image: str) -> Review:
        query = f"SELECT {_CASE} FROM cases WHERE model = ? AND image = ?"
        row = connection.execute(query, (self.model, image)).fetchone()
        return Review(image) if row is None else self._review(row)

    def _write(self, connection: sqlite3.Connection, review: Review) -> None:
        tags = json.dumps(review.tags)
        texts = (review.verdict, tags, review.note, review.assignee, review.reviewer)
        row = (self.model, review.image, review.revision, *texts)
        connection.execute("INSERT OR REPLACE INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _before(self, image: str, text: str) -> Review:
        """The case before a change, as the change stores it."""
        try:
            return self._review((image, *json.loads(text)))
        except (ValueError, TypeError):
            raise self.database.damaged() from None

    def _review(self, row: tuple[Any, ...]) -> Review:
        """The review in a row of the database. Raises Unavailable if there is something else in it."""
        try:
            image, revision, verdict, tags, note, assignee, reviewer = row
            words = json.loads(tags)
        except (ValueError, TypeError):
            raise self.database.damaged() from None
        texts = isinstance(image, str) and _is_note(note) and all(map(_is_word, (assignee, reviewer)))
        listed = isinstance(words, list) and all(map(_is_word, words))
        if not (texts and listed and type(revision) is int and verdict in ("", *VERDICTS)):
            raise self.database.damaged()
        return Review(image, verdict, tuple(words), note, assignee, reviewer, revision)


@dataclass(frozen=True)
class Progress:
    """How many of some cases have a verdict."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,}"


def progress(reviews: Mapping[str, Review], images: Collection[str]) -> Progress:
    """How many of these images have a verdict."""
    return Progress(sum(image in reviews and bool(reviews[image].verdict) for image in images), len(images))


def store_name(connection: sqlite3.Connection, name: str) -> None:
    """Store the name of the folder or study in a database with a SOURCE_TABLE, where there is none yet."""
    if name:
        query = "INSERT INTO source SELECT ? WHERE NOT EXISTS (SELECT 1 FROM source)"
        connection.execute(query, (brief(name, LONGEST_WORD),))


def _conflict(now: Review) -> Conflict:
    who = now.reviewer or "Somebody"
    state = now.verdict or "no verdict"
    message = f"{brief(who, 40)} has changed {brief(now.image, 80)} meanwhile: {state}."
    return Conflict(message, "Look at the case as it is now, and decide again.")


def _dumped(review: Review) -> str:
    """The columns of a review after its image, as JSON."""
    tags = json.dumps(review.tags)
    return json.dumps([review.revision, review.verdict, tags, review.note, review.assignee, review.reviewer])


def _is_word(text: object) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST_WORD and text == printable(text)


def _is_note(text: object) -> bool:
    return (
        isinstance(text, str)
        and len(text) <= LONGEST_NOTE
        and text.replace("\n", "") == printable(text.replace("\n", ""))
    )
