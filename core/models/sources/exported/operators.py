"""Operators of ONNX that torch has in another form, for those of onnx2pytorch that do not serve here."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Numbers = Tensor | Sequence[int]


class AttentionProduct(nn.Module):
    """The product of attention and values, as a tuple: heads × tokens are no maps."""

    def forward(self, attention: Tensor, values: Tensor) -> tuple[Tensor]:
        """The attended values."""
        return (torch.matmul(attention, values),)


class Joined(nn.Module):
    """Tensors joined along an axis; those made for a single image are repeated for each."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *tensors: Tensor) -> Tensor:
        """The joined tensor."""
        sizes = [max(along) for along in zip(*(tensor.shape for tensor in tensors), strict=True)]
        sizes[self.dim] = -1
        return torch.cat([tensor.expand(sizes) for tensor in tensors], self.dim)


def gathered(data: Tensor, indices: Tensor, dim: int) -> Tensor:
    """The entries of an axis at indices of any shape, which replaces the axis; negative ones count from its end."""
    dim %= data.dim()
    at = indices.long() % data.shape[dim]
    entries = data.index_select(dim, at.flatten())
    return entries.reshape((*data.shape[:dim], *indices.shape, *data.shape[dim + 1 :]))


def sliced(
    data: Tensor, starts: Numbers, ends: Numbers, axes: Numbers | None = None, steps: Numbers | None = None
) -> Tensor:
    """The part of a tensor between starts and ends along axes, by default the first ones; steps may be negative."""
    count = len(starts)
    bounds = (starts, ends, range(count) if axes is None else axes, [1] * count if steps is None else steps)
    for start, end, axis, step in zip(*(map(int, values) for values in bounds), strict=True):
        kept = range(*slice(start, end, step).indices(data.shape[axis]))
        if step > 0:
            data = data.narrow(axis, min(kept.start, data.shape[axis]), max(0, kept.stop - kept.start))
            data = data[(slice(None),) * (axis % data.dim()) + (slice(None, None, step),)]
        else:
            data = data.index_select(axis, torch.tensor(kept, device=data.device, dtype=torch.long))
    return data
