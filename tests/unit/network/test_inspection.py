"""The survey of networks small enough to know by heart."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.images import Preprocess
from core.models.description import described
from core.models.model import as_model, overwriting
from core.network.inspection import layout, survey
from tests.nets import NETS, SIDE, seeded


@pytest.mark.parametrize(
    ("name", "default", "head", "rectified"),
    [
        ("linear", "", "", False),
        ("additive", "", "", False),
        ("gap", "features", "fc", True),
        ("cnn", "features.4", "", True),
        ("residual", "relu", "fc", True),
        ("norelu", "features", "fc", False),
        ("vit", "encoder.layers.encoder_layer_2.ln_1", "", False),
    ],
)
def test_known_networks(name: str, default: str, head: str, rectified: bool) -> None:
    found = survey(seeded(NETS[name]).eval(), (SIDE, SIDE))
    assert (found.default, found.head, found.rectified) == (default, head, rectified)
    assert not found.head_rectifies
    assert found.input_size == (SIDE, SIDE)


def test_nothing_is_left_behind() -> None:
    net = seeded(NETS["residual"]).eval()
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in net.state_dict().items()}
    found = survey(net, (SIDE, SIDE))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert found == survey(net, (SIDE, SIDE))


def test_layers_in_the_order_they_finish() -> None:
    found = survey(seeded(NETS["residual"]).eval(), (SIDE, SIDE))
    assert [layer.name for layer in found.layers] == ["stem", "norm", "one", "two", "relu", "fc"]
    assert [(layer.name, layer.calls) for layer in found.reused] == [("relu", 2)]
    stem, fc = found.layer("stem"), found.layer("fc")
    assert stem is not None
    assert fc is not None
    assert (stem.kind, stem.shape, stem.units, stem.cells) == ("Conv2d", (8, 16, 16), 8, (16, 16))
    assert (fc.layout, fc.units, fc.cells) == ("vector", 5, (1, 1))
    assert found.layer("nowhere") is None
    assert "fc" not in [layer.name for layer in found.usable]


def test_what_overwrites_what_it_reads_is_seen() -> None:
    """The sum of the residual block does; its ReLU module did until it was frozen, the one called directly never."""
    net = seeded(NETS["residual"])
    assert overwriting(net) == {"ReLU": 1}
    found = as_model("residual", net, preprocess=Preprocess(crop=SIDE))
    assert found.overwrote == {"ReLU": 1}
    assert found.survey.overwrites == {"add": 1}
    assert survey(seeded(Rectifying), (SIDE, SIDE)).overwrites == {"relu": 1}
    assert survey(seeded(NETS["vit"]).eval(), (SIDE, SIDE)).overwrites == {}


class Normed(nn.Module):
    """Two convolutions with a norm behind the first, before the second, and of a sum: only the first can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.behind = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.before, self.two = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1)
        self.sum, self.groups = nn.BatchNorm2d(6), nn.GroupNorm(2, 6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.behind(self.one(x)).relu()
        x = self.groups(self.sum(x + self.two(self.before(x))))
        return self.fc(x.mean((2, 3)))


def test_norms_and_what_they_read() -> None:
    found = survey(seeded(Normed).eval(), (SIDE, SIDE))
    assert [layer.name for layer in found.norms] == ["behind", "before", "sum", "groups"]
    assert [layer.name for layer in found.folded] == ["behind"]
    assert found.layer("behind").reads == "one"
    assert found.layer("before").reads == ""
    assert found.layer("groups").operations == ("group_norm",)


def test_sentences_about_a_model() -> None:
    told = described(as_model("residual", seeded(NETS["residual"]), preprocess=Preprocess(crop=SIDE)))
    assert told["Normalisation"] == "BatchNorm2d × 1; all folded into the layer before for LRP and excitation backprop"
    assert told["In place"].startswith("ReLU × 1 until loading switched it off; add × 1 in")
    assert told["Called more than once"] == "relu (ReLU) × 2"
    assert told["Input"].startswith("32 × 32 pixels; shorter side to 256, crop 32, mean 0.485 0.456 0.406, std")
    assert told["End"].endswith("fc")
    plain = described(as_model("linear", seeded(NETS["linear"]), preprocess=Preprocess(crop=SIDE, resize=SIDE)))
    assert plain["Normalisation"] == "none"
    assert plain["In place"] == plain["Called more than once"] == "nothing"
    mixed = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(3136, 3)
    )
    both = described(as_model("mixed", seeded(lambda: mixed), preprocess=Preprocess(crop=SIDE)))
    smooth = described(as_model("norelu", seeded(NETS["norelu"]), preprocess=Preprocess(crop=SIDE)))
    assert (plain["Activations"], told["Activations"], smooth["Activations"]) == ("none", "relu", "gelu")
    assert both["Activations"] == "relu, silu; guided backprop and deconvnet leave silu as in the plain gradient"


