"""The ablation of a study's classes on its own images, or on those of another folder of the same classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.data.classes import image_folder
from core.errors import BadImage, Unavailable, Unsupported
from core.images import decode
from core.mining.ablation import Ablation, Sets, ablated, from_images, from_pooled
from core.models.model import Model
from core.progress import Report, chunks, silent
from core.study import Study

Batches = Iterator[tuple[Tensor, Sequence[int]]]


def tried(
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

    Without a `folder` it is the images the study was built from: read from what it kept of them where that decides the
    answer, else from their files. Raises Unsupported where no image has a class, Unavailable where images are gone.
    """
    layer, count = study.manifest["model"]["layer"], int(study.manifest["model"]["filters"])
    if folder or "pooled" not in study.manifest["arrays"]:
        answers = from_images(model, layer)
        batches = _files(model, _listed(study, folder), batch, report)
    else:
        answers = from_pooled(model)
        batches = _kept(study, model, report)
    found = ablated(answers, batches, sets, count, study.labels, draws=draws, seed=seed)
    if not len(found.per_class):
        raise Unsupported("None of these images has a class of the model.", "Put them into one sub-folder per class.")
    return found


def _kept(study: Study, model: Model, report: Report) -> Batches:
    """The averages of the filters' maps that the study keeps."""
    pooled, images = study.array("pooled"), study.table("images")
    known = np.flatnonzero((images["label"] >= 0) & (images["problem"] == ""))
    labels = images["label"].to_numpy()
    for span in chunks(len(known), 512, report, "silencing filters"):
        rows = known[span.start : span.stop]
        yield torch.from_numpy(np.asarray(pooled[rows], np.float32)).to(model.device), labels[rows].tolist()


def _listed(study: Study, folder: str | Path) -> list[tuple[Path, int]]:
    """The files to read and their classes: of a folder, or of the study itself."""
    if folder:
        found = image_folder(folder, study.labels)
        pairs = zip((found.root / path for path in found.paths), found.labels, strict=True)
        return [(path, label) for path, label in pairs if label >= 0]
    root, images = Path(study.manifest["data"]["folder"]), study.table("images")
    images = images[(images["label"] >= 0) & (images["problem"] == "")]
    pairs = zip((root / path for path in images["path"]), images["label"].tolist(), strict=True)
    there = [(path, label) for path, label in pairs if path.is_file()]
    if len(images) and not there:
        raise Unavailable(f"The study's images are no longer in {root}.", "Name the folder where they, or others, are.")
    return there


def _files(model: Model, files: Sequence[tuple[Path, int]], batch: int, report: Report) -> Batches:
    """Images as the model sees them; those that cannot be read are left out, as a build leaves them out."""
    for span in chunks(len(files), batch, report, "silencing filters"):
        inputs, labels = [], []
        for path, label in files[span.start : span.stop]:
            try:
                picture = decode(path.read_bytes(), path.name)
            except BadImage:
                continue
            inputs.append(model.preprocess.tensor(model.preprocess.view(picture.pixels)))
            labels.append(label)
        if inputs:
            yield torch.stack(inputs).to(model.device), labels
