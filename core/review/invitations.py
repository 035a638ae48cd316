"""Invitations to a review: whoever has the word of one may read its predictions and judge its cases."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.environment import home
from core.errors import Unavailable, VitrineError
from core.files import atomic_write, read_json
from core.serialization import digest, dump, load

MOST = 50  # invitations that one user may have given
_BYTES = 100_000  # of the file of one
_ABOUT = 12  # characters of a word that stand for its review


@dataclass(frozen=True)
class Invitation:
    """What one gives the right to: the review of a study, or of a folder by a model."""

    home: str  # the folder with the predictions and reviews of who invites
    study: str = ""  # its folder
    folder: str = ""  # of images, without a study
    model: str = ""  # the name of the model, without a study


def invite(invitation: Invitation) -> str:
    """Store an invitation and return its word, of which only a hash is kept.

    Raises Unavailable if its user has given too many, or if it cannot be stored.
    """
    if sum(one.home == invitation.home for one in _all()) >= MOST:
        raise Unavailable(f"You have given {MOST} invitations.", "Withdraw those of a review first.")
    word = _about(invitation) + secrets.token_urlsafe(15)
    try:
        _folder().mkdir(parents=True, exist_ok=True)
        with atomic_write(_file(word)) as file:
            file.write(json.dumps(dump(invitation)).encode())
    except OSError as error:
        raise Unavailable(f"The invitation cannot be stored: {error.strerror}.", "Make room, or try later.") from None
    return word


def invited(word: str) -> Invitation:
    """The invitation of a word. Raises Unavailable for one that was never given or is withdrawn."""
    if not re.fullmatch(r"[\w-]{32}", word, re.ASCII):
        raise _unknown()
    found = _read(_file(word))
    if found is None:
        raise _unknown()
    return found


def given(invitation: Invitation) -> int:
    """How many invitations to the same review stand; reads these alone."""
    return len(_same(invitation))


def withdraw(invitation: Invitation) -> None:
    """End all invitations to the same review."""
    for file in _same(invitation):
        file.unlink(missing_ok=True)


def _unknown() -> Unavailable:
    return Unavailable("This invitation does not hold, or no longer.", "Ask whoever invited you for a new link.")


def _folder() -> Path:
    return home() / "invitations"


def _about(invitation: Invitation) -> str:
    """The review of an invitation as a hash, with which its word and the name of its file begin."""
    return digest(dump(invitation))[:_ABOUT]


def _file(word: str) -> Path:
    return _folder() / f"{word[:_ABOUT]}-{hashlib.sha256(word.encode()).hexdigest()[:32]}.json"


def _same(invitation: Invitation) -> list[Path]:
    """The files of all invitations to the same review."""
    return [file for file in _folder().glob(f"{_about(invitation)}-*.json") if _read(file) == invitation]


def _all() -> Iterator[Invitation]:
    for file in sorted(_folder().glob("*.json")):
        if found := _read(file):
            yield found


def _read(file: Path) -> Invitation | None:
    """The invitation in a file; None without one."""
    try:
        return load(Invitation, read_json(file, _BYTES))
    except (OSError, ValueError, VitrineError):
        return None