class Rectifying(nn.Module):
    """A ReLU, called directly and in place, between the last layer and the pooling, as in DenseNet."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.fc = nn.Linear(6, 4)
        nn.init.constant_(self.fc.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.conv(x), inplace=True).mean((2, 3)))


@pytest.mark.parametrize("bias", [0.0, 1e4])
def test_a_relu_before_the_pooling_is_noticed(bias: float) -> None:
    found = survey(seeded(lambda: Rectifying(bias)), (SIDE, SIDE))
    assert (found.default, found.head, found.head_rectifies, found.rectified) == ("conv", "fc", True, False)


class Squared(Rectifying):
    """Ends in pooling and a linear layer, but of squares: no head that maps could be weighted with."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).square().mean((2, 3)))


@pytest.mark.parametrize("bias", [0.0, 1e4])
def test_a_head_of_something_else_is_none(bias: float) -> None:
    found = survey(seeded(lambda: Squared(bias)), (SIDE, SIDE))
    assert (found.default, found.head) == ("conv", "")


def test_a_head_of_zeros_proves_nothing() -> None:
    net = seeded(Rectifying)
    nn.init.zeros_(net.fc.weight)
    assert survey(net, (SIDE, SIDE)).head == ""


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 8, 7, 7), "grid"),
        ((2, 7, 7, 7), "grid"),
        ((2, 7, 7, 8), "channels-last"),
        ((2, 8, 1, 1), "vector"),
        ((2, 1, 1, 8), "vector"),
        ((2, 1, 7, 7), "grid"),
        ((2, 64, 49, 32), "vector"),
        ((1, 15, 15, 8), "vector"),
        ((2, 50, 8), "tokens"),
        ((2, 49, 8), "tokens"),
        ((2, 2, 8), "vector"),
        ((2, 1, 8), "vector"),
        ((2, 8), "vector"),
        ((2, 3, 4, 4, 4), "vector"),
    ],
)
def test_layouts(shape: tuple[int, ...], expected: str) -> None:
    assert layout(torch.zeros(shape), (SIDE, SIDE))[0] == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 8, 16, 24), ("grid", (16, 24))),
        ((2, 8, 14, 22), ("grid", (14, 22))),  # a border is cut off
        ((2, 8, 1, 2), ("grid", (1, 2))),
        ((2, 4, 6, 8), ("channels-last", (4, 6))),
        ((2, 4, 4, 6), ("grid", (4, 6))),
        ((2, 8, 24, 16), ("vector", (1, 1))),
        ((2, 8, 1, 1), ("vector", (1, 1))),
        ((2, 2, 24, 8), ("vector", (1, 1))),  # heads of an attention
        ((2, 2, 25, 25), ("vector", (1, 1))),
        ((2, 24, 8), ("tokens", (4, 6))),
        ((2, 25, 8), ("tokens", (4, 6))),
        ((2, 26, 8), ("vector", (1, 1))),
    ],
)
def test_layouts_of_an_image_of_32_by_48(shape: tuple[int, ...], expected: object) -> None:
    assert layout(torch.zeros(shape), (32, 48)) == expected


def test_tokens_and_channels_last_are_usable() -> None:
    found = survey(seeded(NETS["vit"]).eval(), (SIDE, SIDE))
    tokens = [layer.name for layer in found.layers if layer.layout == "tokens"]
    assert {"encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_2.ln_1"} <= set(tokens)
    assert [layer.name for layer in found.usable if layer.layout == "tokens"] == tokens
    assert "heads" not in [layer.name for layer in found.usable]

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mix, self.fc = nn.Conv2d(3, 6, 8, 8), nn.Linear(6, 6), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.mix(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))

    last = survey(seeded(Last).eval(), (SIDE, SIDE))
    assert [(layer.name, layer.layout) for layer in last.usable] == [("conv", "grid"), ("mix", "channels-last")]
