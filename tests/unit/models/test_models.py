"""Weights files: those that fit give a frozen model, all others one sentence."""

import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from core.data.labels import labels_file
from core.data.model_options import ModelOptions
from core.errors import BadModel, BadParameter, UnknownName
from core.images import Preprocess
from core.models import listed, load
from core.models.checkpoint import opened
from core.models.model import as_model, content_sha, frozen
from core.models.sources.flower_networks import architecture


def net_of(name: str, classes: int = 4, **options: Any) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.get_model(name, weights=None, num_classes=classes, **options).eval()


@pytest.fixture(scope="module")
def tiny() -> torch.nn.Module:
    """The smallest architecture with batch normalisation, for four classes."""
    return net_of("shufflenet_v2_x0_5")


def refused(name: str, **options: Any) -> BadModel:
    with pytest.raises(BadModel) as error:
        load(name, **options)
    assert error.value.hint
    assert len(str(error.value)) < 400
    return error.value


@pytest.mark.parametrize(
    ("suffix", "shape"),
    [(".safetensors", "plain"), (".safetensors", "parallel"), (".pth", "plain"), (".pt", "checkpoint")],
)
def test_own_weights(tiny: torch.nn.Module, tmp_path: Path, suffix: str, shape: str) -> None:
    path = tmp_path / f"odd name: ü{suffix}"
    state: dict[str, Any] = dict(tiny.state_dict())
    if shape == "parallel":
        state = {f"module.{key}": value for key, value in state.items()}
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": state} if shape == "checkpoint" else state, path)
    before = torch.random.get_rng_state()
    seen: list[float] = []
    model = load(f"shufflenet_v2_x0_5:{path}", report=lambda fraction, note: seen.append(fraction))
    assert torch.equal(before, torch.random.get_rng_state())
    assert seen == sorted(seen)
    images = torch.rand(2, 3, 224, 224)
    assert torch.equal(model.net(images), tiny(images))
    assert model.labels == ("class 0", "class 1", "class 2", "class 3")
    assert model.sha == content_sha(tiny.state_dict())
    assert not model.net.training
    assert not any(parameter.requires_grad for parameter in model.net.parameters())
    assert not any(getattr(module, "inplace", False) for module in model.net.modules())


def test_half_precision_and_missing_counters(tiny: torch.nn.Module, tmp_path: Path) -> None:
    state = {k: v.half() for k, v in tiny.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "half.safetensors")
    model = load(f"shufflenet_v2_x0_5:{tmp_path / 'half.safetensors'}")
    assert {parameter.dtype for parameter in model.net.parameters()} == {torch.float32}


def test_labels_file(tiny: torch.nn.Module, tmp_path: Path) -> None:
    save_file(tiny.state_dict(), tmp_path / "w.safetensors")
    name = f"shufflenet_v2_x0_5:{tmp_path / 'w.safetensors'}"
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffrose\r\n <b>tulip</b>\nяблоня\n lily\n\n".encode())
    model = load(name, options=ModelOptions(labels=str(file)))
    assert model.labels == ("rose", "<b>tulip</b>", "яблоня", "lily")
    assert [model.target(wanted) for wanted in ("Lily", "2", 0)] == [3, 2, 0]
    file.write_text("cat\nCat\nyellow dog\nyellow dog")
    twice = load(name, options=ModelOptions(labels=str(file)))
    assert [twice.target(wanted) for wanted in ("cat", "Cat", "3")] == [0, 1, 3], "the exact spelling comes first"
    for wanted, indices in {"CAT": "0 and 1", "yellow dog": "2 and 3", "Yellow Dog": "2 and 3"}.items():
        with pytest.raises(BadParameter, match=f"^The label '{wanted}' is shared by the classes {indices}") as error:
            twice.target(wanted)
        assert error.value.hint == "Give the number of the one you mean."
    with pytest.raises(UnknownName, match=r"There is no class 4\. .* has classes 0 to 3"):
        model.target(4)
    with pytest.raises(UnknownName, match="Did you mean 'rose'"):
        model.target("roze")
    with pytest.raises(UnknownName):
        model.target("²")
    file.write_text("rose\ntulip")
    assert (
        refused(name, options=ModelOptions(labels=str(file))).message
        == "labels.txt holds 2 labels, the model has 4 classes."
    )
    file.write_bytes(b"\xff\xfe\x00")
    assert refused(name, options=ModelOptions(labels=str(file))).message == "labels.txt is not a text file."
    assert "cannot be opened" in refused(name, options=ModelOptions(labels=str(tmp_path / "none.txt"))).message


