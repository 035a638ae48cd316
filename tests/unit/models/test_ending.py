"""Networks that end in a softmax or sigmoid of their own: read without it, and never suspected where there is none."""

from collections.abc import Callable

import pytest
import torch
import vitrine as vt
from torch import Tensor, nn

from core.data.model_options import ModelOptions
from core.errors import BadParameter
from core.explain import Query, explain
from core.explain.targets import Classes
from core.images import Preprocess
from core.models import Model, as_model, load
from core.models.model import frozen
from core.models.output import ending_of
from tests.nets import NETS, SIDE, images, seeded


class Ended(nn.Module):
    """A network without its ending as `body`, and a function called after it."""

    def __init__(self, outputs: int, ending: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = body(outputs)
        self.ending = ending

    def forward(self, images: Tensor) -> Tensor:
        return self.ending(self.body(images))


class Gated(nn.Module):
    """A sigmoid module that is used twice: as a gate of channels, and as the ending."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.sigmoid = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), nn.Sigmoid()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        return self.sigmoid(self.fc((maps * self.sigmoid(maps.mean((2, 3), keepdim=True))).mean((2, 3))))


def body(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs)
    )  # fmt: skip


def with_module(outputs: int, *ending: nn.Module) -> nn.Module:
    return nn.Sequential(body(outputs), *ending)


def read(make: Callable[[], nn.Module], **options: object) -> Model:
    return as_model("own", seeded(make), preprocess=Preprocess(SIDE, SIDE), options=ModelOptions(**options))


STRIPPED = {
    "softmax": (lambda: with_module(3, nn.Softmax(1)), "softmax"),
    "softmax then reshape": (lambda: with_module(3, nn.Softmax(-1), nn.Flatten()), "softmax"),
    "one sigmoid": (lambda: with_module(1, nn.Sigmoid()), "sigmoid"),
    "one sigmoid, squeezed": (lambda: with_module(1, nn.Sigmoid(), nn.Flatten(0)), "sigmoid"),
    "sigmoids": (lambda: with_module(3, nn.Sigmoid()), "multilabel"),
}
INVERTED = {
    "softmax called": (lambda: Ended(3, lambda z: z.softmax(1)), "softmax"),
    "softmax written out": (lambda: Ended(3, lambda z: z.exp() / z.exp().sum(1, keepdim=True)), "softmax"),
    "one sigmoid called": (lambda: Ended(1, torch.sigmoid), "sigmoid"),
    "sigmoids called": (lambda: Ended(3, lambda z: z.sigmoid()), "multilabel"),
    "a gate and an ending": (Gated, "multilabel"),
}


@pytest.mark.parametrize("kind", STRIPPED | INVERTED)
def test_probabilities_are_those_of_the_network(kind: str) -> None:
    make, meaning = (STRIPPED | INVERTED)[kind]
    model, inputs = read(make), images(5)
    own = seeded(make).eval()(inputs).detach().reshape(5, -1)
    expected = torch.cat([1 - own, own], 1) if meaning == "sigmoid" else own
    assert model.output == meaning
    assert torch.allclose(model.probabilities(model.net(inputs)), expected, atol=1e-6)
    left_out = f"Left out the network's own final {'softmax' if meaning == 'softmax' else 'sigmoid'}"
    assert any(note.startswith(left_out) for note in model.notes) == (kind in STRIPPED)
    assert sum("own" in note for note in model.notes) == 1
    assert not any(isinstance(module, nn.Softmax) for module in model.net.modules())


@pytest.mark.parametrize("kind", ["softmax", "softmax called"])
def test_maps_are_those_of_the_logits(kind: str) -> None:
    """Left out exactly; the logarithm of a softmax explains a logit minus the log-sum of all."""
    make, _ = (STRIPPED | INVERTED)[kind]
    leaf = images(1).requires_grad_()
    logits = (seeded(make).eval()[0] if kind == "softmax" else seeded(make).eval().body)(leaf)
    score = logits[0, 1] if kind == "softmax" else logits.log_softmax(1)[0, 1]
    expected = (torch.autograd.grad(score, leaf)[0] * leaf).detach().sum(1)
    query = Query(read(make), images(1), Classes(torch.tensor([1])))
    assert torch.allclose(explain("input_x_gradient", query).maps, expected, rtol=1e-4, atol=1e-6)
    assert explain("occlusion", query).maps.isfinite().all()


def test_saturated_probabilities_stay_finite() -> None:
    def sure() -> nn.Module:
        return Ended(2, lambda z: (z * 1e6).softmax(1))

    leaf = images(2).requires_grad_()
    for make in (sure, lambda: Ended(1, lambda z: (z * 1e6).sigmoid())):
        logits = read(make).net(leaf)
        assert logits.isfinite().all()
        assert torch.autograd.grad(logits.sum(), leaf)[0].isfinite().all()


def test_other_readings_of_own_probabilities_are_refused() -> None:
    with pytest.raises(BadParameter, match="ends in a softmax of its own"):
        read(STRIPPED["softmax"][0], output="multilabel")
    with pytest.raises(BadParameter, match="Use multilabel, or regression"):
        read(STRIPPED["sigmoids"][0], output="softmax")
    values = read(STRIPPED["softmax"][0], output="regression")
    assert values.notes == ()
    assert torch.allclose(values.net(images(2)).sum(1), torch.ones(2))


def test_wrapped_networks_are_left_as_they_are() -> None:
    network = seeded(STRIPPED["softmax"][0]).eval()
    before = network(images(1))
    model = vt.wrap(network, size=SIDE)
    assert torch.equal(network(images(1)), before)
    assert torch.allclose(model.probabilities(model.net(images(1))), before, atol=1e-6)


NORMAL = {
    **{name: lambda make=make: seeded(make) for name, make in NETS.items()},
    "logits": lambda: seeded(lambda: body(3)),
    "one logit": lambda: seeded(lambda: body(1)),
    "log-softmax": lambda: seeded(lambda: with_module(3, nn.LogSoftmax(1))),
    "gates inside": lambda: seeded(lambda: Ended(3, lambda z: z * z.sigmoid())),
    "clipped": lambda: seeded(lambda: with_module(3, nn.Hardtanh(0, 1))),
    "constant": lambda: seeded(lambda: Ended(2, lambda z: 0 * z + 0.5)),
    "softmax over the batch": lambda: seeded(lambda: with_module(3, nn.Softmax(0))),
}


@pytest.mark.parametrize("name", NORMAL)
def test_logits_are_never_taken_for_probabilities(name: str) -> None:
    net = frozen(NORMAL[name]())
    for scale in (1e-3, 1, 1e3):  # images that give small outputs, too
        assert ending_of(net, images(2) * scale, net(images(2) * scale)) == ""


@pytest.mark.parametrize("name", ["flowers-single-6c", "efficientnet_lite0"])
def test_bundled_models_have_logits(name: str) -> None:
    assert not any("of its own" in note or "own final" in note for note in load(name).notes)
