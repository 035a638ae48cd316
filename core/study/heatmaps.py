"""Prediction, heatmap and filter maps of images in one forward pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.errors import Cancelled, Unsupported
from core.explain.execution import Execution, RunLog
from core.explain.forward_backward import ForwardBackward
from core.explain.method import EXPLAINERS, RELU, Explainer
from core.explain.query import Query
from core.explain.run import explain
from core.explain.targets import Classes, class_scores
from core.models.model import Model
from core.network.hooks import capture


@dataclass(frozen=True)
class Reading:
    """Predictions, heatmaps and filter maps of some images."""

    query: Query  # about the class that the heatmaps explain
    logits: Tensor  # (B, C)
    maps: Tensor  # (B, H, W) heatmaps, non-negative, on the CPU
    filters: Tensor  # (B, D, h, w) the layer's output
    targets: Tensor  # (B,) the classes that the heatmaps explain


def studied_layer(model: Model, layer: str, explainer: str, settings: Mapping[str, Any]) -> str:
    """The layer a study reads, checked against model and explainer.

    Raises UnknownName, BadParameter or Unsupported: no such layer, setting or method, no layer with positions, a method
    whose maps have signs.
    """
    method = EXPLAINERS[explainer]
    method.chosen(settings)
    if method.signed:
        way = "Choose one whose maps are not signed, such as grad_cam."
        raise Unsupported(f"{method.title} gives maps of both signs, and patches require non-negative ones.", way)
    method.check(model)
    name = layer or model.survey.default
    if not name:
        raise Unsupported(f"{model.display} has no layer with spatial positions.", "Choose a convolutional network.")
    facts = model.survey.layer(name)
    if facts is None or facts.layout == "vector":
        usable = ", ".join(one.name for one in model.survey.usable[-6:])
        raise Unsupported(
            f"Layer {name!r} of {model.display} has no spatial positions.", f"Choose a layer such as {usable}."
        )
    return name


def read(
    model: Model,
    images: Tensor,
    layer: str,
    *,
    explainer: str,
    settings: Mapping[str, Any],
    labels: Tensor | None = None,
    seed: int = 0,
    execution: Execution | None = None,
    log: RunLog | None = None,
) -> Reading:
    """Heatmaps of the predicted classes (or of `labels`) and the filters' maps, of images (B, 3, H, W) on the device.

    A class activation map needs one forward for everything and a backward only down to the layer; other methods have
    their usual cost, counted in `log`. When memory runs out, torch's own error is raised. Raises Unsupported if a map
    has negative values, which some settings allow.
    """
    method = EXPLAINERS[explainer]
    recording = _recorded(model, images, layer, labels, backward=_reads_only_the_layer(method))
    targets = model.predicted(recording.logits) if labels is None else labels
    query = Query(model, images, Classes(targets), layer, seed, execution=execution or Execution())
    query = query.counted_in(log or RunLog())
    query.log.forwards += len(images)
    if recording.slopes:
        query.log.backwards += len(images)
    query.remember(recording)
    query.log.fraction = 0.0  # of these images: the log may be shared with others
    explanation = explain(explainer, query, settings, halve=False)
    if not explanation.finished:
        raise Cancelled  # an unfinished map must not enter a study
    if explanation.signed:
        message = f"{method.title} with these settings gives maps below zero, and patches require non-negative ones."
        raise Unsupported(message, "Change its settings, or choose another method, such as grad_cam.")
    return Reading(query, recording.logits, explanation.maps, query.maps_at(recording.values[layer], layer), targets)


def _reads_only_the_layer(method: Explainer) -> bool:
    """Whether a method needs no gradient at the image: class activation maps with the ordinary backward."""
    return method.family == "cam" and RELU not in method.needs


def _recorded(model: Model, images: Tensor, layer: str, labels: Tensor | None, *, backward: bool) -> ForwardBackward:
    """The forward, and the gradient of the explained score at the layer.

    The autograd graph begins at the layer, so nothing before it is stored or traversed.
    """
    with torch.set_grad_enabled(backward), capture(model.net, layer, edit={layer: _cut}) as outputs:
        logits = model.net(images)
        values = outputs[layer]
        if not backward:
            return ForwardBackward(logits, {layer: values.detach()}, {})
        targets = model.predicted(logits) if labels is None else labels
        (slope,) = torch.autograd.grad(class_scores(logits, targets, "logit").sum(), values, allow_unused=True)
    slopes = torch.zeros_like(values) if slope is None else slope
    return ForwardBackward(logits.detach(), {layer: values.detach()}, {layer: slopes.detach()})


def _cut(output: Tensor) -> Tensor:
    return output.detach().requires_grad_(torch.is_grad_enabled())
