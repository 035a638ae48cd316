"""The workbench of pages and commands: one model and one cache, so that every result is computed once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from reprlib import repr as short
from typing import Any, get_args

import torch
from torch import Tensor

from core.cache import TensorCache
from core.card import BUDGETS, Budget, Passes
from core.data.model_options import ModelOptions, options_of
from core.environment import Precision, budget, home
from core.errors import BadModel, StudyError, VitrineError, brief
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.explain.execution import NOTHING, Execution, Prefetch
from core.explain.method import passes
from core.explain.relu_rules import ReluRule
from core.explain.run import Watch, never_stop
from core.explain.target_name import TargetName, target_name
from core.images import Picture, Pixels, eight_bits
from core.models import load
from core.models.model import Model
from core.models.name import ModelName, parsed
from core.network.cancellation import RepeatedReport
from core.network.half_precision import precision_of
from core.network.hooks import capture
from core.network.throughput import batch_of, seconds_of
from core.params import absolute, checked, expanded
from core.progress import Report, headed, silent, subrange
from core.serialization import digest
from core.study import BUNDLED, Study
from core.study.paths import candidates, remember
from core.units.ablation import from_images


def find_study(name: str | Path) -> Study:
    """The study at a path, else the user's or bundled study of that name. Raises StudyError."""
    folders = [expanded(name), home() / "studies" / name, BUNDLED / name]
    try:
        return Study(next((folder for folder in folders if folder.exists()), folders[0]))
    except OSError as error:  # an invalid name, a folder without read permission
        short_name = short(str(name))
        raise StudyError(f"{short_name} cannot be opened ({error.strerror}).", "Give the folder of a study.") from None


def study_options(study: Study) -> ModelOptions:
    """How the outputs of a study's model are read and images prepared; its labels are stored in the study itself."""
    from core.study.build import config_of  # here, as building imports pandas, which takes long

    return replace(options_of(config_of(study)), labels="")


def study_model(
    study: Study,
    device: torch.device | str = "cpu",
    report: Report = silent,
    *,
    model: str = "",
) -> Model:
    """The model a study was built with, under its name and with its labels, outputs and preparation.

    Own weights are looked for where `core.study.paths` says, and accepted by their hash. `model` names it instead.
    Raises StudyError if it is not found or another one.
    """
    loaded, _ = _loaded(study, device, report, model)
    return replace(loaded, name=study.manifest.model.name, labels=study.labels)


def study_source(study: Study, device: torch.device | str = "cpu", report: Report = silent) -> tuple[str, ModelOptions]:
    """The name and options by which the model of a study loads now, with the paths of its weights and labels.

    Labels that cannot be found are those of the model. Raises as `study_model`.
    """
    typed = str(study.config.get("labels", ""))
    files = candidates("labels", typed, study.path, study.log) if typed else ()
    labels = next((str(path) for path in files if path.is_file()), "")
    return _loaded(study, device, report, "")[1], replace(study_options(study), labels=labels)


def _loaded(study: Study, device: torch.device | str, report: Report, model: str) -> tuple[Model, str]:
    """The model of a study, and the name by which it was loaded."""
    facts, name = study.manifest.model, parsed(model or study.manifest.model.name)
    options = study_options(study)
    found, failed = False, None
    for text in _names(study, name, given=bool(model)):
        found = True
        try:
            loaded = load(text, device, report, options)
        except BadModel as error:  # other weights may lie at the next path
            failed = error
            continue
        if loaded.sha == facts.sha:
            break
    else:
        if failed:
            raise failed
        option = "Give it with --model" if not name.separator else f"Give them with --model {name.architecture}@FILE"
        if not found:
            file = brief(Path(name.file).name, 60)
            raise StudyError(f"The weights {file} of the study {study.name} cannot be found.", f"{option}.")
        message = f"{brief(name.display, 80)} is not the model the study {study.name} was built with."
        raise StudyError(message, f"{option}, or build the study again.")
    if len(loaded.labels) != len(study.labels):
        message = f"The study {study.name} has {len(study.labels)} classes, its model has {len(loaded.labels)}."
        raise StudyError(message, "Build the study again.")
    return loaded, text


def move_weights(study: Study, file: str | Path) -> None:
    """Remember that a study's own weights are this file now. Raises as `study_model` if they are others."""
    path, name = absolute(file), parsed(study.manifest.model.name)
    study_model(study, model=str(name.with_path(path)))
    remember("model", path, study.path, study.log)


def has_weights(study: Study) -> bool:
    """Whether a file of weights lies where those of the study's model may be; models of the list need none."""
    return next(_names(study, parsed(study.manifest.model.name), given=False), None) is not None


