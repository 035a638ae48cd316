"""Files downloaded into folders that other programs use, too: recorded, so that no others are ever deleted."""

import json
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from core.files import atomic_write, read_json
from core.serialization import digest

_MOST = 100_000  # bytes of a record


def record(home: Path, path: Path) -> None:
    """Record that a file was downloaded; without a folder to write in, it will not be offered for deletion."""
    with suppress(OSError):
        facts = path.lstat()
        folder = home / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        content = {"path": str(path.absolute()), "bytes": facts.st_size, "changed": facts.st_mtime_ns}
        with atomic_write(folder / f"{digest(content['path'])[:16]}.json") as file:
            file.write(json.dumps(content).encode())


def recorded(home: Path) -> Mapping[str, Path]:
    """The downloaded files that are still as they were downloaded, by their own name and that of their record."""
    found = {}
    for note in sorted((home / "downloads").glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            facts = read_json(note, _MOST)
            path = Path(facts["path"])
            now = path.lstat()
            if stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (facts["bytes"], facts["changed"]):
                found[f"{path.name} ({note.stem[:8]})"] = path
    return found
