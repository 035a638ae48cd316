"""Tiny networks with known answers, shared by all tests."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.images import Preprocess
from core.models.model import Model, as_model
from core.network.hooks import sharing_copy

if TYPE_CHECKING:
    from core.explain import Explainer, Query

SIDE = 32
CLASSES = 5


class LinearNet(nn.Module):
    """One linear layer on the pixels: the gradient is a row of its weights. It has no layer with spatial positions."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * SIDE * SIDE, CLASSES, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


class Additive(nn.Module):
    """The score is a sum of one non-linear term per pixel, zero for a pixel of value zero: occlusion is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(CLASSES, 3, SIDE, SIDE))

    def terms(self, x: Tensor, target: int) -> Tensor:
        """What each pixel adds to the score of `target`, (B, H, W)."""
        return (self.weight[target] * (x + 0.5 * x.square())).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", x + 0.5 * x.square(), self.weight)


class GapNet(nn.Module):
    """Convolutions, ReLU and pooling that end in global average pooling and one linear layer."""

    def __init__(self, bias: bool = True, norm: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=bias),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, CLASSES, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.features(x)).flatten(1))


class TinyCnn(nn.Module):
    """A small VGG: its head reads positions, so global average pooling does not describe it."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Linear(12 * (SIDE // 4) ** 2, 20, bias=bias), nn.ReLU(inplace=True), nn.Linear(20, CLASSES, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class ReusedRelu(nn.Module):
    """Two residual blocks that share one in-place ReLU module, add in place, and call one ReLU directly."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(8)
        self.one = nn.Conv2d(8, 8, 3, padding=1, bias=bias)
        self.two = nn.Conv2d(8, 8, 3, padding=1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, CLASSES, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        out = self.two(self.relu(self.one(x)))
        out += x
        return self.fc(self.relu(out).mean((2, 3)))


class NoRelu(nn.Module):
    """Convolutions with GELU: methods that change the rule of ReLU have nothing to change."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GELU(), nn.Conv2d(8, 12, 3, padding=1), nn.GELU())
        self.fc = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def tiny_vit() -> nn.Module:
    """A vision transformer of three blocks and 4 × 4 patches."""
    from torchvision.models import VisionTransformer

    net = VisionTransformer(SIDE, 8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=CLASSES)
    nn.init.normal_(net.heads.head.weight)  # torchvision starts with a head of zeros
    return net


class Slow(GapNet):
    """A network whose passes take seconds in many short operations, once `pause` is set.

    `moments` are the times at which its pauses began, of forwards and backwards.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pause = 0.0
        self.moments: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(200):
            x = _Pause.apply(x, self) * 1.0
        return super().forward(x)

    def wait(self) -> None:
        if self.pause:
            self.moments.append(time.monotonic())
            time.sleep(self.pause)


class _Pause(torch.autograd.Function):
    """The identity; waits where the network does, in the forward and in the backward."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, net: Slow) -> Tensor:
        ctx.net = net
        net.wait()
        return value.clone()

    @staticmethod
    def backward(ctx: Any, received: Tensor) -> tuple[Tensor, None]:
        ctx.net.wait()
        return received, None


NETS: dict[str, Callable[[], nn.Module]] = {
    "linear": LinearNet,
    "additive": Additive,
    "gap": GapNet,
    "cnn": TinyCnn,
    "residual": ReusedRelu,
    "norelu": NoRelu,
    "vit": tiny_vit,
}


def colour_reader() -> nn.Sequential:
    """Of six filters, filter k answers to colour k and class k reads it alone; the other three are dead. No biases."""
    net = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for k in range(3):
            net[0].weight[k, k] = 1
            net[4].weight[k, k] = 1
    return net


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network whose weights depend on the seed alone; running statistics of its batch norms are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


def as_published(net: nn.Module) -> nn.Module:
    """The network as its authors run it: activations overwrite their inputs, which takes up to a third less time."""
    copy = sharing_copy(net)
    for module in copy.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
    return copy


@torch.no_grad()
def normalised(net: nn.Module, images: Tensor) -> nn.Module:
    """The network in inference, its batch norms with the statistics of images (n, C, H, W), as training leaves them.

    With others, random weights give probabilities near 0 and 1, which half precision changes more than is allowed.
    """
    net.train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    net(images)
    return net.eval()


def model(net: str | nn.Module, seed: int = 0, side: int = SIDE) -> Model:
    """A network, by name of NETS or ready made, as the model the core works with; `side` is that of its images."""
    made = seeded(NETS[net], seed) if isinstance(net, str) else net
    name = net if isinstance(net, str) else type(net).__name__
    return as_model(name, made, preprocess=Preprocess(crop=side, resize=side))


def images(count: int = 2, seed: int = 0, side: int = SIDE) -> Tensor:
    """Network inputs (count, 3, side, side); the first ones are the same for any count."""
    return torch.stack(
        [torch.randn(3, side, side, generator=torch.Generator().manual_seed(1000 * seed + i)) for i in range(count)]
    )


def quick(method: "Explainer") -> dict[str, Any]:
    """A method's settings at their cheapest: every number that drives the cost at the cheaper end of its range."""
    chosen = {param.name: param.default for param in method.params}
    for param in method.params:
        for end in (param.knob.low, param.knob.high) if param.kind in ("int", "float") else ():
            value = int(end or 0) if param.kind == "int" else end
            if method.passes({**chosen, param.name: value}, SIDE).weight < method.passes(chosen, SIDE).weight:
                chosen[param.name] = value
    return chosen


def query(
    net: str | nn.Module | Model,
    count: int = 2,
    target: int = 1,
    side: int = SIDE,
    *,
    unit_layer: str = "",
    layer: str = "",
    seed: int = 0,
    **execution: Any,
) -> "Query":
    """One question about class `target`, or about that unit of `unit_layer`, to a tiny network and `count` images.

    What else is named are fields of Execution.
    """
    from core.explain import Query
    from core.explain.execution import Execution
    from core.explain.targets import Classes, Units

    asked = net if isinstance(net, Model) else model(net, side=side)
    indices = torch.full((count,), target)
    targets = Units(indices, unit_layer) if unit_layer else Classes(indices)
    return Query(asked, images(count, side=side), targets, layer, seed, execution=Execution(**execution))


def doubled(query: "Query") -> "Query":
    """The same question in double precision, where rounding switches no ReLU."""
    query.net.double()
    return replace(query, images=query.images.double())


def relative(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a share of the largest value of `theirs`."""
    return float((ours - theirs).abs().max() / theirs.abs().max())
