"""Matching of files with masks to the images they belong to, by path and by name."""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.data.listing import SUFFIXES
from core.data.masks.annotations import CocoImage, coco_images
from core.environment import limit
from core.files import read_bytes
from core.images import shown
from core.progress import Report, silent
from core.serialization import parse_json

_ENDINGS = SUFFIXES | {".heic", ".heif", ".dcm", ".dicom", ".xml", ".json"}  # what a name may end in beside itself
_READ = SUFFIXES | {".xml", ".json"}
_NAMED = 2  # files that a note mentions
_DEEPEST = 32  # levels of folders


@dataclass(frozen=True)
class Source:
    """Where the mask of an image is read: a picture or XML file, or an image of a COCO file."""

    file: str  # the path of the file in the folder of masks
    key: str  # the path of the image that it belongs to, without its ending
    content: Path | bytes | CocoImage

    @property
    def kind(self) -> int:
        """Pictures come before XML, and XML before COCO."""
        if isinstance(self.content, CocoImage):
            return 2
        return int(self.file.lower().endswith(".xml"))


@dataclass
class Sources:
    """All masks in a folder, and what was left out, as sentences."""

    all: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # JSON files that are not read, with the reason
    taken: int = 0  # bytes of JSON that were read

    def matched(self, paths: Sequence[str]) -> tuple[dict[str, Source], dict[str, str]]:
        """The source of each image by its path, and the reasons of the images without one, as sentences.

        A mask with the path of an image is its own, whatever their endings; any other belongs to the only image of its
        name.
        """
        by_key = _grouped((source.key, source) for source in self.all)
        keys = {path: key_of(path) for path in paths}
        taken = set(keys.values())
        by_name = _grouped((name_of(source.key), source) for source in self.all if source.key not in taken)
        exact = {path: key for path, key in keys.items() if key in by_key}
        others = {path: name_of(path) for path in paths if path not in exact}
        found, missing = dict[str, Source](), dict[str, str]()
        for names, sources in ((exact, by_key), (others, by_name)):
            counts = Counter(names.values())
            for path, name in names.items():
                candidates = sources.get(name, [])
                candidates = [one for one in candidates if one.kind == candidates[0].kind]
                if reason := _unclear(path, name, candidates, counts[name]):
                    missing[path] = reason
                else:
                    found[path] = candidates[0]
        self._note_strays(set(by_key) - set(exact.values()), set(others.values()))
        return found, missing

    def _note_strays(self, keys: Set[str], names: Set[str]) -> None:
        """Note which masks belong to no image: those with one of these keys, but none of these names."""
        strays = sorted({source.key for source in self.all if source.key in keys and name_of(source.key) not in names})
        if strays:
            named = ", ".join(map(shown, strays[:_NAMED])) + ", …" * (len(strays) > _NAMED)
            many = "1 mask belongs" if len(strays) == 1 else f"{len(strays):,} masks belong"
            self.notes.append(f"{many} to none of the images ({named}).")

    def copy(self) -> "Sources":
        """The same, for another matching, which adds notes of its own."""
        return replace(self, notes=[*self.notes])

    def add(self, content: Path | bytes, file: str) -> None:
        """Add a file: a picture or XML file as the mask of one image, a JSON file for the images that it names."""
        if Path(file).suffix.lower() != ".json":
            self.all.append(Source(file, key_of(file), content))
        elif self.taken <= limit("text"):
            self.taken += self.add_coco(content, file)
        else:
            self.refused[file] = "the files before it take as much as VITRINE_TEXT_MB allows"

    def note_refused(self) -> None:
        """Note the JSON files that are not read."""
        if self.refused:
            file, reason = next(iter(self.refused.items()))
            others = f" Other JSON files that are not: {len(self.refused) - 1:,}." if len(self.refused) > 1 else ""
            self.notes.append(f"{shown(file)} is not read as COCO: {reason}.{others}")

    def add_coco(self, given: Path | bytes, file: str) -> int:
        """Add the images of a COCO file, or say why it is none; the bytes that it took."""
        content = b""
        try:
            content = text_of(given)
            images, strays = coco_images(parse_json(content))
        except (OSError, ValueError) as error:
            self.refused[file] = reason_of(error)
            return len(content)
        self.all += [Source(file, key_of(name), image) for name, image in images.items()]
        if strays:
            self.notes.append(f"{shown(file)} has {strays:,} annotation{'s' * (strays != 1)} of no image.")
        return len(content)


def sources_in(root: Path, report: Report = silent) -> Sources:
    """The masks in a folder and the folders in it, or in one COCO file."""
    found = Sources()
    if root.is_file():
        found.add_coco(root, root.name)
    else:
        for path, file in _files(root, report):
            found.add(path, file)
    found.note_refused()
    return found


def text_of(content: Path | bytes) -> bytes:
    """An annotation, within the limit of texts. Raises OSError."""
    if isinstance(content, Path):
        return read_bytes(content, limit("text"))
    if len(content) > limit("text"):
        raise OSError(errno.EFBIG, f"it is over the limit of {limit('text') / 1e6:,.0f} MB")
    return content


def key_of(path: str) -> str:
    """A path without the ending of its file, as images and masks share it."""
    path = path.replace("\\", "/").removeprefix("./")
    head, dot, ending = path.rpartition(".")
    return head if dot + ending.lower() in _ENDINGS else path


def name_of(path: str) -> str:
    """The name of a file without its folders and its ending."""
    return key_of(path).rpartition("/")[2]


def reason_of(error: OSError | ValueError) -> str:
    """Why an annotation cannot be read, in a few words."""
    reason = getattr(error, "strerror", None) or str(error)[:150]
    return f"{reason}, which VITRINE_TEXT_MB changes" if getattr(error, "errno", None) == errno.EFBIG else reason


def _unclear(path: str, name: str, candidates: Sequence[Source], images: int) -> str:
    """Why it is not clear which mask an image has, as a sentence; "" if it is."""
    if not candidates:
        return f"There is no mask for {shown(path)}."
    if images > 1:
        return f"{images:,} images are called {shown(name)}, and {shown(candidates[0].file)} may belong to any of them."
    if len(candidates) > 1:
        first, second = (shown(one.file) for one in candidates[:2])
        return f"{shown(path)} has {len(candidates):,} masks, such as {first} and {second}."
    return ""


def _grouped(sources: Iterable[tuple[str, Source]]) -> dict[str, list[Source]]:
    """Sources by a name that they share, in the order of their kinds."""
    groups: dict[str, list[Source]] = {}
    for name, source in sources:
        groups.setdefault(name, []).append(source)
    return {name: sorted(group, key=lambda one: one.kind) for name, group in groups.items()}


def _files(root: Path, report: Report) -> Iterator[tuple[Path, str]]:
    """The files in a folder that may hold masks, with their paths in it, each folder once."""
    visited, seen = set[tuple[int, int]](), 0
    for folder, folders, names in os.walk(root, followlinks=True):
        facts = os.stat(folder)  # noqa: PTH116 - `os.walk` gives texts
        deep = len(Path(folder).relative_to(root).parts) >= _DEEPEST
        if deep or (facts.st_dev, facts.st_ino) in visited:
            folders.clear()
            continue
        visited.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            seen += 1
            if seen % 1000 == 0:
                report(0.0, f"listing masks ({seen:,} files)")
            path = Path(folder, name)
            if not name.startswith(".") and path.suffix.lower() in _READ:
                yield path, path.relative_to(root).as_posix()
