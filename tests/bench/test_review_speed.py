"""What predictions cost beside reading and passes, what an edited box costs, and how fast a long queue answers."""

import io
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from core.data import flowers
from core.edits.edit import Box
from core.edits.what_if import prepare, what_if
from core.images import decode
from core.models import load
from core.review.predictions import predictions
from core.review.source import folder_source
from core.workbench import Workbench
from tests import nets
from tests.bench.measuring import peak_memory, seconds
from tests.e2e.conftest import browser, server, tab, tabs  # noqa: F401 - fixtures

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]
ROOT = Path(__file__).resolve().parents[2]
MODEL = "flowers-single-6c"


def copies(folder: Path, times: int) -> Path:
    """480 flowers, and links to them under other names, in folders of their classes."""
    flowers.write("single-6c", folder / "drawn", per_class=80, seed=1)
    for file in sorted((folder / "drawn" / "images").rglob("*.png")):
        for copy in range(times):
            target = folder / "images" / file.parent.name / f"{copy}-{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, target)
    return folder / "images"


@pytest.fixture(scope="module")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,280 images; in two of six folders they are mostly of other classes."""
    folder = copies(tmp_path_factory.mktemp("thousands"), 11)
    red, blue = sorted(folder.iterdir())[:2]
    for first, second in ((red, folder / "first"), (blue, red), (folder / "first", blue)):
        first.rename(second)
    return folder


def test_predictions_cost_little_more_than_their_passes_or_reading(tmp_path: Path) -> None:
    model = load(MODEL)
    source = folder_source(copies(tmp_path, 2), model.labels)
    files = [source.root / path for path in source.paths]

    def reading() -> list[torch.Tensor]:
        tensors = []
        for file in files:
            with Image.open(file) as image:
                tensors.append(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255)
        return tensors

    inputs, net = torch.stack(reading()), nets.as_published(model.net)

    def passes(size: int) -> None:
        with torch.no_grad():
            for batch in inputs.split(size):
                net(batch)

    ratios = []
    for number in range(5):
        bare = max(seconds(reading), min(seconds(lambda size=size: passes(size)) for size in (8, 16, 64)))
        took = seconds(lambda number=number: predictions(source, model, folder=tmp_path / f"predictions-{number}"))
        ratios.append(took / bare)
    print(
        f"\npredictions of {len(source):,} images: {statistics.median(ratios):.2f} of the longer of passes and reading"
    )
    assert statistics.median(ratios) < 1.3


def test_memory_does_not_grow_with_the_images(thousands: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from core.models import load\n"
        "from core.review.predictions import predictions; from core.review.source import folder_source\n"
        f"model = load('{MODEL}'); source = folder_source(sys.argv[1], model.labels, limit=int(sys.argv[2]))\n"
        "predictions(source, model, folder=Path(sys.argv[3])); print(len(source))"
    )
    peaks = {}
    for count in (500, 5000):
        said, peaks[count] = peak_memory(code, thousands, count, tmp_path / str(count))
        assert int(said) == count
    print(f"\npeak memory {peaks[500]:.0f} MB for 500 images, {peaks[5000]:.0f} MB for 5,000")
    assert peaks[5000] < 1.1 * peaks[500]


def test_a_box_on_squeezenet_costs_less_than_a_pass() -> None:
    """From the edit to the classes, beside one bare pass of 224 pixels."""
    weights = ROOT.parent / "shared" / "data" / "models" / "squeezenet1_0.safetensors"
    if not weights.exists():
        pytest.skip("the shared weights are not beside this checkout")
    model = load(f"squeezenet1_0@{weights}")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    drawn = io.BytesIO()
    Image.fromarray(pixels).resize((224, 224)).save(drawn, "PNG")
    picture = decode(drawn.getvalue(), "drawn.png")
    bench = Workbench(model)
    inputs = bench.inputs(picture).contiguous(memory_format=model.order)
    prepare(bench, picture)
    net = nets.as_published(model.net)

    def bare() -> None:
        with torch.no_grad():
            net(inputs)

    ratios: dict[str, list[float]] = {"zero": [], "blur": []}
    for at in range(20):
        for fill, found in ratios.items():
            took = seconds(lambda at=at, fill=fill: what_if(bench, picture, [Box(60 + at, 60, 56, 56, fill)]))
            found.append(took / seconds(bare))
    for fill, found in ratios.items():
        told = f"{statistics.median(found):.2f} of a bare pass with {torch.get_num_threads()} threads"
        print(f"\na box edited by {fill} on SqueezeNet: {told}")
    assert statistics.median(ratios["zero"]) < 1


@pytest.mark.e2e
def test_the_next_case_of_a_long_queue(server: Any, tab: Any, thousands: Path) -> None:  # noqa: F811
    tab.open(f"{server.url}/failures?model={MODEL}&of=folder&folder={thousands}")
    tab.page.get_by_role("button", name="Predict").click()
    expect(tab.page.get_by_text("of 5,280 images are right")).to_be_visible(timeout=300_000)
    tab.settle()
    heads = {"Next": [], "Previous": []}
    whole: dict[str, list[float]] = {"Next": [], "Previous": []}
    at = 1
    for name, step in (("Next", 1), ("Previous", -1)):
        for _ in range(8):
            at += step
            start = time.perf_counter()
            tab.page.keyboard.press("j" if step > 0 else "k")
            expect(tab.page.get_by_text(f"case {at} of")).to_be_visible()
            heads[name].append(time.perf_counter() - start)
            tab.settle()
            whole[name].append(time.perf_counter() - start)
    for name, kind in (("Next", "new"), ("Previous", "cached")):
        print(
            f"\na {kind} case is on screen after {statistics.median(heads[name]):.2f} s, "
            f"with all its maps after {statistics.median(whole[name]):.2f} s"
        )
    assert statistics.median(heads["Previous"]) < 1