def _names(study: Study, name: ModelName, *, given: bool) -> Iterator[str]:
    """The names to load a study's model by: with each existing file of own weights, or as it is."""
    if not name.path or given:
        yield str(name)
        return
    for path in candidates("model", name.path, study.path, study.log):
        with suppress(OSError, ValueError):
            if path.is_file() or path.is_dir():
                yield str(name.with_path(path))


@dataclass(frozen=True)
class Request:
    """One tile of a comparison: a method, the target it explains and the settings that differ from the defaults."""

    name: str
    target: TargetName  # an int stands for the class
    settings: Mapping[str, Any] = field(default_factory=dict)
    settle: bool = False  # finish as soon as the map has converged
    layer: str = ""  # where activations are read; "" is the model's default

    def __post_init__(self) -> None:
        if isinstance(self.target, int):
            object.__setattr__(self, "target", TargetName((self.target,)))

    @cached_property
    def key(self) -> str:
        """A short text, equal exactly for equal requests."""
        return digest(self)[:16]


@dataclass(frozen=True)
class MethodPlan:
    """The plan of a method on a model: why it cannot work, or else the layers it reads and its cost."""

    reason: str = ""
    layers_read: str = ""  # the layer or layers it reads by default; "" is the image
    passes: Mapping[Budget, Passes] = field(default_factory=dict)
    seconds: Mapping[Budget, float] = field(default_factory=dict)


Answer = Explanation | VitrineError


