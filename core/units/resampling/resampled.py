"""Resampling of one image: scores of all filters by all metrics, and the selection of the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter
from core.explain.query import Query
from core.network.cancellation import RepeatedReport
from core.network.threads import side_by_side
from core.params import Knob
from core.units.convolutions import Convolution, convolutions, outgoing_weights, own_weights
from core.units.resampling.metrics import METRICS, Scores, scored
from core.units.resampling.samples import Space
from core.units.resampling.selection import select
from core.units.resampling.statistics import streamed


@dataclass(frozen=True)
class Resampled:
    """The filters of some convolutions, scored over a neighbourhood of an image."""

    layers: tuple[Convolution, ...]
    score: float  # the output for the image itself
    outputs: NDArray[np.float64]  # (n,) for its copies
    means: Mapping[str, NDArray[np.float64]]  # layer -> (K,) activation, averaged over copies and locations
    scores: Mapping[str, Mapping[str, NDArray[np.float64]]]  # metric -> layer -> (K,); no layer where it is undefined

    def selected(
        self, metric: str, *, top: int = 5, threshold: float | None = None, relative: float = 0.0, seed: int = 0
    ) -> dict[str, NDArray[np.int64]]:
        """The `top` filters of each layer by a metric, the best first.

        `threshold` is the least mean activation, by default that of the metric: 0.1 for precision and zero for others.
        The rest as in `select`. Raises BadParameter for a metric that does not exist.
        """
        if metric not in METRICS:
            raise BadParameter(f"There is no metric called {metric!r}.", f"Choose one of {', '.join(METRICS)}.")
        least = METRICS[metric].threshold if threshold is None else threshold
        return {
            layer: select(scores, self.means[layer], top=top, threshold=least, relative=relative, seed=seed)
            for layer, scores in self.scores[metric].items()
        }


def resample(
    query: Query,
    layers: Sequence[str] = (),
    *,
    samples: Annotated[int, Knob("Number of copies of the image.", 2, 1000)] = 50,
    deviation: Annotated[float, Knob("Standard deviation of the factors around one.", 0, 1, 0.01)] = 0.1,
    space: Annotated[
        Space, Knob("What is multiplied.", names=("pixels from 0 to 1", "the normalised image"))
    ] = "pixels",
    growing: Annotated[
        bool, Knob("Let the noise grow with the number of the copy, as the released code does.")
    ] = False,
    maps: Annotated[
        Literal["rectified", "output"],
        Knob("Activation of a filter.", names=("its positive part", "the output of the convolution")),
    ] = "rectified",
    score: Annotated[
        Literal["prob", "logit"], Knob("Output of the network for the target.", names=("probability", "logit"))
    ] = "prob",
) -> Resampled:
    """Score the filters of convolutions by what they do over a neighbourhood of one image.

    Copies of the image are multiplied by noise, pixel by pixel, and pushed through the network. A filter is important
    if its activation is strong, varies together with the network's output, or hardly varies at all: the metrics of
    Konam 2017 and of Lengerich et al. 2017 in `METRICS`. `layers` are convolutions, by default all of them; a batch
    norm right after one belongs to it. It takes one forward for the image and one for each copy. Raises BadParameter
    unless the query has exactly one image and there are two copies, and as `convolutions` and `streamed`.
    """
    if len(query.images) != 1:
        raise BadParameter(f"Resampling takes one image, and {len(query.images)} are given.", "Give one at a time.")
    if samples < 2:
        raise BadParameter("One copy of the image has no variance.", "Give two samples or more.")
    chosen = convolutions(query.model, layers)
    with RepeatedReport(query.report) as repeated:
        stream = streamed(
            query.with_report(repeated.report), chosen, samples, deviation, space,
            growing=growing, rectified=maps == "rectified", score=score,
        )  # fmt: skip
    outgoing = outgoing_weights(query.model, [layer.name for layer in chosen])

    def of(layer: Convolution) -> tuple[NDArray[np.float64], dict[str, Scores]]:
        moments, own = stream.moments(layer.name), own_weights(query.model, layer.name)
        return moments.mean.mean((1, 2)), scored(moments, own, outgoing.get(layer.name))

    found = dict(zip([layer.name for layer in chosen], side_by_side(of, chosen), strict=True))
    means = {name: mean for name, (mean, _) in found.items()}
    scores = {
        metric: {name: values[metric] for name, (_, values) in found.items() if metric in values} for metric in METRICS
    }
    return Resampled(chosen, stream.score, stream.outputs, means, scores)
