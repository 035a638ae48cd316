"""The importance of concepts: what the network says of each class when a direction is removed from a layer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import Unavailable, Unsupported
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.network.hooks import Edit, capture
from core.params import Knob
from core.progress import Report, silent
from core.randomness import generator
from core.study import Study
from core.units.ablation import edited
from core.units.ablation_study import files_of_folder, files_of_study, read_batches
from core.units.concepts.projection import strengths

DRAWS = 5
_COPIES = 32  # of a layer's output at once
_MOST = 1000  # random directions of a concept

COLUMNS = (
    "concept", "label", "name", "images", "probability", "probability_without", "probability_random",
    "probability_random_std", "accuracy", "accuracy_without", "accuracy_random",
)  # fmt: skip


@dataclass(frozen=True)
class Importance:
    """What each class loses without each concept, over the images of the class."""

    # A row per concept and class, with COLUMNS: the mean probability of the class and the accuracy with all, without
    # the concept, and without random directions: mean over their draws, and deviation of the draws' means.
    per_class: pd.DataFrame
    draws: int
    skipped: Mapping[str, str] = field(default_factory=dict)  # images that were skipped, and why

    def drops(self) -> pd.DataFrame:
        """A row per concept: what is lost without it, and without random directions, in the class that loses most.

        `label` and `name` are that class, `drop`, `drop_random` and `drop_accuracy` its losses; `mean` and
        `mean_random` are the losses of probability averaged over the classes.
        """
        table = self.per_class
        table = table.assign(
            drop=table["probability"] - table["probability_without"],
            drop_random=table["probability"] - table["probability_random"],
            drop_accuracy=table["accuracy"] - table["accuracy_without"],
        )
        most = table.loc[table.groupby("concept")["drop"].idxmax()]
        most = most[["concept", "label", "name", "drop", "drop_random", "drop_accuracy"]].set_index("concept")
        means = table.groupby("concept")[["drop", "drop_random"]].mean()
        return most.assign(mean=means["drop"], mean_random=means["drop_random"]).reset_index()


def importance(
    model: Model,
    layer: str,
    directions: NDArray[np.float64],
    batches: Iterable[tuple[Tensor, Sequence[int]]],
    *,
    draws: Annotated[int, Knob("Random directions that each concept is compared with.", 0, _MOST)] = DRAWS,
    seed: Annotated[int, Knob("Seed of the random directions.", 0, 2**31 - 1)] = 0,
) -> Importance:
    """The probability of each class, and the accuracy, with each of the directions (K, D) removed from a layer.

    At each position the direction times its strength there, by `strengths` for all directions together, is subtracted
    from the activations. Random directions are subtracted with the same strengths, so that the change is as long: they
    have the values of the direction at other filters of the concepts, in an order that depends on seed, concept and
    draw alone. The batches are network inputs and their labels. Two forwards per image up to the layer, and one after
    it for each direction.
    """
    basis = torch.from_numpy(directions)
    removed, owners = _removed(basis, draws, seed)
    facts = model.survey.layer(layer)
    last = facts is not None and facts.layout != "grid"
    sums: dict[int, NDArray[np.float64]] = {}  # label -> (2, R) sums of probability and of right predictions
    counts: dict[int, int] = {}
    for images, labels in batches:
        found = _of_layer(model, layer, images, basis, last=last)
        for image, own, label in zip(images, found, labels, strict=True):
            logits = torch.cat([
                edited(model, image, {layer: _subtracted(vectors, own[concepts], last=last)})
                for vectors, concepts in zip(removed.split(_COPIES), owners.split(_COPIES), strict=True)
            ])  # fmt: skip
            values = torch.stack([model.probabilities(logits)[:, label], model.asserts(logits)[:, label]])
            sums[label] = sums.get(label, 0) + values.cpu().double().numpy()
            counts[label] = counts.get(label, 0) + 1
    rows = [
        (concept, label, model.labels[label], counts[label], *_row(sums[label] / counts[label], concept, owners))
        for concept in range(len(directions))
        for label in sorted(sums)
    ]
    return Importance(pd.DataFrame(rows, columns=list(COLUMNS)), draws)


def study_importance(
    study: Study,
    directions: NDArray[np.float64],
    model: Model,
    *,
    folder: str | Path = "",
    draws: int = DRAWS,
    seed: int = 0,
    batch: int = 4,
    report: Report = silent,
) -> Importance:
    """The importance of directions (K, D) of a study's layer, on its images or on those of another `folder`.

    Raises Unavailable if the images are missing or none can be read, Unsupported if none belongs to a class.
    """
    files = files_of_folder(model, folder) if folder else files_of_study(study)
    if not files.paths:
        message = "None of these images belongs to a class of the model."
        raise Unsupported(message, "Put them into one sub-folder per class.")
    window = study.manifest.settings.value_window()
    with RepeatedReport(report) as repeated:
        batches = read_batches(model, files, batch, repeated.report, window)
        found = importance(model, study.manifest.model.layer, directions, batches, draws=draws, seed=seed)
    if not len(found.per_class):
        raise Unavailable(f"None of the images in {files.root} can be read.", files.skipped[files.paths[0]])
    return replace(found, skipped=files.skipped)


def _removed(directions: Tensor, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """All directions (R, D) that are removed, and the concept (R,) that each is for: -1 of nothing, which is first."""
    filters = torch.nonzero(directions.sum(0) > 0)[:, 0]
    randoms = []
    for concept, direction in enumerate(directions):
        for draw in range(draws):
            order = torch.randperm(len(filters), generator=generator(seed, concept * _MOST + draw))
            randoms.append(torch.zeros_like(direction).index_copy(0, filters, direction[filters[order]]))
    owners = torch.arange(len(directions))
    nothing = torch.zeros_like(directions[:1])
    removed = torch.cat([nothing, directions, *[one[None] for one in randoms]])
    return removed, torch.cat([-torch.ones_like(owners[:1]), owners, owners.repeat_interleave(draws)])


@torch.no_grad()
def _of_layer(model: Model, layer: str, images: Tensor, directions: Tensor, *, last: bool) -> Tensor:
    """The strengths (B, K, …) of directions at the positions … of a layer's outputs."""
    with capture(model.net, layer) as outputs:
        model.net(images)
    values = outputs[layer] if last else outputs[layer].movedim(1, -1)
    found = strengths(values.flatten(0, -2), directions).to(values)
    return found.reshape(*values.shape[:-1], -1).movedim(-1, 1)


def _subtracted(directions: Tensor, scale: Tensor, *, last: bool) -> Edit:
    """The edit that makes R copies of an output, without each of the directions (R, D) times its strengths (R, …)."""

    def edit(output: Tensor) -> Tensor:
        vectors = directions.to(output)
        if last:
            return output - scale[..., None] * vectors.reshape(len(vectors), *[1] * (output.dim() - 2), -1)
        return output - scale[:, None] * vectors.reshape(*vectors.shape, *[1] * (output.dim() - 2))

    return edit


def _row(means: NDArray[np.float64], concept: int, owners: Tensor) -> tuple[float, ...]:
    """The columns from `probability` on, of a concept and a class, from the means (2, R)."""
    probability, accuracy = means
    own, *random = np.flatnonzero(owners.numpy() == concept).tolist()
    some = bool(random)
    return (
        probability[0],
        probability[own],
        probability[random].mean() if some else np.nan,
        probability[random].std() if some else np.nan,
        accuracy[0],
        accuracy[own],
        accuracy[random].mean() if some else np.nan,
    )
