"""Tags of the patches of a study: stored in the user's own database, never in the study."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from reprlib import repr as short

from core.environment import limit
from core.errors import BadParameter, Unavailable, printable
from core.files import read_json
from core.params import whole
from core.store.database import user_database

TAGS = ("interesting", "artefact", "wrong label")  # suggestions; any other word may be used
LONGEST = 1000  # characters of a tag


class Tags:
    """The tags of one study, by patch; any number of sessions and processes may change them at the same time.

    Earlier versions stored a JSON file for each study in the folder `tags`. Its tags are used until the first change
    imports them into the database; the file stays unchanged.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self.folder = folder  # the user's own
        self.study = study[:16]
        self.earlier = folder / "tags" / f"{self.study}.json"

    def all(self) -> dict[int, tuple[str, ...]]:
        """The tags of every patch that has any. Raises Unavailable if they cannot be read."""
        with user_database(self.folder).reading() as connection:
            pairs = set() if connection is None else self._stored(connection)
            if connection is None or not self._imported(connection):
                pairs |= self._earlier()
        tags: dict[int, list[str]] = {}
        for patch, tag in sorted(pairs):
            tags.setdefault(patch, []).append(tag)
        return {patch: tuple(words) for patch, words in tags.items()}

    def patches(self, tag: str) -> tuple[int, ...]:
        """The patches with this tag, ascending."""
        return tuple(sorted(patch for patch, tags in self.all().items() if tag in tags))

    def change(self, patches: Iterable[int], tag: str, on: bool) -> None:
        """Add a tag to these patches, or remove it. Raises Unavailable if the database cannot be written."""
        if not 0 < len(tag) <= LONGEST or tag != printable(tag):
            raise BadParameter(
                f"A tag cannot be {short(tag)}.", f"Use 1 to {LONGEST:,} characters that can be printed."
            )
        with user_database(self.folder).writing() as connection:
            self._stored(connection)  # raises if there is something else
            if not self._imported(connection):
                self._insert(connection, self._earlier())
                connection.execute("INSERT INTO imported VALUES (?)", (self.earlier.name,))
            if on:
                self._insert(connection, {(int(patch), tag) for patch in patches})
            else:
                rows = [(self.study, int(patch), tag) for patch in patches]
                connection.executemany("DELETE FROM tags WHERE study = ? AND patch = ? AND tag = ?", rows)

    def _stored(self, connection: sqlite3.Connection) -> set[tuple[int, str]]:
        pairs = set(connection.execute("SELECT patch, tag FROM tags WHERE study = ?", (self.study,)))
        if not all(_is_tag(patch, tag) for patch, tag in pairs):
            raise user_database(self.folder).damaged()
        return pairs

    def _insert(self, connection: sqlite3.Connection, pairs: set[tuple[int, str]]) -> None:
        rows = [(self.study, patch, tag) for patch, tag in pairs]
        connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?)", rows)

    def _imported(self, connection: sqlite3.Connection) -> bool:
        """Whether the tags of the JSON file have been imported."""
        query = "SELECT 1 FROM imported WHERE file = ?"
        return connection.execute(query, (self.earlier.name,)).fetchone() is not None

    def _earlier(self) -> set[tuple[int, str]]:
        """Patches and tags of the JSON file of an earlier version."""
        try:
            content = read_json(self.earlier, limit("text"))
            pairs = {(whole(patch), tag) for patch, tags in content.items() for tag in (*tags,)}
            if all(isinstance(tags, list) for tags in content.values()) and all(_is_tag(*pair) for pair in pairs):
                return {(int(patch), tag) for patch, tag in pairs if patch is not None}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except (OSError, ValueError, AttributeError, TypeError):
            pass
        raise Unavailable(f"The tags in {self.earlier} cannot be read.", "Repair or delete that file.")


def _is_tag(patch: object, tag: object) -> bool:
    """Whether these are the number of a patch and a word for it."""
    return type(patch) is int and 0 <= patch < 2**53 and type(tag) is str and 0 < len(tag) <= LONGEST
