"""Networks of ONNX: computed as torch and onnxruntime do, with readable layers, or as a black box; bad ones refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from torch import Tensor, nn
from torchvision.models import VGG, MobileNetV2, ResNet, VisionTransformer
from torchvision.models.resnet import BasicBlock

from core.errors import BadModel, Unavailable
from core.explain import EXPLAINERS
from core.models import load
from core.models.name import parsed
from core.models.sources.exported import SOURCE
from tests import nets
from tests.exported import SIDE, saved, small
from tests.hostile.exported import CHANGES

IMAGES = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def resnet() -> nn.Module:
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)


def mobilenet() -> nn.Module:
    return MobileNetV2(5, 0.25, [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]])


def vgg() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(True), nn.MaxPool2d(4)]
    net = VGG(nn.Sequential(*layers, nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)), 5)
    net.avgpool, net.classifier = (
        nn.AdaptiveAvgPool2d(4),
        nn.Sequential(nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 5)),
    )
    return net


def transformer() -> nn.Module:
    net = VisionTransformer(SIDE, 8, 2, 3, 24, 48, num_classes=5)
    nn.init.normal_(net.heads.head.weight)
    return net


NETWORKS = (resnet, mobilenet, vgg, transformer)
# The layer that maps are read from, as the original network names it or the module whose work it took over.
DEFAULTS = {
    "resnet": "layer3.0.relu_1",  # on such small images the last stage has a single position
    "mobilenet": "features.6.2",
    "vgg": "features.5",
    "transformer": "encoder.layers.encoder_layer_1.ln_1",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[nn.Module, Path]]:
    """A network and its file, exported once."""
    known: dict[Any, tuple[nn.Module, Path]] = {}

    def export(make: Callable[[], nn.Module], **options: Any) -> tuple[nn.Module, Path]:
        key = make, *sorted(options.items())
        if key not in known:
            net = nets.seeded(make).eval()
            known[key] = net, saved(net, tmp_path_factory.mktemp("exported") / f"{make.__name__}.onnx", **options)
        return known[key]

    return export


def outputs(net: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        return net(images)


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("make", NETWORKS)
def test_exported_networks_compute_as_before(
    make: Callable[[], nn.Module], dynamo: bool, batch: int | None, made: Any
) -> None:
    net, path = made(make, dynamo=dynamo, batch=batch)
    model = load(str(path))
    assert torch.allclose(outputs(model.net), outputs(net), atol=1e-5)
    assert model.preprocess.crop == SIDE
    assert any(note.startswith("Converted to torch; agrees with onnxruntime to ") for note in model.notes)
    slopes = [torch.autograd.grad(one(images)[:, 1].sum(), images)[0]
              for one in (net, model.net) for images in [IMAGES.clone().requires_grad_()]]  # fmt: skip
    assert torch.allclose(*slopes, atol=1e-5)
    assert model.survey.default == DEFAULTS[make.__name__]
    again = load(str(path))
    assert (again.survey, again.sha) == (model.survey, model.sha)


class Probabilities(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).softmax(1)


class Two(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images * 2, images.mean((2, 3))


def test_a_softmax_at_the_end_is_recognised(made: Any) -> None:
    _, path = made(Probabilities)
    model = load(str(path))
    assert any("final softmax" in note for note in model.notes)
    assert torch.allclose(model.probabilities(outputs(model.net)), IMAGES.mean((2, 3)).softmax(1), atol=1e-6)


def test_of_several_outputs_one_is_said_to_be_taken(made: Any) -> None:
    _, path = made(Two, outputs=("maps", "scores"))
    model = load(str(path))
    assert "Of its 2 outputs 'scores' is taken." in model.notes
    assert torch.allclose(outputs(model.net), IMAGES.mean((2, 3)))


def changed(path: Path, folder: Path, change: Callable[[Any], Any]) -> str:
    """The path of a file with a changed network."""
    model = onnx.load(path)
    change(model)
    target = folder / "changed.onnx"
    target.write_bytes(model.SerializeToString())
    return str(target)


def three() -> nn.Module:
    return small(3)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("names", "{0: 'ant', 1: 'bee', 2: 'cow'}"),
        ("classes", '["ant", "bee", "cow"]'),
        ("labels", "ant\nbee\ncow\n"),
        ("labels", "ant, bee, cow"),
        ("class_names", '{"bee": 1, "ant": 0, "cow": 2}'),
    ],
)
def test_labels_of_the_file(key: str, text: str, made: Any, tmp_path: Path) -> None:
    _, path = made(three)
    name = changed(path, tmp_path, lambda model: model.metadata_props.add(key=key, value=text))
    assert load(name).labels == ("ant", "bee", "cow")


def test_labels_that_do_not_fit_are_left_out(made: Any, tmp_path: Path) -> None:
    _, path = made(three)
    model = load(changed(path, tmp_path, lambda model: model.metadata_props.add(key="names", value='["ant"]')))
    assert model.labels[0] == "class 0"
    assert any("names 1 classes for 3 outputs" in note for note in model.notes)


def test_channels_last_are_recognised(made: Any, tmp_path: Path) -> None:
    net, path = made(three, batch=1)

    def reorder(model: Any) -> None:
        del model.graph.input[0].type.tensor_type.shape.dim[:]
        for size in (1, SIDE, SIDE, 3):
            model.graph.input[0].type.tensor_type.shape.dim.add(dim_value=size)
        model.graph.input[0].name = "channels_last"
        model.graph.node.insert(0, helper.make_node("Transpose", ["channels_last"], ["images"], perm=[0, 3, 1, 2]))

    model = load(changed(path, tmp_path, reorder))
    assert "It takes images with the channels last." in model.notes
    assert model.survey.default
    assert torch.allclose(outputs(model.net), outputs(net), atol=1e-5)


def test_half_precision_is_computed_in_full(made: Any, tmp_path: Path) -> None:
    net, path = made(three)

    def halve(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
        del model.graph.value_info[:]

    model = load(changed(path, tmp_path, halve))
    assert "Its numbers of 16 bits are computed with 32 bits." in model.notes
    assert torch.allclose(outputs(model.net), outputs(net), atol=1e-2)


class Images(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"images": image[None].numpy()} for image in IMAGES]

    def get_next(self) -> Any:
        return self.left.pop() if self.left else None


def test_a_quantised_network_is_a_black_box(made: Any, tmp_path: Path) -> None:
    _, path = made(three, batch=1)
    quantize_static(path, tmp_path / "q.onnx", Images())
    model = load(str(tmp_path / "q.onnx"))
    assert any(note.startswith("Quantised: run by onnxruntime as a black box") for note in model.notes)
    run = onnxruntime.InferenceSession(tmp_path / "q.onnx").run
    expected = np.concatenate([run(None, {"images": image[None].numpy()})[0] for image in IMAGES])
    assert np.allclose(outputs(model.net), expected, atol=1e-6)
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        again = onnxruntime.InferenceSession(tmp_path / "q.onnx", options).run
        assert np.array_equal(again(None, {"images": IMAGES[:1].numpy()})[0], expected[:1])
    assert not model.differentiable
    reasons = {name: method.unmet(model) for name, method in EXPLAINERS.items()}
    assert not any(reasons[name] for name in ("occlusion", "rise", "kernel_shap", "lime_image"))
    assert reasons["saliency"] == "Saliency requires gradients, and q.onnx is a black box that gives outputs alone."


def test_what_does_not_convert_is_a_black_box(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net, path = made(three)

    def fails(*_: Any) -> Any:
        raise NotImplementedError("Conversion not implemented for op_type=X.")

    monkeypatch.setattr("core.models.sources.exported.steps_of", fails)
    model = load(str(path))
    assert any(note.startswith("Not converted to torch (Conversion not implemented for op") for note in model.notes)
    assert torch.allclose(outputs(model.net), outputs(net), atol=1e-5)


def test_what_disagrees_is_a_black_box(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net, path = made(three)
    given = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, images: given(self, images) + 1)
    model = load(str(path))
    assert any("differ from onnxruntime's by 1:" in note for note in model.notes)
    monkeypatch.undo()
    assert torch.allclose(outputs(model.net), outputs(net), atol=1e-5)


def test_values_beside_the_file(tmp_path: Path) -> None:
    net = nets.seeded(three).eval()
    path = saved(net, tmp_path / "net.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert torch.allclose(outputs(load(str(path)).net), outputs(net), atol=1e-5)
    (tmp_path / "net.data").write_bytes((tmp_path / "net.data").read_bytes()[:-4])
    with pytest.raises(BadModel, match=r"net\.data is shorter than net\.onnx claims"):
        load(str(path))
    (tmp_path / "net.data").unlink()
    with pytest.raises(BadModel, match="cannot be read"):
        load(str(path))
    (tmp_path / "net.data").symlink_to("/etc/passwd")
    with pytest.raises(BadModel, match="not a regular file"):
        load(str(path))


def outside(location: str) -> Callable[[Any], None]:
    """The change that moves values to another file."""

    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def huge(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def short_values(model: Any) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "load"  # a function of torch


def own_domain(model: Any) -> None:
    model.graph.node[0].domain = "mine"


def random_numbers(model: Any) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["x"], shape=[1]))


def loop(model: Any) -> None:
    model.graph.node.append(helper.make_node("Loop", [], ["x"], body=helper.make_graph([], "body", [], [])))


def second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))


def absurd_value(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 40]), "shape"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["absurd"]))


def recursive(model: Any) -> None:
    node = helper.make_node("f", ["x"], ["y"], domain="mine")
    model.functions.append(helper.make_function("mine", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 17)]))


def doubling(model: Any) -> None:
    CHANGES["doubling functions"](model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (doubling, "functions of more than 100,000 operators"),
        (outside("../../etc/passwd"), "does not lie beside it"),
        (outside("/etc/passwd"), "does not lie beside it"),
        (outside(".."), "does not lie beside it|cannot be read"),
        (outside("changed.onnx"), "shorter|damaged|claims|valid"),
        (huge, "claims"),
        (short_values, "does not hold"),
        (unknown_operator, "'load', which ONNX does not define"),
        (own_domain, "which ONNX does not define"),
        (random_numbers, "draws random numbers"),
        (loop, "control flow"),
        (second_input, "has 2 inputs"),
        (absurd_value, "computes 'absurd'"),
        (recursive, "functions that call themselves"),
    ],
)
def test_hostile_files_get_one_sentence(change: Any, said: str, made: Any, tmp_path: Path) -> None:
    _, path = made(three)
    with pytest.raises(BadModel, match=said) as error:
        load(changed(path, tmp_path, change))
    assert error.value.hint


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04 no network", b"\x08\x07", bytes(range(256))])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(BadModel, match=r"net\.onnx (is empty|cannot be read as ONNX)"):
        load(str(tmp_path / "net.onnx"))


def test_truncated_files_are_refused(made: Any, tmp_path: Path) -> None:
    _, path = made(three)
    content = path.read_bytes()
    for end in range(1, len(content), len(content) // 30):
        (tmp_path / "net.onnx").write_bytes(content[:end])
        with pytest.raises(BadModel):
            load(str(tmp_path / "net.onnx"))


@pytest.mark.parametrize("name", ["network.onnx", "onnx:network"])
def test_a_file_that_does_not_exist(name: str) -> None:
    with pytest.raises(BadModel, match="does not exist"):
        load(name)


def test_without_the_packages_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(Unavailable, match="needs the package onnxruntime") as error:
        SOURCE.build(parsed("network.onnx"), None, lambda *_: None)  # type: ignore[arg-type]
    assert error.value.hint == "Install it: pip install 'vitrine[onnx]'."
