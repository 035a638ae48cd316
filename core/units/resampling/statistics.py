"""Statistics of the maps of convolutions over copies of an image, from running sums; no copy's maps are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.environment import exact
from core.errors import Unsupported
from core.explain.query import Query
from core.explain.targets import Score
from core.network.cancellation import unrepeated
from core.network.hooks import observe
from core.network.threads import side_by_side
from core.progress import chunks
from core.units.convolutions import Convolution
from core.units.resampling.samples import Space, neighbours

_CACHED = 1 << 20  # bytes of maps that are summed at a time: these and their squares stay in a cache
TOGETHER = 2  # chunks that are summed together, as each time all sums are read and written
HELD = 1 << 27  # bytes of maps held at once, those of one chunk, at least of one copy: more leave a processor's cache
_ROUNDING = 1e-6  # of the largest activation of a layer: a location that varies less is constant


@dataclass(frozen=True)
class Moments:
    """The maps of a convolution for an image, and their moments at each location over copies of the image.

    Locations that vary by no more than rounding have a variance and a covariance of zero.
    """

    clean: NDArray[np.float64]  # (K, R, C) of the image itself
    mean: NDArray[np.float64]  # (K, R, C), as are the next two
    variance: NDArray[np.float64]  # of the population
    covariance: NDArray[np.float64]  # with the output
    pooled: NDArray[np.float64]  # (n, K) means over the locations
    outputs: NDArray[np.float64]  # (n,) scores of the network


class Sums:
    """Running sums of a convolution's maps, shifted by their mean over the first chunk so that squares stay small.

    Four maps per filter, whatever the number of copies, and the maps of a few chunks, whose place in memory is used
    again: fresh memory would take longer than the sums. These are taken over a few positions at a time, which stay in
    a processor's cache until all sums have them.
    """

    def __init__(self, clean: Tensor, order: torch.memory_format) -> None:
        self.clean, self._order = clean.contiguous(memory_format=order), order  # (1, K, R, C)
        self._place = clean[:0]
        self._held = clean[:0]  # the maps of the copies whose outputs are not known yet, (b, K, R, C)
        flat = self._flat(self.clean)
        self._shift = torch.zeros_like(flat[0])
        self._sums = flat.new_zeros(2, flat.shape[1])  # of the maps, and of their products with the outputs
        self._squares = torch.zeros_like(self._shift)
        self._pooled: list[Tensor] = []  # sums over the locations

    def add_maps(self, maps: Tensor, *, rectified: bool) -> None:
        """Add the maps (b, K, R, C) of some copies, or their positive parts; their outputs follow."""
        if not len(self._place):
            shape = (TOGETHER * len(maps), *maps.shape[1:])
            self._place = torch.empty(shape, dtype=maps.dtype, device=maps.device, memory_format=self._order)
        start = len(self._held)
        self._held = self._place[: start + len(maps)]
        torch.clamp(maps, min=0 if rectified else -torch.inf, out=self._held[start:])

    def add_outputs(self, outputs: Tensor) -> None:
        """Add the outputs (b,) of the copies whose maps were added last, minus a constant near their mean."""
        held = self._flat(self._held)
        factors = torch.stack([torch.ones_like(outputs), outputs]).to(held.dtype).to(held.device)
        first, filters = not self._pooled, self.clean.shape[1]
        pooled = held.new_zeros(len(held), filters)
        last = self._order == torch.channels_last
        line = filters if last else self.clean[0, 0].numel()  # values that lie together: of a position, or of a filter
        at_once = _CACHED if held.device.type == "cpu" else held.nbytes  # an accelerator prefers few large operations
        width = line * max(1, at_once // (len(held) * line * held.itemsize))
        room = held.new_empty(len(held), min(width, held.shape[1]))
        with unrepeated():
            for start in range(0, held.shape[1], width):
                part = slice(start, start + width)
                if first:
                    torch.mean(held[:, part], 0, out=self._shift[part])
                source = held[:, part]
                maps = torch.sub(source, self._shift[part], out=room.view(-1)[: source.numel()].view_as(source))
                lines = maps.view(len(maps), -1, line)
                if last:
                    pooled += lines.sum(1)
                else:
                    pooled[:, start // line : start // line + lines.shape[1]] = lines.sum(2)
                self._sums[:, part].addmm_(factors, maps)
                self._squares[part] += maps.square_().sum(0)
        self._pooled.append(pooled)
        self._held = self._place[:0]

    def moments(self, outputs: NDArray[np.float64], shift: float) -> Moments:
        """The moments of all that was added; `outputs` (n,) are all outputs, `shift` the constant."""
        count = len(outputs)
        first, cross, variance = (sums / count for sums in (*self._sums, self._squares))
        variance.addcmul_(first, first, value=-1).clamp_(min=0)
        cross.sub_(first, alpha=float(outputs.mean()) - shift)
        varies = variance > (_ROUNDING * float(self.clean.abs().max())) ** 2
        varies = varies.to(variance.dtype)  # a product of two types would take several times as long
        shifts = self._unflat(self._shift)
        pooled = self._numbers(torch.cat(self._pooled)) / self.clean[0, 0].numel() + shifts.mean((1, 2))
        return Moments(
            clean=self._numbers(self.clean[0]),
            mean=self._unflat(first.add_(self._shift)),
            variance=self._unflat(variance.mul_(varies)),
            covariance=self._unflat(cross.mul_(varies)),
            pooled=pooled,
            outputs=outputs,
        )

    def _flat(self, maps: Tensor) -> Tensor:
        """Maps (b, K, R, C) as rows in the order in which they lie in memory, where a copy would take time."""
        return (maps.permute(0, 2, 3, 1) if self._order == torch.channels_last else maps).reshape(len(maps), -1)

    def _unflat(self, row: Tensor) -> NDArray[np.float64]:
        filters, height, width = self.clean.shape[1:]
        if self._order == torch.channels_last:
            return self._numbers(row.view(height, width, filters).permute(2, 0, 1))
        return self._numbers(row.view(filters, height, width))

    @staticmethod
    def _numbers(values: Tensor) -> NDArray[np.float64]:
        numbers: NDArray[np.float64] = values.detach().cpu().double().numpy()
        return numbers


@dataclass(frozen=True)
class Stream:
    """All that a stream of copies left: sums per layer, and the score of the image and of each copy."""

    sums: Mapping[str, Sums]
    score: float
    outputs: NDArray[np.float64]  # (n,)
    shift: float  # the constant that the sums are taken with

    def moments(self, layer: str) -> Moments:
        """The moments of one layer."""
        return self.sums[layer].moments(self.outputs, self.shift)


@torch.no_grad()
def streamed(
    query: Query,
    layers: Sequence[Convolution],
    samples: int,
    deviation: float,
    space: Space,
    *,
    growing: bool = False,
    rectified: bool = True,
    score: Score = "prob",
) -> Stream:
    """Push the query's one image and `samples` copies of it through the network, and sum the maps of all layers.

    Takes samples + 1 forwards. Memory is that of `Sums`, and the maps of TOGETHER chunks: each at most HELD bytes, or
    one copy.
    Raises Unsupported if a score is not finite.
    """
    sums: dict[str, Sums] = {}
    scores: list[Tensor] = []
    pending: list[Tensor] = []

    def begin(name: str, maps: Tensor) -> None:
        sums[name] = Sums(maps.clamp(min=0) if rectified else maps.clone(), query.model.order)

    def add(name: str, maps: Tensor) -> None:
        sums[name].add_maps(maps, rectified=rectified)

    net = query.net if query.targets.layer else query.model.network_for(layer.at for layer in layers)
    watched = net is query.net
    with observe(net, {layer.at: partial(begin, layer.name) for layer in layers}):
        clean = _outputs(query, query.images, score, watched=watched)
    each = sum(one.clean.nbytes for one in sums.values())
    size = max(1, min(query.batch, HELD // max(each, 1)))
    with observe(net, {layer.at: partial(add, layer.name) for layer in layers}):
        for span in chunks(samples, size, query.report, "copies of the image", counted=True):
            scores.append(
                _outputs(query, neighbours(query, span, deviation, space, growing=growing), score, watched=watched)
            )
            pending.append(scores[-1] - clean)
            if len(pending) == TOGETHER or span.stop == samples:
                side_by_side(partial(Sums.add_outputs, outputs=torch.cat(pending)), sums.values())
                pending.clear()
    return Stream(sums, float(clean), torch.cat(scores).numpy(force=True), float(clean))


def _outputs(query: Query, images: Tensor, kind: Score, *, watched: bool) -> Tensor:
    """The scores (b,) in float64: probabilities near one differ less than float32 can tell."""
    targets = query.targets.repeated(0, len(images))
    if targets.layer:
        scores = query.score(images, targets, kind)
    else:
        logits = query.logits(images, watched=watched)
        scores = query.score_of(logits.double() if exact(logits.device) == logits.device else logits, targets, kind)
    scores = scores.to(exact(scores.device)).double()
    if bool(scores.isfinite().all()):
        return scores
    message = f"{query.model.display} gives scores that are not finite for copies of this image."
    raise Unsupported(message, "Check the model's weights, or choose a smaller deviation.")
