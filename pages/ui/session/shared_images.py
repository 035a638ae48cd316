"""Uploaded images that their uploaders share, so that a link opens them in another session while the server runs."""

from functools import cache
from threading import Lock

from core.errors import TooLarge

LIMIT = 256 << 20  # bytes in all
TrueClass = tuple[str, int]  # the label of an image's true class, and its number in the model it was chosen from


class SharedImages:
    """Files by the hash of their content, which only those who have the link know; used by all sessions."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._files: dict[str, bytes] = {}
        self._owners: dict[str, dict[object, tuple[str, TrueClass | None]]] = {}  # what each calls it, the first first
        self._lock = Lock()

    def add(self, sha: str, data: bytes, name: str, owner: object, true: TrueClass | None = None) -> None:
        """Share a file, with its true class if known.

        Raises TooLarge if that would exceed the limit: links to other images must stay valid.
        """
        with self._lock:
            used = sum(map(len, self._files.values()))
            if sha not in self._files and used + len(data) > self.limit:
                raise TooLarge(
                    f"{name} cannot be shared: the images shared on this server would exceed {self.limit >> 20} MB.",
                    "Send the image along with the link instead.",
                )
            self._files[sha] = data
            self._owners.setdefault(sha, {})[owner] = (name, true)

    def withdraw(self, sha: str, owner: object) -> None:
        """No longer share a file, unless others share the same one."""
        with self._lock:
            owners = self._owners.get(sha, {})
            owners.pop(owner, None)
            if not owners:
                self._owners.pop(sha, None)
                self._files.pop(sha, None)

    def get(self, sha: str) -> tuple[bytes, str, TrueClass | None] | None:
        """The content of a shared file, and its name and true class as its first owner gave them."""
        with self._lock:
            owners = self._owners.get(sha)
            return (self._files[sha], *next(iter(owners.values()))) if owners else None

    def shared_by(self, owner: object) -> set[str]:
        """The hashes of the files that someone shares."""
        with self._lock:
            return {sha for sha, owners in self._owners.items() if owner in owners}


@cache
def shared_images() -> SharedImages:
    """The images shared on this server."""
    return SharedImages()
