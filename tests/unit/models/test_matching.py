"""The assignment of a file's tensors to a network: prefixes, wrappers, averages, what lies beside."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision import models

from core.data.model_options import ModelOptions
from core.errors import BadModel, BadParameter
from core.images import Preprocess
from core.models import load, weight_sets
from core.models.checkpoint import Checkpoint, opened
from core.models.matching import COUNTER, matched, tree
from core.models.sources.torchvision import _built, _renamed, architectures, fitted
from core.models.weights_file import Stored

State = dict[str, Tensor]


@cache
def net_of(name: str = "shufflenet_v2_x0_5", seed: int = 0, classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = models.get_model(name, weights=None, num_classes=classes).eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.1)
    return net


def state_of(name: str = "shufflenet_v2_x0_5", seed: int = 0) -> State:
    return dict(net_of(name, seed).state_dict())


def loaded(content: Any, path: Path, name: str = "shufflenet_v2_x0_5") -> tuple[nn.Module, list[str]]:
    torch.save(content, path / "w.pth")
    with opened(path / "w.pth") as checkpoint:
        net, _, notes = fitted(name, checkpoint)
    return net.eval(), notes


def same_scores(net: nn.Module, expected: nn.Module) -> None:
    images = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(net(images), expected(images))


def refusal(content: Any, path: Path, name: str = "shufflenet_v2_x0_5") -> str:
    with pytest.raises(BadModel) as error:
        loaded(content, path, name)
    assert error.value.hint
    assert len(error.value.message) < 300
    return error.value.message


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "model.",
        "backbone.",
        "encoder.",
        "module.module.",
        "a.b.c.d.",
        "_fsdp_wrapped_module.",
        "model.0.",
        "conv1.",
        "0.1.",
    ],
)
def test_prefixes(prefix: str, tmp_path: Path) -> None:
    net, notes = loaded({f"{prefix}{key}": value for key, value in state_of().items()}, tmp_path)
    same_scores(net, net_of())
    assert notes == [f"Tensors under '{prefix[:-1]}' were taken"]


@pytest.mark.parametrize(
    "nested",
    [
        lambda state: {"net": state, "epoch": 3},
        lambda state: {"checkpoint": {"state_dict": state}},
        lambda state: [{"epoch": 1}, state],
        lambda state: (1, {"a": {"b": {"c": {"d": {f"module.{key}": value for key, value in state.items()}}}}}),
        lambda state: {"weights": {part: _part(state, part) for part in {key.split(".")[0] for key in state}}},
    ],
)
def test_nesting(nested: Callable[[State], Any], tmp_path: Path) -> None:
    same_scores(loaded(nested(state_of()), tmp_path)[0], net_of())


def _part(state: State, part: str) -> State:
    return {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}


@pytest.mark.parametrize(
    "renamed",
    [
        lambda key: key.replace("conv5.", "conv5.module."),
        lambda key: key.replace("stage2.", "stage2._orig_mod."),
        lambda key: key.replace("branch2.", "branch2._checkpoint_wrapped_module."),
        lambda key: f"module.{key.replace('stage3.', 'stage3._fsdp_wrapped_module._checkpoint_wrapped_module.')}",
        lambda key: ".".join(f"m.{part}" if part.startswith("stage") else part for part in key.split(".")),
    ],
)
def test_wrappers_in_the_middle(renamed: Callable[[str], str], tmp_path: Path) -> None:
    net, notes = loaded({renamed(key): value for key, value in state_of().items()}, tmp_path)
    same_scores(net, net_of())
    assert any("names were matched, such as" in note for note in notes)


def test_features_in_parallel(tmp_path: Path) -> None:
    state = {key.replace("features.", "features.module."): v for key, v in state_of("squeezenet1_1").items()}
    net, notes = loaded({"state_dict": state}, tmp_path, "squeezenet1_1")
    same_scores(net, net_of("squeezenet1_1"))
    assert notes[1] == ("50 names were matched, such as 'state_dict.features.module.0.weight' as 'features.0.weight'")


@pytest.mark.parametrize("head", ["fc", "head", "classifier.1"])
def test_a_sequential_of_the_children(head: str, tmp_path: Path) -> None:
    net = net_of("resnet18")
    body = nn.Sequential(*[*net.children()][:-1])
    state = {f"model.backbone.{key}": value for key, value in body.state_dict().items()}
    state |= {f"model.{head}.{key}": value for key, value in net.get_submodule("fc").state_dict().items()}
    found, notes = loaded({"state_dict": state}, tmp_path, "resnet18")
    same_scores(found, net)
    assert any("'state_dict.model.backbone.0.weight' as 'conv1.weight'" in note for note in notes)


@pytest.mark.parametrize("name", ["ema", "ema_state_dict", "model_ema", "state_dict_ema", "swa", "params_ema"])
def test_averaged_weights_come_first(name: str, tmp_path: Path) -> None:
    raw, averaged = state_of(), state_of(seed=5)
    for content in ({"model": raw, name: averaged}, {name: averaged, "model": raw}):
        net, notes = loaded(content, tmp_path)
        same_scores(net, net_of(seed=5))
        assert notes == [f"Tensors under '{name}' (averaged weights) were taken; 'model' would fit as well"]


def test_torch_s_own_averages(tmp_path: Path) -> None:
    averaged = AveragedModel(net_of(seed=5)).state_dict()
    for content in (averaged, {"other": averaged, "raw": state_of()}, {"raw": state_of(), "z": averaged}):
        net, notes = loaded(content, tmp_path)
        same_scores(net, net_of(seed=5))
        assert "(averaged weights)" in notes[0]


def test_incomplete_averages_are_not_taken(tmp_path: Path) -> None:
    averaged = {key: value for key, value in state_of(seed=5).items() if "running" not in key}
    net, notes = loaded({"model": state_of(), "ema": averaged}, tmp_path)
    same_scores(net, net_of())
    assert "'model' were taken" in notes[0]


def test_two_networks_of_the_same_kind_are_said(tmp_path: Path) -> None:
    net, notes = loaded({"encoder_q": state_of(), "encoder_k": state_of(seed=5)}, tmp_path)
    same_scores(net, net_of())
    assert notes == ["Tensors under 'encoder_q' were taken; 'encoder_k' would fit as well"]


def test_what_lies_beside_is_left_out_and_said(tmp_path: Path) -> None:
    net = net_of()
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for parameter in net.parameters():
        optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    state = {f"model.{key}": value for key, value in net.state_dict().items()}
    state |= {"criterion.weight": torch.ones(3), "metric.confmat": torch.zeros(3, 3, dtype=torch.long)}
    found, notes = loaded(
        {"optimizer": optimiser.state_dict(), "state_dict": state, "acc": torch.tensor(1.0)}, tmp_path
    )
    same_scores(found, net)
    count = len([*net.parameters()]) + 3
    assert notes[1:] == [
        f"Left out: {count} tensors of 'optimizer', 'state_dict.criterion', 'state_dict.metric' and 1 more"
    ]


@pytest.mark.parametrize(("tensors", "said"), [(1, "1 tensor"), (2, "2 tensors")])
def test_few_tensors_left_out_are_counted(tmp_path: Path, tensors: int, said: str) -> None:
    strays = {f"criterion.{number}": torch.ones(3) for number in range(tensors)}
    _, notes = loaded({f"model.{key}": value for key, value in state_of().items()} | strays, tmp_path)
    assert notes[-1] == f"Left out: {said} of 'criterion'"


def test_a_layer_of_the_same_name_beside_is_not_taken(tmp_path: Path) -> None:
    state = {f"model.{key}": value for key, value in state_of().items()}
    for beside in ({"fc.weight": torch.zeros(3, 1024), "fc.bias": torch.zeros(3)}, {"conv5.0.weight": torch.zeros(5)}):
        net, notes = loaded({**beside, **state}, tmp_path)
        same_scores(net, net_of())
        assert notes[0] == "Tensors under 'model' were taken"
        assert notes[1].startswith("Left out:")


def test_counters_of_other_tools_inside_do_not_matter(tmp_path: Path) -> None:
    state = {**state_of(), "conv1.total_ops": torch.zeros(1), "stage2.0.total_params": torch.tensor(3.0)}
    same_scores(loaded(state, tmp_path)[0], net_of())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda state: state.pop("conv5.1.running_mean"), "it lacks 'conv5.1.running_mean'"),
        (lambda state: state.update({"conv5.0.bias": torch.zeros(1024)}), "has no 'conv5.0.bias'"),
        (lambda state: state.update({"stage2.0.se.fc.weight": torch.zeros(9, 9)}), "has no 'stage2.0.se.fc.weight'"),
        (lambda state: state.update({"fc2.weight": torch.zeros(9, 3)}), "goes on behind the classifier"),
        (lambda state: state.update({"fc.weight": torch.zeros(3, 512)}), "a layer takes 512 values where 1024 arrive"),
        (lambda state: state.update({"conv5.1.weight": torch.zeros(512)}), "'conv5.1.weight' is 512 where"),
        (lambda state: state.update({"fc.weight": torch.zeros(3, 1024).char()}), "these weights are quantised"),
        (lambda state: state.update({"fc.weight": torch.eye(3).to_sparse()}), "'fc.weight' in w.pth is sparse"),
        (lambda state: state.update({"conv5.1.running_var": -torch.ones(1024)}), "holds negative variances"),
        (lambda state: state.update({"fc.bias": torch.tensor([0, 1e300, 0]).double() * 1e300}), "are not finite"),
    ],
)
def test_never_a_part_of_a_network(changed: Callable[[State], Any], said: str, tmp_path: Path) -> None:
    state = state_of()
    changed(state)
    assert said in refusal(state, tmp_path)


def test_a_layer_behind_the_network(tmp_path: Path) -> None:
    state = nn.Sequential(net_of(), nn.Linear(3, 2)).state_dict()
    assert refusal(state, tmp_path) == ("w.pth goes on behind the classifier of shufflenet_v2_x0_5: '1.weight'.")


def test_messages_stay_short(tmp_path: Path) -> None:
    state = {f"{'layer' * 30}{k}.{'weight' * 30}": torch.zeros(2) for k in range(200)}
    refusal(state, tmp_path, "swin_v2_t")
    refusal({f"conv1.{key}": value for key, value in state.items()}, tmp_path)


def published(name: str, net: nn.Module) -> dict[str, Tensor]:
    """The names in torchvision's published file: some are older than the present ones, some have counters."""
    state = net.state_dict()
    if name.startswith("densenet"):
        return {
            re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
            for key, value in state.items()
            if not key.endswith(COUNTER)
        }
    if name.startswith("vit_"):
        return {
            key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v for key, v in state.items()
        }
    if name == "googlenet":
        return {**state, "aux1.fc2.weight": torch.zeros(1000, 1024), "aux2.conv.bn.weight": torch.zeros(128)}
    if name == "inception_v3":
        return {**state, "AuxLogits.fc.weight": torch.zeros(1000, 768), "AuxLogits.conv0.bn.weight": torch.zeros(128)}
    return {key: value for key, value in state.items() if not key.endswith(COUNTER)}


