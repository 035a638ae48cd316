"""Names of models: a model of the list, own weights for an architecture, or another source of networks.

    resnet18                              a model of the list
    resnet18@weights.safetensors          own weights; the older spelling resnet18:weights.safetensors is read, too
    timm:resnet50d.a1_in1k                another source; own weights are appended with "@", too
    hf:google/vit-base-patch16-224        of the Hugging Face hub, or hf:FOLDER of this machine
    mine.py:build                         own code: a function of a file, or of a module as in package.module:build
    network.onnx                          an exported network; onnx:FILE for a file with another ending

The first "@" or ":" ends the architecture; everything after it is the path of the file. The colon of a drive, such as
"C:\\" at the beginning, is no separator. An architecture contains neither "/" nor "\\", so a text with one of them
before its first separator is a path without an architecture.
"""

import re
from dataclasses import dataclass
from typing import Literal

from core.errors import BadModel

Source = Literal["list", "weights", "timm", "hf", "onnx", "python", "none"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl", ".pickle", ".th", ".weights")
PROGRAMS = (".pt2", ".torchscript")  # networks saved with their code
REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")  # of the Hugging Face hub; anything else is a folder

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
_FOLDER = re.compile(r".*[/\\]", re.DOTALL)
_PYTHON = re.compile(r"(.+?\.py):([A-Za-z_]\w*)(?:(@)(.*))?", re.DOTALL)
_MODULE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+):([A-Za-z_]\w*)(?:(@)(.*))?", re.DOTALL)
_PREFIXES: dict[str, Source] = {"timm": "timm", "hf": "hf", "onnx": "onnx"}


@dataclass(frozen=True)
class ModelName:
    """The parts of a model's name."""

    text: str  # as entered; results store it unchanged
    source: Source
    architecture: str  # the name within its source, or FILE.py:FUNCTION; "" for a path alone
    file: str = ""  # own weights, or an exported network
    separator: Literal["", "@", ":"] = ""  # before the file

    def __str__(self) -> str:
        return self.text

    @property
    def display(self) -> str:
        """The name without the folder of its file."""
        if self.source == "onnx":
            return _FOLDER.sub("", self.file)
        if self.source == "hf" and not REPOSITORY.fullmatch(self.architecture):
            return f"hf:{_FOLDER.sub('', self.architecture.rstrip('/'))}{self._weights}"
        return f"{self._owner}{self._weights}" if self.separator else self.text

    def with_file(self, file: object) -> "ModelName":
        """A copy with another path to the weights, or to the exported network."""
        return parsed(f"onnx:{file}" if self.source == "onnx" else f"{self._owner}{self.separator}{file}")

    @property
    def _owner(self) -> str:
        return f"{self.source}:{self.architecture}" if self.source in _PREFIXES else self.architecture

    @property
    def _weights(self) -> str:
        return f"@{_FOLDER.sub('', self.file)}" if self.separator else ""


def parsed(text: str) -> ModelName:
    """The parts of a name; accepts any text, as errors are raised only when the model is loaded."""
    drive = _DRIVE.match(text)
    separator = re.compile("[@:]").search(text, drive.end() if drive else 0)
    if separator is None:
        if text.lower().endswith(".onnx"):
            return ModelName(text, "onnx", "", text)
        if drive or text.lower().endswith((*SUFFIXES, *PROGRAMS, ".py")):
            return ModelName(text, "none", "", text)
        return ModelName(text, "list", text)
    before, after = text[: separator.start()], text[separator.end() :]
    if separator[0] == ":" and before in _PREFIXES:
        return _of_source(text, _PREFIXES[before], after)
    is_path = bool(drive) or _is_path(before)
    if (is_path or before.endswith(".py")) and (script := _PYTHON.fullmatch(text)):
        return ModelName(text, "python", f"{script[1]}:{script[2]}", script[4] or "", "@" if script[3] else "")
    if not is_path and (module := _MODULE.fullmatch(text)):
        return ModelName(text, "python", f"{module[1]}:{module[2]}", module[4] or "", "@" if module[3] else "")
    if is_path or not before:
        file = text.removeprefix(separator[0])
        return ModelName(text, "onnx" if file.lower().endswith(".onnx") else "none", "", file)
    return ModelName(text, "weights", before, after, separator[0])  # type: ignore[arg-type]


def refuse_nameless(name: ModelName) -> None:
    """Raise BadModel for the path of a file that does not contain its architecture."""
    if name.source != "none":
        return
    if name.file.endswith(".py"):
        message = f"{name.text!r} names no function."
        raise BadModel(message, f"Write {name.file}:FUNCTION, a function without arguments that returns a network.")
    if name.file.lower().endswith(PROGRAMS):
        message = f"{name.text!r} is a saved program, and loading one could run any code."
        hint = "Save its state_dict for ARCH@FILE, or load it in your own file and give FILE.py:FUNCTION."
        raise BadModel(message, hint)
    raise BadModel(f"{name.text!r} names no architecture.", f"Write one before it, such as resnet18@{name.file}.")


def _of_source(text: str, source: Source, rest: str) -> ModelName:
    """What follows a prefix; the path of a Hugging Face folder may contain "@"."""
    if source == "onnx":
        return ModelName(text, source, "", rest)
    name, at, file = rest.rpartition("@") if source == "hf" else rest.partition("@")
    if source == "hf" and not file.lower().endswith(SUFFIXES):
        name, at, file = rest, "", ""
    return ModelName(text, source, name, file, "@" if at else "")


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text
