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
from pathlib import Path
from typing import Literal

from core.errors import BadModel
from core.params import absolute, expanded

Source = Literal["list", "weights", "timm", "hf", "onnx", "python", "none"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl", ".pickle", ".th", ".weights")
PROGRAMS = (".pt2", ".torchscript")  # networks saved with their code
EXPORTED = ".onnx"  # a network of ONNX
REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")  # of the Hugging Face hub; anything else is a folder

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
_FOLDER = re.compile(r".*[/\\]", re.DOTALL)
_SCRIPT = re.compile(r"(.+?\.py):([A-Za-z_]\w*)(?:(@)(.*))?", re.DOTALL)
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
        if self._is_folder:
            return f"hf:{_FOLDER.sub('', self.architecture.rstrip('/'))}{self._weights}"
        if self.source == "python":
            return f"{_FOLDER.sub('', self.architecture)}{self._weights}"
        return f"{self._owner}{self._weights}" if self.separator else self.text

    def with_file(self, file: object) -> "ModelName":
        """A copy with another path to the weights, or to the exported network."""
        return parsed(f"onnx:{file}" if self.source == "onnx" else f"{self._owner}{self.separator}{file}")

    @property
    def path(self) -> str:
        """The file or folder of this machine that it reads first: weights, an exported network, a saved folder.

        "" for own code, which is imported and not read, and for all that is downloaded.
        """
        if self.file:
            return self.file
        return self.architecture if self._is_folder else ""

    def with_path(self, path: object) -> "ModelName":
        """A copy with another `path`."""
        return self.with_file(path) if self.file else parsed(f"hf:{path}")

    @property
    def absolute(self) -> "ModelName":
        """A copy that means the same from every folder of this machine; modules are left to Python's own path."""
        name = self
        if self.source == "python" and self.code_file:
            name = parsed(f"{absolute(self.code_file)}:{self.function}{self.separator}{self.file}")
        return name.with_path(absolute(name.path)) if name.path else name

    @property
    def code_file(self) -> Path | None:
        """The file of own code; None for a module, which is imported by its name."""
        return expanded(self.module) if self.source == "python" and self.module.endswith(".py") else None

    @property
    def module(self) -> str:
        """The file or module of own code, as it was named."""
        return self.architecture.rpartition(":")[0]

    @property
    def function(self) -> str:
        """The function of own code."""
        return self.architecture.rpartition(":")[2]

    @property
    def _is_folder(self) -> bool:
        """Whether this is a folder saved by transformers: one that exists, or could not be a name of the hub."""
        if self.source != "hf" or not self.architecture:
            return False
        try:
            return not REPOSITORY.fullmatch(self.architecture) or expanded(self.architecture).is_dir()
        except (OSError, ValueError):  # a text that cannot be a path
            return True

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
        return _alone(text, is_path=bool(drive))
    before, after = text[: separator.start()], text[separator.end() :]
    if separator[0] == ":" and before in _PREFIXES:
        return _of_source(text, _PREFIXES[before], after)
    is_path = bool(drive) or _is_path(before)
    code = (_SCRIPT if is_path or before.endswith(".py") else _MODULE).fullmatch(text)
    if code:
        return ModelName(text, "python", f"{code[1]}:{code[2]}", code[4] or "", "@" if code[3] else "")
    if is_path or not before:
        file = text.removeprefix(separator[0])
        return ModelName(text, "onnx" if file.lower().endswith(EXPORTED) else "none", "", file)
    return ModelName(text, "weights", before, after, "@" if separator[0] == "@" else ":")


def refuse_nameless(name: ModelName) -> None:
    """Raise BadModel for the path of a file that does not contain its architecture, or is no weights."""
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


def _alone(text: str, *, is_path: bool) -> ModelName:
    """A name without a separator."""
    if text.lower().endswith(EXPORTED):
        return ModelName(text, "onnx", "", text)
    if is_path or text.lower().endswith((*SUFFIXES, *PROGRAMS, ".py")):
        return ModelName(text, "none", "", text)
    return ModelName(text, "list", text)


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
