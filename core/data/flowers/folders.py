"""Folders of flowers in the user's own folder, drawn when they are needed first."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.data.flowers import write
from core.errors import Unavailable
from core.progress import Report, silent


def drawn_once(folder: Path, variant: str, *, report: Report = silent, **settings: Any) -> Path:
    """The folder, drawn by `write` with these settings unless it is there; several processes may ask for it at a time.

    Raises Unavailable if it cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            whole = Path(temporary) / "flowers"
            write(variant, whole, report=report, **settings)
            whole.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            message = f"{folder} cannot be written ({error.strerror})."
            raise Unavailable(message, "Choose another folder with VITRINE_HOME.") from None
    return folder
