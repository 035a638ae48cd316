"""Networks of ONNX files: converted to torch where that agrees with onnxruntime, else run by onnxruntime itself."""

import hashlib
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, brief
from core.images import Preprocess
from core.images.preprocess import COUNTS, OF_COUNT, both
from core.models.name import ModelName
from core.models.source import Source, SourceNetwork, package
from core.models.sources.exported.file import Exported, read
from core.models.sources.exported.network import BlackBox, Converted, Exchange, OneByOne, session
from core.models.sources.exported.steps import only_maps, steps_of, with_any_batch
from core.models.trial import USUAL
from core.params import Sides, expanded, one_or_two
from core.progress import Report

TOLERANCE = 1e-4  # between both computations, relative to the largest output
_MOST_VERSIONS = 8  # of a network for one image that are tried for any number
_ASSUMED = "ImageNet's mean and deviation are assumed, as the file does not say how images are prepared"


def build(name: ModelName, options: ModelOptions, report: Report) -> SourceNetwork:
    """The network of a file, with labels and size where it says them, and notes on how it is computed.

    Raises BadModel for a file that is damaged or not for images, Unavailable without the packages of the extra.
    """
    for needed in ("onnx", "onnxruntime", "onnx2pytorch"):
        package(needed, "onnx")
    report(0.0, "reading the network")
    file = read(expanded(name.file))
    shown = name.display
    exchange, side, count, layout_notes = _exchange(file, shown)
    count = count or (3 if options.channels == "auto" else COUNTS[options.channels])
    side = side or options.size or options.crop or 224
    content = file.model.SerializeToString(deterministic=True)
    report(0.3, "opening the network")
    try:
        opened = session(content)
    except Exception as error:
        raise _failed(shown, error) from error
    images = torch.randn(2, count, *both(side), generator=torch.Generator().manual_seed(0))
    if exchange.kind == torch.uint8:
        images = (images * 60 + 128).round().clamp(0, 255)
    taken, said = _scores(file, opened, exchange, images, shown)
    black_box = BlackBox(partial(_outputs, opened, file.input, taken), exchange, file.batch)
    expected = black_box(images)
    report(0.6, "converting the network")
    net, how = _network(file, taken, exchange, images, expected)
    notes = [*file.notes, *layout_notes, *said, how]
    preprocess = Preprocess(side, side if side != 224 else 256).fed(OF_COUNT[count])
    if exchange.kind == torch.uint8:
        preprocess = replace(preprocess, mean=(0.0,) * count, std=(1 / 255,) * count)
    else:
        notes.append(_ASSUMED)
    labels = file.labels
    if labels and len(labels) != expected.shape[1]:
        notes.append(f"The file names {len(labels)} classes for {expected.shape[1]} outputs; its names are left out")
        labels = ()
    code = hashlib.sha256(content).hexdigest()
    return SourceNetwork(net or black_box, labels, preprocess, facts={"source": "ONNX", "notes": notes}, code=code)


def _exchange(file: Exported, shown: str) -> tuple[Exchange, Sides, int, list[str]]:
    """How the network takes images, their sides and number of channels (0 if free), and what was assumed of that."""
    kind = {1: torch.float32, 11: torch.float64}.get(file.kind, torch.uint8)
    first, second, last = file.shape
    channels_last = last in OF_COUNT and first not in OF_COUNT
    channels = last if channels_last else first
    height, width = (first, second) if channels_last else (second, last)
    notes = ["It takes images with the channels last"] if channels_last else []
    if channels is not None and channels not in OF_COUNT:
        message = f"{shown} takes images of {channels} channels."
        raise BadModel(message, "Only networks for one, three and four channels can be opened.")
    if kind == torch.uint8:
        notes.append("It takes values from 0 to 255")
    side = one_or_two(height or width or 0, width or height or 0)
    return Exchange(kind, channels_last), side, channels or 0, notes


