"""Images at the steps of a curve: the input of the network while the features of an image are replaced."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.comparison.assessment import MeasureRequest
from core.comparison.comparison import Tile
from core.explain import Explanation
from core.images import Pixels
from core.measure import MEASURES, Evidence
from core.measure.perturbation import replacement_of
from core.measure.replacement import Replacement, replaced, replaced_at
from core.params import checked
from core.workbench import Workbench


@dataclass(frozen=True)
class StepImage:
    """An image at a step of a curve."""

    pictures: Mapping[str, Pixels]  # (h, w, 3) by name, as `Workbench.seen` gives them
    score: float  # the probability of the target, or what the target has in its place


def replacement(measure: MeasureRequest) -> Replacement | None:
    """What a measure replaces step by step; None if it replaces nothing."""
    card = MEASURES[measure.name]
    return replacement_of(measure.name, checked(card.params, measure.settings, card.name))


def at_step(bench: Workbench, tile: Tile, explanation: Explanation, change: Replacement, step: int) -> StepImage:
    """The image of a tile at a step; its score is that of the curve, without a pass if that is in the cache.

    Raises BadParameter for a step that there is not.
    """
    query = bench.query(tile.picture, tile.request.target, seed=explanation.seed)
    evidence = Evidence(query, explanation.maps, offset=explanation.offset).anchored
    inputs = replaced_at(evidence, change, step)
    return StepImage(bench.pictured(inputs), float(replaced(evidence, change).scores[0, step]))
