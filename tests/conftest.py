"""What all tests share: small pictures, and the rule for tests that need a browser."""

import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

if "PYTEST_XDIST_WORKER" in os.environ:  # before anything loads torch: as many threads in all as one process has
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


class OneBrowser(LoadScopeScheduling):
    """Whole files to each worker, so that what the tests of a file share is set up once, and all browser tests to one.

    Two browsers at once would only wait for each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "browser" if path.startswith("tests/e2e/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneBrowser:
    """Called by pytest-xdist."""
    return OneBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no worker is left alone with it at the end: the browser, long proofs."""

    def order(item: pytest.Item) -> tuple[bool, float, bool]:
        limit = item.get_closest_marker("timeout")
        return (
            item.get_closest_marker("e2e") is None,
            -(limit.args[0] if limit else 0),
            item.get_closest_marker("slow") is None,
        )

    items.sort(key=order)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("e2e") and not CHROMIUM:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI must run the browser tests", pytrace=False)
        pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test keeps lands in the user's own folder, and the machine decides on no precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("VITRINE_PRECISION", "full")  # what a test finds is the same on every machine
        yield


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """`import vitrine` gives this checkout, here and in other processes, whatever is installed."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "vitrine").symlink_to(ROOT / "core" / "door")  # as pyproject.toml maps it
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws without a generator of its own, networks' first weights included, never changes."""
    if torch := sys.modules.get("torch"):  # most tests of the command line do without
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    return CHROMIUM


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A PNG file of 48 × 40 pixels with a bright spot."""
    y, x = np.mgrid[:40, :48]
    spot = 200 * np.exp(-((y - 14) ** 2 + (x - 30) ** 2) / 60)
    stream = io.BytesIO()
    Image.fromarray(np.stack([spot + 40, spot, 255 - spot], 2).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photo_file(tmp_path: Path, photo: bytes) -> Path:
    """The photo as a file."""
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    return path
