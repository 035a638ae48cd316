"""One writer at a time for a store, and errors of the disk as sentences."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import StudyError


@contextmanager
def locked(folder: Path, path: Path) -> Iterator[None]:
    """Hold the draft in `folder` of the study at `path`; StudyError where somebody else does.

    The lock is the system's, so it ends with the process that holds it, however that ends.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context((folder / "lock").open("a+"))
            except FileNotFoundError:  # the last writer just cleared the folder away
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                message = f"The study {path.name} is being built by {holder}."
                raise StudyError(message, "Wait for it, stop it, or choose another name.") from None
            if not _is_at(file, folder / "lock"):
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()}")
            file.flush()
            yield
            return


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The disk's complaints about the study at `path` as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            message = f"The disk is full: the study {path.name} could not be written."
            raise StudyError(message, "Free some space and build again to resume.") from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise StudyError(f"{path.parent} cannot be written ({error.strerror}).", "Choose another folder.") from None
        if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EBUSY, errno.ELOOP}:
            raise StudyError(f"{path} cannot be a study ({error.strerror}).", "Choose another name.") from None
        raise


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file written aside and renamed when it is complete and on the disk."""
    aside = path.with_name(f"{path.name}.part")
    with aside.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)


def settle(folder: Path) -> None:
    """Have the disk know the names in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
