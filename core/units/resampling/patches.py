"""Patches of an image: where a filter looks, projected back from its single maximal location."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from core.errors import BadParameter, Unsupported
from core.explain.forward_backward import recorded
from core.explain.query import Query
from core.params import Knob
from core.progress import chunks
from core.units.convolutions import Convolution, convolutions

Box = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True)
class Patch:
    """The patch of a filter."""

    layer: str
    filter: int
    group: int  # of the layer, by depth: see `convolutions`
    position: tuple[int, int]  # row and column of its maximal activation, the first of equal ones
    activation: float
    box: Box | None  # None for a filter that is nowhere active, or from which nothing reaches the image

    @property
    def name(self) -> str:
        """The name of its filter, such as `conv4 · F12`."""
        return f"{self.layer} · F{self.filter}"


def patches(
    query: Query,
    filters: Mapping[str, Sequence[int]],
    *,
    rule: Annotated[
        Literal["deconvnet", "guided"], Knob("Backward rule of ReLU.", names=("deconvnet", "guided backprop"))
    ] = "deconvnet",
    share: Annotated[
        float, Knob("Share of the strongest signal above which a pixel belongs to the patch.", 0, 1)
    ] = 1e-6,
) -> tuple[Patch, ...]:
    """The patches of some filters in the query's one image: layer -> filters, as `Resampled.selected` gives them.

    The box around all pixels whose signal, in any channel, exceeds `share` of the strongest; 0.05 gives tighter boxes.
    The signal is that of `projected`. One forward per layer and one backward, from the layer on, per filter. Raises as
    `projected`.
    """
    of = {layer.name: layer for layer in convolutions(query.model, list(filters))}
    found = []
    for span in chunks(len(filters), 1, query.report, "layers projected", counted=True):
        name, chosen = list(filters.items())[span.start]
        layer, numbers = of[name], [int(number) for number in chosen]
        if not numbers:
            continue
        signals, peaks = _signals(query, layer, numbers, rule)
        for number, signal, (row, column, activation) in zip(numbers, signals, peaks, strict=True):
            box = bounding_box(signal, share) if activation > 0 else None
            found.append(Patch(name, number, layer.group, (row, column), activation, box))
    return tuple(found)


def projected(
    query: Query, layer: str, filters: Sequence[int], rule: Literal["deconvnet", "guided"] = "deconvnet"
) -> Tensor:
    """The maximal activation of each filter of a layer projected back to the image, (N, C, H, W).

    All other activations of the layer are zero (Zeiler & Fergus 2014). Convolutions are transposed, maxima return to
    where they came from, and ReLUs pass what is positive; with "guided" only where they were active, too. Raises
    BadParameter unless the query has one image and the layer these filters, Unsupported for a network without ReLU.
    """
    (chosen,) = convolutions(query.model, [layer])
    return _signals(query, chosen, filters, rule)[0]


def bounding_box(signal: Tensor, share: float = 1e-6) -> Box | None:
    """The box around the pixels where |signal| (C, H, W) exceeds `share` of its maximum; None if it is zero."""
    strength = signal.abs().amax(0).numpy(force=True)
    rows, columns = np.nonzero(strength > share * strength.max(initial=0))
    if not len(rows):
        return None
    top, left = int(rows.min()), int(columns.min())
    return top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1


def _signals(
    query: Query, layer: Convolution, filters: Sequence[int], rule: Literal["deconvnet", "guided"]
) -> tuple[Tensor, list[tuple[int, int, float]]]:
    """Signals (N, C, H, W) of the filters, and row, column and value of their maxima."""
    if len(query.images) != 1:
        raise BadParameter(f"Patches are those of one image, and {len(query.images)} are given.", "Give one at a time.")
    if wrong := [number for number in filters if not 0 <= number < layer.shape[0]]:
        message = f"Layer '{layer.name}' has no filter {wrong[0]}."
        raise BadParameter(message, f"Its filters are 0 to {layer.shape[0] - 1}.")

    def maximum(number: int) -> Callable[[Tensor, Mapping[str, Tensor]], Tensor]:
        def score(_logits: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
            values = outputs[layer.at][:, number].flatten(1)
            return values[:, int(values.argmax())]

        return score

    recordings = recorded(query.net, query.images, [layer.at], [maximum(number) for number in filters], [rule])
    query.log.forwards += 1
    query.log.backwards += len(filters)
    signals, peaks = [], []
    for number, recording in zip(filters, recordings, strict=True):
        if rule not in recording:
            raise Unsupported(f"{query.model.display} uses no ReLU.", "Choose a network with ReLUs.")
        values = recording[rule].values[layer.at][0, number]
        row, column = divmod(int(values.argmax()), values.shape[1])
        peaks.append((row, column, float(values[row, column])))
        signals.append(recording[rule].slopes[""][0] * values[row, column])
    return torch.stack(signals), peaks
