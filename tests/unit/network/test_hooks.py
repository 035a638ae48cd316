"""Watching and changing a network leaves no trace in it and none in other threads."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import UnknownName, Unsupported
from core.network.hooks import ablate, capture, observe
from core.network.operations import OPERATIONS, OperationCounter, Rules
from tests.nets import NETS, images, seeded


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in net.modules())


class InPlace(nn.Module):
    """Changes the output of its convolution in place, in three ways, right after it was captured."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        out = self.relu(out)
        out += 1
        return F.relu_(out).mean((2, 3))


def test_what_is_captured_is_the_layer_s_output() -> None:
    net, x = seeded(NETS["gap"]).eval(), images(2)
    with capture(net, "features.2", "features", "fc") as seen:
        logits = net(x)
    assert torch.equal(seen["features.2"], net.features[:3](x))
    assert torch.equal(seen["features"], net.features(x))
    assert torch.equal(seen["fc"], logits)
    assert torch.equal(net(x), logits), "the same without anybody watching"
    assert hooks(net) == 0


def test_later_changes_in_place_do_not_reach_it() -> None:
    net, x = seeded(InPlace), images(1)
    with capture(net, "conv", "relu") as seen, torch.no_grad():
        net(x)
    assert torch.equal(seen["conv"], net.conv(x))
    assert torch.equal(seen["relu"], net.conv(x).relu())
    assert (seen["conv"] < 0).any()


def test_gradients_flow_through_what_is_captured() -> None:
    net = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    with capture(net, "0") as seen:
        score = net(images(1).requires_grad_())[0, 1]
    slope = torch.autograd.grad(score, seen["0"])[0]
    assert torch.allclose(slope[0, 1], (seen["0"][0, 1] > 0).float() / slope[0, 1].numel())
    assert (slope[0, [0, 2, 3]] == 0).all()


def test_each_forward_replaces_what_was_seen() -> None:
    net = seeded(InPlace)
    with capture(net, "conv") as seen:
        net(images(1))
        first = seen["conv"]
        net(images(2))
        assert len(seen["conv"]) == 2
        assert len(first) == 1


def test_hooks_go_after_success_failure_and_unknown_layers() -> None:
    net = seeded(NETS["cnn"])
    with capture(net, "features.0", "features.0", "features.3"):
        assert hooks(net) == 2
    assert hooks(net) == 0
    with pytest.raises(UnknownName, match=r"no layer called 'features\.99'\. Did you mean"):  # noqa: SIM117
        with capture(net, "features.0", "features.99"):
            pass
    assert hooks(net) == 0
    with pytest.raises(UnknownName), capture(net, ""):
        pass
    with pytest.raises(KeyboardInterrupt), capture(net, "features.0"):
        raise KeyboardInterrupt
    assert hooks(net) == 0


def test_a_layer_that_gives_no_tensor_is_refused() -> None:
    net = nn.MultiheadAttention(4, 1)
    x = torch.zeros(2, 1, 4)
    with pytest.raises(Unsupported, match="'attention' does not return a tensor"):  # noqa: SIM117
        with capture(nn.ModuleDict({"attention": net}), "attention"):
            net(x, x, x)
    assert hooks(net) == 0


def test_an_edit_changes_what_follows_and_is_what_is_seen() -> None:
    net, x = seeded(NETS["gap"]).eval(), images(2)
    maps = net.features(x)
    with capture(net, "fc", edit={"features": ablate([3, 5, 3])}) as seen:
        net(x)
    assert (seen["features"][:, [3, 5]] == 0).all()
    rest = [i for i in range(16) if i not in {3, 5}]
    assert torch.equal(seen["features"][:, rest], maps[:, rest])
    expected = F.linear(maps[:, rest].mean((2, 3)), net.fc.weight[:, rest], net.fc.bias)
    assert torch.allclose(seen["fc"], expected, atol=1e-6)


def test_observers_read_each_output_when_it_is_computed() -> None:
    net, x = seeded(InPlace).eval(), images(2)
    sums: dict[str, Tensor] = {}

    def read(output: Tensor) -> None:
        sums["conv"] = output.sum((2, 3))

    with torch.no_grad(), observe(net, {"conv": read}):
        logits = net(x)
    assert torch.equal(sums["conv"], net.conv(x).sum((2, 3))), "before anything changes it in place"
    assert torch.equal(logits, net(x)), "the same without anybody watching"
    assert hooks(net) == 0
    with pytest.raises(UnknownName), observe(net, {"nothing": lambda output: None}):
        net(x)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3, 3), (2, 4, 5)])
def test_ablating_sets_channels_to_zero_in_a_copy(shape: tuple[int, ...]) -> None:
    values = torch.rand(shape) + 1
    ablated = ablate([1])(values)
    assert (ablated[:, 1] == 0).all()
    assert torch.equal(ablated[:, [0, 2, 3]], values[:, [0, 2, 3]])
    assert (values > 0).all()
    assert torch.equal(ablate([])(values), values)


