"""A whole folder by Grad-CAM against a bare forward, and backward down to the layer, of the same images in one run."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Photo
from torchvision.models import resnet50

from core.images import picture_file
from core.models import Model, as_model
from core.network.hooks import capture
from core.progress import silent
from core.stored_maps.run import Image, explain_folder
from core.stored_maps.settings import Settings, read_settings, settings_of
from core.workbench import Workbench
from tests import nets

pytestmark = pytest.mark.bench

COUNT, ROUNDS = 96, 3  # images: the trial before the first batch costs two passes


def prepared(model: Model, folder: Path, count: int) -> tuple[list[Image], Settings]:
    """Photos in a folder, and the settings of their maps by Grad-CAM."""
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Photo.fromarray(pixels).resize((500, 375)).save(path)
    images = [Image(lambda path=path: picture_file(path), path.name, None) for path in paths]
    settings = settings_of(
        model, {"grad_cam": {}}, ["predicted"], [], seed=0, page=1, window=None, true=None,
        images=[(image.path, None) for image in images], source=folder,
    )  # fmt: skip
    return images, settings


def test_a_folder_is_explained_nearly_as_fast_as_bare_passes(tmp_path: Path) -> None:
    model = as_model("resnet50", nets.seeded(lambda: resnet50(weights=None)))
    bench = Workbench(model)
    images, settings = prepared(model, tmp_path, COUNT)
    (tmp_path / "first").mkdir()
    explain_folder(bench, images, settings, tmp_path / "first", silent)  # measures the batch size
    size = read_settings(tmp_path / "first").batch
    batch = torch.cat([bench.inputs(image.read()) for image in images]).contiguous(memory_format=model.order)
    net, ours, bare = nets.as_published(model.net), [], []
    for number in range(ROUNDS):
        bench.cache.clear()
        out = tmp_path / f"out{number}"
        out.mkdir()
        start = time.perf_counter()
        explain_folder(bench, images, settings, out, silent)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        with capture(net, "layer4", edit={"layer4": lambda output: output.detach().requires_grad_()}) as outputs:
            for part in batch.split(size):
                torch.autograd.grad(net(part).amax(1).sum(), outputs["layer4"])
        bare.append(time.perf_counter() - start)
    ratio = min(bare) / min(ours)
    print(f"throughput {ratio:.2f} × bare passes: {COUNT / min(ours):.1f} images/s, {COUNT / min(bare):.1f}")
    assert ratio >= 0.9
