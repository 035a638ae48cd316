"""What a build costs beside the model passes it needs, and that its memory does not grow with the images."""

import os
import shutil
import statistics

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision

from core.data import flowers
from core.explain import Query
from core.explain.execution import Execution
from core.images import Preprocess, decode
from core.mining.patches import Candidates, relevant
from core.mining.transactions import responses
from core.models import load
from core.models.model import as_model
from core.models.sources.flower_networks import architecture
from core.network.incremental import spared
from core.study.build import build_study, planned
from core.study.config import PatchConfig, StudyConfig
from core.study.plan import SPARED, WORTH
from tests import nets
from tests.bench.measuring import ROOT, peak_memory, processor_seconds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("which", ["flowers", "squeezenet1_0"])
def test_build_costs_little_more_than_its_passes(tmp_path, one_thread, which):
    if which == "flowers":
        name, data = "flowers-double-12c", tmp_path / "data"
        flowers.write("double-12c", data, per_class=40, seed=1)
    else:
        name, data = f"squeezenet1_0:{SHARED / 'models' / 'squeezenet1_0.safetensors'}", SHARED / "photos"
        if not data.is_dir():
            pytest.skip("the shared photos and weights are not beside this checkout")
    model = load(name)
    config = StudyConfig(name, str(data), limit=480 if which == "flowers" else 128)
    build_study(StudyConfig(name, str(data), limit=2), tmp_path / "warm", model=model)
    plan = planned(config, model)
    views = [(plan.folder.root / path).read_bytes() for path in plan.folder.paths[: config.batch]]
    images = torch.stack([model.preprocess.tensor(model.preprocess.view(decode(v, "view").pixels)) for v in views])

    net = nets.as_published(model.net)

    def bare():
        with torch.no_grad():
            for _ in range(5):
                net(images)

    bare()
    found, passes = [], [processor_seconds(bare)]
    whole = processor_seconds(lambda: found.append(build_study(config, tmp_path / "s", model=model)))
    passes.append(processor_seconds(bare))
    forwards = found[0].manifest.passes.forwards
    needed = min(passes) / (5 * len(images)) * forwards
    print(f"{which}: build {whole:.2f} s, {forwards} bare forward passes {needed:.2f} s, ratio {whole / needed:.2f}")
    assert whole / needed < 1.25


@pytest.mark.parametrize("name", ["bundled", "squeezenet1_0", "resnet18", "resnet50", "vgg11", "vgg16"])
def test_covering_step_by_step_is_chosen_where_it_pays(one_thread, name):
    """Three windows on each of eight images, on top of each other: the figures on which SPARED and WORTH rest."""
    torch.manual_seed(0)
    side, net = (128, architecture(6)) if name == "bundled" else (224, torchvision.models.get_model(name, weights=None))
    model = as_model(name, net, preprocess=Preprocess(crop=side))
    config = PatchConfig(count=3, tau=0.0)
    window = config.side(side)
    query = Query(model, torch.randn(8, 3, side, side), torch.zeros(8, dtype=torch.int64), execution=Execution(batch=8))
    corners = np.random.default_rng(0).integers(0, side - window, (8, 3, 2))
    windows = Candidates(corners, np.ones((8, 3)), np.full(8, 3), window)
    clean = query.clean_scores("prob")

    def took(stepwise):
        return processor_seconds(lambda: relevant(query, clean, windows, config, stepwise=stepwise))

    took(True)
    found = statistics.median(took(True) / took(False) for _ in range(3))
    whole, saved = model.multiplications, spared(model.net, (3, side, side), window, model.order)
    chosen = saved >= max(SPARED * whole, WORTH)
    print(
        f"{name}: a window spares {saved / whole:.0%} of {whole / 1e9:.2f} milliard multiplications, three windows "
        f"take {found:.2f} of three whole passes: {'step by step' if chosen else 'whole passes'}"
    )
    assert not chosen or found < 0.9


def test_transactions_are_twenty_times_faster_than_enlarging_and_cropping(one_thread):
    chance = torch.Generator().manual_seed(0)
    maps = torch.rand(8, 512, 13, 13, generator=chance)
    corners = torch.randint(0, 160, (8, 3, 2), generator=chance)

    def enlarged():
        rows = []
        for one, own in zip(maps, corners, strict=True):
            large = F.interpolate(one[None], size=(224, 224), mode="bilinear", align_corners=False)[0]
            rows.append(torch.stack([large[:, y : y + 64, x : x + 64].sum((1, 2)) for y, x in own.tolist()]))
        return torch.stack(rows)

    assert torch.allclose(responses(maps, corners, 64, (224, 224)), enlarged(), rtol=1e-4)
    slow = processor_seconds(enlarged)
    fast = processor_seconds(lambda: [responses(maps, corners, 64, (224, 224)) for _ in range(20)]) / 20
    print(f"enlarge and crop {1e3 * slow:.0f} ms, window operator {1e3 * fast:.2f} ms, {slow / fast:.0f} × faster")
    assert slow / fast >= 20


def test_memory_does_not_grow_with_the_images(tmp_path):
    flowers.write("single-6c", tmp_path / "few", per_class=34, seed=1)
    for copy in range(10):
        shutil.copytree(tmp_path / "few" / "images", tmp_path / "many" / "images" / f"{copy}", copy_function=os.link)
    for folder in sorted((tmp_path / "many" / "images").iterdir()):
        for label in list(folder.iterdir()):
            label.rename(tmp_path / "many" / "images" / f"{folder.name}-{label.name}")
        folder.rmdir()
    code = (
        "import sys; from core.study.config import StudyConfig; from core.study.build import build_study\n"
        "study = build_study(StudyConfig('flowers-single-6c', sys.argv[1], limit=int(sys.argv[2])), sys.argv[3])\n"
        "print(study.manifest.data.images)"
    )
    peaks = {}
    for count in (200, 2000):
        said, peaks[count] = peak_memory(code, tmp_path / "many", count, tmp_path / f"s{count}")
        assert int(said) == count
    print(f"peak memory {peaks[200]:.0f} MB for 200 images, {peaks[2000]:.0f} MB for 2,000")
    assert peaks[2000] < 1.1 * peaks[200]
