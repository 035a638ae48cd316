"""Processes of their own for images whose cost cannot be counted beforehand, ended at a limit of time or memory."""

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, cast

from core.images import loading
from core.images.loading import Loaded

SECONDS = 18
MEMORY = 1_500_000_000  # bytes
_AT_ONCE = 2  # processes, whatever the number of sessions


class TooCostly(Exception):
    """An image that needs more than SECONDS or MEMORY."""

    def __str__(self) -> str:
        return f"more than {SECONDS} seconds or {MEMORY / 1e9:.1f} GB of memory"


class _Worker:
    """A process that loads one image after another."""

    def __init__(self) -> None:
        words = [sys.executable, "-P", loading.__file__, str(MEMORY)]
        environment = {
            **os.environ,
            "MALLOC_ARENA_MAX": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }  # arenas and threads reserve memory
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, env=environment, **pipes)  # type: ignore[call-overload]
        self.expired = False

    def load(self, data: bytes, kind: str, plain: bool, page: int) -> Loaded:
        """The result of `loading.load`. Raises TooCostly and what `load` raises; EOFError if the process has ended."""
        timer = threading.Timer(SECONDS, self._expire)
        timer.start()
        try:
            loading.send(cast(IO[bytes], self.process.stdin), {"kind": kind, "plain": plain, "page": page}, data)
            return loading.received(cast(IO[bytes], self.process.stdout))
        except (OSError, EOFError):
            if self.expired or self.process.wait() == -9:  # the system ends processes for their memory, too
                raise TooCostly from None
            raise EOFError from None
        except MemoryError:
            raise TooCostly from None
        finally:
            timer.cancel()

    @property
    def running(self) -> bool:
        """Whether the process can load another image."""
        return not self.expired and self.process.poll() is None

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                cast(IO[bytes], pipe).close()

    def _expire(self) -> None:
        self.expired = True
        self.process.kill()


class _Workers:
    """The processes of this process that wait for an image."""

    def __init__(self) -> None:
        self.slots = threading.BoundedSemaphore(_AT_ONCE)
        self.idle: list[_Worker] = []

    def load(self, data: bytes, kind: str, plain: bool, page: int) -> Loaded:
        with self.slots:
            try:
                worker = self.idle.pop()
            except IndexError:
                worker = _Worker()
            try:
                return worker.load(data, kind, plain, page)
            finally:
                if worker.running:
                    self.idle.append(worker)
                else:
                    worker.close()

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()


_workers = _Workers()
atexit.register(_workers.close)


def load_apart(data: bytes, kind: str, *, plain: bool = False, page: int = 1) -> Loaded:
    """The result of `loading.load`, computed in another process. Raises TooCostly, and what `load` raises."""
    return _workers.load(data, kind, plain, page)


def _forked() -> None:
    """Start with processes of its own in a fork: the pipes of those of its parent would carry the images of both."""
    global _workers  # noqa: PLW0603 - locks cannot be reset
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
