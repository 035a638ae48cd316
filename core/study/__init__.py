"""Studies on disk, read-only: the patches, filters and rules of one model on one folder of images.

A study is a store (`core.store`) of the schema in `study.schema`: a folder, complete or absent. It contains
`study.json` (the manifest), one parquet file per table and one `.npy` file per array; nothing is pickled. The same
inputs, settings and seed give the same bytes in all of these. Durations are not reproducible, so they are in
`build.json`, which comparisons of studies ignore.

Numbers: an *image* is a row of `images` (also of `thumbnails`, `maps`, `pooled`), a *patch* a row of `patches` (also of
`crops`, `items`, `responses`), a *filter* a channel of the studied layer, a *label* a class of the model (a row of
`classes`). Coordinates are pixels of the model's view of an image, x to the right, y down.

tables
    images       image, path (within the data folder), sha, width, height, label (of its folder; -1 unknown), predicted,
                 probability (of `predicted`), patches (number selected), candidates, stop (why no more were selected:
                 "tau", "k exhausted", "map exhausted", "map empty", "not correct", "no label", "none predicted"),
                 problem ("" or why the file was skipped: such a row has predicted -1, a black thumbnail, no patches)
    windows      image, rank (0, 1, …), x, y, score (window sum of the heatmap), after (the watched score with
                 this window and, if cumulative, the earlier ones masked; NaN if not needed), kept: all candidates
    patches      image, rank, x, y, size, score, before, after, drop (before - after), label (class item of its
                 transaction), filters (number of items), response (of its first item): the selected windows
    classes      label, name, images (of that label), predicted (images so classified), correct, patches (transactions)
    itemsets     label, filters (list, ascending), n_both, n_all: frequent filter sets of each class, with the number of
                 transactions that contain them in the class and overall
    rules        rule, label, rank (0 is the class's best), filters (list), size, n_class, n_all, n_both, support,
                 confidence, lift, score: one per group of sets with the same patches of the class, if folded
    shared       filters (list), size, labels (list, by falling support), supports (list), classes (2 or more), n_all:
                 sets frequent in several classes, if closed the largest with these labels and supports
    nodes        node ("f12" or "c3"), kind ("filter" or "class"), number (filter or label), name, degree, weight, x, y
                 (in -1…1)
    edges        filter, label, weight (best score of that class's rules with the filter), rules (number)
    filters      filter, patches (transactions that contain it), classes (whose rules use it), rules, mean, deviation
                 and largest of its response over all patches
    averages     average, label, filter, patches (distinct ones), weight (sum of their responses, each
                 as often as the patch counts: `MiningConfig.per_rule`)

several labels (output "multilabel"): each label above the threshold of an image is explained, and has patches and
    transactions of its own, the true label first, then the most probable ones. The first of them is `predicted` and has
    the heatmap in `maps`; the windows of the next have the ranks from `PatchConfig.count` on, and so on. While patches
    are masked, the label's own score is watched. In `classes`, `predicted` counts an image for each of its labels, and
    `correct` the images of the label's folder that have it.

arrays (memory-mapped; `I` images, `P` patches, `w` window side, `D` filters, `N` stored filters per transaction)
    thumbnails   (I, t, t, 3) uint8, the model's view, downscaled
    maps         (I, h, w) float16, the heatmap averaged over each cell of the layer, raw
    pooled       (I, D) float32, mean of each filter's map; only if the layer is pooled into one linear layer
    crops        (P, w, w, 3) uint8, the pixels of each patch
    items        (P, N) int32, the filters of each transaction, strongest first, -1 where there are fewer
    responses    (P, N) float32, their raw responses: window sums of the layer's map upsampled to the view
    matrix       (P, D) float16, the mean response of every filter within the patch (its sum over w²); only on request
    averages     (A, w, w, 3) float16 in [0, 1], the weighted average patch of each row of table `averages`

manifest
    version, digest, config, seed, model (name, sha, layer, filters, cells, size, head, output, threshold,
    preparation), data (folder: absolute, or relative to the study's own folder; images, skipped, labelled, strange:
    unmatched sub-folders, left: number of files skipped by reason; fingerprint), window, passes (forwards, backwards,
    perturbed), versions (of the libraries), tables (rows, columns), arrays (shape, dtype), files (bytes, sha256)
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.data.labels import class_index
from core.environment import limit
from core.errors import StudyError, VitrineError
from core.files import is_folder, read_bytes
from core.params import absolute
from core.resources import ASSETS
from core.store.reader import Store, removable
from core.store.schema import LOG
from core.study.config import completed
from core.study.paths import candidates, remember
from core.study.schema import STUDY, StudyManifest

BUNDLED = ASSETS / "studies"
_COMPARED = 3  # images by which a folder is recognised


class Study(Store[StudyManifest]):
    """A finished study, opened read-only.

    Raises StudyError if the folder is missing, damaged, no study, or of a newer version, and if anything in it
    contradicts the schema.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(STUDY, path)

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings it was built with, as JSON, including those that earlier versions did not store."""
        return completed(self.manifest.config)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(self.table("classes")["name"])

    def target(self, wanted: str | int) -> int:
        """The index of the class that a text or number means. Raises as `core.data.labels.class_index`."""
        return class_index(wanted, self.labels, self.name)

    @cached_property
    def folder(self) -> Path:
        """The folder of its images: the first with one of them among where it may be now, else where it was."""
        folder = Path(self.manifest.data.folder)
        stored = folder if self.manifest.version == 1 else Path(os.path.normpath(self.path.resolve() / folder))
        typed = str(self.config["data"])
        for candidate in dict.fromkeys((stored, *candidates("data", typed, self.path, self.log))):
            # `image_folder` reads the images of a data set from its folder `images`.
            for root in (candidate, candidate / "images"):
                if is_folder(root) and self.has_images(root):
                    return root
        return stored

    def move_images(self, folder: str | Path) -> None:
        """Remember that its images are in this folder now. Raises StudyError if their content is not found there."""
        root = absolute(folder)
        if not any(is_folder(one) and self.has_images(one) for one in (root, root / "images")):
            message = f"The images of the study {self.name} are not in {root.name or root}."
            raise StudyError(message, "Give the folder that holds its class folders.")
        remember("data", root, self.path, self.log)

    def has_images(self, root: Path) -> bool:
        """Whether any of its first images lies there, with the content that was studied."""
        images = self.table("images")
        images = images[images["problem"] == ""].head(_COMPARED)
        return any(_starts(root / path, sha) for path, sha in zip(images["path"], images["sha"], strict=True))

    def lost(self, folder: str | Path | None = None) -> list[str]:
        """Images of the study that are missing now, as paths within the data folder; thumbnails still show them."""
        root, images = Path(folder or self.folder), self.table("images")
        images = images[images["problem"] == ""]
        return [path for path in images["path"] if not os.path.isfile(root / path)]  # noqa: PTH113 - never raises


@dataclass(frozen=True)
class StudyEntry:
    """A folder that is, or claims to be, a study."""

    path: Path
    study: Study | None
    problem: str = ""  # why it cannot be opened


def _starts(path: Path, sha: str) -> bool:
    """Whether a file's hash starts like this."""
    try:
        return hashlib.sha256(read_bytes(path, limit("image"))).hexdigest().startswith(sha)
    except (OSError, ValueError):
        return False


