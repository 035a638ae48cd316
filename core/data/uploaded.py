"""Images among uploaded files, alone or in zip archives, within limits; what is left out is counted."""

from collections.abc import Iterable, Iterator

from core.data.archive import members
from core.data.listing import LeftOut
from core.errors import VitrineError
from core.images.formats import HEAD, other, readable

MOST = 200  # images at a time


def images_of(files: Iterable[tuple[str, bytes]], left_out: LeftOut, room: int) -> Iterator[tuple[str, bytes]]:
    """The images among files by name and content; those in an archive after each other, only as many as fit.

    Other files in archives are left out, as are images above MOST or of more than `room` bytes in all. A file that is
    no archive is returned whatever it is: decoding it says what is wrong.
    """
    count = used = 0
    for name, data in _unpacked(files, left_out):
        if count >= MOST:
            left_out.add(f"images above {MOST} at a time", name)
        elif count and used + len(data) > room:
            left_out.add(f"images for which {room / 1e6:,.0f} MB have no room", name)
        else:
            count, used = count + 1, used + len(data)
            yield name, data


def _unpacked(files: Iterable[tuple[str, bytes]], left_out: LeftOut) -> Iterator[tuple[str, bytes]]:
    for name, data in files:
        if not data.startswith((b"PK\3\4", b"PK\5\6")):
            yield name, data
            continue
        try:
            for path, content in members(data, name, left_out):
                if readable(content[:HEAD], path):
                    yield path, content
                else:
                    many = other(content[:HEAD], path)[1]
                    left_out.add(f"{many}, which are not read" if many else "files that are no images", path)
        except VitrineError as error:
            left_out.add(str(error).rstrip("."))