def in_threads(*works: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - shown by the thread that started it
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed, failed


def test_other_threads_neither_see_nor_are_seen() -> None:
    net, x = seeded(NETS["cnn"]).eval(), images(4)
    alone = [net(x[i : i + 1]).detach() for i in range(4)]
    maps = [net.features[:2](x[i : i + 1]).detach() for i in range(4)]
    inside = threading.Barrier(4)

    def work(i: int) -> None:
        edit = {"features.0": ablate(range(8))} if i == 3 else {}
        with capture(net, "features.1", edit=edit) as seen, torch.no_grad():
            inside.wait(60)
            for _ in range(30):
                logits = net(x[i : i + 1])
                if i == 3:
                    assert (seen["features.1"] == 0).all()
                else:
                    assert torch.equal(logits, alone[i])
                    assert torch.equal(seen["features.1"], maps[i])

    in_threads(*(lambda i=i: work(i) for i in range(4)))
    assert hooks(net) == 0


def test_rules_replace_modules_and_direct_calls_alike() -> None:
    net, x = seeded(NETS["residual"]).eval(), images(1)
    plain = net(x)
    with Rules({"relu": lambda original, value, *rest, **options: value}) as rules:
        linear = net(x)
    assert rules.fired == {"relu": 3}, "one call of F.relu, two of the shared module"
    out = net.norm(net.stem(x))
    expected = net.fc((net.two(net.one(out)) + out).mean((2, 3)))
    assert torch.allclose(linear, expected, atol=1e-5)
    assert torch.equal(net(x), plain)
    with Rules({"gelu": lambda original, *values, **options: original(*values, **options)}) as rules:
        assert torch.equal(net(x), plain)
    assert rules.fired == {}, "a rule that never applied says so"


def test_rules_end_with_an_error_and_stay_in_their_thread() -> None:
    x = torch.tensor([-1.0, 2.0])

    def zero(original: object, value: Tensor, *rest: object, **options: object) -> Tensor:
        return value * 0

    with pytest.raises(ZeroDivisionError), Rules({"relu": zero}):
        1 / 0  # noqa: B018
    assert F.relu(x).tolist() == [0, 2]
    with Rules({"relu": zero}):
        assert F.relu(x).tolist() == [0, 0]

        def elsewhere() -> None:
            assert F.relu(x).tolist() == [0, 2]

        in_threads(elsewhere)


DOORS = [
    ("relu", F.relu),
    ("relu", lambda x: F.relu(x.clone(), inplace=True)),
    ("relu", lambda x: nn.ReLU(inplace=True)(x.clone())),
    ("relu", torch.relu),
    ("relu", lambda x: x.relu()),
    ("relu", lambda x: x.clone().relu_()),
    ("relu6", nn.ReLU6()),
    ("leaky_relu", nn.LeakyReLU()),
    ("gelu", nn.GELU()),
    ("silu", lambda x: nn.SiLU(inplace=True)(x.clone())),
    ("hardswish", nn.Hardswish()),
    ("sigmoid", lambda x: x.sigmoid()),
    ("softmax", lambda x: x.softmax(1)),
    ("conv2d", nn.Conv2d(4, 2, 1)),
    ("linear", nn.Linear(6, 2)),
    ("max_pool2d", nn.MaxPool2d(2)),
    ("max_pool2d", lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    ("avg_pool2d", nn.AvgPool2d(2)),
    ("adaptive_avg_pool2d", nn.AdaptiveAvgPool2d(1)),
    ("batch_norm", nn.BatchNorm2d(4).eval()),
    ("layer_norm", nn.LayerNorm(6)),
    ("add", lambda x: x + x),
    ("add", lambda x: x.clone().add_(x)),
    ("add", lambda x: torch.add(x, x)),
    ("mul", lambda x: x * x),
    ("cat", lambda x: torch.cat([x, x], 1)),
    ("mean", lambda x: x.mean((2, 3))),
    ("flatten", lambda x: x.flatten(1)),
    ("dropout", nn.Dropout().eval()),
]


@pytest.mark.parametrize(("name", "call"), DOORS)
def test_every_door_to_an_operation_has_its_name(name: str, call: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(2, 4, 6, 6)
    assert name in OPERATIONS.values()
    fired: list[Any] = []

    def rule(original: Callable[..., Tensor], *values: Any, **options: Any) -> Tensor:
        fired.append(original)
        return original(*values, **options)

    torch.manual_seed(0)
    expected = call(x)
    torch.manual_seed(0)
    with Rules({name: rule}) as rules, torch.no_grad():
        found = call(x)
    assert torch.equal(found, expected)
    assert rules.fired == {name: 1}
    with OperationCounter() as watched:
        call(x)
    assert watched.calls[name] == 1


def test_sums_with_a_number_are_told_from_sums_of_tensors() -> None:
    x = torch.rand(2, 3)
    with OperationCounter() as watched:
        _ = 1 + x * 3 + x
    assert watched.calls == {"scale": 1, "shift": 1, "add": 1}