_Signature = tuple[tuple[str, int, int, int], ...]  # of a folder: name, inode, size and time of each file
_opened: dict[Path, tuple[_Signature, StudyEntry]] = {}


def list_studies(*folders: str | Path) -> list[StudyEntry]:
    """The studies directly inside these folders by name, broken ones with their problem.

    A study is opened again only when a file of it has changed. What is no study is left out, and nothing in a folder
    keeps the others from being listed.
    """
    entries = []
    for folder in folders:
        for path in _candidates(Path(folder)):
            signature = _signature(path)
            signature_before, entry = _opened.get(path, ((), None))
            if entry is None or signature_before != signature or not signature:
                entry = _entry(path)
                _opened[path] = (signature, entry)
            if entry.study or os.path.lexists(path / STUDY.file) or removable(STUDY, path):
                entries.append(entry)  # not a log of something else
    return entries


def _candidates(folder: Path) -> list[Path]:
    """The folders in a folder that hold a manifest or a log, whatever kind of file that is; drafts are hidden."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return [path for path in paths if any(os.path.lexists(path / name) for name in (STUDY.file, LOG))]


def _entry(path: Path) -> StudyEntry:
    try:
        return StudyEntry(path, Study(path))
    except VitrineError as error:
        return StudyEntry(path, None, str(error))


def _signature(path: Path) -> _Signature:
    """A signature that changes with any file of a folder; empty if it cannot be read."""
    try:
        with os.scandir(path) as entries:
            facts = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, fact.st_ino, fact.st_size, fact.st_mtime_ns) for name, fact in facts))


def relative_folder(folder: Path, study: Path) -> str:
    """The folder of images as a manifest stores it: an absolute path unchanged, another relative to the study."""
    if folder.is_absolute():
        return folder.as_posix()
    return Path(os.path.relpath(folder, os.path.realpath(study))).as_posix()