def test_thousand_classes_are_imagenet_s(tmp_path: Path) -> None:
    save_file(net_of("squeezenet1_1", 1000).state_dict(), tmp_path / "w.safetensors")
    model = load(f"squeezenet1_1:{tmp_path / 'w.safetensors'}")
    assert (model.labels[0], model.labels[999]) == ("tench", "toilet tissue")
    assert model.labels[model.target("gas pump")] == "gas pump"
    assert [model.target(wanted) for wanted in ("cardigan", "Cardigan")] == [474, 264]
    with pytest.raises(BadParameter, match="classes 264 and 474"):
        model.target("CARDIGAN")


def test_wrong_shapes_name_the_first(tmp_path: Path) -> None:
    state = net_of("squeezenet1_0").state_dict()
    state["features.3.squeeze.weight"] = torch.zeros(16, 96, 3, 3)
    state["features.3.squeeze.bias"] = torch.zeros(())
    state["features.4.squeeze.bias"] = torch.zeros(7)
    save_file(state, tmp_path / "w.safetensors")
    error = refused(f"squeezenet1_0:{tmp_path / 'w.safetensors'}")
    assert error.message == (
        "w.safetensors does not fit squeezenet1_0: 'features.3.squeeze.weight' is 16 × 96 × 3 × 3 where squeezenet1_0 "
        "has 16 × 96 × 1 × 1, 'features.3.squeeze.bias' is a single number where squeezenet1_0 has 16 and 1 more."
    )


def test_missing_and_unknown_tensors_are_named(tiny: torch.nn.Module, tmp_path: Path) -> None:
    state = tiny.state_dict()
    del state["conv5.0.weight"]
    state["fc2.weight"] = torch.zeros(2)
    save_file(state, tmp_path / "w.safetensors")
    error = refused(f"shufflenet_v2_x0_5:{tmp_path / 'w.safetensors'}")
    assert "it lacks 'conv5.0.weight'; shufflenet_v2_x0_5 has no 'fc2.weight'." in error.message
    assert "it lacks 'features.0.weight', " in refused(f"vgg11:{tmp_path / 'w.safetensors'}").message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tiny: torch.nn.Module, tmp_path: Path, value: float) -> None:
    state = {key: tensor.clone() for key, tensor in tiny.state_dict().items()}
    state["fc.weight"][1, 7] = value
    save_file(state, tmp_path / "w.safetensors")
    error = refused(f"shufflenet_v2_x0_5:{tmp_path / 'w.safetensors'}")
    assert error.message == "'fc.weight' in w.safetensors holds values that are not finite numbers."


