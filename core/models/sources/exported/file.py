"""The content of an .onnx file, read within its limits and checked: nothing of it is run, nothing else is read.

Other files that hold its values must lie beside it, and every size that it claims is compared with what is there.
"""

import ast
import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from core.environment import limit
from core.errors import BadModel, brief
from core.files import read_bytes, regular_file
from core.models.source import package

LARGEST = 2**31 - 1  # bytes of a network that the format, and so onnxruntime, can take in one piece
_MOST_NUMBERS = 2**30  # in one intermediate value, for one image
_MOST_OPERATORS = 100_000  # when all functions are written out
_SMALL = 1024  # bytes of a tensor that may be a shape
_PACKED = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}  # bits of types that share bytes
_STANDARD = ("", "ai.onnx")
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
# Of onnxruntime's own operators those that its optimiser and its quantisation write.
_BUILT_IN = {
    "BiasGelu", "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "Gelu",
    "MatMulIntegerToFloat", "NhwcFusedConv", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat",
    "QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean",
    "QLinearSigmoid", "QLinearSoftmax", "QuickGelu", "DequantizeLinear", "QuantizeLinear", "SkipLayerNormalization",
    "LayerNormalization",
}  # fmt: skip
_NAMES = ("names", "labels", "classes", "class_names", "class_labels")  # of the metadata that hold those of the classes
_AGAIN = "Export the network again."


@dataclass(frozen=True)
class Exported:
    """A checked network of ONNX with its values, and what its file says about images, outputs and classes."""

    model: Any  # onnx.ModelProto, with all values inside
    input: str
    kind: int  # of the numbers of its images, as ONNX counts them
    shape: tuple[int | None, ...]  # of the input, without the batch; None for a side that is free
    batch: int | None  # None if any number of images can be given
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...]  # what was assumed

    @property
    def operators(self) -> frozenset[str]:
        """The kinds of its operators."""
        return frozenset(node.op_type for node in self.model.graph.node)

    @property
    def quantised(self) -> bool:
        """Whether it computes with whole numbers of 8 bits, or fewer."""
        return any("Quantize" in kind or kind.startswith("QLinear") or kind in {"ConvInteger", "MatMulInteger", "QGemm"}
                   for kind in self.operators)  # fmt: skip


def read(path: Path) -> Exported:
    """The checked content of a file. Raises BadModel for one that is damaged, or holds what is not run here."""
    onnx = package("onnx", "onnx")
    name = brief(path.name, 60)
    model = _parsed(onnx, _content(path), name)
    if model.functions:
        model = _inlined(onnx, model, name)
    _check_operators(onnx, model, name)
    left = limit("weights")
    for tensor in _tensors(model):
        left -= _filled(onnx, tensor, path, left)
    if model.ByteSize() > LARGEST:
        raise BadModel(
            f"{name} holds more than 2 GB, which onnxruntime does not take in one piece.", "Export a smaller network."
        )
    _check(onnx, model, name)
    notes = ["The opset is " + ", ".join(str(one.version) for one in model.opset_import if one.domain in _STANDARD)]
    if _in_full_precision(onnx, model):
        notes.append("Its numbers of 16 bits are computed with 32 bits")
    given = _input(onnx, model, name)
    batch, *shape = _dims(given.type.tensor_type.shape)
    labels = _labels({one.key: one.value for one in model.metadata_props})
    outputs = tuple(one.name for one in model.graph.output)
    _check_sizes(onnx, model, given, name)
    return Exported(
        model, given.name, given.type.tensor_type.elem_type, tuple(shape), batch, outputs, labels, tuple(notes)
    )


def _content(path: Path) -> bytes:
    """The bytes of a file."""
    shown = brief(str(path), 120)
    try:
        content = read_bytes(path, min(limit("weights"), LARGEST))
    except FileNotFoundError:
        raise BadModel(f"The file {shown!r} does not exist.", "Check its path.") from None
    except IsADirectoryError:
        raise BadModel(f"{shown} is a folder, not a network of ONNX.", "Name the .onnx file itself.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is no path"
        raise BadModel(f"The file {shown!r} cannot be opened: {reason}.", "Check its path.") from None
    if not content:
        raise BadModel(f"{brief(path.name, 60)} is empty.", _AGAIN)
    return content


def _parsed(onnx: Any, content: bytes, name: str) -> Any:
    """The network in bytes. Raises BadModel for those that hold none."""
    damaged = f"{name} cannot be read as ONNX: it is damaged or holds something else; nothing in it was run."
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:
        raise BadModel(damaged, _AGAIN) from error
    if not model.ir_version or not model.graph.node or not model.graph.output:
        raise BadModel(damaged, _AGAIN)
    return model


def _inlined(onnx: Any, model: Any, name: str) -> Any:
    """The network with its own functions written out; those that call themselves, or are vast then, are refused."""
    calls = {(one.domain, one.name): [(node.domain, node.op_type) for node in one.node] for one in model.functions}
    open_calls, sizes = dict(calls), dict[tuple[str, str], int]()  # operators of each function when it is written out
    while open_calls:
        done = [key for key, called in open_calls.items() if open_calls.keys().isdisjoint(called)]
        if not done:
            raise BadModel(f"{name} holds functions that call themselves.", _AGAIN)
        for key in done:
            sizes[key] = sum(sizes.get(one, 1) for one in open_calls.pop(key))
    if sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node) > _MOST_OPERATORS:
        raise BadModel(f"{name} holds functions of more than {_MOST_OPERATORS:,} operators.", _AGAIN)
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        raise BadModel(f"{name} holds functions that cannot be resolved.", _AGAIN) from error


