"""The images that a review is about: those of a folder, or of a study."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.data.image_folder import ImageFolder, contents, scan
from core.data.layout import UNKNOWN
from core.errors import Unavailable
from core.images import Window, shown
from core.params import absolute
from core.progress import Report, silent, subrange
from core.serialization import digest
from core.study import Study

_NAMED = 5  # class folders in a sentence
_NOT_UTF8 = "images with names that are not UTF-8"


@dataclass(frozen=True)
class Source:
    """Images in a fixed order, with their classes and the hashes of their files."""

    name: str  # of the folder or study
    key: str  # hash of the study, or of the folder's path: reviews are stored under it
    root: Path  # the paths are relative to it
    paths: tuple[str, ...]
    labels: tuple[int, ...]  # classes of the model, UNKNOWN where it has none
    shas: tuple[str, ...]  # beginnings of the files' sha256; "" for a file that cannot be read
    notes: tuple[str, ...] = ()  # what was assumed or left out, as sentences
    window: Window | None = None  # values shown as black and white, if not by the range of each image
    study: Study | None = field(default=None, compare=False)
    rows: tuple[int, ...] = ()  # of the study, one for each image

    def __len__(self) -> int:
        return len(self.paths)


def folder_source(folder: str | Path, labels: Sequence[str], *, limit: int = 0, report: Report = silent) -> Source:
    """The images of a folder or archive with their classes, if it has any, for a model with these `labels`.

    With a `limit`, at most that many, as evenly from all sub-folders as possible. The key depends on the path alone, so
    that reviews stay when images are added, changed or lost. Raises as `image_folder.scan`.
    """
    every = scan(Path(folder), subrange(report, 0.0, 0.2))
    found = _named(every).limited(limit).matched(labels)
    path = absolute(folder)
    return Source(
        name=path.name,
        key=digest(["folder", path.resolve().as_posix()]),
        root=found.root,
        paths=found.paths,
        labels=found.labels,
        shas=tuple(contents(found.root, found.paths, subrange(report, 0.2, 1.0))),
        notes=(*found.notes, *_left_out(found.skipped.items()), *_without_class(found.labels, [*found.unmatched])),
    )


def study_source(study: Study, *, limit: int = 0) -> Source:
    """The images of a study, wherever their files are now; with a `limit`, that many at equal distances."""
    images, data = study.table("images"), study.manifest.data
    every = np.arange(len(images))
    rows = every[:: -(-len(images) // limit)] if limit else every
    images = images.iloc[rows]
    labels = tuple(images["label"].tolist())
    return Source(
        name=study.name,
        key=study.manifest.digest,
        root=study.folder,
        paths=tuple(images["path"].tolist()),
        labels=labels,
        shas=tuple(images["sha"].tolist()),
        notes=(*_left_out(data.left_out.items()), *_without_class(labels, data.unmatched)),
        window=study.manifest.settings.value_window(),
        study=study,
        rows=tuple(rows.tolist()),
    )


def _named(folder: ImageFolder) -> ImageFolder:
    """The folder without images whose names are not UTF-8: no table could hold them."""
    usable = [row for row, path in enumerate(folder.paths) if path == path.encode("utf-8", "replace").decode()]
    if len(usable) == len(folder):
        return folder
    if not usable:
        raise Unavailable("No image of the folder has a name in UTF-8.", "Rename the images.")
    return replace(
        folder,
        paths=tuple(folder.paths[row] for row in usable),
        labels=tuple(folder.labels[row] for row in usable),
        skipped={**folder.skipped, _NOT_UTF8: len(folder) - len(usable)},
    )


def _left_out(reasons: Iterable[tuple[str, int]]) -> list[str]:
    return [f"Left out: {reason}: {count:,}." for reason, count in reasons]


def _without_class(labels: Sequence[int], unmatched: Sequence[str]) -> list[str]:
    """A sentence about images of which no class of the model is known."""
    count = sum(label == UNKNOWN for label in labels)
    if not count:
        return []
    names = ", ".join(shown(name) for name in unmatched[:_NAMED])
    more = f" and {len(unmatched) - _NAMED:,} more" if len(unmatched) > _NAMED else ""
    why = f", as the model has no class of the name {names}{more}" if unmatched else ""
    return [f"{count:,} of {len(labels):,} images have no class{why}: they have predictions, but no errors."]
