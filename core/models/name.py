"""Names of models: a model of the list, own weights for an architecture, or another source of networks.

    resnet18                              a model of the list
    resnet18@weights.safetensors          own weights; the older spelling resnet18:weights.safetensors is read, too
    timm:resnet50d.a1_in1k                another source; own weights are appended with "@", too
    hf:google/vit-base-patch16-224
    mine.py:build

The first "@" or ":" ends the architecture; everything after it is the path of the file. The colon of a drive, such as
"C:\\" at the beginning, is no separator. An architecture contains neither "/" nor "\\", so a text with one of them
before its first separator is a path without an architecture.
"""

import re
from dataclasses import dataclass
from typing import Literal

from core.errors import BadModel, Unavailable

Source = Literal["list", "weights", "timm", "hf", "python", "none"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl", ".pickle", ".th", ".weights")

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
_FOLDER = re.compile(r".*[/\\]", re.DOTALL)
_PYTHON = re.compile(r"(.+?\.py):([A-Za-z_]\w*)(?:(@)(.*))?", re.DOTALL)
_SOURCES = {"timm": "timm", "hf": "Hugging Face", "python": "a Python file"}


@dataclass(frozen=True)
class ModelName:
    """The parts of a model's name."""

    text: str  # as entered; results store it unchanged
    source: Source
    architecture: str  # the name within its source, or FILE.py:FUNCTION; "" for a path alone
    file: str = ""  # own weights
    separator: Literal["", "@", ":"] = ""  # before the file

    def __str__(self) -> str:
        return self.text

    @property
    def display(self) -> str:
        """The name without the folder of the weights file."""
        return f"{self._owner}@{_FOLDER.sub('', self.file)}" if self.separator else self.text

    def with_file(self, file: object) -> "ModelName":
        """A copy with another path to the weights."""
        return parsed(f"{self._owner}{self.separator}{file}")

    @property
    def _owner(self) -> str:
        return f"{self.source}:{self.architecture}" if self.source in ("timm", "hf") else self.architecture


def parsed(text: str) -> ModelName:
    """The parts of a name; accepts any text, as errors are raised only when the model is loaded."""
    drive = _DRIVE.match(text)
    separator = re.compile("[@:]").search(text, drive.end() if drive else 0)
    if separator is None:
        if drive or text.lower().endswith(SUFFIXES):
            return ModelName(text, "none", "", text)
        return ModelName(text, "list", text)
    before, after = text[: separator.start()], text[separator.end() :]
    if separator[0] == ":" and before in ("timm", "hf"):
        name, at, file = after.partition("@")
        return ModelName(text, before, name, file, "@" if at else "")  # type: ignore[arg-type]
    is_path = bool(drive) or "/" in before or "\\" in before
    if (is_path or before.endswith(".py")) and (script := _PYTHON.fullmatch(text)):
        return ModelName(text, "python", f"{script[1]}:{script[2]}", script[4] or "", "@" if script[3] else "")
    if is_path or not before:
        return ModelName(text, "none", "", text.removeprefix(separator[0]))
    return ModelName(text, "weights", before, after, separator[0])  # type: ignore[arg-type]


def refuse_unloadable(name: ModelName) -> None:
    """Raise BadModel for a path without architecture, Unavailable for a source that is reserved but not supported."""
    if name.source == "none":
        message = f"{name.text!r} names no architecture."
        raise BadModel(message, f"Write one before it, such as resnet18@{name.file}.")
    if name.source in _SOURCES:
        message = f"{name.text!r} names a model of {_SOURCES[name.source]}, and this source is not supported yet."
        raise Unavailable(message, "Choose a model of the list, or ARCH@FILE for your own weights.")