def _check_operators(onnx: Any, model: Any, name: str) -> None:
    """Raise BadModel for operators that nobody here knows, that contain graphs, or that draw random numbers."""
    for node in model.graph.node:
        shown = brief(f"{node.domain}.{node.op_type}".lstrip("."), 60)
        known = node.domain in _STANDARD and onnx.defs.has(node.op_type)
        if not known and not (node.domain == "com.microsoft" and node.op_type in _BUILT_IN):
            message = f"{name} contains the operator {shown!r}, which ONNX does not define."
            raise BadModel(message, "Export it with standard operators only.")
        if any(one.HasField("g") or one.graphs for one in node.attribute):
            message = f"{name} contains control flow ({shown}), which is not supported."
            raise BadModel(message, "Export the network without loops and conditions.")
        if node.op_type in _RANDOM:
            message = f"{name} draws random numbers ({shown}), so that no prediction could be repeated."
            raise BadModel(message, "Export the network in its mode for evaluation.")


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors with values: initializers, and those of attributes."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        for one in node.attribute:
            yield from ([one.t] if one.HasField("t") else [])
            yield from one.tensors


def _filled(onnx: Any, tensor: Any, path: Path, left: int) -> int:
    """Check that a tensor holds as many values as it claims, read them if they lie in another file; their bytes."""
    name, shown = brief(path.name, 60), brief(tensor.name, 60)
    damaged = f"{name} is damaged: the tensor '{shown}' "
    kind, dims = tensor.data_type, tuple(tensor.dims)
    if kind == onnx.TensorProto.STRING:
        raise BadModel(f"{name} contains texts ('{shown}'), which no network of images needs.", _AGAIN)
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
    except Exception as error:
        raise BadModel(f"{damaged}has an unknown type.", _AGAIN) from error
    bits = _PACKED.get(onnx.TensorProto.DataType.Name(kind), 8 * width)
    if min(dims, default=0) < 0:
        raise BadModel(f"{damaged}has a negative size.", _AGAIN)
    claimed = (prod(dims) * bits + 7) // 8
    if claimed > left:
        raise BadModel(f"{damaged}claims {claimed / 1e6:,.0f} MB.", "VITRINE_WEIGHTS_MB sets the limit.")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor.raw_data = _external({one.key: one.value for one in tensor.external_data}, path, claimed)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    if tensor.HasField("raw_data"):
        complete = len(tensor.raw_data) == claimed
    else:
        try:
            complete = onnx.numpy_helper.to_array(tensor).size == prod(dims)
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            complete = False
    if not complete:
        raise BadModel(f"{damaged}does not hold the {prod(dims):,} values that it claims.", _AGAIN)
    return claimed


def _external(facts: Mapping[str, str], path: Path, claimed: int) -> bytes:
    """The values that lie in a file beside the network; other places are not read."""
    name, beside = brief(path.name, 60), facts.get("location", "")
    shown = brief(beside, 80)
    if not beside or Path(beside).name != beside or "\\" in beside or ":" in beside:
        message = f"{name} names a file for its values that does not lie beside it: {shown!r}."
        raise BadModel(message, "Export it with all values inside, or in a file of the same folder.")
    try:
        start, length = int(facts.get("offset") or 0), int(facts.get("length") or claimed)
        if start < 0 or length != claimed:
            raise ValueError
        if not stat.S_ISREG((path.parent / beside).lstat().st_mode):  # a link would lead elsewhere
            raise OSError(0, "it is not a regular file")
        with regular_file(path.parent / beside, limit("weights")) as file:
            file.seek(start)
            values = file.read(length)
    except OSError as error:
        message = f"The values of {name} lie in {shown!r}, which cannot be read ({error.strerror})."
        raise BadModel(
            message, "Put it beside the .onnx file, or export the network with all values inside."
        ) from error
    except ValueError as error:
        raise BadModel(
            f"{name} is damaged: it names no part of {shown!r} that could hold its values.", _AGAIN
        ) from error
    if len(values) != claimed:
        raise BadModel(f"{shown} is shorter than {name} claims.", "Copy both files again.")
    return values


