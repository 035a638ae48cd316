"""The settings of a study; read by forms, commands and manifests, and therefore free of heavy imports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from core.data.model_options import ModelOptions
from core.errors import BadParameter, printable
from core.params import Knob, LayerName, Numbers, checked, params_of, spelled
from core.serialization import dump

ItemsetKind = Literal["closed", "all"]  # of itemsets
Ranking = Literal["raw", "zscore", "share"]  # of responses


@dataclass(frozen=True)
class PatchConfig:
    """How patches are selected; section 3.1 of Meynen et al. 2023, with every interpretation of its text."""

    window: Annotated[int, Knob("Side of a patch in pixels; 0 means 64 for an image of 224 px.", 0, 4096)] = 0
    count: Annotated[int, Knob("Candidate windows per image (k).", 1, 100)] = 10
    draws: Annotated[int, Knob("Random windows per candidate (m).", 1, 100_000)] = 1000
    sampling: Annotated[
        Literal["redraw", "fixed", "dense"],
        Knob("New random windows for each candidate, the same for all candidates, or every position."),
    ] = "redraw"
    max_overlap: Annotated[float, Knob("Maximum fraction of a window that earlier ones may overlap.", 0, 1, 0.05)] = 1.0
    tau: Annotated[float, Knob("Selection stops when the score changes by less than this (τ).", 0, 100, 0.01)] = 0.1
    perturbation: Annotated[
        Literal["cumulative", "independent"], Knob("Mask all windows so far together, or each one alone.")
    ] = "cumulative"
    score: Annotated[Literal["prob", "logit", "logprob"], Knob("The score being explained.")] = "prob"
    target: Annotated[
        Literal["predicted", "label"], Knob("The class that heatmap, score and transaction refer to.")
    ] = "predicted"
    watched: Annotated[
        Literal["label", "explained"],
        Knob(
            "Whose score is watched while patches are masked: that of the image's own class, as the paper says (its "
            "Y; an image of unknown class falls back to the explained one), or of the class the heatmap explains."
        ),
    ] = "label"
    correct_only: Annotated[bool, Knob("Use only images that the model classifies correctly.")] = False
    difference: Annotated[
        Literal["absolute", "drop"], Knob("Compare the size of the change with tau, or the signed drop.")
    ] = "absolute"
    from_clean: Annotated[bool, Knob("Compare the first window with the clean image; else test from the second.")] = (
        True
    )
    keep_last: Annotated[bool, Knob("Keep the window at which the selection stopped.")] = True
    fill: Annotated[
        Literal["mean", "black", "blur"], Knob("What masks a window: zero after normalisation, black, or a blur.")
    ] = "mean"

    def side(self, size: int) -> int:
        """The window's side for images of `size` pixels; BadParameter if it does not fit."""
        side = self.window or max(1, round(64 * size / 224))
        if side > size:
            message = f"A window of {side} pixels does not fit into the {size} pixels that the model sees."
            raise BadParameter(message, f"Use at most {size}.")
        return side


@dataclass(frozen=True)
class TransactionConfig:
    """Which filters of a patch become the items of its transaction."""

    filters: Annotated[int, Knob("Filters stored per patch, strongest first.", 1, 100)] = 25
    ranking: Annotated[
        Ranking,
        Knob(
            "Ranking of filters: by raw response, by its z-score over all patches, or by the fraction of the filter's "
            "response in the image that falls into the patch."
        ),
    ] = "raw"
    matrix: Annotated[bool, Knob("Store the responses of all filters, not only of the strongest.")] = False


