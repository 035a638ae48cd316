"""The plan of an exam: model, images, methods and measures with their settings, all checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.card import Passes
from core.data.model_options import options_of
from core.errors import BadParameter, Unsupported
from core.exam.config import ExamConfig, too_few, validated
from core.exam.images import OBJECT, TAG, ExamImages, exam_images
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.models import Model
from core.models import load as load_model
from core.progress import Report, silent

SHARD = 4  # images; a crash loses at most the work of one
_NETWORKS = {"shortcut": "flowers-shortcut-6c"}  # the network of a variant whose name differs from flowers-VARIANT
_TAGGED = ("energy_pointing",)  # measures that are given the mask of the tag, too


@dataclass(frozen=True)
class ExamMethod:
    """A method that takes part, or the reason why it cannot."""

    name: str
    settings: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True)
class ExamMeasure:
    """A measure, its settings and the region whose mask it is given."""

    entry: str  # its name in the registry
    settings: Mapping[str, Any]
    region: str = OBJECT

    @property
    def name(self) -> str:
        """Its name in the exam."""
        return self.entry if self.region == OBJECT else f"{self.region}_{self.entry}"

    @property
    def of_parts(self) -> bool:
        """Whether it asks what the parts of an object are worth."""
        return MEASURES[self.entry].requires == "parts"

    @property
    def title(self) -> str:
        """Its name for people."""
        title = MEASURES[self.entry].title
        return title if self.region == OBJECT else f"{title}, {self.region}"


@dataclass(frozen=True)
class ExamPlan:
    """The checked plan of what is done with every image of an exam."""

    config: ExamConfig
    model: Model
    images: ExamImages
    methods: Sequence[ExamMethod]
    measures: Sequence[ExamMeasure]

    @property
    def shards(self) -> int:
        """The number of shards."""
        return -(-len(self.images.names) // SHARD)

    def rows(self, shard: int) -> range:
        """The rows of a shard's images."""
        return range(shard * SHARD, min((shard + 1) * SHARD, len(self.images.names)))

    @property
    def masked(self) -> bool:
        """Whether the masks of objects are known, and with them curves of IoU."""
        return OBJECT in self.images.regions

    @property
    def working(self) -> list[tuple[int, ExamMethod]]:
        """The methods that the model supports, with their numbers."""
        return [(number, one) for number, one in enumerate(self.methods) if not one.reason]

    @property
    def passes(self) -> Passes:
        """The passes of the whole exam, approximately."""
        costs = [self.map_cost(one) for _, one in self.working]
        costs += [
            self.measure_cost(one, measure, shared=measure.of_parts and number > 0)
            for number, (_, one) in enumerate(self.working)
            for measure in self.measures
        ]
        return sum(costs, Passes()) * len(self.images.names)

    def map_cost(self, method: ExamMethod) -> Passes:
        """The passes of one map of a method."""
        return EXPLAINERS[method.name].passes(method.settings, min(self.model.preprocess.size))

    def measure_cost(self, method: ExamMethod, measure: ExamMeasure, *, shared: bool = False) -> Passes:
        """The passes of a measure of one map; only those of the method if the others are `shared` with earlier maps."""
        entry = MEASURES[measure.entry]
        cost = Passes() if shared else entry.passes(measure.settings, min(self.model.preprocess.size))
        return cost + self.map_cost(method) * entry.reruns(measure.settings)


def planned(
    config: ExamConfig, model: Model | None = None, device: torch.device | str = "cpu", report: Report = silent
) -> ExamPlan:
    """The plan of an exam; raises the errors about its settings, model, images and masks before any work."""
    validated(config)
    measures = _measures(config)
    model = model or load_model(model_name(config), device, options=options_of(config))
    if model.output == "regression":
        message = f"{model.display} is a regression, and an exam explains classes."
        raise Unsupported(message, "Choose a model of classes.")
    methods = _methods(config, model)
    masked = any(MEASURES[one.entry].requires == "mask" for one in measures)
    images = exam_images(config, model, masked=masked, report=report)
    if len(images.names) < config.folds:
        raise too_few(len(images.names), config.folds)
    asked = [one for one in measures if one.region in (OBJECT, *images.regions) and (images.drawn or not one.of_parts)]
    if not asked:
        message = f"{measures[0].title} needs images that can be drawn without their parts, as flowers can."
        raise BadParameter(message, f"Choose others, such as {', '.join(ExamConfig.measures[:2])}.")
    return ExamPlan(config, model, images, methods, asked)


def model_name(config: ExamConfig) -> str:
    """The model of an exam: the one that its settings name, else the bundled network of the variant."""
    return config.model or _NETWORKS.get(config.variant, f"flowers-{config.variant}")


def folds(labels: Sequence[int], count: int) -> NDArray[np.int64]:
    """The fold (N,) of each image: sizes differ by at most one, and so do the numbers of images of each class."""
    fold = np.empty(len(labels), np.int64)
    fold[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % count
    return fold


def _methods(config: ExamConfig, model: Model) -> list[ExamMethod]:
    """All chosen methods and the controls, in the order of the registry."""
    for name in config.methods:
        EXPLAINERS[name]
    chosen = [
        one
        for one in EXPLAINERS.values()
        if not config.methods or one.name in config.methods or one.family == "control"
    ]
    return [ExamMethod(one.name, one.chosen(one.budget(config.quality)), one.unmet(model)) for one in chosen]


def _measures(config: ExamConfig) -> list[ExamMeasure]:
    found = []
    for name in config.measures:
        measure = MEASURES[name]
        if measure.is_curve:
            message = f"{measure.title} is a curve, and an exam needs one number per image."
            raise BadParameter(message, f"Choose others, such as {', '.join(ExamConfig.measures)}.")
        settings = measure.chosen(measure.budget(config.quality))
        found.append(ExamMeasure(name, settings))
    tagged = [replace(one, region=TAG) for one in found if one.entry in _TAGGED]
    return [*tagged, *found]  # what an exam of tags is about comes first
