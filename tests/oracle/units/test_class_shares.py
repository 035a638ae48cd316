"""Shares of filters in a logit against forward passes of the whole network, with and without each filter."""

import numpy as np
import pytest
import torch

from core.errors import Unsupported
from core.network.hooks import ablate, capture
from core.units.ablation import pooled
from core.units.class_shares import class_shares, missing_shares
from tests import nets

LABEL, ROWS = 1, np.array([0, 3, 4])


@pytest.fixture(scope="module")
def network():
    """A network that pools into a linear layer, images, and the means of its maps."""
    model, images = nets.model("gap"), nets.images(6)
    return model, images, pooled(model, images, model.survey.default).numpy()


def mean_logit(model, images):
    with torch.no_grad():
        return float(model.net(images)[:, LABEL].double().mean())


def test_shares_and_bias_sum_to_the_mean_logit(network):
    model, images, means = network
    found = class_shares(model, means, LABEL, ROWS)
    expected = mean_logit(model, images[ROWS])
    assert found.images == len(ROWS)
    assert found.table["share"].sum() + found.bias == pytest.approx(expected, abs=1e-5)
    assert found.logit == pytest.approx(expected, abs=1e-5)
    assert found.table["everywhere"].sum() + found.bias == pytest.approx(mean_logit(model, images), abs=1e-5)
    assert abs(found.bias) > 1e-3, "a bias of zero would not be missed"


def test_a_share_is_what_the_logit_loses_without_the_filter(network):
    model, images, means = network
    table = class_shares(model, means, LABEL, ROWS).table
    whole = mean_logit(model, images[ROWS])
    for number, share in zip(table["filter"], table["share"], strict=True):
        with capture(model.net, edit={model.survey.default: ablate([number])}):
            assert whole - mean_logit(model, images[ROWS]) == pytest.approx(share, abs=1e-5)
    assert table["share"].abs().is_monotonic_decreasing
    assert table["share"].abs().max() > 1e-2


def test_an_empty_class_and_other_networks_are_refused(network):
    model, _, means = network
    with pytest.raises(Unsupported, match="no image of"):
        class_shares(model, means, LABEL, np.array([], int))
    other = nets.model("vit")
    assert "not computed from pooled maps by one linear layer" in missing_shares(other)
    with pytest.raises(Unsupported, match="one linear layer"):
        class_shares(other, means, LABEL, ROWS)