FAMILIES = {"densenet121", "densenet161", "vit_b_32", "googlenet", "inception_v3", "swin_t", "mnasnet0_5", "maxvit_t"}


@pytest.mark.parametrize("beside", [{}, {"epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}])
def test_a_set_of_weights_can_be_chosen(beside: dict[str, Any], tmp_path: Path) -> None:
    file, name = tmp_path / "w.pth", "shufflenet_v2_x0_5"
    states = {"model_ema": state_of(seed=5), "model": state_of(), "module": state_of(seed=7)}
    torch.save({**beside, **states}, file)
    assert weight_sets(name, file) == ("model_ema", "model", "module")
    for chosen, seed in (("", 5), ("model_ema", 5), ("model", 0), ("module", 7)):
        model = load(f"{name}@{file}", options=ModelOptions(weight_set=chosen, size=48))
        same_scores(model.net, net_of(seed=seed))
    model = load(f"{name}@{file}", options=ModelOptions(weight_set="model", size=48))
    others = 2 * len(state_of()) - 2 * sum(key.endswith(COUNTER) for key in state_of())
    assert "Tensors under 'model' were taken." in model.notes
    assert any(note.startswith(f"Left out: {others + len(beside) // 2} tensors of ") for note in model.notes), (
        model.notes
    )


def test_weights_without_a_prefix_can_be_chosen(tmp_path: Path) -> None:
    file, name = tmp_path / "w.pth", "shufflenet_v2_x0_5"
    torch.save({**state_of(), "ema": state_of(seed=5)}, file)
    assert weight_sets(name, file) == ("ema", ".")
    assert weight_sets(f"{name}", file)[0] == "ema"
    same_scores(load(f"{name}@{file}", options=ModelOptions(size=48)).net, net_of(seed=5))
    same_scores(load(f"{name}@{file}", options=ModelOptions(size=48, weight_set=".")).net, net_of())


def test_a_set_of_weights_that_is_not_there_is_named(tmp_path: Path) -> None:
    torch.save({"model": state_of(), "ema": state_of(seed=5)}, tmp_path / "w.pth")
    with pytest.raises(BadModel, match="has no weights under 'teacher'") as error:
        load(f"shufflenet_v2_x0_5@{tmp_path / 'w.pth'}", options=ModelOptions(weight_set="teacher"))
    assert "'model'" in error.value.hint
    assert "'ema'" in error.value.hint
    with pytest.raises(BadParameter, match="A set of weights is chosen in a file"):
        load("flowers-single-6c", options=ModelOptions(weight_set="model"))


@pytest.mark.parametrize(
    "name", [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.slow) for name in architectures()]
)
def test_published_names(name: str) -> None:
    net = _built(name, {})
    tensors = {key: Stored(tuple(value.shape)) for key, value in published(name, net).items()}
    match = matched(net, Checkpoint("w.pth", tensors), tree(Checkpoint("w.pth", tensors), _renamed))
    needed = {key for key in net.state_dict() if not key.endswith(COUNTER)}
    assert needed <= match.keys.keys()
    assert all(match.stored(key) == tensors[match.keys[key]] for key in needed)
    assert match.root == ""


@pytest.mark.parametrize("name", ["mnasnet0_5", "googlenet"])
def test_published_files(name: str, tmp_path: Path) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    net = models.get_model(name, weights=None, num_classes=3, **options)
    found, _ = loaded(net.state_dict(), tmp_path, name)
    assert not any("aux" in key for key in found.state_dict())
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in found.state_dict().items())


def test_an_older_densenet_gives_the_same_scores(tmp_path: Path) -> None:
    net = net_of("densenet121")
    same_scores(loaded(published("densenet121", net), tmp_path, "densenet121")[0], net)


def test_preprocessing_is_the_first_published(tmp_path: Path) -> None:
    torch.save(state_of(), tmp_path / "w.pth")
    with opened(tmp_path / "w.pth") as checkpoint:
        assert fitted("shufflenet_v2_x0_5", checkpoint)[1] == Preprocess()


def test_long_names_are_shortened_in_their_middle(tmp_path: Path) -> None:
    wrapper = "wrapped_" * 12
    state = {key.replace("conv5.", f"conv5.{wrapper}."): value for key, value in state_of().items()}
    _, notes = loaded(state, tmp_path)
    name = next(key for key in state if wrapper in key)
    assert any(f"such as '{name[:30]}…{name[-30:]}' as 'conv5." in note for note in notes), notes
