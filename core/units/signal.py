"""Empirical receptive fields: the box of what guided backpropagation sends from one position back to the image."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.explain.forward_backward import recorded
from core.explain.relu_rules import ReluRule
from core.models.model import Model
from core.network.inspection import RELUS
from core.units.resampling.patches import bounding_box

_NOTHING = 1e-6  # of the strongest signal: rounding


def signal_boxes(
    model: Model,
    images: Tensor,
    layer: str,
    places: Sequence[tuple[int, int, int]],
    *,
    least: float = 0.0,
    rule: ReluRule = "guided",
) -> NDArray[np.int64]:
    """The boxes (B, 4), top, left, height and width, of the signal from one unit and position per image.

    `places` are unit, row and column in the maps of `layer`, for each of the images (B, C, H, W). Pixels count whose
    signal is above `least` times the strongest one; the box is empty where there is no signal. One forward and one
    backward per image; in a network without ReLU the signal is the gradient.
    """
    facts = model.survey.layer(model.resolve_layer(layer))
    if facts is None:
        raise ValueError(f"{layer} has no survey")
    unit, row, column = (list(numbers) for numbers in zip(*places, strict=True))

    def score(_logits: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        return facts.maps(outputs[layer])[range(len(places)), unit, row, column]

    used: ReluRule = "plain" if RELUS.isdisjoint(model.survey.operations) else rule
    signals = recorded(model.net, images, (layer,), (score,), (used,))[0][used].slopes[""]
    boxes = [bounding_box(signal, max(least, _NOTHING)) or (0, 0, 0, 0) for signal in signals]
    return np.array(boxes, np.int64).reshape(-1, 4)
