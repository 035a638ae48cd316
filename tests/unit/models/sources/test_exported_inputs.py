"""Networks of ONNX for other images than square ones in colour."""

from pathlib import Path

import pytest
import torch
from torch import nn

from core.errors import BadModel
from core.models import load
from tests import nets
from tests.exported import saved


def _net(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


@pytest.mark.parametrize(("channels", "read"), [(1, "grey"), (4, "alpha")])
def test_one_and_four_channels_and_sides_that_differ(channels: int, read: str, tmp_path: Path) -> None:
    net = nets.seeded(lambda: _net(channels))
    images = torch.rand(2, channels, 24, 40, generator=torch.Generator().manual_seed(0))
    model = load(str(saved(net, tmp_path / "net.onnx", images=images)))
    assert model.preprocess.channels == read
    assert model.preprocess.shape == (channels, 24, 40)
    assert model.differentiable
    with torch.no_grad():
        assert torch.allclose(model.net(images), net(images), atol=1e-5)


def test_two_channels_are_refused(tmp_path: Path) -> None:
    path = saved(_net(2), tmp_path / "net.onnx", images=torch.rand(2, 2, 24, 24))
    with pytest.raises(BadModel, match="takes images of 2 channels"):
        load(str(path))