@dataclass(frozen=True)
class MiningConfig:
    """How rules are mined from transactions."""

    support: Annotated[
        float, Knob("Minimum support: fraction of the class's patches in which the filters are active.", 0.01, 1, 0.01)
    ] = 0.5
    strict: Annotated[
        bool, Knob("Support must be higher than the minimum, as the paper says; otherwise at least the minimum.")
    ] = True
    confidence: Annotated[
        float,
        Knob("Minimum confidence: fraction of the patches with these filters that belong to the class.", 0, 1, 0.01),
    ] = 0.0
    least: Annotated[int, Knob("Minimum number of patches per rule.", 1, 1000)] = 2
    best: Annotated[int, Knob("Rules kept per class (q), ranked by support × confidence.", 1, 200)] = 10
    filters: Annotated[int, Knob("Number of strongest filters considered per patch (N - 1).", 1, 100)] = 10
    sets: Annotated[
        ItemsetKind, Knob("Closed itemsets (no superset has the same patches), or all itemsets up to `max_size`.")
    ] = "closed"
    max_size: Annotated[int, Knob("Maximum itemset size when all itemsets are mined.", 1, 12)] = 5
    balanced: Annotated[bool, Knob("Compute confidence as if all classes had the same number of patches.")] = False
    fold: Annotated[bool, Knob("One rule for all itemsets with exactly the same patches.")] = True
    limit: Annotated[
        int,
        Knob(
            "Maximum itemsets per class; the paper has no limit. With 25 times as many in total, mining stops with "
            "an error.",
            100,
            1_000_000,
        ),
    ] = 20_000
    skip_large: Annotated[
        bool,
        Knob("Skip a class with more itemsets than the limit, and say so; otherwise mining stops with an error."),
    ] = True
    per_rule: Annotated[
        bool,
        Knob(
            "In an average patch, count a patch once for each rule that it appears in, as the paper collects them from "
            "each rule; otherwise once."
        ),
    ] = True


@dataclass(frozen=True)
class StudyConfig(ModelOptions):
    """Everything that determines the content of a study, besides the images themselves."""

    model: str
    data: str
    layer: Annotated[LayerName, Knob("The layer whose filters are studied (default: last spatial layer).")] = ""
    explainer: Annotated[str, Knob("The method of the heatmaps; its maps must not be signed.")] = "grad_cam"
    settings: Mapping[str, Any] = field(default_factory=dict)
    patches: PatchConfig = field(default_factory=PatchConfig)
    transactions: TransactionConfig = field(default_factory=TransactionConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    window: Annotated[
        Numbers,
        Knob(
            "Values of the images shown as black and white, LOW,HIGH, such as 0,4095; empty: the range of each image.",
            title="Range of values",
        ),
    ] = ()
    seed: Annotated[int, Knob("Seed of the random windows.", 0, 2**31 - 1)] = 0
    limit: Annotated[int, Knob("Number of images, sampled evenly from all sub-folders; 0 uses all.", 0, 10_000_000)] = 0
    thumbnail: Annotated[int, Knob("Side of the stored thumbnails in pixels.", 16, 256)] = 64
    batch: Annotated[int, Knob("Batch size.", 1, 1024)] = 32

    def value_window(self) -> tuple[float, float] | None:
        """The `window`, None if each image is shown by its own range. Raises BadParameter for any but two numbers."""
        from core.images.depth import window_of

        return window_of(spelled(self.window)) if self.window else None


def validated(config: StudyConfig) -> StudyConfig:
    """The same configuration with every setting in range; raises BadParameter for the first that is not."""
    for name in ("model", "data", "labels", "layer"):
        if (text := getattr(config, name)) != text.encode("utf-8", "replace").decode():
            message = f"study.{name} cannot be {printable(text)!r}, as its name is not UTF-8."
            raise BadParameter(message, "Rename the file or folder.")
    parts = {"patches": config.patches, "transactions": config.transactions, "mining": config.mining}
    for name, one in parts.items():
        checked(params_of(type(one)), dump(one), name)
    own_settings = {param.name: getattr(config, param.name) for param in params_of(StudyConfig)}
    checked(params_of(StudyConfig), own_settings, "study")
    config.value_window()
    return config


# Settings that earlier versions did not have and did not store, with the values of what these versions did.
EARLIER: Mapping[str, Mapping[str, Any]] = {
    "patches": {"watched": "explained"},
    "mining": {"strict": False, "skip_large": False, "per_rule": False},
}


def completed(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stored settings of a study, including those that earlier versions did not store."""
    parts = {name: config.get(name, {}) for name in EARLIER}
    filled = {name: {**EARLIER[name], **part} for name, part in parts.items() if isinstance(part, Mapping)}
    return {**config, **filled}
