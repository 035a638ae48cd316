"""Randomisation of weights: whether a method's maps change with the network that they explain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import Unsupported
from core.explain.query import Query
from core.measure.agreement import spearman
from core.measure.measure import Curve, Evidence, Undefined, measure
from core.measure.robustness.random_weights import Layer, in_stages, private_copy, randomise, weighted_layers
from core.measure.robustness.reruns import apart, rerun
from core.models.model import Model
from core.params import Knob
from core.progress import item
from core.serialization import digest

Parts = Sequence[Sequence[Layer]]  # the stages, from the output to the input
Map = NDArray[np.float64]  # (H, W)
Compare = Callable[[Map, Map], float]

Stages = Annotated[int, Knob("Number of stages; the layer of the outputs is a stage of its own.", 1, 200)]
Draws = Annotated[int, Knob("Number of draws of the random weights, over which the similarity is averaged.", 1, 20)]
Similarity = Annotated[
    Literal["spearman", "ssim"],
    Knob(
        "How two maps are compared: by the ranks of their pixels, or by their structure in small windows.",
        names=("Spearman", "SSIM"),
    ),
]
Magnitude = Annotated[bool, Knob("Compare magnitudes: negative evidence counts like positive.")]
Statistics = Annotated[bool, Knob("Keep the running statistics of batch norms; otherwise they are reset, too.")]

_WINDOW = 11  # pixels, the side of the window of SSIM


def _reruns(settings: Mapping[str, Any]) -> int:
    return 1 + settings["stages"] * settings["draws"]


@measure(
    "Cascading randomisation",
    family="randomisation",
    source="Adebayo et al. 2018",
    formula="mean over draws of ρ(h, hₖ), where hₖ explains the network with random weights in its last k stages",
    caution="A map may change with the network and still be wrong. And what all maps of an image share, such as its "
    "contrasts, keeps them similar.",
    cost=lambda settings, side: 1,
    kind="method",
    better="lower",
    unit="similarity",
    low=-1,
    high=1,
    budgets={"quick": {"stages": 4, "draws": 1}},
    reruns=_reruns,
)
def cascading_randomisation(
    evidence: Evidence,
    *,
    stages: Stages = 8,
    draws: Draws = 3,
    similarity: Similarity = "spearman",
    magnitude: Magnitude = False,
    statistics: Statistics = False,
) -> Curve:
    """Similarity of a map with the map of a network whose layers get random weights, from the output to the input.

    The method is run again after each stage of each draw, for the same target. A method that explains the network loses
    its similarity; one that stays similar shows the image, as an edge detector does. Stages are made of the layers with
    weights in the order in which the network uses them. Draws whose map has the same value everywhere are left out; if
    all have, nothing is left of the map, and the similarity is 0.
    """
    parts = _parts(evidence.query, stages)
    models = [_models(evidence.query, parts, draw, statistics, cascading=True) for draw in range(draws)]
    return _curve(
        evidence, "random stages, from the output", parts, models, _comparison(similarity, magnitude, evidence.query)
    )


@measure(
    "Independent randomisation",
    family="randomisation",
    source="Adebayo et al. 2018",
    formula="mean over draws of ρ(h, hₖ), where hₖ explains the network with random weights in stage k alone",
    caution="A stage among many may matter little to the network itself, and then no map should change much.",
    cost=lambda settings, side: 1,
    kind="method",
    better="lower",
    unit="similarity",
    low=-1,
    high=1,
    budgets={"quick": {"stages": 4, "draws": 1}},
    reruns=_reruns,
)
def independent_randomisation(
    evidence: Evidence,
    *,
    stages: Stages = 8,
    draws: Draws = 3,
    similarity: Similarity = "spearman",
    magnitude: Magnitude = False,
    statistics: Statistics = False,
) -> Curve:
    """Similarity of a map with the map of a network in which one stage of layers has random weights.

    As cascading randomisation, but the other stages keep their trained weights: it shows which layers a method depends
    on. The method is run as often, and the random weights of a stage are the same.
    """
    parts = _parts(evidence.query, stages)
    models = [_models(evidence.query, parts, draw, statistics, cascading=False) for draw in range(draws)]
    return _curve(
        evidence, "random stage, from the output", parts, models, _comparison(similarity, magnitude, evidence.query)
    )


def _parts(query: Query, count: int) -> Parts:
    """The layers of the network in stages, from the output to the input; takes a forward pass."""
    parts = in_stages(weighted_layers(query.net, lambda: query.logits(query.images[:1])), count)
    if not parts:
        message = f"{query.model.display} has no weights that could be random."
        raise Unsupported(message, "Choose another measure or another model.")
    return parts


def _models(query: Query, parts: Parts, draw: int, statistics: bool, *, cascading: bool) -> Iterator[Model]:
    """The model with random weights in each stage, or in all stages up to it if `cascading`."""
    tensors = sum(1 for _ in query.net.parameters())
    net = private_copy(query.net)
    for number, part in enumerate(parts):
        net = net if cascading else private_copy(query.net)
        # Negative, as methods use the other generators: their noise must not depend on the random weights.
        randomise(net, part, lambda tensor: query.rng(-1 - draw * tensors - tensor), statistics=statistics)
        sha = digest([query.model.sha, query.seed, draw, number, len(parts), statistics, cascading])
        yield replace(query.model, net=net, sha=sha)


def _curve(evidence: Evidence, x: str, parts: Parts, models: Sequence[Iterator[Model]], compare: Compare) -> Curve:
    """The similarity of the maps with those of the models of each draw, one for each stage."""
    query, maps = evidence.query, evidence.maps.numpy(force=True).astype(np.float64)
    total = 1 + len(models) * len(parts)

    def similarities(changed: Query, run: int) -> list[float]:
        others = rerun(evidence, changed, item(query.report, run, total, "network"))
        return [compare(*pair) for pair in zip(maps, others, strict=True)]

    found = np.empty((len(models), 1 + len(parts), len(maps)))
    found[:, 0] = similarities(query, 0)
    for draw, by_stage in enumerate(models):
        for number, model in enumerate(by_stage, 1):
            changed = replace(query, model=model, execution=apart(query))
            found[draw, number] = similarities(changed, draw * len(parts) + number)
    known = np.isfinite(found)
    means = np.where(known, found, 0).sum(0) / np.maximum(known.sum(0), 1)  # (1 + stages, B)
    rows = [
        Undefined("The map has the same value everywhere.") if np.isnan(compare(one, one)) else mean
        for one, mean in zip(maps, means.T, strict=True)
    ]
    return Curve(x, np.arange(1.0 + len(parts)), "similarity", rows, ("none", *map(_spelled, parts)))


def _comparison(similarity: Similarity, magnitude: bool, query: Query) -> Compare:
    """The similarity of two maps from -1 to 1; NaN where one of them has the same value everywhere."""
    if similarity == "ssim" and min(query.size) < _WINDOW:
        message = f"SSIM compares windows of {_WINDOW} × {_WINDOW} pixels, and the images have {min(query.size)}."
        raise Unsupported(message, "Choose spearman.")

    def compare(one: Map, other: Map) -> float:
        pair = np.stack([one, other])
        pair = np.abs(pair) if magnitude else pair
        if (np.ptp(pair, axis=(1, 2)) == 0).any():
            return np.nan
        return float(spearman(pair)[0, 1]) if similarity == "spearman" else _structure(pair)

    return compare


def _structure(pair: Map) -> float:
    """The structural similarity of two maps (2, H, W) in Gaussian windows, each scaled to its range (Wang 2004)."""
    from skimage.metrics import structural_similarity  # here, as importing it takes long

    low, high = pair.min((1, 2), keepdims=True), pair.max((1, 2), keepdims=True)
    one, other = (pair - low) / (high - low)
    return float(
        structural_similarity(one, other, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    )


def _spelled(part: Sequence[Layer]) -> str:
    """A stage by its first and last layer, in the order of the stages."""
    names = [layer[0] or "weights outside of layers" for layer in part]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