def _check(onnx: Any, model: Any, name: str) -> None:
    """Raise BadModel for a graph that is not valid."""
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        reason = brief(" ".join(str(error).split()), 120)
        raise BadModel(f"{name} is no valid network of ONNX ({reason}).", _AGAIN) from error


def _in_full_precision(onnx: Any, model: Any) -> bool:
    """Turn all numbers of 16 bits into 32 bits, which hold them exactly; whether there were any."""
    half, full, found = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, False
    for tensor in _tensors(model):
        if tensor.data_type == half:
            found = True
            values = onnx.numpy_helper.to_array(tensor).astype("float32")
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == half:
            found, value.type.tensor_type.elem_type = True, full
    if found:
        del model.graph.value_info[:]
        for node in model.graph.node:
            for one in node.attribute:
                if one.name in {"to", "dtype", "output_dtype"} and one.i == half:
                    one.i = full
    return found


def _input(onnx: Any, model: Any, name: str) -> Any:
    """The input for images, the only one without values of its own."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(brief(one.name, 30) for one in inputs[:5]) or "none"
        message = f"{name} has {len(inputs)} inputs ({names}); one, for images, is needed."
        raise BadModel(message, "Export a network that takes images alone.")
    kind = inputs[0].type.tensor_type
    if len(kind.shape.dim) != 4:
        message = f"The input '{brief(inputs[0].name, 40)}' of {name} has {len(kind.shape.dim)} dimensions, not four."
        raise BadModel(message, "Use a network that takes images (N, C, H, W).")
    known = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.UINT8)
    if kind.elem_type not in known:
        kinds = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise BadModel(f"{name} takes images of the type {kinds}.", "Use one that takes float, half, double or uint8.")
    return inputs[0]


def _dims(shape: Any) -> list[int | None]:
    return [one.dim_value if one.HasField("dim_value") and one.dim_value > 0 else None for one in shape.dim]


def _check_sizes(onnx: Any, model: Any, given: Any, name: str) -> None:
    """Raise BadModel for a network that computes a value of absurd size, as far as its shapes can be foreseen."""
    light = onnx.ModelProto()
    light.CopyFrom(model)
    sides = light.graph.input[[one.name for one in light.graph.input].index(given.name)].type.tensor_type.shape
    for one in sides.dim:
        if not one.dim_value:
            one.dim_value = 1
    for tensor in list(light.graph.initializer):
        if len(tensor.raw_data) > _SMALL:  # its shape is enough
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            light.graph.initializer.remove(tensor)
    try:
        light = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except Exception as error:
        raise BadModel(f"{name} is no valid network of ONNX: its shapes do not go together.", _AGAIN) from error
    for value in (*light.graph.value_info, *light.graph.output):
        sizes = [size or 1 for size in _dims(value.type.tensor_type.shape)]
        if prod(sizes) > _MOST_NUMBERS:
            message = f"{name} computes '{brief(value.name, 40)}' of {prod(sizes):,} numbers."
            raise BadModel(message, "Use a network for smaller images.")


def _labels(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the classes in a file's metadata: a list or numbered dictionary, or a text with one per line."""
    text = next((metadata[key].strip() for key in _NAMES if metadata.get(key, "").strip()), "")
    if not text or len(text) > limit("text"):
        return ()
    if text[0] not in "[{(":
        lines = text.splitlines() if "\n" in text else text.split(",")
        return tuple(line.strip() for line in lines if line.strip())
    for reading in (json.loads, ast.literal_eval):
        try:
            return _listed(reading(text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return ()


def _listed(found: Any) -> tuple[str, ...]:
    """The names in a list, or a dictionary from their numbers, or to them. Raises ValueError for others."""
    if isinstance(found, Mapping):
        numbered = all(str(key).isdigit() for key in found)
        pairs = found.items() if numbered else ((number, key) for key, number in found.items())
        ordered = sorted((int(number), label) for number, label in pairs)
        if [number for number, _ in ordered] != list(range(len(ordered))):
            raise ValueError("the numbers have gaps")
        found = [label for _, label in ordered]
    if not isinstance(found, Sequence) or not all(isinstance(label, str) for label in found):
        raise ValueError("no list of texts")
    return tuple(found)
