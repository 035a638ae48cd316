"""When a running map counts as settled, and what `explain` does with that."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from core.errors import BadParameter, Cancelled
from core.explain import BUDGETS, EXPLAINERS, explain
from core.explain.settling import Settling
from core.params import checked
from tests import nets
from tests.nets import query


def test_settled_is_the_rank_correlation_with_half_the_work():
    looks = torch.randn(6, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    settling = Settling()
    found = [settling.look(10 * (i + 1), look) for i, look in enumerate(looks)]
    assert found[0] is None
    for now, half in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)]:
        expected = spearmanr(looks[now].flatten(), looks[half].flatten()).statistic
        assert found[now] == pytest.approx(expected, abs=1e-9)
    assert settling.look(70, torch.zeros(1, 20, 20)) is None


def test_the_least_settled_image_counts():
    first, second = torch.randn(2, 9, 9), torch.randn(2, 9, 9)
    second[0] = first[0].exp()  # the same order
    settling = Settling()
    settling.look(1, first)
    assert settling.look(2, second) < 0.9
    settling = Settling()
    settling.look(1, first[:1])
    assert settling.look(2, second[:1]) == pytest.approx(1)


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
    assert [look.forwards for look in seen] == sorted({look.forwards for look in seen})
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


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_budgets_are_settings_and_grow(name):
    method = EXPLAINERS[name]
    costs = [method.cost(checked(method.params, method.budget(budget), name), nets.SIDE) for budget in BUDGETS]
    assert costs == sorted(costs)
    with pytest.raises(BadParameter, match="budget"):
        method.budget("lavish")
