"""Zip archives of images, unpacked once into the user's folder, within limits."""

import io
import os
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from core.data.listing import LeftOut
from core.data.unpacked_folders import draft_beside, make_room, touch
from core.environment import home, limit
from core.errors import Unavailable
from core.files import file_sha256, regular_file
from core.images import shown
from core.progress import Report, chunks, silent, subrange
from core.store.locking import clear, lock_of

MEMBERS = 200_000
UNPACKED = 20_000_000_000  # bytes, of all members
RATIO = 200  # of the unpacked to the packed size, above _FREE
_FREE = 100_000_000  # bytes that may be unpacked whatever the ratio
_DIRECTORY = 60_000_000  # bytes of the list of members
_BLOCK = 1 << 20
UNUSABLE = "members of the archive: links, hidden, encrypted or too large files"
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def unpacked(path: Path, report: Report = silent) -> tuple[Path, int]:
    """The folder with the files of a zip archive, and how many of its members were left out.

    It is unpacked once, by its content, and stays until `core.data.unpacked_folders` removes it. Links, paths that lead
    out of it, encrypted files and files over the limit of an image are left out. Raises Unavailable for an
    archive that is damaged or exceeds the limits.
    """
    name = shown(path.name)
    try:
        target = home() / "unpacked" / file_sha256(path, subrange(report, 0.0, 0.3), f"reading {name}")[:16]
        if not touch(target):
            _write(path, target, subrange(report, 0.3, 1.0))
            make_room(target.parent, keep=target)
        return target, _count(path) - sum(len(files) for _, _, files in os.walk(target))
    except (zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, UnicodeError) as error:
        raise Unavailable(f"{name} is damaged: {str(error)[:100]}.", "Pack it again, or unpack it yourself.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:100]
        raise Unavailable(f"{name} cannot be unpacked: {reason}.", "Unpack it yourself and name the folder.") from None


def _count(path: Path) -> int:
    with _opened(path) as archive:
        return sum(not member.is_dir() for member in archive.infolist())


def _write(path: Path, target: Path, report: Report) -> None:
    """Write the files to `target`, which appears complete or not at all."""
    draft = draft_beside(target)
    content = draft / "content"
    with lock_of(draft):
        try:
            with _opened(path) as archive:
                members = list(_usable(archive.infolist()))
                for span in chunks(len(members), 1, report, f"unpacking {shown(path.name)}"):
                    _extract(archive, *members[span.start], content)
            content.mkdir(exist_ok=True)
            try:
                content.rename(target)
            except OSError:  # another process was faster
                if not target.is_dir():
                    raise
        finally:
            with suppress(OSError):
                clear(draft)


def members(data: bytes, name: str, left_out: LeftOut) -> Iterator[tuple[str, bytes]]:
    """The path and content of each file of a zip archive in memory, one at a time; `left_out` counts the others.

    Raises Unavailable as `unpacked` does.
    """
    short = shown(name)
    try:
        _check_directory(io.BytesIO(data))
        with _within_limits(zipfile.ZipFile(io.BytesIO(data)), len(data), short) as archive:
            files = [member for member in archive.infolist() if not member.is_dir()]
            usable = list(_usable(files))
            if len(usable) < len(files):
                left_out.add(UNUSABLE, count=len(files) - len(usable))
            for member, path in usable:
                with archive.open(member) as source:
                    yield str(path), source.read(member.file_size)
    except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, UnicodeError) as error:
        message = f"{short} is damaged: {str(error)[:100]}."
        raise Unavailable(message, "Pack it again, or choose the images in it.") from None


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive at a path, within the limits; its list of members is checked before it is read."""
    with regular_file(path, sys.maxsize) as file:
        _check_directory(file)
        size = file.seek(0, os.SEEK_END)
    return _within_limits(zipfile.ZipFile(path), size, shown(path.name))


def _within_limits(archive: zipfile.ZipFile, size: int, name: str) -> zipfile.ZipFile:
    """The archive. Raises Unavailable if it claims more files or bytes than an archive of this size may hold."""
    listed = archive.infolist()
    total, packed = sum(one.file_size for one in listed), sum(one.compress_size for one in listed)
    if len(listed) > MEMBERS or total > UNPACKED or (total > _FREE and total > RATIO * min(packed, size)):
        archive.close()
        message = f"{name} claims {len(listed):,} files of {total / 1e6:,.0f} MB in {size / 1e6:,.1f} MB."
        limits = f"{MEMBERS:,} files of {UNPACKED / 1e9:.0f} GB, {RATIO} times its size"
        raise Unavailable(message, f"The limit is {limits}: unpack it yourself and name the folder.")
    return archive


def _check_directory(file: IO[bytes]) -> None:
    """Raise BadZipFile if the list of members is missing or too long to be read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_600))
    tail = file.read(65_600)
    end = tail.rfind(b"PK\5\6")
    if end < 0:
        raise zipfile.BadZipFile("its end is missing")
    if struct.unpack_from("<I", tail, end + 12)[0] > _DIRECTORY and b"PK\6\7" not in tail:
        raise zipfile.BadZipFile("its list of files is too long")
    if size > _DIRECTORY and b"PK\6\6" in tail:
        listing = struct.unpack_from("<Q", tail, tail.rfind(b"PK\6\6") + 40)[0]
        if listing > _DIRECTORY:
            raise zipfile.BadZipFile("its list of files is too long")


def _usable(members: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The members that are unpacked, with their paths."""
    most = limit("image")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        link = stat.S_ISLNK(member.external_attr >> 16)
        strange = path.is_absolute() or any(part in {"..", "__MACOSX"} or part[:1] == "." for part in path.parts)
        if member.is_dir() or link or strange or ":" in member.filename or not path.parts:
            continue
        if member.file_size <= most and not member.flag_bits & 1 and member.compress_type in _PACKED:
            yield member, path


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: PurePosixPath, draft: Path) -> None:
    """Write one member; one whose name the system refuses, or that another one replaced by a folder, is left out."""
    target = draft / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        output = target.open("xb")
    except (FileExistsError, NotADirectoryError, ValueError):
        return
    except OSError as error:
        if error.errno in {36, 22, 92, 84}:  # a name that is too long or invalid
            return
        raise
    with output, archive.open(member) as source:
        shutil.copyfileobj(source, output, _BLOCK)
