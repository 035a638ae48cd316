"""What perturbation costs beside the bare forwards it stands on, side by side in one run."""

import statistics
import time

import pytest
import torch
import torchvision

from core.explain import Query, explain
from core.images import Preprocess
from core.models.bundled import architecture
from core.models.model import as_model

pytestmark = pytest.mark.bench

NETS = {
    "bundled": (lambda: architecture(6), 128),
    "squeezenet1_0": (lambda: torchvision.models.squeezenet1_0(weights=None, num_classes=10), 224),
}


def ratio(one, other, rounds):
    """Median over `rounds` of the time of `one` over that of `other`, run one after the other each time."""
    found = []
    for _ in range(rounds):
        times = []
        for work in (one, other):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        found.append(times[0] / times[1])
    return statistics.median(found)


def ready(name):
    make, side = NETS[name]
    torch.manual_seed(0)
    query = Query(
        as_model(name, make(), preprocess=Preprocess(crop=side)), torch.randn(1, 3, side, side), torch.ones(1).long()
    )

    @torch.no_grad()
    def bare(passes):
        for start in range(0, passes, query.batch):
            query.net(torch.randn(min(query.batch, passes - start), 3, side, side))

    bare(query.batch)
    return query, bare


@pytest.mark.parametrize(("name", "masks"), [("bundled", 1000), ("squeezenet1_0", 200)])
def test_rise_costs_its_forwards(name, masks):
    query, bare = ready(name)
    found = ratio(lambda: explain("rise", query, {"masks": masks}), lambda: bare(masks), 5)
    print(f"RISE, {masks} masks, {name}: {found:.3f} × bare forwards")
    assert found <= 1.10


@pytest.mark.parametrize("name", NETS)
def test_occlusion_costs_its_forwards(name):
    query, bare = ready(name)
    passes = explain("occlusion", query).forwards
    found = ratio(lambda: explain("occlusion", query), lambda: bare(passes), 5)
    print(f"Occlusion, {passes} passes, {name}: {found:.3f} × bare forwards")
    assert found <= 1.10
