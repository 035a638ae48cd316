"""Unfinished builds of stores: their settings and progress, so that they can be continued or deleted."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from core.environment import limit
from core.errors import VitrineError
from core.files import atomic_write, read_json
from core.serialization import dump
from core.store.locking import is_locked
from core.store.writer import Draft

C = TypeVar("C")  # the settings of a build

_REQUEST = "request.json"


@dataclass(frozen=True)
class Unfinished(Generic[C]):
    """A build that was stopped or interrupted, or that a process is working on."""

    path: Path  # of the store once it is finished
    config: C | None  # None if it cannot be read, as of an earlier version
    images: int
    fraction: float  # of the images that need no further passes
    running: bool


def note(draft: Draft, config: object, images: int, shards: int) -> None:
    """Note in a draft what is being built, for `unfinished`."""
    with atomic_write(draft.folder / _REQUEST) as file:
        file.write(json.dumps({"config": dump(config), "images": images, "shards": shards}).encode())


def unfinished(folder: Path, read: Callable[[Any], C]) -> list[Unfinished[C]]:
    """The unfinished builds directly inside a folder, by name; `read` gives the settings of what is stored of them."""
    return sorted(_found(folder, read), key=lambda one: one.path.name)


def _found(folder: Path, read: Callable[[Any], C]) -> Iterator[Unfinished[C]]:
    for draft in folder.glob(".*.draft"):
        if (draft / "identity.json").is_file():
            path = folder / draft.name.removeprefix(".").removesuffix(".draft")
            config, images, shards = _request(draft / _REQUEST, read)
            done = sum(part.is_dir() for part in draft.glob("[0-9]" * 6))
            yield Unfinished(path, config, images, min(done / shards, 1.0) if shards else 0.0, is_locked(draft))


def _request(file: Path, read: Callable[[Any], C]) -> tuple[C | None, int, int]:
    """The settings, number of images and number of shards of a draft; nothing if they cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, VitrineError):
        content = read_json(file, limit("manifest"))
        images, shards = content["images"], content["shards"]
        if type(images) is int and type(shards) is int and images >= 0 and shards > 0:
            return read(content["config"]), images, shards
    return None, 0, 0
