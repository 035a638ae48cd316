"""The effect of ablating one unit of any layer: accuracy and probability of each class with and without it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.errors import Unavailable, Unsupported
from core.measure.intervals import interval
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, silent
from core.study import Study
from core.units.ablation import Logits, from_images, from_pooled
from core.units.ablation_study import Batches, files_of_folder, files_of_study, read_batches, stored_batches


@dataclass(frozen=True)
class Effect:
    """What ablating a unit changes, class by class, on images of known class."""

    # label, name, images, accuracy, accuracy_without, probability, probability_without (means over the images of the
    # class, of that class), change (of the probability), low, high (of its interval; NaN for one image); the class
    # that loses most first
    per_class: pd.DataFrame
    images: int
    skipped: dict[str, str] = field(default_factory=dict)  # what could not be read, and why


def effect_on_study(study: Study, model: Model, layer: str, unit: int, *, report: Report = silent) -> Effect:
    """The effect on the images of a study, from its stored averages where these determine the logits.

    Raises Unavailable if images are needed and missing, and as `effect_on_folder`.
    """
    if layer == study.manifest.model.layer and "pooled" in study.manifest.arrays:
        with RepeatedReport(report) as repeated:
            return _effect(model, layer, unit, from_pooled(model), stored_batches(study, model, repeated.report))
    files = files_of_study(study)
    window = study.manifest.settings.value_window()
    with RepeatedReport(report) as repeated:
        batches = read_batches(model, files, 16, repeated.report, window)
        found = _effect(model, layer, unit, from_images(model, layer), batches)
    return Effect(found.per_class, found.images, files.skipped)


def effect_on_folder(
    model: Model, layer: str, unit: int, folder: str | Path, *, batch: int = 16, report: Report = silent
) -> Effect:
    """The effect on the images of a folder with one sub-folder per class: one forward each, and half of one again.

    Raises Unsupported for a regression and if no image has a class of the model, Unavailable if none can be read.
    """
    files = files_of_folder(model, folder)
    with RepeatedReport(report) as repeated:
        batches = read_batches(model, files, batch, repeated.report)
        found = _effect(model, layer, unit, from_images(model, layer), batches)
    if found.images:
        return Effect(found.per_class, found.images, files.skipped)
    if files.paths:
        raise Unavailable(f"None of the images in {files.root} can be read.", files.skipped[files.paths[0]])
    message = "None of these images belongs to a class of the model."
    raise Unsupported(message, "Put them into one sub-folder per class.")


def _effect(model: Model, layer: str, unit: int, logits: Logits, batches: Batches) -> Effect:
    if model.output == "regression":
        raise Unsupported(f"{model.display} predicts numbers, not classes.", "Choose a model that predicts classes.")
    facts = model.survey.layer(model.resolve_layer(layer))
    keep = torch.ones(2, facts.units if facts else unit + 1)
    keep[1, unit] = 0
    found: dict[int, list[np.ndarray]] = {}  # by class, one row per image: right and probability, with and without
    for rows, labels in batches:
        outputs = logits(rows, keep.to(rows.device))
        right, chances = model.asserts(outputs), model.probabilities(outputs)
        for number, label in enumerate(labels):
            of_class = (right[number, :, label].cpu().double(), chances[number, :, label].cpu().double())
            found.setdefault(label, []).append(torch.cat(of_class).numpy(force=True))
    return Effect(_table(model, found), sum(map(len, found.values())))


def _table(model: Model, found: dict[int, list[np.ndarray]]) -> pd.DataFrame:
    rows = []
    for label, images in found.items():
        values = np.stack(images)
        change = interval((values[:, 3] - values[:, 2]).tolist())
        if change is None:
            continue
        bounds = (np.nan if bound is None else bound for bound in (change.low, change.high))
        rows.append((label, model.labels[label], change.n, *values.mean(0).tolist(), change.mean, *bounds))
    columns = [
        "label", "name", "images", "accuracy", "accuracy_without", "probability", "probability_without", "change",
        "low", "high",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["change", "label"], ignore_index=True)
