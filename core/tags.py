"""Words a user pins to the patches of a study: stored in the user's own database, never in the study."""

import json
import os
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from core.errors import Unavailable

TAGS = ("interesting", "artefact", "wrong label")  # offered; any other word may be used
_LOCK = threading.Lock()


class Tags:
    """The tags of one study, by patch; sessions that tag at the same time do not lose each other's words."""

    def __init__(self, folder: Path, study: str) -> None:
        self.file = folder / f"{study[:16]}.json"

    def all(self) -> dict[int, tuple[str, ...]]:
        """The tags of every patch that has any."""
        try:
            kept = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise Unavailable(f"The tags in {self.file} cannot be read.", "Repair or delete that file.") from None
        return {int(patch): tuple(tags) for patch, tags in kept.items()}

    def patches(self, tag: str) -> tuple[int, ...]:
        """The patches with this tag, ascending."""
        return tuple(sorted(patch for patch, tags in self.all().items() if tag in tags))

    def change(self, patches: Iterable[int], tag: str, on: bool) -> None:
        """Pin a tag to these patches, or take it off. Raises Unavailable where the folder cannot be written."""
        with _LOCK:
            kept = self.all()
            for patch in patches:
                rest = [word for word in kept.get(patch, ()) if word != tag]
                kept[patch] = tuple(sorted([*rest, tag] if on else rest))
            self._write({patch: tags for patch, tags in sorted(kept.items()) if tags})

    def _write(self, kept: dict[int, tuple[str, ...]]) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=self.file.parent, suffix=".part")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=0)
            Path(aside).replace(self.file)
        except OSError as error:
            message = f"Tags cannot be stored in {self.file.parent}: {error.strerror}."
            raise Unavailable(message, "Make that folder writable, or point VITRINE_HOME elsewhere.") from None
