"""Networks changed for their weights: other classifiers, one colour channel, small first layers; what was assumed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from core.data.model_options import ModelOptions
from core.errors import BadModel
from core.images import Preprocess
from core.models import load
from core.models.checkpoint import opened
from core.models.description import described
from core.models.sources.torchvision import fitted


def net_of(name: str, classes: int = 3) -> nn.Module:
    """A network with random weights, its normalisations included."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = models.get_model(name, weights=None, num_classes=classes)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.1)
    return net


def loaded(net: nn.Module, name: str, path: Path, safe: bool = False) -> tuple[nn.Module, Preprocess, list[str]]:
    """The network that the weights of another one give."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.LayerNorm | nn.PReLU):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    file = path / "w"
    save_file(net.state_dict(), file) if safe else torch.save(net.state_dict(), file)
    with opened(file) as checkpoint:
        found, preprocess, notes = fitted(name, checkpoint)
    return found.eval(), preprocess, notes


def scores(net: nn.Module, side: int = 48, channels: int = 3) -> Tensor:
    with torch.no_grad():
        return net.eval()(torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(1)))


def refusal(net: nn.Module, name: str, path: Path) -> str:
    with pytest.raises(BadModel) as error:
        loaded(net, name, path)
    assert error.value.hint
    assert len(error.value.message) < 300
    return error.value.message


HEADS: dict[str, Callable[[int], nn.Module]] = {
    "linear": lambda width: nn.Linear(width, 4),
    "without bias": lambda width: nn.Linear(width, 4, bias=False),
    "dropout": lambda width: nn.Sequential(nn.Dropout(), nn.Linear(width, 4)),
    "dropout in the middle": lambda width: nn.Sequential(
        nn.Dropout(), nn.Identity(), nn.Dropout(), nn.Linear(width, 4)
    ),
    "hidden": lambda width: nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)),
    "two hidden": lambda width: nn.Sequential(
        nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)
    ),
    "normalised": lambda width: nn.Sequential(
        nn.BatchNorm1d(width), nn.Dropout(), nn.Linear(width, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 4)
    ),
    "normalised before": lambda width: nn.Sequential(
        nn.Linear(width, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)
    ),
    "layer norm": lambda width: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4)),
    "no activation": lambda width: nn.Sequential(nn.Linear(width, 8), nn.Linear(8, 4)),
    "learned activation": lambda width: nn.Sequential(nn.Linear(width, 8), nn.PReLU(), nn.Linear(8, 4)),
    "ten layers": lambda width: nn.Sequential(
        nn.Linear(width, 8),
        nn.ReLU(),
        *[layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.ReLU())],
        nn.Linear(8, 4),
    ),
    "nested": lambda width: nn.Sequential(nn.Sequential(nn.Dropout(), nn.Sequential(nn.Linear(width, 4)))),
    "log softmax": lambda width: nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 4), nn.Identity()),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("safe", [False, True])
def test_changed_classifiers(head: str, safe: bool, tmp_path: Path) -> None:
    net = net_of("shufflenet_v2_x0_5")
    net.fc = HEADS[head](1024)
    found, _, notes = loaded(net, "shufflenet_v2_x0_5", tmp_path, safe)
    torch.testing.assert_close(scores(found), scores(net))
    kinds = {type(module) for module in net.fc.modules()}
    assert any("ReLU between its layers (assumed" in note for note in notes) == (nn.ReLU in kinds)


@pytest.mark.parametrize(
    ("name", "path", "width", "side"),
    [
        ("resnet18", "fc", 512, 48),
        ("mobilenet_v2", "classifier", 1280, 48),
        ("mobilenet_v3_small", "classifier.3", 1024, 48),
        ("mobilenet_v3_small", "classifier", 576, 48),
        ("efficientnet_b0", "classifier.1", 1280, 48),
        ("densenet121", "classifier", 1024, 48),
        ("mnasnet0_5", "classifier.1", 1280, 48),
        ("regnet_x_400mf", "fc", 400, 48),
        ("squeezenet1_1", "classifier.1", 0, 48),
    ],
)
def test_classifiers_of_many_networks(name: str, path: str, width: int, side: int, tmp_path: Path) -> None:
    for head in ("dropout", "hidden") if width else ("conv",):
        net = net_of(name)
        parent, _, last = path.rpartition(".")
        new = HEADS[head](width) if width else nn.Sequential(nn.Dropout(), nn.Conv2d(512, 4, 1))
        setattr(net.get_submodule(parent), last, new)
        found = loaded(net, name, tmp_path)[0]
        torch.testing.assert_close(scores(found, side), scores(net, side))


def test_a_classifier_at_the_end_of_a_longer_one(tmp_path: Path) -> None:
    for change in (
        lambda net: net.classifier.__setitem__(6, nn.Sequential(nn.Dropout(), nn.Linear(4096, 2))),
        lambda net: setattr(net, "classifier", nn.Linear(9216, 2)),
        lambda net: setattr(net, "classifier", nn.Sequential(nn.Linear(9216, 8), nn.ReLU(), nn.Linear(8, 2))),
    ):
        net = net_of("alexnet")
        change(net)
        torch.testing.assert_close(scores(loaded(net, "alexnet", tmp_path)[0], 64), scores(net, 64))


def test_the_network_s_own_activation_is_taken_where_its_own_layer_is(tmp_path: Path) -> None:
    net = net_of("mobilenet_v3_small")
    net.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(), nn.Linear(1024, 8), nn.ReLU())
    net.classifier.append(nn.Linear(8, 2))
    found, _, notes = loaded(net, "mobilenet_v3_small", tmp_path)
    torch.testing.assert_close(scores(found), scores(net))
    assert "Hardswish and ReLU between its layers (assumed" in notes[-1]


def test_a_classifier_with_pooling_to_one_position(tmp_path: Path) -> None:
    net = net_of("alexnet")
    net.avgpool, net.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(256, 2)
    found, _, notes = loaded(net, "alexnet", tmp_path)
    torch.testing.assert_close(scores(found, 64), scores(net, 64))
    assert "Average pooling to 1 × 1 before the classifier was assumed" in notes


def test_the_note_says_what_was_assumed(tmp_path: Path) -> None:
    net = net_of("shufflenet_v2_x0_5")
    net.fc = HEADS["hidden"](1024)
    assert loaded(net, "shufflenet_v2_x0_5", tmp_path)[2] == [
        "Classifier 'fc': linear 1024 → 8, 8 → 4, ReLU between its layers (assumed: activations are not in the file)"
    ]
    net.fc = HEADS["dropout"](1024)
    assert loaded(net, "shufflenet_v2_x0_5", tmp_path)[2] == [
        "2 names were matched, such as 'fc.1.weight' as 'fc.weight'"
    ]


def test_no_classifier_and_two(tmp_path: Path) -> None:
    net = net_of("shufflenet_v2_x0_5")
    net.fc = nn.Identity()
    assert refusal(net, "shufflenet_v2_x0_5", tmp_path) == (
        "w holds no classifier: what it has fits shufflenet_v2_x0_5 up to its last layer."
    )
    net.one, net.two = nn.Linear(1024, 3), nn.Linear(1024, 2)
    assert refusal(net, "shufflenet_v2_x0_5", tmp_path) == (
        "w holds several layers that could be the classifier of shufflenet_v2_x0_5: 'one' and 'two'."
    )


def test_classifiers_that_cannot_be_known(tmp_path: Path) -> None:
    for head, said in {
        nn.Sequential(nn.Conv1d(4, 4, 3), nn.Linear(1024, 2)): "is not a chain of linear layers",
        nn.Sequential(nn.Linear(1024, 8), nn.ReLU(), nn.Linear(9, 2)): "a layer takes 9 values where 8 arrive",
        nn.Linear(512, 2): "a layer takes 512 values where 1024 arrive",
        nn.Sequential(nn.Linear(1024, 8), nn.BatchNorm1d(8)): "it does not end in a linear layer",
        nn.MultiheadAttention(8, 2): "is not a chain of linear layers",
    }.items():
        net = net_of("shufflenet_v2_x0_5")
        net.fc = head
        assert said in refusal(net, "shufflenet_v2_x0_5", tmp_path)


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (4, "alpha")])
def test_one_and_four_channels(channels: int, kind: str, tmp_path: Path) -> None:
    net = net_of("resnet18")
    net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    torch.save(net.state_dict(), tmp_path / "w")
    model = load(f"resnet18@{tmp_path / 'w'}", options=ModelOptions(size=48))
    assert (model.preprocess.channels, model.preprocess.shape) == (kind, (channels, 48, 48))
    torch.testing.assert_close(scores(model.net, channels=channels), scores(net, channels=channels))
    assert described(model)["Assumed"].startswith("The network takes ")


@pytest.mark.parametrize("channels", [2, 6])
def test_other_numbers_of_channels_are_refused(channels: int, tmp_path: Path) -> None:
    net = net_of("resnet18")
    net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    said = f"w takes images of {channels} channels; only one, three and four can be fed."
    assert refusal(net, "resnet18", tmp_path) == said


def test_small_first_layers(tmp_path: Path) -> None:
    net = net_of("resnet18")
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    found, preprocess, notes = loaded(net, "resnet18", tmp_path)
    torch.testing.assert_close(scores(found, 32), scores(net, 32))
    assert (preprocess.crop, preprocess.resize) == (32, 32)
    assert notes == ["First layer of 3 × 3: stride 1, no max pooling and images of 32 × 32 pixels were assumed"]
    net.conv1 = nn.Conv2d(1, 64, 3, 1, 1, bias=False)
    torch.testing.assert_close(scores(loaded(net, "resnet18", tmp_path)[0], 32, 1), scores(net, 32, 1))


def test_no_random_number_is_drawn(tmp_path: Path) -> None:
    net = net_of("shufflenet_v2_x0_5")
    net.fc = HEADS["normalised"](1024)
    torch.save(net.state_dict(), tmp_path / "w")
    before = torch.random.get_rng_state()
    with opened(tmp_path / "w") as checkpoint:
        fitted("shufflenet_v2_x0_5", checkpoint)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_was_done_is_told(tmp_path: Path) -> None:
    net = net_of("shufflenet_v2_x0_5")
    torch.save({"ema": net.state_dict()}, tmp_path / "w")
    model = load(f"shufflenet_v2_x0_5@{tmp_path / 'w'}")
    assert described(model)["Assumed"] == "Tensors under 'ema' (averaged weights) were taken."
    torch.save(net.state_dict(), tmp_path / "w")
    assert "Assumed" not in described(load(f"shufflenet_v2_x0_5@{tmp_path / 'w'}"))
