"""Samples of the neighbourhood of an image: copies whose pixels are multiplied by random factors around one."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from core.explain.query import Query
from core.network.threads import side_by_side

Space = Literal["pixels", "network"]


def neighbours(
    query: Query, numbers: Sequence[int], deviation: float, space: Space, *, growing: bool = False
) -> Tensor:
    """Copies x · (1 + e) of the query's one image as network inputs (n, C, H, W), e ~ N(0, `deviation`) per value.

    Copy i is drawn from `query.rng(i)` alone. In pixel space x lies in [0, 1], and so does the copy; in network space
    it is the normalised image, so that pixels of the mean colour do not change. With `growing` the deviation of copy i
    is i · `deviation`, as in the released code of Lengerich et al. 2017.
    """
    image = query.images[0]
    drawn = side_by_side(lambda number: torch.randn(image.shape, generator=query.rng(number)), numbers)
    noise = torch.stack(drawn).to(image)
    deviations = torch.tensor([deviation * (number if growing else 1) for number in numbers]).to(image)
    factors = 1 + noise * deviations[:, None, None, None]
    if space == "network":
        return image * factors
    preprocess = query.model.preprocess
    copies = preprocess.normalised((preprocess.pixels(image) * factors).clamp(0, 1))
    # The way to pixels and back rounds: without noise a copy is the image itself.
    copies[deviations == 0] = image
    return copies.to(image)
