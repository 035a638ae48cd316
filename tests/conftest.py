"""What all tests share: small pictures, and the rule for tests that need a browser."""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:  # before anything loads torch: as many threads in all as one process has
    os.environ.setdefault("OMP_NUM_THREADS", "1")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take whole files, so that a file sets up what its tests share once; one takes all browser tests.

    Those come first: they take the longest, and two browsers at once would only wait for each other.
    """
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    for item in items:
        group = "browser" if item.get_closest_marker("e2e") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("e2e") and not CHROMIUM:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI must run the browser tests", pytrace=False)
        pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that a test keeps lands in the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


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
