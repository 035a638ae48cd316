"""What measures of one map cost beside the bare forwards they stand on."""

import pytest
import torch

from core.explain import explain
from core.measure import Evidence, evaluate
from tests.bench.test_perturbation_speed import ratios, ready

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

STEPS = 28
NAMES = ("deletion_auc", "insertion_auc")


def measured(query, maps):
    """Both measures of these maps (M, 1, H, W), of which nothing is known yet."""
    again = query.fresh()
    for one in maps:
        for name in NAMES:
            evaluate(name, Evidence(again, one), {"steps": STEPS})
    return again.log.forwards


@pytest.mark.parametrize("method", ["random", "grad_cam"])
@pytest.mark.parametrize("name", ["bundled", "squeezenet1_0", "resnet18"])
def test_deletion_and_insertion_cost_their_forwards(name, method):
    query, bare = ready(name)
    maps = explain(method, query.fresh()).maps[None]
    passes = measured(query, maps)
    assert passes == 2 * STEPS + 1  # both have the unmodified image, which is passed once
    found, alike = ratios(lambda: measured(query, maps), bare, passes)
    print(f"\ndeletion and insertion of a {method} map, {name}: {found:.3f} × {passes} bare forwards ({alike:.3f})")
    assert found <= 1.1


def test_ten_maps_of_an_image_share_the_passes_of_both_ends():
    query, bare = ready("squeezenet1_0")
    maps = torch.rand(10, 1, *query.size, generator=torch.Generator().manual_seed(0))
    passes = measured(query, maps)
    assert passes == 10 * 2 * (STEPS - 1) + 3
    found, alike = ratios(lambda: measured(query, maps), bare, passes, rounds=1)
    print(f"\ndeletion and insertion of ten maps: {found:.3f} × {passes} bare forwards ({alike:.3f})")
    assert found <= 1.1
