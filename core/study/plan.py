"""The plan of a study: model, images, layer, window and size of a shard, all checked before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core.data.image_folder import ImageFolder
from core.errors import Unsupported
from core.images import Window
from core.models.model import Model
from core.network.incremental import spared
from core.study.config import PatchConfig, TransactionConfig
from core.study.heatmaps import studied_layer

SHARD = 64  # images; memory grows with it, and a crash loses at most the work of one
# Patches are masked incrementally if that saves this fraction of a pass, and this many multiplications: the overhead
# outweighs smaller savings.
SPARED, WORTH = 0.5, 10**9


@dataclass(frozen=True)
class StudyPlan:
    """The checked plan of what is done with every image of a study."""

    model: Model
    folder: ImageFolder
    layer: str
    explainer: str
    settings: Mapping[str, Any]
    patches: PatchConfig
    transactions: TransactionConfig
    side: int  # of a patch, in pixels
    seed: int = 0
    thumbnail: int = 64
    batch: int = 32
    window: Window | None = None  # values shown as black and white, if not by the range of each image

    @classmethod
    def of(
        cls,
        model: Model,
        folder: ImageFolder,
        *,
        layer: str,
        explainer: str,
        settings: Mapping[str, Any],
        patches: PatchConfig,
        **rest: Any,
    ) -> "StudyPlan":
        """The plan with its layer and window resolved; raises what `studied_layer` and `PatchConfig.side` raise.

        Raises Unsupported for a regression, which has no classes.
        """
        if model.output == "regression":
            message = f"{model.display} is a regression, and a study finds rules between filters and classes."
            raise Unsupported(message, "Choose a model of classes, or read its outputs as softmax or multilabel.")
        layer = studied_layer(model, layer, explainer, settings)
        side = patches.side(min(model.preprocess.size))
        return cls(model, folder, layer, explainer, settings, patches, side=side, **rest)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-len(self.folder.paths) // SHARD)

    def span(self, shard: int) -> range:
        """The indices of a shard's images."""
        return range(shard * SHARD, min((shard + 1) * SHARD, len(self.folder.paths)))

    @cached_property
    def stepwise(self) -> bool:
        """Whether masked patches are computed incrementally; decided by counting operations, never by time."""
        model = self.model
        if model.device.type != "cpu" or self.patches.perturbation != "cumulative":
            return False
        saved = spared(model.net, model.preprocess.shape, self.side, model.order)
        return saved >= max(SPARED * model.multiplications, WORTH)

    @property
    def optional(self) -> tuple[str, ...]:
        """The arrays that only some studies have."""
        pooled = ("pooled",) if self.model.survey.head and self.layer == self.model.survey.default else ()
        return (*pooled, "matrix") if self.transactions.matrix else pooled
