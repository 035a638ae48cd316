"""What resampling costs beside the forwards of its copies."""

import statistics

import pytest
import torch
import torchvision

from core.explain import Query
from core.images import Preprocess
from core.models.model import as_model
from core.units.resampling import resample
from tests import nets
from tests.bench.measuring import seconds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

SAMPLES = 50
ROUNDS = 5


@pytest.mark.parametrize(("name", "limit"), [("resnet18", 1.2), ("mobilenet_v2", 2.0)])
def test_resampling_all_convolutions_costs_little_more_than_its_forwards(name, limit):
    """Rounds of both, one right after the other; the bare forwards are a plain loop over batches of the same size."""
    torch.manual_seed(0)
    model = as_model(name, getattr(torchvision.models, name)(weights=None), preprocess=Preprocess(crop=224))
    query = Query(model, model.preprocess.normalised(torch.rand(1, 3, 224, 224)), torch.tensor([0]))
    plain = torch.randn(query.batch, 3, 224, 224).contiguous(memory_format=model.order)

    net = nets.as_published(model.net)

    @torch.no_grad()
    def bare():
        for start in range(0, SAMPLES, query.batch):
            net(plain[: SAMPLES - start])

    bare()
    ratios = [seconds(lambda: resample(query, samples=SAMPLES)) / seconds(bare) for _ in range(ROUNDS)]
    found = statistics.median(ratios)
    print(
        f"\nresampling, {SAMPLES} copies, {name}: {found:.2f} × bare forwards ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    assert found <= limit
