"""Stored results and caches in the user's folder: their list with sizes, and their deletion."""

import os
import shutil
import sqlite3
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.environment import limit
from core.errors import Unavailable, brief
from core.files import read_bytes, read_json
from core.registry import unknown
from core.store.downloads import recorded
from core.store.locking import Held, clear, is_locked, lock_of

State = Literal["", "unfinished", "building", "link", "unreadable"]
SECONDS = 2.0  # to add sizes up; what is not reached by then is said to be at least that large


@dataclass(frozen=True)
class Kind:
    """One kind of what is stored: where it lies below the user's folder, and whether builds write it."""

    title: str
    folder: str
    built: bool = False  # complete or absent: a hidden folder beside it has what a build has not finished


KINDS: dict[str, Kind] = {
    "study": Kind("Study", "studies", built=True),
    "exam": Kind("Exam", "exams", built=True),
    "analysis": Kind("Analysis of units", "units", built=True),
    "predictions": Kind("Predictions", "predictions", built=True),
    "heatmaps": Kind("Heatmaps of predictions", "heatmaps", built=True),
    "review": Kind("Review", "reviews"),
    "archive": Kind("Unpacked archive", "unpacked", built=True),
    "flowers": Kind("Drawn flowers", "flowers"),
    "weights": Kind("Uploaded weights", "weights"),
    "download": Kind("Downloaded weights", ""),
    "cache": Kind("Cache", ""),
    "visitor": Kind("Visitor", "visitors"),
}
_CACHES = ("lists", "pace", "timm")
_DELETED = ".deleted"  # of a folder whose deletion was interrupted
_BESIDE = ("-wal", "-shm", "-journal")  # files of SQLite, which go with their database


@dataclass(frozen=True)
class Entry:
    """One thing that lies on disk and can be deleted as a whole."""

    kind: str
    name: str
    path: Path
    bytes: int
    complete: bool  # whether all of it was counted; otherwise it has at least that many bytes
    changed: float  # seconds since 1970; 0 if it is not known
    state: State = ""
    of: str = ""  # what it is about, where its name does not say: a folder or study, or a case of a review without one
    model: str = ""  # the name of the model that it is of

    @property
    def kept(self) -> str:
        """Why it cannot be deleted; "" if it can."""
        return "It is being built: stop the build first." if self.state == "building" else ""


def listed(home: Path, seconds: float = SECONDS) -> list[Entry]:
    """Everything of the kinds below a user's or visitor's folder, by kind, the largest first.

    Links are listed but not followed. What vanishes meanwhile is left out. Sizes are added up for `seconds` in all.
    """
    until = time.monotonic() + seconds
    found: list[Entry] = []
    for kind in KINDS:
        entries = [_entry(home, kind, name, until) for name in _names(home, kind)]
        found += sorted(filter(None, entries), key=lambda entry: (-entry.bytes, entry.name))
    return found


def studies_of(home: Path, entry: Entry) -> list[str]:
    """The studies whose images lie in an unpacked archive or in drawn flowers: they lose them with it."""
    if entry.kind not in ("archive", "flowers"):
        return []
    names, wanted = [], os.fsencode(entry.name)
    for path in sorted(home.glob("studies/*/study.json")):
        with suppress(OSError, ValueError):
            if wanted in read_bytes(path, limit("manifest")):
                names.append(path.parent.name)
    return names


def delete(home: Path, kind: str, name: str) -> Entry:
    """Delete one thing that `listed` shows; returns what it was.

    A link is deleted, never what it leads to. Raises UnknownName for what is not there, Unavailable for what a build
    is writing or may be reading, for what lies outside the folder because of a link, and for what the system refuses.
    """
    if kind not in KINDS:
        raise unknown("kind of stored results", kind, KINDS)
    names = list(_names(home, kind))
    if name not in names:
        raise unknown(KINDS[kind].title.lower(), name, names)
    folder, shown = home / KINDS[kind].folder, brief(name, 60)
    if folder.is_symlink() and not folder.resolve().is_relative_to(home.resolve()):
        message = f"{brief(name, 60)} lies outside the folder of Vitrine, in {folder.resolve()}."
        raise Unavailable(message, "Delete it there.")
    entry = _entry(home, kind, name, time.monotonic() + SECONDS)
    if entry is None:
        raise unknown(KINDS[kind].title.lower(), name, [other for other in names if other != name])
    if building := _reader(home, kind):
        message = f"{shown} may be in use: {building} is being built."
        raise Unavailable(message, "Wait for it, or stop it.")
    try:
        if KINDS[kind].built:
            _delete_built(entry.path)
        else:
            _delete(entry.path)
    except Held as held:
        raise Unavailable(f"{shown} is being built by {held}.", "Wait for it, or stop it.") from None
    except OSError as error:
        reason = error.strerror or "the system refuses"
        raise Unavailable(f"{shown} cannot be deleted ({reason}).", "Check the permissions of its folder.") from None
    return entry


def totals(entries: Sequence[Entry]) -> dict[str, tuple[int, int, bool]]:
    """The number of entries of each kind that has any, their bytes, and whether all of these were counted."""
    found: dict[str, tuple[int, int, bool]] = {}
    for entry in entries:
        count, size, complete = found.get(entry.kind, (0, 0, True))
        found[entry.kind] = count + 1, size + entry.bytes, complete and entry.complete
    return found


