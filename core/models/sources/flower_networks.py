"""The bundled flower networks: their architecture, weights files and model cards."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from core.errors import Unavailable
from core.files import atomic_write
from core.resources import ASSETS

FOLDER = ASSETS / "models"
SIZE = 128  # pixels, the side of the input
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
FILTERS = (16, 32, 64, 128)


def architecture(classes: int) -> nn.Sequential:
    """A plain network, (B, 3, 128, 128) to (B, classes): four convolutions, global average pooling, one linear layer.

    The last convolution has 128 filters of 16 × 16 values.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    for number, filters in enumerate(FILTERS, start=1):
        if number > 1:
            layers[f"pool{number - 1}"] = nn.MaxPool2d(2)
        layers[f"conv{number}"] = nn.Conv2d(before, filters, 3, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(filters)
        layers[f"relu{number}"] = nn.ReLU()
        before = filters
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flat"] = nn.Flatten()
    layers["head"] = nn.Linear(before, classes)
    return nn.Sequential(layers)


def halves(net: nn.Sequential) -> tuple[nn.Sequential, nn.Linear]:
    """Split such a network into the part that outputs the averages of its last filters, (B, 128), and the head."""
    head = net[-1]
    if not isinstance(head, nn.Linear):
        raise TypeError("not a network of this architecture")
    return net[:-1], head


def cards(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The cards of all bundled models, by name; `card["file"]` is the weights file next to the card."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def write(net: nn.Module, path: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write weights and, next to them, their card; returns the card with file name, sha256 and parameter count."""
    data = save({key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()})
    full_card = {
        **card,
        "file": path.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "parameters": sum(value.numel() for value in net.parameters()),
        "size": SIZE,
        "mean": MEAN,
        "std": STD,
    }
    writable(path)
    try:
        with atomic_write(path) as file:
            file.write(data)
        with atomic_write(path.with_suffix(".json")) as file:
            file.write((json.dumps(full_card, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise Unavailable(f"{path} cannot be written ({error.strerror}).", "Choose another folder.") from None
    return full_card


def writable(path: Path) -> None:
    """Make the folder of a weights file and try to write it and its card, leaving both as they are.

    Raises Unavailable if that fails, so that the error comes before any training.
    """
    if path.suffix != ".safetensors":
        raise Unavailable(f"{path} cannot be written as weights.", "Let its name end in .safetensors.")
    for file in (path, path.with_suffix(".json")):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            new = not file.exists()
            with file.open("ab"):
                pass
            if new:
                file.unlink()
        except OSError as error:
            hint = "Name a .safetensors file in a folder of yours."
            raise Unavailable(f"{file} cannot be written ({error.strerror}).", hint) from None
