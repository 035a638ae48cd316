"""Paths of a study's weights, labels and images: recorded when it is built, and found again after a move."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import StudyError
from core.params import absolute, expanded

_PARENTS = 6  # folders above a study in which a path of an earlier version is looked for


def recorded(paths: Mapping[str, str], study: Path) -> dict[str, list[str]]:
    """Each of these paths relative to the study's folder and absolute, for the log of its build."""
    return {name: _both(absolute(path), study) for name, path in paths.items() if path}


def remember(name: str, path: Path, study: Path, log: Mapping[str, Any]) -> None:
    """Write into a study's log that the weights ("model") or images ("data") are at this path now, before all others.

    Raises StudyError if the log cannot be written.
    """
    from core.store.writer import write_log  # loads NumPy and PyArrow

    paths = log.get("paths")
    known = dict(paths) if isinstance(paths, dict) else {}
    earlier = known.get(name)
    known[name] = list(dict.fromkeys([*_both(path, study), *(earlier if isinstance(earlier, list) else [])]))
    try:
        write_log(study, {**log, "paths": known})
    except OSError as error:
        message = f"The study {study.name} cannot be changed ({error.strerror})."
        raise StudyError(message, "Check the permissions of its folder.") from None


def candidates(name: str, typed: str, study: Path, log: Mapping[str, Any]) -> Iterator[Path]:
    """Where a path that was typed for a build may be now, most probable first; each once, also those that do not exist.

    A study that moved together with its data finds it beside itself, one that moved alone where it was. Logs of earlier
    versions do not say where a relative path was typed, so it is looked for around the study, too. The caller accepts
    what has the right content.
    """
    folder = Path(os.path.realpath(study))

    paths = log.get("paths")
    known = paths.get(name) if isinstance(paths, dict) else None
    places = [folder / one for one in known if isinstance(one, str)] if isinstance(known, list) else []
    path = expanded(typed)
    places += [above / path for above in [folder, *list(folder.parents)[:_PARENTS]]] if typed else []
    places += [path] if typed else []
    yield from dict.fromkeys(Path(os.path.normpath(one)) for one in places)


def _both(path: Path, study: Path) -> list[str]:
    try:
        return [Path(os.path.relpath(path, os.path.realpath(study))).as_posix(), path.as_posix()]
    except ValueError:  # another drive
        return [path.as_posix()]
