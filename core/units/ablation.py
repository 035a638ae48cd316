"""Ablation: accuracy of each class without the filters of its rules, and without random filters (Table 1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from core.models.model import Model
from core.network.hooks import Edit, capture, module_named
from core.network.inspection import Layout

if TYPE_CHECKING:
    import pandas as pd

Sets = Mapping[int, Sequence[int]]  # label -> filters
Logits = Callable[[Tensor, Tensor], Tensor]  # (rows (n, …), keep masks (K, D)) -> logits (n, K, C)
Asserts = Callable[[Tensor], Tensor]  # logits (…, C) -> whether each class is predicted (…, C)


@dataclass(frozen=True)
class Ablation:
    """Accuracies with filters ablated, each over the images of one class."""

    # label, name, images, filters, baseline, one column per set, random_mean, random_std, drop_per_filter (of the
    # first set, NaN if it is empty)
    per_class: "pd.DataFrame"
    draws: NDArray[np.float64]  # (classes, draws) accuracy with random sets
    random_filters: int  # in each of these; 0 for as many as the first set has
    ablated: Mapping[str, NDArray[np.int64]]  # set -> (classes,) number of filters
    # label -> (images, 1 + sets + draws) whether an image got its class: with all filters, without each set, at random
    right: Mapping[int, NDArray[np.bool_]]
    skipped: Mapping[str, str] = field(default_factory=dict)  # what was skipped, and why

    def summary(self) -> dict[str, Any]:
        """Means over classes, None if there is nothing to average.

        `*_std_over_classes` is the standard deviation over classes, `random_std` that of the mean over random draws;
        `*_drop_per_filter` is the mean loss of accuracy per filter of a class.
        """
        table, sizes = self.per_class, {name: _mean(count) for name, count in self.ablated.items()}
        size = next(iter(sizes.values()))
        base, drawn = _mean(table["baseline"]), self.draws.mean(0) if len(self.draws) else ()
        facts = {"baseline": base, "baseline_std_over_classes": _deviation(table["baseline"])}
        for name, column, filters in (
            *((one, one, sizes[one]) for one in sizes),
            ("random", "random_mean", self.random_filters or size),
        ):
            accuracy = facts[column] = _mean(table[column])
            facts[f"{name}_std_over_classes"] = _deviation(table[column])
            facts[f"{name}_drop_per_filter"] = _drop_per_filter(base, accuracy, filters)
        return {
            **facts,
            "random_std": _deviation(drawn),
            "filters_per_class": size,
            **{f"{name}_per_class": count for name, count in [*sizes.items()][1:]},
            "random_filters": self.random_filters or size,
            "images": int(table["images"].sum()),
            "skipped": [{"path": path, "problem": problem} for path, problem in self.skipped.items()],
            "per_class": table.astype(object).where(table.notna(), None).to_dict("records"),
        }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if _defined(values) else None


def _deviation(values: Any) -> float | None:
    return float(np.std(np.asarray(values))) if _defined(values) else None


def _drop_per_filter(before: float | None, after: float | None, filters: float | None) -> float | None:
    return (before - after) / filters if before is not None and after is not None and filters else None


def _defined(values: Any) -> bool:
    return len(values) > 0 and not np.isnan(values).any()


def ablation(
    logits: Logits,
    batches: Iterable[tuple[Tensor, Sequence[int]]],
    sets: Mapping[str, Sets],
    filters: int | Sequence[int],
    names: Sequence[str],
    *,
    draws: int = 20,
    random_filters: int = 0,
    seed: int = 0,
    asserts: Asserts = lambda logits: F.one_hot(logits.argmax(-1), logits.shape[-1]).bool(),
) -> Ablation:
    """Accuracy of each class with nothing ablated, without its filters of each of the `sets`, and without random ones.

    The batches contain rows for `logits` and their labels; `filters` is the number of filters, or that of each of
    several layers. Random sets have as many filters as the first of the `sets`, and as many of each layer, or
    `random_filters` of one layer (10 in table 1; at most all), and depend on seed, class and draw alone. Section 4.2 of
    Meynen et al. 2023.
    """
    sizes = (filters,) if isinstance(filters, int) else tuple(filters)
    masks: dict[int, Tensor] = {}
    seen: dict[int, list[NDArray[np.bool_]]] = {}
    random_filters = min(random_filters, sum(sizes))
    first = next(iter(sets.values()))
    for rows, labels in batches:
        for label in sorted(set(labels)):
            if label not in masks:
                chosen = [one.get(label, ()) for one in sets.values()]
                counts = [random_filters] if random_filters else _counted(chosen[0], sizes)
                drawn_sets = [_drawn(sizes, counts, (seed, label, draw)) for draw in range(draws)]
                masks[label], seen[label] = _masks([*chosen, *drawn_sets], sum(sizes)), []
            label_rows = rows[[i for i, other in enumerate(labels) if other == label]]
            predicted = asserts(logits(label_rows, masks[label].to(label_rows.device)))
            seen[label].append(predicted[..., label].cpu().numpy())
    right = {label: np.concatenate(seen[label]) for label in sorted(seen)}
    table_rows, drawn = [], []
    for label, outcomes in right.items():
        accuracies = outcomes.mean(0)
        chance = accuracies[1 + len(sets) :]
        drawn.append(chance)
        table_rows.append((
            label, names[label], len(outcomes), len(set(first.get(label, ()))), *accuracies[: 1 + len(sets)].tolist(),
            float(chance.mean()) if draws else np.nan, float(chance.std()) if draws else np.nan,
        ))  # fmt: skip
    columns = ["label", "name", "images", "filters", "baseline", *sets, "random_mean", "random_std"]
    import pandas as pd  # here: editing filters needs none of it

    table = pd.DataFrame(table_rows, columns=columns)
    lost = table["baseline"] - table[next(iter(sets))]
    table["drop_per_filter"] = lost / table["filters"].where(table["filters"] > 0)
    ablated = {
        name: np.array([len(set(one.get(label, ()))) for label in right], np.int64) for name, one in sets.items()
    }
    return Ablation(table, np.array(drawn).reshape(len(drawn), draws), random_filters, ablated, right)


def _counted(chosen: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """How many of the chosen filters each layer has."""
    layers = np.repeat(np.arange(len(sizes)), sizes)
    counts: list[int] = np.bincount(layers[sorted(set(chosen))], minlength=len(sizes)).tolist()
    return counts


def _drawn(sizes: Sequence[int], counts: Sequence[int], seed: tuple[int, int, int]) -> list[int]:
    """A random set of so many filters of each layer."""
    rng, drawn, start = np.random.default_rng(seed), list[int](), 0
    for size, count in zip(sizes, counts, strict=True):
        drawn += (start + rng.choice(size, count, replace=False)).tolist()
        start += size
    return drawn


def _masks(sets: Sequence[Sequence[int]], filters: int) -> Tensor:
    """Keep masks (1 + sets, D) of ones and zeros: all filters, then without each of the sets."""
    masks = torch.ones(1 + len(sets), filters)
    for row, filters_of_set in enumerate(sets, start=1):
        masks[row, sorted({int(item) for item in filters_of_set})] = 0
    return masks


def from_pooled(model: Model) -> Logits:
    """Logits from the averages (n, D) of the filters' maps: exact if these feed one linear layer."""
    head = module_named(model.net, model.survey.head)
    if not isinstance(head, nn.Linear):
        raise TypeError(f"{model.survey.head} is not a linear layer")

    @torch.no_grad()
    def logits(pooled: Tensor, keep: Tensor) -> Tensor:
        return F.linear(pooled[:, None] * keep[None], head.weight, head.bias)

    return logits


