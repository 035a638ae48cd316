"""The app's server as tests run it: the real one, which also counts what it holds and does when asked to.

SIGUSR1 makes it write a census to the file named by VITRINE_CENSUS: the desks alive, what their caches hold, the
uploaded files that Streamlit keeps, the images pushed through models since the start, and the jobs that run.
"""

import asyncio
import ctypes
import gc
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
pushed = 0


def census(*_: object) -> None:
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

    from core.jobs import Job
    from pages.ui.session.state import Session

    gc.collect()
    desks = [thing for thing in gc.get_objects() if isinstance(thing, Session)]
    facts = {
        "desks": len(desks),
        "bytes": sum(session.cache.used + session.files.used for session in desks),
        "budget": sum(session.cache.budget + session.files.budget for session in desks),
        "pushed": pushed,
        "jobs": sum(isinstance(thing, Job) and thing.running for thing in gc.get_objects()),
    }
    kept = [thing for thing in gc.get_objects() if isinstance(thing, MemoryUploadedFileManager)]
    facts["files"] = sum(len(files) for manager in kept for files in manager.file_storage.values())
    target = Path(os.environ["VITRINE_CENSUS"])
    target.with_suffix(".part").write_text(json.dumps(facts))
    target.with_suffix(".part").rename(target)


def counted() -> None:
    """Count every image that goes through a model, whoever sends it."""
    from torch import nn

    def count(module: nn.Module, inputs: tuple) -> None:
        global pushed  # noqa: PLW0603 - the one number this process keeps
        if getattr(module, "_outermost", False):
            pushed += len(inputs[0])

    import core.models.model as models

    nn.modules.module.register_module_forward_pre_hook(count)
    finished = models.as_model

    def as_model(name: str, net: nn.Module, **more: object):
        net._outermost = True
        return finished(name, net, **more)

    models.as_model = as_model
    import core.models
    from core.models.sources import efficientnet_lite

    core.models.as_model = efficientnet_lite.as_model = as_model


def late(milliseconds: int) -> None:
    """Send every message so much later: to find tests that rely on speed."""
    from streamlit.runtime.session_manager import SessionClientDisconnectedError
    from streamlit.web.server.starlette.starlette_websocket import StarletteSessionClient

    at_once = StarletteSessionClient.write_forward_msg

    def send(*what: object) -> None:
        with suppress(SessionClientDisconnectedError):
            at_once(*what)

    def later(*what: object) -> None:
        asyncio.get_running_loop().call_later(milliseconds / 1000, send, *what)

    StarletteSessionClient.write_forward_msg = later


def rarely(milliseconds: int) -> None:
    """Send messages in batches so far apart: parts of a page may then run again before they were sent."""
    from streamlit.runtime import runtime

    runtime.MESSAGE_FLUSH_INTERVAL_SECS = milliseconds / 1000


class HeldImport(importlib.abc.MetaPathFinder):
    """Holds the import of the engine up as long as a file exists."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def find_spec(self, name: str, *where: Any) -> Any:
        if name != "core.workbench":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, *where)
        run = spec.loader.exec_module

        def later(module: Any) -> None:
            while self.file.exists():
                time.sleep(0.05)
            run(module)

        spec.loader.exec_module = later  # not here: all other imports wait for the search
        return spec


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the tests, however they end
    sys.path.insert(0, str(ROOT))
    counted()
    signal.signal(signal.SIGUSR1, census)
    from streamlit.web.cli import main as streamlit

    if milliseconds := int(os.environ.get("VITRINE_TEST_LATE", "0")):
        late(milliseconds)
    if milliseconds := int(os.environ.get("VITRINE_TEST_BATCH", "0")):
        rarely(milliseconds)
    if file := os.environ.get("VITRINE_TEST_IMPORT", ""):
        sys.meta_path.insert(0, HeldImport(Path(file)))
    # Port 0: the system chooses a free one, which stands in the address that the server prints.
    sys.argv = ["streamlit", "run", sys.argv[1], "--server.headless=true", "--server.port=0"]
    streamlit()


if __name__ == "__main__":
    main()
