"""Maps that look at no model: a method that does not clearly beat them explains nothing."""

from typing import Annotated

import torch
from torch import Tensor

from core.explain.method import explainer
from core.explain.query import Query, images_sha
from core.params import Knob


@explainer(
    "Random",
    family="control",
    paper="control",
    formula="U(0, 1) on a coarse grid, enlarged",
    caution="Not an explanation. Any measure that does not put it last is not measuring explanations.",
    cost=lambda settings, side: 0,
)
def random(query: Query, *, cells: Annotated[int, Knob("Coarse cells per side.", 2, 64)] = 14) -> Tensor:
    """Random blobs that have nothing to do with the image or the model.

    The same image and seed always give the same blobs. They show what a map looks like that knows nothing, and are the
    floor for every measure.
    """
    numbers = [int(images_sha(image[None]), 16) for image in query.images]
    return torch.stack([torch.rand(cells, cells, generator=query.rng(number)) for number in numbers])


@explainer(
    "Edge detector",
    family="control",
    paper="control; Adebayo et al. 2018",
    formula="√((Gₓ² + Gᵧ²) / 2) of the brightness, Sobel",
    caution="Not an explanation, though it looks like one: a fine drawing of the image is no sign of understanding.",
    cost=lambda settings, side: 0,
)
def edge_detector(query: Query) -> Tensor:
    """The edges of the image itself, found without any model.

    Maps of guided backprop and its relatives often resemble it. Where a method looks like this control, what is seen
    is the image and not the model.
    """
    from skimage.filters import sobel

    bright = query.model.preprocess.pixels(query.images).mean(1).cpu().numpy()
    return torch.stack([torch.from_numpy(sobel(one)) for one in bright])


@explainer(
    "Centre Gaussian",
    family="control",
    paper="control; Judd et al. 2009",
    formula="exp(−‖u − centre‖² / 2σ²)",
    caution="Not an explanation. Photographs have their object in the middle, so it does well where that is measured.",
    cost=lambda settings, side: 0,
)
def centre_gaussian(
    query: Query, *, spread: Annotated[float, Knob("Deviation, as a share of the side.", 0.05, 1, 0.05)] = 0.25
) -> Tensor:
    """A round blob in the middle of the image.

    People put objects into the centre of their photographs. A localisation measure that this blob wins says more about
    photographers than about explanations.
    """
    rows, columns = (
        torch.exp(-((torch.arange(side) + 0.5) / side - 0.5).square() / (2 * spread**2)) for side in query.size
    )
    return torch.outer(rows, columns).expand(len(query.images), -1, -1)