def from_images(model: Model, layer: str, *, shortcut: bool = True) -> Logits:
    """Logits from images (n, C, H, W), computed from the averages where these determine the logits."""
    if shortcut and model.survey.head and layer == model.survey.default:
        return lambda images, kept: from_pooled(model)(pooled(model, images, layer), kept)
    return from_layers(model, {layer: slice(None)})


def from_layers(model: Model, layers: Mapping[str, slice]) -> Logits:
    """Logits from images (n, C, H, W) with filters of several layers ablated; each has its part of the keep masks."""
    layouts: dict[str, Layout] = {}
    for layer in layers:
        facts = model.survey.layer(layer)
        layouts[layer] = facts.layout if facts else "grid"

    @torch.no_grad()
    def logits(images: Tensor, keep: Tensor) -> Tensor:
        edits = {name: partial(torch.mul, shaped(keep[:, part], layouts[name])) for name, part in layers.items()}
        return torch.stack([edited(model, image, edits) for image in images])

    return logits


@torch.no_grad()
def edited(model: Model, image: Tensor, edits: Mapping[str, Edit]) -> Tensor:
    """Logits (K, C) of one image for K edited copies of layers' outputs: one pass up to the first layer, K after it.

    The edit of the first layer makes the copies (K, …) of its output (1, …), or edits those (K, …) of K images: where
    the network concatenates an edited output with another one, all K passes are complete.
    """
    logits: Tensor
    with capture(model.net, edit=edits) as outputs:
        try:
            logits = model.net(image[None])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # of sizes that differ; any other is raised again by the complete passes
            copies = max(map(len, outputs.values()), default=1)
            if copies == 1:
                raise
            logits = model.net(image.expand(copies, *image.shape))
    return logits


def shaped(keep: Tensor, how: Layout) -> Tensor:
    """Masks (K, D) in the layout of the layer."""
    if how == "grid":
        return keep[:, :, None, None]
    return keep[:, None, None] if how == "channels-last" else keep[:, None]


@torch.no_grad()
def pooled(model: Model, images: Tensor, layer: str) -> Tensor:
    """The average of each filter's map, (n, D)."""
    facts = model.survey.layer(layer)
    with capture(model.net, layer) as outputs:
        model.net(images)
    return (facts.maps(outputs[layer]) if facts else outputs[layer]).mean((2, 3))
