"""A session that looks at many images holds what its budget allows, and no more with every one."""

import gc
import io
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.workbench import Request, Workbench

pytestmark = pytest.mark.slow
IMAGES, WARM = 300, 100
ASKS = [
    Request(name, target) for target in range(5) for name in ("grad_cam", "saliency")
]  # 640 kB of maps for each image


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def visited() -> list[int]:
    """Look at all images in one session; bytes in memory after each."""
    from core.comparison import Comparison, about
    from core.models import load
    from core.models.sources import flower_networks
    from pages.ui.session.state import Session

    model = load(flower_networks.cards()[0]["name"])
    session, sizes = Session(), []
    for index in range(IMAGES):
        stream = io.BytesIO()
        noise = np.random.default_rng(index).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(noise).save(stream, "PNG")
        picture = session.add(stream.getvalue(), f"{index}.png")
        bench = Workbench(model, session.cache)
        session.comparison = Comparison(bench, about(picture, ASKS))
        session.comparison.start(session.comparison.open())
        assert session.comparison.job
        assert session.comparison.job.wait(60)
        assert len(session.comparison.answered()) == len(ASKS)
        assert session.cache.used <= session.cache.budget
        assert session.files.used <= session.files.budget
        sizes.append(resident())
    gc.collect()
    assert len(session.uploads()) < IMAGES
    session.close()
    assert session.cache.used == session.files.used == len(session.uploads()) == 0
    return sizes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_300_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_CACHE_MB", "32")
    # What other tests left in this process would be given back, or grow, meanwhile.
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        sizes = alone.submit(visited).result()
    growth = np.mean(sizes[-50:]) - np.mean(sizes[WARM : WARM + 50])
    print("resident, MB:", *(size >> 20 for size in sizes[::50]))
    print(f"resident: {sizes[0] >> 20} MB at first, {sizes[WARM] >> 20} MB warm, {sizes[-1] >> 20} MB at last")
    assert growth < 32 << 20  # the maps alone would be 96 MB
