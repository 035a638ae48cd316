"""When a running map counts as converged, and how `explain` uses that."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr
from torch import nn

from core.errors import BadParameter, Cancelled
from core.explain import BUDGETS, EXPLAINERS, explain
from core.explain.convergence import Convergence, mean_ranks
from core.params import checked
from tests import nets
from tests.nets import query


def test_settled_is_the_rank_correlation_with_half_the_work():
    snapshots = torch.randn(6, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    settling = Convergence()
    found = [settling.correlation(10 * (i + 1), look) for i, look in enumerate(snapshots)]
    assert found[0] is None
    for now, half in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]:
        expected = spearmanr(snapshots[now].flatten(), snapshots[half].flatten()).statistic
        assert found[now] == pytest.approx(expected, abs=1e-9)
    assert settling.correlation(70, torch.zeros(1, 20, 20)) is None


def test_the_least_settled_image_counts():
    first, second = torch.randn(2, 9, 9), torch.randn(2, 9, 9)
    second[0] = first[0].exp()  # the same order
    settling = Convergence()
    settling.correlation(1, first)
    assert settling.correlation(2, second) < 0.9
    settling = Convergence()
    settling.correlation(1, first[:1])
    assert settling.correlation(2, second[:1]) == pytest.approx(1)


class Slanted(nn.Module):
    """Reads the image more and more towards its lower right corner."""

    def forward(self, x):
        weight = torch.arange(x[0, 0].numel(), device=x.device, dtype=x.dtype).view_as(x[0, 0])
        return torch.stack([x[:, 0].mul(weight).sum((1, 2)), x.mean((1, 2, 3))], 1)


def test_a_method_ends_when_its_map_has_settled_and_says_so():
    def asked(batch):
        found = query(Slanted(), count=1, target=0, batch=batch)
        found.images.fill_(1.0)
        return found

    seen = []
    settings = {"masks": 8000, "score": "logit", "centred": True}
    full = explain("rise", asked(64), settings, lambda look: bool(seen.append(look)))
    early = explain("rise", asked(64), settings, settle=True)
    done = [look.passes.forward for look in seen]
    assert done == sorted(set(done))
    assert early.finished
    assert early.remarks["settled"] >= 0.98
    assert 2000 <= early.forwards < full.forwards
    again = explain("rise", asked(16), settings, settle=True)
    assert again.forwards == early.forwards
    assert torch.allclose(again.maps, early.maps, rtol=1e-5)


def test_a_cancelled_method_keeps_its_map_so_far():
    def stop(fraction, note):
        if fraction > 0.5:
            raise Cancelled

    found = explain("rise", query("gap", batch=16, report=stop), {"masks": 400})
    assert not found.finished
    assert 400 <= found.forwards < 800
    assert float(found.maps.abs().max()) > 0
    part = explain("rise", query("gap", batch=16), {"masks": 400}, lambda look: look.fraction > 0.4)
    assert not part.finished


STEP_BY_STEP = {
    "rise": {"masks": 200},
    "lime_image": {"samples": 200, "cut": "slic"},
    "kernel_shap": {"samples": 200},
    "superpixel_tree": {"samples": 200},
    "smoothgrad": {"samples": 12},
    "smoothgrad_sq": {"samples": 12},
    "vargrad": {"samples": 12},
    "integrated_gradients": {"steps": 12},
    "gradient_shap": {"samples": 12},
    "meaningful_perturbation": {"steps": 30},
    "extremal_perturbation": {"steps": 30, "areas": "0.4"},
}


@pytest.mark.parametrize("name", list(STEP_BY_STEP))
def test_a_map_that_grows_is_seen_growing_and_kept_where_it_is_stopped(name):
    def asked():
        found = query("gap", count=1, batch=4)
        tiles = nets.images(1, seed=8, side=4).repeat_interleave(8, 2).repeat_interleave(8, 3)
        found.images.mul_(0.1).add_(tiles)  # what SLIC can cut
        return found

    seen = []
    whole = explain(name, asked(), STEP_BY_STEP[name], lambda look: bool(seen.append(look)))
    assert whole.finished
    assert len(seen) >= 3
    passes, fractions = [look.passes.weight for look in seen], [look.fraction for look in seen]
    assert passes == sorted(set(passes))
    assert fractions == sorted(fractions)
    assert not torch.equal(seen[0].maps, seen[-1].maps)
    assert torch.equal(seen[-1].maps, whole.maps)
    part = explain(name, asked(), STEP_BY_STEP[name], lambda look: True)
    assert not part.finished
    assert torch.equal(part.maps, seen[0].maps)
    assert part.forwards < whole.forwards


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_budgets_are_settings_and_grow(name):
    method = EXPLAINERS[name]
    costs = [method.passes(checked(method.params, method.budget(budget), name), nets.SIDE).weight for budget in BUDGETS]
    assert costs == sorted(costs)
    with pytest.raises(BadParameter, match="budget"):
        method.budget("lavish")


def test_a_quarter_of_the_work_counts_backward_passes_too():
    """The map of a linear network never changes, so it ends as soon as a quarter of the cost is spent."""
    query = nets.query("linear", count=1, batch=1)
    found = explain("smoothgrad", query, {"samples": 120}, settle=True)
    planned = EXPLAINERS["smoothgrad"].passes(found.settings, nets.SIDE).weight
    assert found.finished
    assert found.backwards > 0
    assert 0.25 <= found.passes.weight / planned <= 0.35


@pytest.mark.parametrize("size", [(4, 40), (40, 4), (3, 3)])
def test_a_narrow_map_is_compared_in_squares_of_its_shorter_side(size):
    side = min(size)
    first, second = torch.randn(2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settling = Convergence()
    settling.correlation(1, first[None])
    coarse = [
        one.unfold(0, size[0] // side, size[0] // side).unfold(1, size[1] // side, size[1] // side).mean((2, 3))
        for one in (first, second)
    ]
    expected = spearmanr(coarse[0].flatten(), coarse[1].flatten()).statistic
    assert settling.correlation(2, second[None]) == pytest.approx(expected, abs=1e-6)


def test_a_large_map_is_compared_on_28_cells_a_side():
    first, second = torch.randn(2, 56, 84, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settling = Convergence()
    settling.correlation(1, first[None])
    coarse = [one.unfold(0, 2, 2).unfold(1, 3, 3).mean((2, 3)).flatten() for one in (first, second)]
    assert settling.correlation(2, second[None]) == pytest.approx(spearmanr(*coarse).statistic, abs=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("levels", [1, 2, 7, 10**6])
def test_ranks_are_those_of_scipy(levels, dtype):
    rows = np.random.default_rng(levels).integers(-levels, levels, (3, 500)).astype(dtype)
    assert np.array_equal(mean_ranks(rows), rankdata(rows, axis=1))


def test_a_row_of_one_value_shares_one_rank_across_no_border():
    rows = np.array([[2.0, 2.0, 2.0], [2.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    assert mean_ranks(rows).tolist() == [[2, 2, 2], [2.5, 2.5, 1], [2, 2, 2]]
