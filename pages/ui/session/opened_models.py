"""Models that a user opened beside the list: their names and options, and the files they came from.

An uploaded file is stored in the user's or visitor's own folder, by its hash: the same weights twice are one file. The
model is called ARCH@FILE, or FILE.onnx, with the bare name of the file, as on a command line in its folder.
"""

import hashlib
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from core import environment
from core.data import unpacked_folders
from core.data.model_options import ModelOptions
from core.environment import limit
from core.errors import BadModel, TooLarge, Unavailable, VitrineError
from core.files import atomic_write, read_json
from core.models.name import parsed
from pages.ui.session import visitors

_LONGEST = 80  # characters of a file's name
_INDEX = "opened.json"
_writing = Lock()  # held while a file is added, or the index is read and written


@dataclass(frozen=True)
class OpenedModel:
    """A model as the user names it, and how this server loads it."""

    name: str  # ARCH@FILE or FILE.onnx with the bare name of an uploaded file
    loads: str  # the name that `core.models.load` takes, with the path of the file on this server
    options: ModelOptions = field(default_factory=ModelOptions)

    @property
    def shown_options(self) -> ModelOptions:
        """The options as the user would give them: an uploaded file of labels by its bare name."""
        labels = self.options.labels
        return replace(self.options, labels=Path(labels).name) if _is_stored(Path(labels)) else self.options


def own(architecture: str, file: Path, options: ModelOptions) -> OpenedModel:
    """The model of an architecture with an uploaded file of weights."""
    return OpenedModel(f"{architecture}@{file.name}", f"{architecture}@{file}", options)


def exported(file: Path, options: ModelOptions) -> OpenedModel:
    """The model of an uploaded file of ONNX. Raises Unavailable on a shared server."""
    visitors.check_exported()
    return OpenedModel(file.name, f"onnx:{file}", options)


def store(data: bytes, name: str, kind: str = "upload") -> Path:
    """The path at which an uploaded file is stored from now on; the same content is stored once.

    Raises TooLarge for a file over the limit of its kind, or beyond what a shared server stores, and Unavailable if it
    cannot be written.
    """
    if len(data) > limit(kind):
        size = f"{len(data) / 1e6:,.1f} MB is over the limit of {limit(kind) / 1e6:,.0f} MB"
        raise TooLarge(f"{_safe(name)}: {size}.", "Open it from the command line: `vitrine app --model ARCH@FILE`.")
    expire()
    folder = _folder()
    place = folder / hashlib.sha256(data).hexdigest()[:16]
    with _writing:
        if known := next(_files(place), None):
            unpacked_folders.touch(place)
            return known
        visitors.check_weights(len(data))
        taken = {file.name for other in folder.glob("*/") for file in _files(other)}
        path = place / _free(_safe(name), taken)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(data)
        except OSError as error:
            with suppress(OSError):
                place.rmdir()
            raise Unavailable(f"{path.name} cannot be stored on this server ({error.strerror}).", "") from None
    return path


def remember(model: OpenedModel) -> None:
    """Note how a model is opened, so that its own address opens it again after a reload."""
    _change({model.name: {"loads": model.loads, "options": model.options.changed()}})


def recalled(name: str) -> OpenedModel | None:
    """The model that this user opened by that name, in whichever tab; None if its files are gone."""
    entry: Any = _index(_folder()).get(name)
    try:
        model = OpenedModel(name, str(entry["loads"]), ModelOptions.checked(**entry["options"]))
    except (TypeError, KeyError, VitrineError):
        return None
    files = [Path(text) for text in (parsed(model.loads).file, model.options.labels) if text]
    return model if all(file.is_file() for file in files) else None


def forget(model: OpenedModel) -> None:
    """Remove a model from the user's own ones, and the uploaded files that no other one of them needs."""
    _change({model.name: None})
    for text in (parsed(model.loads).file, model.options.labels):
        discard(Path(text))


def discard(path: Path) -> None:
    """Delete an uploaded file, unless a model that the user opened or a study of theirs needs it."""
    if not _is_stored(path):
        return
    with _writing:
        needed = {text for entry in _index(path.parents[1]).values() for text in _paths(entry)}
        if str(path) not in needed and not _studied(path):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()


def touch(model: OpenedModel) -> None:
    """Note that the uploaded files of a model are used now."""
    for text in (parsed(model.loads).file, model.options.labels):
        if text and _is_stored(Path(text)):
            unpacked_folders.touch(Path(text).parent)


def expire() -> None:
    """Delete the uploaded files of all visitors that were not used for a week, unless a study needs them.

    Files of the user of this machine stay.
    """
    before = time.time() - unpacked_folders.RECENT
    for place in environment.home().glob("visitors/*/weights/*/"):
        with _writing, suppress(OSError):
            files = list(_files(place))
            if place.stat().st_mtime > before or any(_studied(file) for file in files):
                continue
            for file in files:
                file.unlink(missing_ok=True)
            place.rmdir()


def check_architecture(name: str, known: tuple[str, ...]) -> None:
    """Raise BadModel for a text that is no architecture: neither one of the list nor, on this machine, one of timm.

    A network of timm takes memory before its weights are read, so that visitors cannot choose one.
    """
    if name in known:
        return
    parts, hint = parsed(name), "Choose one of the list."
    if visitors.shared() or parts.source != "timm" or parts.separator:
        raise BadModel(
            f"{name[:80]!r} is not an architecture.", hint if visitors.shared() else f"{hint[:-1]}, or write timm:NAME."
        )


def _folder() -> Path:
    return visitors.own_home() / "weights"


def _files(place: Path) -> Any:
    """The file in a folder of `store`, apart from one that is still being written."""
    return (file for file in place.glob("*") if file.suffix != ".part")


def _is_stored(path: Path) -> bool:
    """Whether a path is one that `store` gave."""
    return path.parent.parent.name == "weights" and re.fullmatch("[0-9a-f]{16}", path.parent.name) is not None


def _safe(name: str) -> str:
    """A name of a file without folders and without what would change the meaning of a command or a model's name."""
    stem, dot, ending = re.sub(r"[^\w.+() -]|^[.\s-]+", "-", re.split(r"[/\\]", name)[-1]).lstrip("-").rpartition(".")
    return f"{stem[: _LONGEST - len(ending)]}{dot}{ending[:20]}" or "weights"


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number before its ending if another file has it."""
    path, number = Path(name), 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}{path.suffix}"
    return name


def _paths(entry: Any) -> list[str]:
    """The files that an entry of the index needs."""
    try:
        return [parsed(entry["loads"]).file, str(entry["options"].get("labels", ""))]
    except (TypeError, KeyError, AttributeError):
        return []


def _studied(path: Path) -> bool:
    """Whether a study of the user was built with a file."""
    for log in path.parents[2].glob("studies/*/log.json"):
        with suppress(OSError, ValueError):
            if f"{path.parent.name}/{path.name}" in log.read_text("utf-8"):
                return True
    return False


def _index(folder: Path) -> dict[str, Any]:
    """The models that the user of a folder opened, by name; empty if there are none or the file is damaged."""
    try:
        index = read_json(folder / _INDEX, limit("text"))
    except (OSError, ValueError):
        return {}
    return index if isinstance(index, dict) else {}


def _change(entries: dict[str, Any]) -> None:
    """Write entries into the index; None removes one. A folder that cannot be written remembers nothing."""
    folder = _folder()
    with _writing, suppress(OSError):
        index = {name: entry for name, entry in {**_index(folder), **entries}.items() if entry is not None}
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / _INDEX) as file:
            file.write(json.dumps(index).encode())
