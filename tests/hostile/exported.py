"""Hostile files of ONNX, made by code: cut, endless graphs, vast tensors, values of other files, unknown operators."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from core.models import load

File = tuple[str, bytes]


def sound() -> ModelProto:
    """A small network that can be opened: the mean of each channel times a matrix."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, 32])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
    weight = numpy_helper.from_array(np.ones((3, 4), np.float32), "weight")
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "net", [images], [logits], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _cyclic(model: ModelProto) -> None:
    model.graph.node[1].input[0] = "logits"


def _itself(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "pooled"


def _vast(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**20, 2**20]


def _vast_product(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**62, 2**62, 4]


def _negative(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-3, -4]


def _elsewhere(location: str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def _unknown(model: ModelProto) -> None:
    model.graph.node[1].op_type = "system"


def _foreign(model: ModelProto) -> None:
    model.graph.node[1].domain = "os"


def _missing(model: ModelProto) -> None:
    model.graph.node[2].input[1] = "nothing"


def _large_value(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20]), "shape"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["large"]))


def _doubling(model: ModelProto) -> None:
    """Functions that each call the one before twice, forty deep."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    for number in range(40):
        inner = ("mine", f"f{number - 1}") if number else ("", "Relu")
        nodes = [
            helper.make_node(inner[1], [before], [after], domain=inner[0]) for before, after in (("x", "y"), ("y", "z"))
        ]
        model.functions.append(helper.make_function("mine", f"f{number}", ["x"], ["z"], nodes, opset))
    model.opset_import.append(opset[1])
    model.graph.node.append(helper.make_node("f39", ["logits"], ["more"], domain="mine"))


CHANGES: dict[str, Callable[[ModelProto], None]] = {
    "cyclic": _cyclic,
    "reads itself": _itself,
    "vast tensor": _vast,
    "vast product": _vast_product,
    "negative sides": _negative,
    "values outside": _elsewhere("../../etc/passwd"),
    "values at the root": _elsewhere("/dev/zero"),
    "values in a folder": _elsewhere("."),
    "unknown operator": _unknown,
    "foreign operator": _foreign,
    "missing input": _missing,
    "large value": _large_value,
    "doubling functions": _doubling,
}


def files() -> Iterator[File]:
    """Names and contents of hostile files."""
    content = sound().SerializeToString()
    for name, change in CHANGES.items():
        model = sound()
        change(model)
        yield f"{name}.onnx", model.SerializeToString()
    for share in (0.1, 0.5, 0.9):
        yield f"cut at {share}.onnx", content[: int(share * len(content))]
    yield "long.onnx", b"\x08\x08\x3a\xff\xff\xff\xff\x0f" + content
    yield "deep.onnx", _deep(3000)


def _deep(levels: int) -> bytes:
    """A graph inside an attribute of a node of a graph, and so on."""
    content = b""
    for _ in range(levels):
        attribute = b"\x0a\x01b" + _field(0x32, content)
        content = _field(0x0A, b"\x22\x02If" + _field(0x2A, attribute))
    return b"\x08\x08" + _field(0x3A, content)


def _field(tag: int, content: bytes) -> bytes:
    size, count = b"", len(content)
    while count > 127:
        size, count = size + bytes([count & 127 | 128]), count >> 7
    return bytes([tag]) + size + bytes([count]) + content


def opened(folder: Path, name: str, content: bytes) -> None:
    """Open a file as the command line does."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    load(str(folder / name))


def check_sound(folder: Path) -> None:
    """Open the sound network, which shows that the others are refused for what was changed."""
    opened(folder, "sound.onnx", sound().SerializeToString())
