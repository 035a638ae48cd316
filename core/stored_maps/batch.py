"""Maps of several images at once: methods that read one forward and backward share it, others run image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from core.card import Passes
from core.errors import Cancelled, VitrineError
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.explain.execution import Execution
from core.explain.forward_backward import recorded
from core.explain.method import FORWARD_BACKWARD, RELU
from core.explain.run import is_memory
from core.explain.target_name import TargetName, target_name
from core.explain.targets import Classes, Target, class_scores
from core.images import joined
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report
from core.serialization import digest
from core.stored_maps.images import Loaded
from core.stored_maps.settings import Settings
from core.workbench import Answer, Request, Workbench

Shared = tuple[Tensor, dict[str, Answer]]  # logits (C,) of an image, and the maps that the batch gave by request key


@dataclass
class Result:
    """What was computed for one image."""

    logits: Tensor | None = None  # (C,) on the CPU
    answers: list[tuple[Request, Answer]] = field(default_factory=list)
    problem: str = ""  # why there is nothing


def results(bench: Workbench, images: Sequence[Loaded], settings: Settings, report: Report) -> list[Result]:
    """The maps of each image, equal to rounding to those that the workbench computes for it alone."""
    readable = [one for one in images if one.inputs is not None]
    found = iter(_results(bench, readable, settings, report) if readable else [])
    return [Result(problem=one.problem) if one.inputs is None else next(found) for one in images]


def _results(bench: Workbench, images: Sequence[Loaded], settings: Settings, report: Report) -> list[Result]:
    """The results of images that can be read; in halves where memory runs out."""
    try:
        shared = _shared(bench.model, images, settings, report)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_memory(error) or len(images) == 1:
            raise
        half = len(images) // 2
        return [one for part in (images[:half], images[half:]) for one in _results(bench, part, settings, report)]
    return [_of_image(bench, one, begun, settings, report) for one, begun in zip(images, shared, strict=True)]


def _of_image(bench: Workbench, image: Loaded, shared: Shared, settings: Settings, report: Report) -> Result:
    """The result of one image: what the batch gave, and the rest computed for it alone."""
    logits, answers = shared
    if image.picture is None or not bool(logits.isfinite().all()):
        return Result(problem="The network's outputs are not finite.")
    model = bench.model
    best = TargetName((int(model.predicted(logits)),))
    targets = dict.fromkeys(best if text == "predicted" else target_name(text, model) for text in settings.targets)
    requests = bench.requests(settings.methods, targets, settings.layers)
    rest = [request for request in requests if request.key not in answers]

    def done(request: Request, answer: Answer) -> None:
        if isinstance(answer, Explanation) and not answer.finished:
            raise Cancelled  # an unfinished map must not be stored
        answers[request.key] = answer

    bench.compare(image.picture, rest, done, seed=settings.seed, report=lambda _, note: report(0.0, note))
    return Result(logits, [(request, answers[request.key]) for request in requests])


def _shared(model: Model, images: Sequence[Loaded], settings: Settings, report: Report) -> list[Shared]:
    """The logits of the images, and the maps that follow from one forward and backward of all.

    A method that fails for the batch is left out, so that every image is tried alone.
    """
    inputs = joined([one.inputs[0] for one in images if one.inputs is not None])
    inputs = inputs.contiguous(memory_format=model.order)
    methods = {name: given for name, given in settings.methods.items() if _reads_recording(name, given, model)}
    answers: list[dict[str, Answer]] = [{} for _ in images]
    with RepeatedReport(report):
        if not methods:
            with torch.no_grad():
                return list(zip(model.inference(inputs).cpu(), answers, strict=True))
        names = [None if text == "predicted" else target_name(text, model) for text in settings.targets]
        targets = [None if name is None else _repeated(name, model, len(inputs)) for name in names]
        start = _start(methods, settings.layers, targets, model)
        units = [one.layer for one in targets if one is not None]
        every = [start] if start else [*settings.layers, model.survey.default, *units]
        read = list(filter(None, dict.fromkeys(every)))
        # Behind such a start there are only a pooling and a linear layer: no ReLU that rounding could switch.
        pooled = [model.survey.default] if model.survey.head and not model.survey.head_rectifies else []
        net = model.network_for([start]) if start in pooled else model.net
        recordings = recorded(net, inputs, read, [partial(_score, model, one) for one in targets], start=start)
    logits = recordings[0]["plain"].logits
    predicted = model.predicted(logits)
    content = digest([one.picture.key for one in images if one.picture is not None])
    for name, target, recording in zip(names, targets, recordings, strict=True):
        own = Classes(predicted) if target is None else target
        execution = Execution(batch=len(inputs), report=lambda _, note: report(0.0, note))
        query = Query(model, inputs, own, "", settings.seed, content, execution=execution)
        query.remember(recording["plain"])
        for method, given in methods.items():
            for layer in _layers(method, settings, model):
                try:
                    found = explain(method, replace(query, layer=layer), given)
                except VitrineError:
                    continue
                for row, by_key in enumerate(answers):
                    one = name or TargetName((int(predicted[row]),))
                    by_key[Request(method, one, given, layer=layer).key] = _row(found, row)
    return list(zip(logits.cpu(), answers, strict=True))


def _reads_recording(name: str, settings: Mapping[str, Any], model: Model) -> bool:
    """Whether all passes of a method are a forward and backward that it shares with others.

    Such a method draws nothing and treats every image of a batch by itself.
    """
    method = EXPLAINERS[name]
    needed = method.passes(method.chosen(settings), min(model.preprocess.size))
    return method.shares == FORWARD_BACKWARD and needed == sum((one.passes for one in method.shares), Passes())


def _start(methods: Mapping[str, Any], layers: Sequence[str], targets: Sequence[Target | None], model: Model) -> str:
    """The layer before which no gradient is needed: of class activation maps at one layer, of classes; "" for none."""
    cards = [EXPLAINERS[name] for name in methods]
    cams = all(one.family == "cam" and RELU not in one.needs and one.follows_layer(model.survey) for one in cards)
    of_units = any(one is not None and one.layer for one in targets)
    return (layers[0] if layers else model.survey.default) if cams and not of_units and len(layers) <= 1 else ""


def _layers(method: str, settings: Settings, model: Model) -> Sequence[str]:
    """The layers at which a method is requested, as `Workbench.requests` chooses them."""
    return settings.layers or ("",) if EXPLAINERS[method].follows_layer(model.survey) else ("",)


def _repeated(name: TargetName, model: Model, count: int) -> Target:
    return name.targets(model.device).repeated(0, count)


def _score(model: Model, target: Target | None, logits: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
    """The explained score (B,) of each image; without a target that of the class that is predicted for it."""
    if target is None:
        return class_scores(logits, model.predicted(logits), "logit")
    if not target.layer:
        return target.score(logits, "logit", model.output)
    facts = model.survey.layer(target.layer)
    values = outputs[target.layer]
    return target.score(facts.maps(values) if facts else values, "logit", model.output)


def _row(found: Explanation, row: int) -> Explanation:
    """The explanation of one image of a batch."""
    rows = slice(row, row + 1)
    grid = None if found.grid is None else found.grid[rows]
    return replace(found, maps=found.maps[rows], scores=found.scores[rows], targets=found.targets[rows], grid=grid)