def _names(home: Path, kind: str) -> Iterator[str]:
    """The names of what is stored of a kind, each once."""
    place = KINDS[kind]
    if kind == "download":
        yield from recorded(home)
        return
    if kind == "cache":
        yield from (name for name in _CACHES if os.path.lexists(home / name))
        return
    names: dict[str, None] = {}
    try:
        with os.scandir(home / place.folder) as found:
            for one in found:
                if place.built and (name := _drafted(one.name)):
                    names[name] = None
                elif one.name.startswith("."):
                    if one.name.endswith(_DELETED):
                        names[one.name] = None
                elif not (kind == "review" and one.name.endswith(_BESIDE)):
                    names[one.name] = None
    except OSError:  # there is none, or it cannot be read
        pass
    yield from names


def _drafted(name: str) -> str:
    """The name of the result whose unfinished build is in a hidden folder of this name; "" for another folder."""
    return name[1 : -len(".draft")] if name.startswith(".") and name.endswith(".draft") else ""


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


def _entry(home: Path, kind: str, name: str, until: float) -> Entry | None:
    """What is stored under a name; None if it has vanished."""
    path = recorded(home).get(name) if kind == "download" else home / KINDS[kind].folder / name
    if path is None:
        return None
    parts = [path]
    if KINDS[kind].built:
        parts.append(_draft(path))
    elif kind == "review":
        parts += [path.with_name(f"{name}{ending}") for ending in _BESIDE]
    facts = {part: one for part in parts if (one := _facts(part))}
    if not facts:
        return None
    sizes = [_size(part, until) for part in facts]
    changed = max(one.st_mtime for one in facts.values())
    of, model = _about(kind, path) if time.monotonic() < until else ("", "")
    return Entry(
        kind, name, path, sum(size for size, _ in sizes), all(whole for _, whole in sizes), changed,
        _state(kind, path), of, model,
    )  # fmt: skip


def _about(kind: str, path: Path) -> tuple[str, str]:
    """The images and the model that a result is of, as far as it says so in a file that can be read."""
    if kind == "review":
        return _reviewed(path), ""
    if KINDS[kind].built and kind != "archive":  # whose files are anybody's
        for file in sorted(path.glob("*.json")):
            with suppress(OSError, ValueError, LookupError, TypeError):
                content = read_json(file, limit("manifest"))
                return str(content["data"]["folder"]), str(content["model"]["name"])
    return "", ""


def _reviewed(path: Path) -> str:
    """The folder or study of a review; its cases where an earlier version has not stored that."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"  # which leaves the files beside it alone
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as review:
        with suppress(sqlite3.OperationalError):  # no such table
            if named := review.execute("SELECT name FROM source").fetchone():
                return str(named[0])
        count, first = review.execute("SELECT count(*), min(image) FROM cases").fetchone()
        return f"{count:,} cases, such as {first}" if count > 1 else first or ""
    return ""


def _state(kind: str, path: Path) -> State:
    """The state of what is stored at a path, of which at least a draft exists."""
    drafts = [_draft(path)] if KINDS[kind].built else path.glob("*/.*.draft") if kind == "visitor" else ()
    if path.is_symlink():
        return "link"
    if any(map(is_locked, drafts)):
        return "building"
    if not path.exists() or path.name.endswith(_DELETED):
        return "unfinished"
    return "unreadable" if path.is_dir() and not os.access(path, os.R_OK | os.X_OK) else ""


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _size(path: Path, until: float) -> tuple[int, bool]:
    """The bytes of a file or of all files in a folder, and whether all were counted before the time was up."""
    total, complete, waiting = 0, True, [os.fspath(path)]
    while waiting:
        if time.monotonic() > until:
            return total, False
        top = waiting.pop()
        try:
            facts = os.lstat(top)
            if not stat.S_ISDIR(facts.st_mode):
                total += facts.st_size
                continue
            with os.scandir(top) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        waiting.append(one.path)
                    else:
                        total += one.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
        except OSError:
            complete = False
    return total, complete


def _reader(home: Path, kind: str) -> str:
    """The name of a running build that may read what is of this kind; "" if there is none."""
    if kind not in ("archive", "flowers", "weights", "visitor"):
        return ""
    pattern = "visitors/*/*/.*.draft" if kind == "visitor" else "*/.*.draft"
    drafts = [*home.glob(pattern), *(home.glob("visitors/*/*/.*.draft") if kind in ("archive", "flowers") else ())]
    return next((brief(_drafted(draft.name), 60) for draft in drafts if is_locked(draft)), "")


def _delete_built(path: Path) -> None:
    """Delete a finished result and what is left of its build. Raises Held and OSError."""
    draft = _draft(path)
    if draft.is_symlink():  # none of ours
        draft.unlink()
    with lock_of(draft):
        if os.path.lexists(path):
            _delete(path)
        clear(draft)


def _delete(path: Path) -> None:
    """Delete a file, a link or a folder, which disappears at once, even if deleting its content takes long or fails."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        for ending in _BESIDE:
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        return
    away = path.with_name(f".{uuid.uuid4().hex}{_DELETED}")
    path.rename(away)
    try:
        shutil.rmtree(away)
    except OSError:  # what is left is listed under its name again
        with suppress(OSError):
            away.rename(path)
        raise
