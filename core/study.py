"""A study on disk: what the filters of one model were found to see in one folder of images, read-only.

A study is a folder, whole or absent. It holds `study.json` (the manifest), one parquet file per table and one `.npy`
file per array; nothing is pickled. The same inputs, settings and seed give the same bytes in all of these. How long the
work took cannot repeat, so it stands apart in `build.json`, which no comparison of studies reads.

Numbers: an *image* is a row of `images` (also of `thumbnails`, `maps`, `pooled`), a *patch* a row of `patches` (also of
`crops`, `items`, `responses`), a *filter* a channel of the studied layer, a *label* a class of the model (a row of
`classes`). Coordinates are pixels of the model's view of an image, x to the right, y down.

tables
    images       image, path (within the data folder), sha, width, height, label (of its folder; -1 unknown), predicted,
                 probability (of `predicted`), patches (how many were kept), candidates, stop (why no more were kept:
                 "tau", "k exhausted", "map exhausted", "map empty", "not correct", "no label"), problem ("" or why the
                 file was skipped: such a row has predicted -1, a black thumbnail and no patches)
    windows      image, rank (0, 1, …), x, y, score (window sum of the heatmap), after (the watched score with this
                 window and, if cumulative, the earlier ones covered; NaN where it was not needed), kept: all candidates
    patches      image, rank, x, y, size, score, before, after, drop (before - after), label (class item of its
                 transaction), filters (how many items), response (of its first item): the kept windows
    classes      label, name, images (of that label), predicted (images predicted so), correct, patches (transactions)
    itemsets     label, filters (list, ascending), n_both, n_all: frequent filter sets of each class, with the number of
                 transactions that hold them in the class and everywhere
    rules        rule, label, rank (0 is the class's best), filters (list), size, n_class, n_all, n_both, support,
                 confidence, lift, score: one for all sets with the same patches of the class, if folded
    shared       filters (list), size, labels (list, by falling support), supports (list), classes (2 or more), n_all:
                 sets frequent in several classes, if closed the largest with these labels and supports
    nodes        node ("f12" or "c3"), kind ("filter" or "class"), number (filter or label), name, degree, weight, x, y
                 (in -1…1)
    edges        filter, label, weight (best score of that class's rules with the filter), rules (how many)
    filters      filter, patches (transactions that hold it), classes (whose rules use it), rules, mean, deviation and
                 largest of its response over all patches
    averages     average, label, filter, patches (distinct ones), weight (sum of their responses)

arrays (memory-mapped; `I` images, `P` patches, `w` window side, `D` filters, `N` kept filters per transaction)
    thumbnails   (I, t, t, 3) uint8, the model's view made small
    maps         (I, h, w) float16, the heatmap averaged over each cell of the layer, raw
    pooled       (I, D) float32, mean of each filter's map; only where the layer is pooled into one linear layer
    crops        (P, w, w, 3) uint8, the pixels of each patch
    items        (P, N) int32, the filters of each transaction, strongest first, -1 where there are fewer
    responses    (P, N) float32, their raw responses: window sums of the layer's map enlarged to the view
    matrix       (P, D) float16, the mean response of every filter within the patch (its sum over w²); only on request
    averages     (A, w, w, 3) float16 in [0, 1], the weighted average patch of each row of table `averages`

manifest
    version, digest, config, seed, model (name, sha, layer, filters, cells, size, head), data (folder, images, skipped,
    labelled, fingerprint), window, passes (forwards, backwards, perturbed), versions (of the libraries), tables (rows,
    columns), arrays (shape, dtype), files (bytes, sha256)
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import StudyError
from core.registry import unknown

FORMAT = 1  # of the folder described above; a newer one is refused
MANIFEST, LOG = "study.json", "build.json"
BUNDLED = Path(__file__).resolve().parents[1] / "assets" / "studies"


class Study:
    """A finished study, opened read-only.

    Raises StudyError where the folder is missing, damaged, foreign or of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest: Mapping[str, Any] = _manifest(self.path)
        for name, facts in self.manifest["files"].items():
            file = self.path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise StudyError(f"The study {self.name} is damaged: {name} is missing or incomplete.", _REBUILD)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings it was built with, as JSON."""
        return self.manifest["config"]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(self.table("classes")["name"])

    @property
    def log(self) -> Mapping[str, Any]:
        """What the build took, in seconds per stage; empty where the log is gone."""
        file = self.path / LOG
        return json.loads(file.read_text("utf-8")) if file.is_file() else {}

    def table(self, name: str) -> pd.DataFrame:
        """One table, read anew so that a caller may change it; UnknownName where the study has none of that name."""
        if name not in self.manifest["tables"]:
            raise unknown("table of this study", name, self.manifest["tables"])
        return pd.read_parquet(self.path / f"{name}.parquet")

    def array(self, name: str) -> NDArray[Any]:
        """One array, memory-mapped and read-only; UnknownName where the study has none of that name."""
        if name not in self.manifest["arrays"]:
            raise unknown("array of this study", name, self.manifest["arrays"])
        return np.load(self.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def lost(self, folder: str | Path | None = None) -> list[str]:
        """The images, as paths within the data folder, that are no longer there (the thumbnails still show them)."""
        root = Path(folder or self.manifest["data"]["folder"])
        images = self.table("images")
        return [path for path in images["path"] if not (root / path).is_file()]

    def damaged(self) -> list[str]:
        """The files whose content is not the one that was written; reads everything, so it takes its time."""
        files = self.manifest["files"].items()
        return [name for name, facts in files if file_sha(self.path / name) != facts["sha256"]]


@dataclass(frozen=True)
class Listed:
    """A folder that is, or claims to be, a study."""

    path: Path
    study: Study | None
    problem: str = ""  # why it cannot be opened


def list_studies(*folders: str | Path) -> list[Listed]:
    """The studies directly inside these folders by name, with what is wrong with broken ones."""
    found = []
    for folder in folders:
        for manifest in sorted(Path(folder).glob(f"*/{MANIFEST}")):
            if manifest.parent.name.startswith("."):
                continue  # drafts
            try:
                found.append(Listed(manifest.parent, Study(manifest.parent)))
            except StudyError as error:
                found.append(Listed(manifest.parent, None, str(error)))
    return found


def file_sha(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_REBUILD = "Delete it and build it again."
_KEYS: Sequence[str] = ("version", "digest", "config", "model", "data", "tables", "arrays", "files")


def _manifest(path: Path) -> Mapping[str, Any]:
    if path.is_file():
        raise StudyError(f"{path} is a file, and a study is a folder.", "Give the folder that holds study.json.")
    file = path / MANIFEST
    if not file.is_file():
        raise StudyError(f"There is no study in {path}.", "Give a folder that holds study.json, or build one there.")
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise StudyError(f"The study {path.name} is damaged: {MANIFEST} cannot be read.", _REBUILD) from None
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > FORMAT:
        message = f"The study {path.name} has format {version}, and this version of Vitrine reads up to {FORMAT}."
        raise StudyError(message, "Update Vitrine, or build the study again.")
    if version != FORMAT or any(key not in manifest for key in _KEYS):
        raise StudyError(f"{file} is not the manifest of a study.", "Give the folder of a study.")
    return manifest