class Evil:
    """Unpickling this opens a file for writing, or calls another function."""

    def __init__(self, path: Path, function: Any = open, *arguments: Any) -> None:
        self.made = function, arguments or (str(path), "w")

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (os.system, f"{os.name}.system"),
        (os.popen, "os.popen"),
        (eval, "eval"),
        (exec, "exec"),
        (subprocess.Popen, "Popen"),
        (__import__, "__import__"),
    ],
)
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_pickle_is_named_and_not_run(tmp_path: Path, function: Any, said: str, how: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "w.pth"
    text = f"open({str(trace)!r}, 'w')" if function in (eval, exec) else f"touch {trace}"
    evil = Evil(trace, function, [*text.split()] if function is subprocess.Popen else text)
    if how == "torch":
        torch.save({"a": evil}, path)
    else:
        path.write_bytes(pickle.dumps(evil, 2))
    message = refused(f"resnet18:{path}").message
    assert "w.pth holds code (" in message
    assert f"{said})" in message
    assert message.endswith("nothing in it was run.")
    assert not trace.exists()


@pytest.mark.parametrize("how", ["pickle 0", "pickle 2", "pickle 4", "torch", "inside a state dict"])
def test_nothing_in_a_pickle_is_run(tiny: torch.nn.Module, tmp_path: Path, how: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "w.pth"
    if how.startswith("pickle"):
        path.write_bytes(pickle.dumps(Evil(trace), int(how[-1])))
    else:
        torch.save({"torch": Evil(trace), "inside a state dict": {**tiny.state_dict(), "x": Evil(trace)}}[how], path)
    error = refused(f"shufflenet_v2_x0_5:{path}")
    assert not trace.exists()
    assert error.message.endswith("nothing in it was run.")
    assert "holds code (" in error.message
    if how.startswith("pickle"):
        with path.open("rb") as file:
            pickle.load(file).close()
        assert trace.exists(), "the trap itself works"


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    assert refused(f"resnet18:{tmp_path / 'w.pt'}").message == "w.pt is a TorchScript program; nothing in it was run."


def test_files_that_are_none(tiny: torch.nn.Module, tmp_path: Path) -> None:
    whole, pickled = save(tiny.state_dict()), tmp_path / "whole.pth"
    torch.save(tiny.state_dict(), pickled)
    files = {
        "empty.pth": (b"", "empty.pth is empty."),
        "text.pth": (b"not weights at all", "cannot be read as weights"),
        "cut.pth": (pickled.read_bytes()[:5000], "cannot be read as weights"),
        "cut.safetensors": (whole[:-100], "is not a complete safetensors file"),
        "text.safetensors": (b"not weights at all", "is not a complete safetensors file"),
        "net.onnx": (b"x", "cannot be read as weights"),
        "page.pth": (b"<!DOCTYPE html><html>", "page.pth is a web page, not a weights file."),
        "pointer.safetensors": (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "only points to weights in Git LFS",
        ),
        "keras.pth": (b"\x89HDF\r\n", "is an HDF5 file"),
        "nothing.safetensors": (save({}), "holds no weights"),
    }
    for name, (data, sentence) in files.items():
        (tmp_path / name).write_bytes(data)
        assert sentence in refused(f"resnet18:{tmp_path / name}").message
    for value in ([1, 2], {}, {"a": 1}):
        torch.save(value, tmp_path / "value.pth")
        assert refused(f"resnet18:{tmp_path / 'value.pth'}").message == "value.pth holds no weights."
    for value in ({1: torch.zeros(2)}, {"a": torch.zeros(2, dtype=torch.complex64)}, torch.zeros(2)):
        torch.save(value, tmp_path / "value.pth")
        assert "it lacks 'conv1.weight'" in refused(f"resnet18:{tmp_path / 'value.pth'}").message


def test_a_tensor_that_claims_more_than_the_file_holds(tiny: torch.nn.Module, tmp_path: Path) -> None:
    torch.save({**tiny.state_dict(), "fc.weight": torch.zeros(1, 1).expand(1_000_000_000, 1024)}, tmp_path / "w.pth")
    message = refused(f"shufflenet_v2_x0_5:{tmp_path / 'w.pth'}").message
    assert message == "'fc.weight' in w.pth claims more values than the file holds."


def test_names_that_are_none(tmp_path: Path) -> None:
    assert "names no file" in refused("resnet18:").message
    assert "does not exist" in refused("resnet18:~nobody-here/w.pth").message
    assert "is a folder" in refused(f"resnet18:{tmp_path}").message
    assert "does not exist" in refused(f"resnet18:{tmp_path / 'none.pth'}").message
    assert "does not exist" in refused("resnet18:C:\\weights\\none.pth").message
    with pytest.raises(BadParameter, match="contains a zero byte"):
        load("resnet18:a\0b.pth")
    assert "cannot be opened" in refused(f"resnet18:{'x' * 5000}.pth").message
    assert refused("none.pth").hint == "Write one before it, such as resnet18@none.pth."
    assert "already has labels" in refused("resnet18", options=ModelOptions(labels="x.txt")).message
    with pytest.raises(UnknownName, match=r"no architecture called 'resnet19'\. Did you mean 'resnet18'"):
        load("resnet19:x.pth")
    with pytest.raises(UnknownName, match=r"no model called 'VGG-16'\. Did you mean 'vgg16'"):
        load("VGG-16")
    with pytest.raises(UnknownName):
        load("")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x08\0\0\0\0\0\0\0"]))
def test_any_bytes_are_weights_or_a_sentence(tmp_path_factory: Any, tail: bytes, start: bytes) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    for suffix in (".pth", ".safetensors"):
        (folder / f"w{suffix}").write_bytes(start + tail)
        with pytest.raises(BadModel), opened(folder / f"w{suffix}"):
            pass


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("auxiliary", [True, False])
def test_auxiliary_classifiers_are_left_out(tmp_path: Path, name: str, auxiliary: bool) -> None:
    net = net_of(name, aux_logits=auxiliary, init_weights=False, transform_input=True)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    model = load(f"{name}:{tmp_path / 'w.safetensors'}")
    assert not any("aux" in layer.name.lower() for layer in model.survey.layers)
    assert not any("aux" in key.lower() for key in model.net.state_dict())
    images = torch.rand(1, 3, model.preprocess.crop, model.preprocess.crop)
    assert torch.equal(model.net(images), net(images))


@pytest.mark.slow
def test_a_transformer_for_another_image_size(tmp_path: Path) -> None:
    net = net_of("vit_b_32", image_size=96)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    model = load(f"vit_b_32:{tmp_path / 'w.safetensors'}")
    assert (model.preprocess.crop, model.preprocess.resize) == (96, 96)
    assert torch.equal(model.net(torch.ones(1, 3, 96, 96)), net(torch.ones(1, 3, 96, 96)))


def test_own_flowers(tmp_path: Path) -> None:
    save_file(architecture(6).state_dict(), tmp_path / "f.safetensors")
    model = load(f"flowers:{tmp_path / 'f.safetensors'}")
    assert model.labels[5] == "class 5"
    torch.save({"net": {f"module.{k}": v for k, v in architecture(6).state_dict().items()}}, tmp_path / "checkpoint")
    assert load(f"flowers@{tmp_path / 'checkpoint'}").facts["notes"] == ["Tensors under 'net.module' were taken"]
    (tmp_path / "f.json").write_text('{"labels": ["a", "b", "c", "d", "e", "f"]}')
    assert load(f"flowers:{tmp_path / 'f.safetensors'}").labels == tuple("abcdef")
    for text in ("{", "[]", '{"labels": 3}', '{"labels": ["a"], "notes": 3}', "[" * 200_000):
        (tmp_path / "f.json").write_text(text)
        assert load(f"flowers:{tmp_path / 'f.safetensors'}").labels[5] == "class 5"


def test_content_sha_is_of_names_shapes_and_values() -> None:
    one = {"a": torch.zeros(2, 3), "b": torch.tensor(4)}
    assert content_sha(one) == content_sha(dict(reversed(one.items())))
    different = [{**one, "a": torch.zeros(3, 2)}, {**one, "b": torch.tensor(5)}, {"c": one["a"], "b": one["b"]}]
    assert len({content_sha(state) for state in [one, *different]}) == 4


def test_frozen_and_as_model_leave_nothing_to_restore() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    assert frozen(net) is net
    model = as_model("x", torch.nn.Sequential(net, torch.nn.Linear(4 * 222 * 222, 3)))
    assert model.labels == ("class 0", "class 1", "class 2")
    assert not any(module.training or getattr(module, "inplace", False) for module in model.net.modules())


def test_labels_function_counts(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a\nb\n")
    assert labels_file(tmp_path / "l.txt", 2)[0] == ("a", "b")


def test_the_list_says_family_and_license_of_torchvision_s_models() -> None:
    found = {one.name: one for one in listed() if one.source == "torchvision"}
    assert found.keys() == set(models.list_models(module=models))
    for name, module in (("wide_resnet50_2", models.resnet), ("swin_v2_t", models.swin_transformer)):
        assert f"torchvision.models.{found[name].family}" == module.__name__
        assert found[name].license == "BSD-3-Clause (code)"
    own = {one.name: one.license for one in found.values() if one.license != "BSD-3-Clause (code)"}
    assert sorted(own) == ["regnet_y_128gf", "vit_h_14"]
    assert all("SWAG/blob/main/LICENSE" in text for text in own.values())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_0", "convnext_tiny"])
def test_multiplications_are_those_that_torch_counts(name: str) -> None:
    net = frozen(net_of(name))
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 64, 64))
    model = as_model(name, net, preprocess=Preprocess(crop=64))
    assert model.multiplications == counter.get_total_flops() // 2
