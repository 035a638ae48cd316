"""The settings of a study, read by forms, commands and manifests and therefore free of heavy imports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from core.errors import BadParameter
from core.params import Knob, checked, params_of
from core.serialization import dump

ItemsetKind = Literal["closed", "all"]  # of itemsets
Ranking = Literal["raw", "zscore", "share"]  # of responses


@dataclass(frozen=True)
class PatchConfig:
    """How patches are selected; section 3.1 of Meynen et al. 2023, with every reading of its text."""

    window: Annotated[int, Knob("Side of a patch in pixels; 0 takes 64 for an image of 224.", 0, 4096)] = 0
    count: Annotated[int, Knob("Candidates taken from each image (k).", 1, 100)] = 10
    draws: Annotated[int, Knob("Random windows tried for each candidate (m).", 1, 100_000)] = 1000
    sampling: Annotated[
        Literal["redraw", "fixed", "dense"],
        Knob("New random windows for each candidate, the same ones for all, or every position."),
    ] = "redraw"
    max_overlap: Annotated[float, Knob("Share of a window that earlier ones may already cover.", 0, 1, 0.05)] = 1.0
    tau: Annotated[float, Knob("The selection ends when the score changes by less than this.", 0, 100, 0.01)] = 0.1
    perturbation: Annotated[
        Literal["cumulative", "independent"], Knob("Cover all windows so far together, or each one alone.")
    ] = "cumulative"
    score: Annotated[Literal["prob", "logit", "logprob"], Knob("The score that is watched.")] = "prob"
    target: Annotated[Literal["predicted", "label"], Knob("The class that map, score and transaction speak of.")] = (
        "predicted"
    )
    correct_only: Annotated[bool, Knob("Take patches only from images that the model gets right.")] = False
    difference: Annotated[
        Literal["absolute", "drop"], Knob("Compare the size of the change with tau, or the signed drop.")
    ] = "absolute"
    from_clean: Annotated[bool, Knob("Compare the first window with the clean image; else test from the second.")] = (
        True
    )
    keep_last: Annotated[bool, Knob("Keep the window that ended the selection.")] = True
    fill: Annotated[
        Literal["mean", "black", "blur"], Knob("What covers a window: zero after normalising, black, or a blur.")
    ] = "mean"

    def side(self, size: int) -> int:
        """The window's side for images of `size` pixels; BadParameter where it does not fit."""
        side = self.window or max(1, round(64 * size / 224))
        if side > size:
            message = f"A window of {side} pixels does not fit into the {size} pixels that the model sees."
            raise BadParameter(message, f"Use at most {size}.")
        return side


@dataclass(frozen=True)
class TransactionConfig:
    """Which filters of a patch become the items of its transaction."""

    filters: Annotated[int, Knob("Filters kept for each patch, strongest first.", 1, 100)] = 25
    ranking: Annotated[
        Ranking,
        Knob(
            "Strongest by raw response, by its z-score over all patches, or by the share of the filter's response in "
            "the image that falls into the patch."
        ),
    ] = "raw"
    matrix: Annotated[bool, Knob("Keep the responses of all filters, not only of the strongest.")] = False


@dataclass(frozen=True)
class MiningConfig:
    """How rules are mined from transactions."""

    support: Annotated[float, Knob("Share of a class's patches that must hold the filters.", 0.01, 1, 0.01)] = 0.5
    confidence: Annotated[
        float, Knob("Share of the patches holding the filters that must be of the class.", 0, 1, 0.01)
    ] = 0.0
    least: Annotated[int, Knob("Patches a rule must have at least; one patch is no pattern.", 1, 1000)] = 2
    best: Annotated[int, Knob("Rules kept for each class (q), by support × confidence.", 1, 200)] = 10
    filters: Annotated[int, Knob("Strongest filters of each patch that count (N - 1).", 1, 100)] = 10
    sets: Annotated[
        ItemsetKind, Knob("Closed sets (none whose patches a larger set also has), or all sets up to `max_size`.")
    ] = "closed"
    max_size: Annotated[int, Knob("Filters in a set, where all sets are mined.", 1, 12)] = 5
    balanced: Annotated[bool, Knob("Confidence as if all classes had equally many patches.")] = False
    fold: Annotated[bool, Knob("One rule for all sets that have exactly the same patches.")] = True
    limit: Annotated[
        int,
        Knob(
            "Sets in one class beyond which mining stops with a reason; so it does at 25 times as many in all.",
            100,
            1_000_000,
        ),
    ] = 20_000


@dataclass(frozen=True)
class StudyConfig:
    """All that decides what a study holds, besides the images themselves."""

    model: str
    data: str
    labels: Annotated[str, Knob("File with the class names of own weights, one in a line.")] = ""
    layer: Annotated[str, Knob("The layer whose filters are studied; the last with positions if left out.")] = ""
    explainer: Annotated[str, Knob("The method of the heatmaps; its maps must not be signed.")] = "grad_cam"
    settings: Mapping[str, Any] = field(default_factory=dict)
    patches: PatchConfig = field(default_factory=PatchConfig)
    transactions: TransactionConfig = field(default_factory=TransactionConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    seed: Annotated[int, Knob("Seed of the random windows.", 0, 2**31 - 1)] = 0
    limit: Annotated[int, Knob("Images used, evenly from all sub-folders; 0 takes all.", 0, 10_000_000)] = 0
    thumbnail: Annotated[int, Knob("Side of the stored small images in pixels.", 16, 256)] = 64
    batch: Annotated[int, Knob("Images pushed through the model at a time.", 1, 1024)] = 32


def validated(config: StudyConfig) -> StudyConfig:
    """The same configuration with every setting in range; raises BadParameter for the first that is not."""
    parts = {"patches": config.patches, "transactions": config.transactions, "mining": config.mining}
    for name, one in parts.items():
        checked(params_of(type(one)), dump(one), name)
    own = {param.name: getattr(config, param.name) for param in params_of(StudyConfig)}
    checked(params_of(StudyConfig), own, "study")
    return config
