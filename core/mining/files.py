"""Image files as a study meets them: a picture, or a sentence that says why it is none."""

from pathlib import Path

from core.errors import BadImage
from core.images import Picture, decode


def opened(root: Path, path: str) -> Picture:
    """The picture in a file under `root`; BadImage for what is none, and for what the system does not hand out."""
    try:
        return decode((root / path).read_bytes(), path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}).", "Check the file.") from None