def _scores(file: Exported, opened: Any, exchange: Exchange, images: Tensor, shown: str) -> tuple[str, list[str]]:
    """The output with a number for each class, and which one it is, if there are several."""
    fitting = []
    failure: Exception | None = None
    for name in file.outputs:
        run = BlackBox(partial(_outputs, opened, file.input, name), exchange, file.batch)
        try:
            given = run(images)
        except Exception as error:  # noqa: BLE001 - onnxruntime raises errors of its own kinds
            failure = error
            continue
        if given.dim() in (1, 2) and len(given) == len(images):
            fitting.append(name)
    if not fitting:
        if failure:
            raise _failed(shown, failure) from failure
        names = ", ".join(f"'{brief(name, 30)}'" for name in file.outputs[:4])
        message = f"No output of {shown} ({names}) holds a number for each class."
        raise BadModel(message, "Use a network that maps images (N, 3, H, W) to outputs (N, classes).")
    taken = next((name for name in USUAL if name in fitting), fitting[0])
    others = len(file.outputs) - 1
    return taken, [f"Of its {others + 1} outputs '{brief(taken, 40)}' is taken"] if others else []


def _outputs(opened: Any, given: str, taken: str, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One output of onnxruntime, as real numbers of 64 or 32 bits."""
    outputs = np.asarray(opened.run([taken], {given: images})[0])
    return outputs if outputs.dtype.kind == "f" else outputs.astype(np.float64)


def _network(
    file: Exported, taken: str, exchange: Exchange, images: Tensor, expected: Tensor
) -> tuple[nn.Module | None, str]:
    """The converted network, if it computes the expected outputs for images; and how it is run, as a note."""
    black_box = "run by onnxruntime as a black box, without gradients and layers"
    if file.quantised:
        return None, f"Quantised: {black_box}"
    try:
        net, difference = _agreeing(file, taken, exchange, images, expected)
    except Exception as error:  # noqa: BLE001 - operators that are not known fail in many ways
        reason = brief(" ".join(str(error).split()), 80) or type(error).__name__
        return None, f"Not converted to torch ({reason.rstrip('.')}): {black_box}"
    if net is None:
        return None, f"Converted, its outputs differ from onnxruntime's by {difference:.1g}: {black_box}"
    said = f"Converted to torch; agrees with onnxruntime to {difference:.1g}"
    if isinstance(net, OneByOne):
        said += "; written for one image at a time, so that its layers cannot be read"
    return net, said


@torch.no_grad()
def _agreeing(
    file: Exported, taken: str, exchange: Exchange, images: Tensor, expected: Tensor
) -> tuple[nn.Module | None, float]:
    """The first conversion that agrees, None if none does; and the largest difference of an output.

    For any number of images if possible, else for one at a time.
    """
    model = type(file.model)()
    model.CopyFrom(file.model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about operators that are guessed: the outputs are compared
        steps = steps_of(model, taken)
    tolerance = TOLERANCE * max(1.0, float(expected.abs().max()))
    versions = with_any_batch(steps, file.input, exchange.taken(images)) if file.batch else iter([steps])
    for version in islice(versions, _MOST_VERSIONS):
        with suppress(RuntimeError, ValueError, IndexError):
            shown = only_maps(version, file.input, exchange.taken(images))
            net = Converted(shown, file.input, taken, exchange).eval()
            if (difference := _difference(net, images, expected)) <= tolerance:
                return net, difference
    if file.batch not in {None, 1}:
        return None, difference
    alone = OneByOne(Converted(steps, file.input, taken, exchange).eval())
    difference = _difference(alone, images, expected)
    return (alone if difference <= tolerance else None), difference


def _difference(net: nn.Module, images: Tensor, expected: Tensor) -> float:
    """The largest difference of an output; infinite for outputs of another shape."""
    given = net(images)
    return float((given - expected).abs().max()) if given.shape == expected.shape else float("inf")


def _failed(shown: str, error: Exception) -> BadModel:
    reason = brief(" ".join(str(error).split()), 120)
    return BadModel(f"onnxruntime cannot run {shown} ({reason}).", "Export the network again.")


SOURCE = Source("ONNX", build)
