"""The ablation of a study on its own images, or on another folder with the same classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.data.image_folder import UNKNOWN, image_folder
from core.errors import BadImage, Unavailable, Unsupported
from core.images import read_picture
from core.models.model import Model
from core.progress import Report, chunks, silent
from core.study import Study
from core.units.ablation import Ablation, Sets, ablation, from_images, from_pooled

Batches = Iterator[tuple[Tensor, Sequence[int]]]


def run_ablation(
    study: Study,
    sets: dict[str, Sets],
    model: Model,
    *,
    folder: str | Path = "",
    draws: int = 20,
    seed: int = 0,
    batch: int = 16,
    report: Report = silent,
) -> Ablation:
    """Table 1 of Meynen et al. 2023 for these filters, on images whose own class is known.

    Without a `folder` these are the images of the study: from its pooled activations where those decide the logits,
    else from the files. What cannot be used is skipped and listed. Raises Unsupported where no image has a class,
    Unavailable where images are missing or none can be read.
    """
    layer, count = study.manifest.model.layer, int(study.manifest.model.filters)
    kept = not folder and "pooled" in study.manifest.arrays
    files = None if kept else _of_folder(study, folder) if folder else _of_study(study)
    if files is None:
        logits, batches, skipped = from_pooled(model), _kept(study, model, report), _unread(study)
    else:
        logits, batches, skipped = from_images(model, layer), _read(model, files, batch, report), files.skipped
    found = ablation(logits, batches, sets, count, study.labels, draws=draws, seed=seed)
    if not len(found.per_class):
        if files and files.paths:
            raise Unavailable(f"None of the images in {files.root} can be read.", skipped[files.paths[0]])
        raise Unsupported(
            "None of these images belongs to a class of the model.", "Put them into one sub-folder per class."
        )
    return replace(found, skipped=skipped)


@dataclass(frozen=True)
class _Files:
    """Images to read, and those skipped with the reason; reading may add some."""

    root: Path
    paths: Sequence[str]
    labels: Sequence[int]
    skipped: dict[str, str]


def _kept(study: Study, model: Model, report: Report) -> Batches:
    """The averages of the filters' maps, as stored in the study."""
    pooled, images = study.array("pooled"), study.table("images")
    known = np.flatnonzero((images["label"] >= 0) & (images["problem"] == ""))
    labels = images["label"].to_numpy()
    for span in chunks(len(known), 512, report, "ablating filters"):
        rows = known[span.start : span.stop]
        yield torch.from_numpy(np.asarray(pooled[rows], np.float32)).to(model.device), labels[rows].tolist()


def _unread(study: Study) -> dict[str, str]:
    """The images that the build could not read."""
    images = study.table("images")
    images = images[images["problem"] != ""]
    return dict(zip(images["path"], images["problem"], strict=True))


def _of_study(study: Study) -> _Files:
    root, images, skipped = study.folder, study.table("images"), _unread(study)
    images = images[(images["label"] >= 0) & (images["problem"] == "")]
    there = np.array([(root / path).is_file() for path in images["path"]], bool)
    if len(there) and not there.any():
        raise Unavailable(
            f"The study's images are not in {root}.", "Give the folder that contains them, or other images."
        )
    skipped |= {path: f"{path} is no longer in {root}." for path in images["path"][~there]}
    return _Files(root, images["path"][there].tolist(), images["label"][there].tolist(), skipped)


def _of_folder(study: Study, folder: str | Path) -> _Files:
    found = image_folder(folder, study.labels)
    known = [number for number, label in enumerate(found.labels) if label != UNKNOWN]
    skipped = {f"{name}/": reason for name, reason in found.unmatched.items()}
    return _Files(found.root, [found.paths[n] for n in known], [found.labels[n] for n in known], skipped)


def _read(model: Model, files: _Files, batch: int, report: Report) -> Batches:
    """Images as the model sees them."""
    for span in chunks(len(files.paths), batch, report, "ablating filters"):
        inputs, labels = [], []
        for path, label in zip(files.paths[span.start : span.stop], files.labels[span.start : span.stop], strict=True):
            try:
                picture = read_picture(files.root, path)
            except BadImage as error:
                files.skipped[path] = error.message
                continue
            inputs.append(model.preprocess.tensor(model.preprocess.view(picture.pixels)))
            labels.append(label)
        if inputs:
            yield torch.stack(inputs).to(model.device), labels