class Workbench:
    """A model used by one session: predictions, explanations and estimates, in the session's cache.

    The model is shared with other sessions and never modified; the cache belongs to this session.
    """

    def __init__(self, model: Model, cache: TensorCache | None = None) -> None:
        self.model = model
        self.cache = TensorCache(budget()) if cache is None else cache  # an empty cache is falsy

    def view(self, picture: Picture) -> Pixels:
        """The part of the picture that the model sees, (H, W, 3)."""
        return self.model.preprocess.view(picture.pixels)

    def seen(self, picture: Picture) -> dict[str, Pixels]:
        """What the network sees of the picture: its input before normalisation, as pictures (H, W, 3) by their name.

        A fourth channel is a picture of its own.
        """
        return self.pictured(self.inputs(picture))

    def pictured(self, inputs: Tensor) -> dict[str, Pixels]:
        """One input (1, C, H, W) of the network before normalisation, as `seen` gives it."""
        preprocess = self.model.preprocess
        values = preprocess.pixels(inputs[0].cpu())
        first = "Luminance" if len(values) == 1 else "Red, green and blue"
        parts = {first: values[:3], f"Fourth channel: {preprocess.channels}": values[3:]}
        shown = {name: part.clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0) for name, part in parts.items() if len(part)}
        return {name: eight_bits(part.numpy()) for name, part in shown.items()}

    @property
    def precision(self) -> Precision:
        """The precision of methods that combine many scores."""
        return precision_of(self.model, home() / "pace")

    def logits(self, picture: Picture) -> Tensor:
        """The model's outputs, (C,)."""
        return self.query(picture, TargetName((0,)), batch=1).clean_logits()[0].cpu()

    def probabilities(self, picture: Picture) -> Tensor:
        """The probability of each class, (C,); of a regression the values."""
        return self.model.probabilities(self.logits(picture))

    def top(self, picture: Picture, count: int = 5) -> list[tuple[int, str, float]]:
        """The classes predicted first as (index, label, probability): the most probable ones, highest first.

        With one logit the class that the threshold decides on is first; a regression gives its values in their order.
        """
        chances = self.probabilities(picture)
        indices = self.model.ranked(self.logits(picture))[:count].tolist()
        return [(index, self.model.labels[index], float(chances[index])) for index in indices]

    def activations(self, picture: Picture, layer: str) -> Tensor:
        """The activations of a layer's filters for the picture, (D, h, w). Raises UnknownName for an unknown layer."""
        return self.cache.get((self.model.key, picture.key, "activations", layer), lambda: self._output(picture, layer))

    def logits_without(self, picture: Picture, layer: str, filters: Sequence[int]) -> Tensor:
        """The model's outputs with these filters of a layer ablated, (C,)."""
        keep = torch.ones(1, self.activations(picture, layer).shape[0], device=self.model.device)
        keep[:, sorted(set(filters))] = 0
        return from_images(self.model, layer, shortcut=False)(self.inputs(picture), keep)[0, 0].cpu()

    def without(self, picture: Picture, layer: str, filters: Sequence[int]) -> Tensor:
        """The probability of each class with these filters of a layer ablated, (C,)."""
        return self.model.probabilities(self.logits_without(picture, layer, filters))

    def target(self, picture: Picture, wanted: str | int = "predicted") -> TargetName:
        """The target of "predicted", the class predicted first, or of a text as `target_name` reads it."""
        return TargetName((self.top(picture, 1)[0][0],)) if wanted == "predicted" else target_name(wanted, self.model)

    def value(self, picture: Picture, target: TargetName) -> float:
        """What the model says of a target, its `quantity`: the probability of a class, the activation of a unit."""
        return float(self.query(picture, target, batch=1).clean_scores("prob")[0])

    def spelled(self, picture: Picture, target: TargetName) -> str:
        """The same as text: percent, or a number."""
        value = self.value(picture, target)
        return f"{value:.1%}" if target.quantity(self.model.output) == "probability" else f"{value:.4g}"

    def usable(self) -> dict[str, str]:
        """Every method with the reason why it cannot work on this model; "" where it can."""
        return {name: method.unmet(self.model) for name, method in EXPLAINERS.items()}

    def plans(self) -> dict[str, MethodPlan]:
        """The plan of every method on this model, before any of them runs."""
        return {name: self._plan(name, reason) for name, reason in self.usable().items()}

    def requests(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        targets: Iterable[TargetName],
        layers: Sequence[str] = (),
        *,
        settle: bool = False,
    ) -> list[Request]:
        """The requests for these methods, with their settings, at each target and layer; no layer is the default.

        A method that does not depend on the layer is requested once for each target.
        """
        survey = self.model.survey
        read = {name: layers or ("",) if EXPLAINERS[name].follows_layer(survey) else ("",) for name in settings}
        return [
            Request(name, target, given, settle, layer)
            for target in targets
            for name, given in settings.items()
            for layer in read[name]
        ]

    def passes(self, requests: Sequence[Request]) -> Passes:
        """The passes that these requests need together in addition to the prediction."""
        methods = [(EXPLAINERS[request.name], request) for request in requests]
        needed = [
            (method, checked(method.params, request.settings, request.name), request.target)
            for method, request in methods
        ]
        return passes(needed, min(self.model.preprocess.size))

    def estimate(self, requests: Sequence[Request]) -> float:
        """Estimated seconds of these requests: their passes times the seconds of one."""
        alone = [request for request in requests if not EXPLAINERS[request.name].shares]
        sharing = [request for request in requests if EXPLAINERS[request.name].shares]
        together = self.passes(sharing).weight * pass_seconds(self.model) if sharing else 0.0
        return together + sum(self.passes([request]).weight * self._pace(request.name) for request in alone)

    def cached(self, picture: Picture, request: Request, seed: int = 0) -> Explanation | None:
        """The finished explanation if it is still in the cache, without a model pass."""
        cached = self.cache.peek(self._key(picture, request, seed))
        return cached if isinstance(cached, Explanation) else None

    def remember(self, picture: Picture, request: Request, explanation: Explanation, seed: int = 0) -> None:
        """Cache the finished explanation for a request that was made elsewhere, so that it is not computed."""
        self.cache.put(self._key(picture, request, seed), explanation)

    def explain(
        self,
        picture: Picture,
        request: Request,
        *,
        seed: int = 0,
        report: Report = silent,
        watch: Watch = never_stop,
        prefetch: Prefetch = NOTHING,
    ) -> Explanation:
        """The explanation for one request, cached once finished. Raises what `core.explain.explain` raises.

        What `prefetch` lists is computed from the same forward if the method allows it.
        """
        if cached := self.cached(picture, request, seed):
            report(1.0, "")
            return cached
        with RepeatedReport(report):  # the first query of a model measures its speed
            query = self.query(picture, request.target, request.layer, seed, report=report, prefetch=prefetch)
        result = explain(request.name, query, request.settings, watch, settle=request.settle)
        if result.finished:
            self.remember(picture, request, result, seed)
            self._learn_pace(request, result.seconds)
        return result

    def compare(
        self,
        picture: Picture,
        requests: Sequence[Request],
        done: Callable[[Request, Answer], None],
        *,
        seed: int = 0,
        report: Report = silent,
        watch: Callable[[Request], Watch] = lambda request: never_stop,
        follow: Callable[[Request], Report] = lambda request: silent,
    ) -> None:
        """Process the requests, cheap ones first, passing each result to `done`; a failure does not stop the others.

        `report` receives the progress of all of them, with notes that name the method; `follow` gives a report of one.
        """
        weights = {id(request): self.passes([request]).weight for request in requests}
        new = [request for request in requests if not self.cached(picture, request, seed)]
        needed = {work.name for request in new for work in EXPLAINERS[request.name].shares}
        prefetch = Prefetch(
            tuple(target.targets(self.model.device) for target in dict.fromkeys(request.target for request in new)),
            tuple(rule for rule in get_args(ReluRule) if rule in needed),
            tuple(dict.fromkeys(request.layer for request in new if request.layer)),
        )
        total, before = sum(weights.values()) or 1.0, 0.0
        for request in sorted(requests, key=lambda request: weights[id(request)]):
            after = before + weights[id(request)]
            try:
                part_report = _named(subrange(report, before / total, after / total), request, follow(request))
                result: Answer = self.explain(
                    picture,
                    request,
                    seed=seed,
                    report=part_report,
                    watch=watch(request),
                    prefetch=prefetch,
                )
            except VitrineError as error:
                result = error
            before = after
            done(request, result)

    def query(
        self,
        picture: Picture,
        target: TargetName,
        layer: str = "",
        seed: int = 0,
        *,
        batch: int = 0,
        report: Report = silent,
        prefetch: Prefetch = NOTHING,
    ) -> Query:
        """The question why the model gives this target its score for the picture, in a run of its own."""
        execution = Execution(
            batch=batch or batch_of(self.model, home() / "pace"),
            precision=self.precision,
            report=report,
            cache=self.cache,
            # Methods that read layers by default use the first recording.
            prefetch=prefetch + Prefetch(layers=self.model.survey.stages[1:]),
        )
        targets = target.targets(self.model.device)
        return Query(self.model, self.inputs(picture), targets, layer, seed, picture.key, execution=execution)

    def inputs(self, picture: Picture) -> Tensor:
        """The picture as the network takes it, (1, C, H, W) on its device, cached."""

        def make() -> Tensor:
            preprocess = self.model.preprocess
            return preprocess.tensor(preprocess.seen(picture))[None].to(self.model.device)

        return self.cache.get((self.model.key, picture.key, "tensor"), make)

    def _plan(self, name: str, reason: str) -> MethodPlan:
        if reason:
            return MethodPlan(reason)
        method = EXPLAINERS[name]
        requests = {budget: Request(name, TargetName((0,)), method.budget(budget)) for budget in BUDGETS}
        layers_read = method.layers_read(self.model.survey, "", checked(method.params, {}, name))
        needed = {budget: self.passes([request]) for budget, request in requests.items()}
        pace = self._pace(name)
        return MethodPlan("", layers_read, needed, {budget: passes.weight * pace for budget, passes in needed.items()})

    def _pace(self, name: str) -> float:
        """Seconds that a method takes for a pass: as it took in this session, else the measured time of a forward."""
        known = self.cache.peek((self.model.key, "pace", name))
        return known if isinstance(known, float) else pass_seconds(self.model)

    def _learn_pace(self, request: Request, seconds: float) -> None:
        """Store the pace of a method after a whole run, with half precision and all else that it does.

        Not of one that shares passes, which others may have made before or find made, nor of one that makes none.
        """
        weight = self.passes([request]).weight
        if weight and not request.settle and not EXPLAINERS[request.name].shares:
            self.cache.put((self.model.key, "pace", request.name), seconds / weight)

    def _key(self, picture: Picture, request: Request, seed: int) -> tuple[object, ...]:
        method = EXPLAINERS[request.name]
        settings = checked(method.params, request.settings, request.name)
        read = method.stored_read(self.model, settings)
        own_key = (request.name, request.target, digest(settings), read, request.settle)
        return (self.model.key, picture.key, *own_key, seed, request.layer or self.model.survey.default)

    @torch.no_grad()
    def _output(self, picture: Picture, layer: str) -> Tensor:
        with capture(self.model.net, layer) as outputs:
            self.model.net(self.inputs(picture))
        facts = self.model.survey.layer(layer)
        return (facts.maps(outputs[layer]) if facts else outputs[layer])[0].cpu()


def _named(report: Report, request: Request, own: Report) -> Report:
    """A report of one request that passes everything on to its own report, and to `report` with the method's title."""
    titled = headed(report, EXPLAINERS[request.name].title)

    def both(fraction: float, note: str) -> None:
        own(fraction, note)
        titled(fraction, note)

    return both


def pass_seconds(model: Model) -> float:
    """Seconds per image of a forward on this model's device, at its best batch size."""
    return seconds_of(model, home() / "pace")
