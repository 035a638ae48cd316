"""Segmentation of images into superpixels, and copies of an image with some segments masked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.explain.baselines import Baseline, baseline
from core.explain.query import Query, images_sha
from core.explain.targets import Score
from core.jobs import Job
from core.params import Knob

Cut = Literal["quickshift", "slic"]
Hide = Literal["mean", "grey", "black", "blur"]
BLOCK = 64  # copies between two running maps; also the block of draws made by one generator

# Settings that every method on segments has.
CutBy = Annotated[Cut, Knob("Segmentation method: quickshift, or SLIC with about the requested number of segments.")]
Count = Annotated[int, Knob("Approximate number of segments, for SLIC alone; quickshift finds its own.", 4, 400)]
HideBy = Annotated[Hide, Knob("What replaces a masked segment: its mean colour, grey, black, or the blurred image.")]
ScoreBy = Annotated[Literal["prob", "logit"], Knob("The score being explained.")]
Samples = Annotated[int, Knob("Number of masked copies of the image.", 50, 8000, 50)]


@dataclass(frozen=True)
class Segmentation:
    """One image divided into segments, each of which can be masked."""

    query: Query  # about this one image
    cells: Tensor  # (H, W) the segment of each pixel, 0 … S − 1
    hidden: Tensor  # (C, H, W) the values that replace masked segments

    @property
    def count(self) -> int:
        """How many segments there are."""
        return int(self.cells.max()) + 1

    def spread(self, values: Tensor) -> Tensor:
        """One value per segment (S,) as a map (H, W) on the CPU."""
        return values.cpu()[self.cells.cpu()]

    def score(self, visible: Tensor, kind: Score) -> Tensor:
        """The scores (n,), float64 on the CPU, of copies of the image with only these segments (n, S) visible."""
        shown = torch.where(visible.to(self.cells.device)[:, self.cells][:, None], self.query.images[0], self.hidden)
        return self.query.score(shown, self.query.targets.repeated(0, len(shown)), kind).cpu().double()

    def sampled(
        self, samples: int, kind: Score, draw: Callable[[range], Tensor], unit: str = "perturbed samples"
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """All draws so far (N, S), true where a segment is visible, and their scores (N,), after every 64 copies.

        `draw` returns the draws with the indices in a range; `unit` names them in reports.
        """
        draws, scores = [], []
        for span in self.query.chunks(samples, unit):
            draws.append(draw(span))
            scores.append(self.score(draws[-1], kind))
            if span.stop == samples or span.start // BLOCK != span.stop // BLOCK:
                yield torch.cat(draws).double(), torch.cat(scores)


def expected_count(cut: Cut, count: int, side: int) -> int:
    """About how many segments an image of `side` pixels has, before it is cut.

    Of photos of 224 pixels quickshift makes 30 to 38; their size in pixels stays.
    """
    return max(1, round(34 * (side / 224) ** 2)) if cut == "quickshift" else count


def pieces(query: Query, cut: Cut, count: int, hide: Hide) -> Segmentation:
    """The query's one image segmented by quickshift or SLIC; the segmentation is cached.

    Quickshift has the settings of LIME's reference implementation (Ribeiro et al. 2016), SLIC compactness 10.
    """
    key = ("segments", images_sha(query.images), cut, count)
    cells = query.cache.get(key, lambda: _waited(query, lambda: _cells(query, cut, count)))
    return Segmentation(query, cells, _hidden(query, cells, hide))


def _waited(query: Query, segment: Callable[[], Tensor]) -> Tensor:
    """The result of a segmentation, which itself cannot be cancelled; a query that is cancelled leaves it behind."""
    job = Job(lambda report: segment(), "segmentation")
    while not job.wait(0.05):
        query.report(0.0, "segmenting the image")
    if job.error:
        raise job.error
    return job.result  # type: ignore[return-value]  # it ended without an error


def _cells(query: Query, cut: Cut, count: int) -> Tensor:
    from skimage.segmentation import quickshift

    pixels = query.model.preprocess.colours(query.images[0].float()).permute(1, 2, 0).cpu().numpy()
    if cut == "quickshift":
        segments = quickshift(pixels, kernel_size=4, max_dist=200, ratio=0.2, rng=0)  # the noise only breaks ties
        cells = _numbered(segments)
    else:
        cells = slic_cells(pixels, count)
    return torch.from_numpy(cells).to(query.images.device)


def slic_cells(pixels: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """About `count` superpixels of colours (H, W, 3) in [0, 1] by SLIC: the segment of each pixel, from 0 (H, W)."""
    from skimage.segmentation import slic

    return _numbered(slic(pixels, n_segments=count, compactness=10, start_label=0))


def _numbered(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Segments with consecutive numbers from 0."""
    numbers: NDArray[np.int64] = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)
    return numbers


def _hidden(query: Query, cells: Tensor, hide: Hide) -> Tensor:
    if hide != "mean":
        kind: Baseline = hide
        return baseline(query, kind)[0]
    image, owner = query.images[0].flatten(1), cells.flatten()
    sums = torch.zeros(len(image), int(owner.max()) + 1, dtype=image.dtype, device=image.device)
    sums.index_add_(1, owner, image)
    return (sums / owner.bincount())[:, owner].view_as(query.images[0])


def blocks(query: Query, span: range, width: int) -> Tensor:
    """Uniform random rows (n, width) with the indices in `span`: row i depends on the query's seed and i alone."""
    numbers = range(span.start // BLOCK, (span.stop - 1) // BLOCK + 1)
    drawn = torch.cat([torch.rand(BLOCK, width, generator=query.rng(number)) for number in numbers])
    return drawn[span.start - numbers.start * BLOCK :][: len(span)]
