"""Controls: maps that do not depend on the model, as a lower bound for every method."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from core.explain.method import explainer
from core.explain.query import Query, images_sha
from core.params import Knob

_SMOOTH = torch.tensor([1.0, 2.0, 1.0]) / 4
_STEP = torch.tensor([-1.0, 0.0, 1.0])  # a difference over two pixels


@explainer(
    "Random",
    family="control",
    source="control",
    formula="U(0, 1) on a coarse grid, upsampled",
    caution="Not an explanation. A measure that does not rank it last is not measuring explanations.",
    cost=lambda settings, side: 0,
)
def random(query: Query, *, cells: Annotated[int, Knob("Grid cells per side.", 2, 64)] = 14) -> Tensor:
    """Random blobs, independent of the image and the model.

    The same image and seed always give the same blobs. They show what an uninformative map looks like, and are the
    floor for every measure.
    """
    numbers = [int(images_sha(image[None]), 16) for image in query.images]
    return torch.stack([torch.rand(cells, cells, generator=query.rng(number)) for number in numbers])


@explainer(
    "Edge detector",
    family="control",
    source="control; Adebayo et al. 2018",
    formula="√((Gₓ² + Gᵧ²) / 2) of the brightness, Sobel",
    caution="Not an explanation, though it looks like one: fine detail is no sign of understanding.",
    cost=lambda settings, side: 0,
)
def edge_detector(query: Query) -> Tensor:
    """The edges of the image, detected without a model.

    Maps of guided backprop and related methods often resemble it. Where a method looks like this control, it shows the
    image and not the model.
    """
    # scikit-image's `sobel` gives the same, but importing it takes a second, and every agreement has this control.
    bright = query.model.preprocess.pixels(query.images)[:, :3].mean(1, keepdim=True)  # without an alpha
    across = torch.outer(_SMOOTH.to(bright), _STEP.to(bright))
    slopes = conv2d(pad(bright, (1, 1, 1, 1), mode="replicate"), torch.stack([across, across.T])[:, None])
    return slopes.square().mean(1).sqrt()


@explainer(
    "Centre Gaussian",
    family="control",
    source="control; Judd et al. 2009",
    formula="exp(−‖u − centre‖² / 2σ²)",
    caution="Not an explanation. Does well wherever the object is in the centre of the photograph.",
    cost=lambda settings, side: 0,
)
def centre_gaussian(
    query: Query,
    *,
    spread: Annotated[float, Knob("Standard deviation as a fraction of the image's side.", 0.05, 1, 0.05)] = 0.25,
) -> Tensor:
    """A Gaussian blob at the centre of the image.

    Photographs tend to have their object in the centre. A localisation measure that this blob wins says more about the
    photographs than about explanations.
    """
    rows, columns = (
        torch.exp(-((torch.arange(side) + 0.5) / side - 0.5).square() / (2 * spread**2)) for side in query.size
    )
    return torch.outer(rows, columns).expand(len(query.images), -1, -1)
