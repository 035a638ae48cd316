"""Download of weights files: checked, and renamed only when complete."""

import hashlib
import re
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO

from core.environment import home
from core.errors import Unavailable, VitrineError
from core.files import atomic_write
from core.progress import Report, silent
from core.store.downloads import record

_CHUNK = 1 << 18


def fetch(url: str, folder: Path, report: Report = silent) -> Path:
    """The file of `url` in `folder`, downloaded if it is not there.

    It gets its name only when it is complete and its sha256 begins with the digits in that name
    (`name-12345678.pth`); a cancelled or failed download leaves nothing. Raises Unavailable without a connection.
    """
    path = folder / url.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            digest = _copied(url, file, report)
            promised = re.search(r"-([0-9a-f]{8,})\.", path.name)
            if promised and not digest.startswith(promised[1]):
                raise Unavailable(f"{path.name} is damaged: its sha256 is not the published one.", "Try again.")
        with suppress(VitrineError):  # no home folder
            record(home(), path)
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        reason = getattr(cause, "strerror", None) or cause
        hint = f"Connect this machine to the internet, or save {url} in {path.parent}."
        raise Unavailable(f"{path.name} could not be downloaded ({reason}).", hint) from None
    return path


def _copied(url: str, file: IO[bytes], report: Report) -> str:
    """Download `url` into a file, reporting megabytes; returns its sha256."""
    digest, done = hashlib.sha256(), 0
    report(0.0, "connecting")
    with urllib.request.urlopen(url, timeout=20) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while piece := response.read(_CHUNK):
            file.write(piece)
            digest.update(piece)
            done += len(piece)
            size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
            report(min(1.0, done / total) if total else 0.5, f"downloading weights, {size}")
    if done < total:
        raise OSError("the connection was interrupted")
    return digest.hexdigest()
