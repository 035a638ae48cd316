"""The ablation of a study, on its own images or on another folder with the same classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.data.image_folder import image_folder
from core.data.layout import UNKNOWN
from core.errors import BadImage, Unavailable, Unsupported, VitrineError
from core.explain.filter_relevance import relevance_for
from core.images import Window, read_picture
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, chunks, silent
from core.study import Study
from core.units.ablation import Ablation, Sets, ablation, from_images, from_pooled
from core.units.convolutions import of_same_units

Batches = Iterator[tuple[Tensor, Sequence[int]]]


def compared_sets(model: Model, layer: str, mined: Sets) -> tuple[dict[str, Sets], str]:
    """The sets of table 1: "mined", and "relevant" with as many filters of the layer that are relevant for the class.

    Relevant are those with the largest weights in the stored relevance of the model (Oramas et al. 2019, column [6] of
    the table); there may be fewer. The second part says why there is no such set; it is empty if there is.
    """
    try:
        relevance = relevance_for(model).relevance
    except VitrineError as error:
        return {"mined": mined}, f"{error.message} {error.hint}"
    known = [name for name, _ in relevance.features.layers]
    at = next((name for name in of_same_units(model, layer) if name in known), "")
    if not at:
        return {"mined": mined}, f"The stored relevance of filters of {model.display} has no layer {layer}."
    relevant = {
        label: [unit for _, unit, _ in relevance.relevant(label, at)][: len(set(filters))]
        for label, filters in mined.items()
    }
    return {"mined": mined, "relevant": relevant}, ""


def run_ablation(
    study: Study,
    sets: dict[str, Sets],
    model: Model,
    *,
    folder: str | Path = "",
    draws: int = 20,
    random_filters: int = 0,
    seed: int = 0,
    batch: int = 16,
    report: Report = silent,
) -> Ablation:
    """Table 1 of Meynen et al. 2023 for these filters, on images with known class.

    Without a `folder` these are the images of the study: from its pooled activations where these determine the logits,
    else from the files. Unusable images are skipped and listed. Raises Unsupported if no image has a class,
    Unavailable if images are missing or none can be read.
    """
    layer, count = study.manifest.model.layer, int(study.manifest.model.filters)
    use_pooled = not folder and "pooled" in study.manifest.arrays
    files = None if use_pooled else files_of_folder(model, folder) if folder else files_of_study(study)
    if files is None:
        logits, skipped = from_pooled(model), _unread(study)
    else:
        logits, skipped = from_images(model, layer), files.skipped
    with RepeatedReport(report) as repeated:
        told = repeated.report
        result = ablation(
            logits,
            read_batches(model, files, batch, told, study.manifest.settings.value_window())
            if files
            else stored_batches(study, model, told),
            sets,
            count,
            model.labels,
            draws=draws,
            random_filters=random_filters,
            seed=seed,
            asserts=model.asserts,
        )
    if not len(result.per_class):
        if files and files.paths:
            raise Unavailable(f"None of the images in {files.root} can be read.", skipped[files.paths[0]])
        raise Unsupported(
            "None of these images belongs to a class of the model.", "Put them into one sub-folder per class."
        )
    return replace(result, skipped=skipped)


def expected_passes(study: Study, model: Model, images: int, sets: int) -> float:
    """The number of forward passes at most: one per image, and where averages do not do, parts of one per set."""
    pools = model.survey.head and study.manifest.model.layer == model.survey.default
    return float(images if pools else images * (1 + sets))


@dataclass(frozen=True)
class LabelledFiles:
    """Images to read, and the skipped ones with reasons; reading may add to them."""

    root: Path
    paths: Sequence[str]
    labels: Sequence[int]
    skipped: dict[str, str]


def stored_batches(study: Study, model: Model, report: Report) -> Batches:
    """The averages of the filters' maps, as stored in the study."""
    pooled, images = study.array("pooled"), study.table("images")
    usable = np.flatnonzero((images["label"] >= 0) & (images["problem"] == ""))
    labels = images["label"].to_numpy()
    for span in chunks(len(usable), 512, report, "images ablated", counted=True):
        rows = usable[span.start : span.stop]
        yield torch.from_numpy(np.asarray(pooled[rows], np.float32)).to(model.device), labels[rows].tolist()


def _unread(study: Study) -> dict[str, str]:
    """The images that the build could not read."""
    images = study.table("images")
    images = images[images["problem"] != ""]
    return dict(zip(images["path"], images["problem"], strict=True))


def files_of_study(study: Study) -> LabelledFiles:
    """The images of a study with known class, at their place. Raises Unavailable if none is there."""
    root, images, skipped = study.folder, study.table("images"), _unread(study)
    images = images[(images["label"] >= 0) & (images["problem"] == "")]
    exists = np.array([(root / path).is_file() for path in images["path"]], bool)
    if len(exists) and not exists.any():
        raise Unavailable(
            f"The study's images are not in {root}.", "Give the folder that contains them, or other images."
        )
    skipped |= {path: f"{path} is no longer in {root}." for path in images["path"][~exists]}
    return LabelledFiles(root, images["path"][exists].tolist(), images["label"][exists].tolist(), skipped)


def files_of_folder(model: Model, folder: str | Path) -> LabelledFiles:
    """The images of a folder in sub-folders of the model's classes."""
    images = image_folder(folder, model.labels)
    usable = [number for number, label in enumerate(images.labels) if label != UNKNOWN]
    skipped = {f"{name}/": reason for name, reason in images.unmatched.items()}
    return LabelledFiles(images.root, [images.paths[n] for n in usable], [images.labels[n] for n in usable], skipped)


def read_batches(
    model: Model, files: LabelledFiles, batch: int, report: Report, window: Window | None = None
) -> Batches:
    """Images as network inputs, in batches; `window` as in `core.images.read_picture`."""
    for span in chunks(len(files.paths), batch, report, "images ablated", counted=True):
        inputs, labels = [], []
        for path, label in zip(files.paths[span.start : span.stop], files.labels[span.start : span.stop], strict=True):
            try:
                picture = read_picture(files.root, path, window)
            except BadImage as error:
                files.skipped[path] = error.message
                continue
            inputs.append(model.preprocess.tensor(model.preprocess.seen(picture)))
            labels.append(label)
        if inputs:
            yield torch.stack(inputs).to(model.device), labels
