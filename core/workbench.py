"""The workbench of pages and commands: one model and one cache, so that every result is computed once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from reprlib import repr as short
from typing import Any, get_args

import torch
from torch import Tensor

from core.cache import TensorCache
from core.card import BUDGETS, Budget
from core.data.labels import labels_file
from core.data.model_options import ModelOptions, options_of
from core.environment import budget, home, precision
from core.errors import BadModel, StudyError, VitrineError, brief
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.explain.execution import NOTHING, Execution, Prefetch
from core.explain.method import passes
from core.explain.relu_rules import ReluRule
from core.explain.run import Watch, never_stop
from core.explain.targets import Classes
from core.images import Picture, Pixels
from core.models import load
from core.models.model import Model
from core.models.name import ModelName, parsed
from core.network.hooks import capture
from core.network.inspection import grid
from core.network.throughput import batch_of, seconds_of
from core.params import absolute, checked, expanded
from core.progress import Report, silent, subrange
from core.serialization import digest
from core.study import BUNDLED, Study
from core.study.build import config_of
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
    return replace(options_of(config_of(study)), labels="")


def study_model(
    study: Study,
    device: torch.device | str = "cpu",
    report: Report = silent,
    *,
    model: str = "",
    labels: str | Path = "",
) -> Model:
    """The model a study was built with, under its name and with its labels, outputs and preparation.

    Own weights are looked for where `core.study.paths` says, and accepted by their hash. `model` names it instead,
    `labels` a file with other names of its classes. Raises StudyError if it is not found or another one.
    """
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
    names = labels_file(labels, len(loaded.labels))[0] if labels else study.labels
    return replace(loaded, name=facts.name, labels=names)


def move_weights(study: Study, file: str | Path) -> None:
    """Remember that a study's own weights are this file now. Raises as `study_model` if they are others."""
    path, name = absolute(file), parsed(study.manifest.model.name)
    study_model(study, model=str(name.with_file(path)))
    remember("model", path, study.path, study.log)


def has_weights(study: Study) -> bool:
    """Whether a file of weights lies where those of the study's model may be; models of the list need none."""
    return next(_names(study, parsed(study.manifest.model.name), given=False), None) is not None


def _names(study: Study, name: ModelName, *, given: bool) -> Iterator[str]:
    """The names to load a study's model by: with each existing file of own weights, or as it is."""
    if not name.separator or given:
        yield str(name)
        return
    for path in candidates("model", name.file, study.path, study.log):
        with suppress(OSError, ValueError):
            if path.is_file():
                yield str(name.with_file(path))


@dataclass(frozen=True)
class Request:
    """One tile of a comparison: a method, the class it explains and the settings that differ from the defaults."""

    name: str
    target: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    settle: bool = False  # finish as soon as the map has converged

    @property
    def key(self) -> str:
        """A short text, equal exactly for equal requests."""
        return digest(self)[:16]


@dataclass(frozen=True)
class MethodPlan:
    """The plan of a method on a model: why it cannot work, or else the layers it reads and its cost."""

    reason: str = ""
    layers_read: str = ""  # the layer or layers it reads by default; "" is the image
    passes: Mapping[Budget, float] = field(default_factory=dict)
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

    def logits(self, picture: Picture) -> Tensor:
        """The model's outputs, (C,)."""
        return self._query(picture, 0, batch=1).clean_logits()[0].cpu()

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
        return self.cache.get((self.model.key, picture.sha, "activations", layer), lambda: self._output(picture, layer))

    def logits_without(self, picture: Picture, layer: str, filters: Sequence[int]) -> Tensor:
        """The model's outputs with these filters of a layer ablated, (C,)."""
        keep = torch.ones(1, self.activations(picture, layer).shape[0], device=self.model.device)
        keep[:, sorted(set(filters))] = 0
        return from_images(self.model, layer, shortcut=False)(self._tensor(picture), keep)[0, 0].cpu()

    def without(self, picture: Picture, layer: str, filters: Sequence[int]) -> Tensor:
        """The probability of each class with these filters of a layer ablated, (C,)."""
        return self.model.probabilities(self.logits_without(picture, layer, filters))

    def target(self, picture: Picture, wanted: str | int = "predicted") -> int:
        """A class index from "predicted", an index or a label."""
        return self.top(picture, 1)[0][0] if wanted == "predicted" else self.model.target(wanted)

    def usable(self) -> dict[str, str]:
        """Every method with the reason why it cannot work on this model; "" where it can."""
        return {name: method.unmet(self.model) for name, method in EXPLAINERS.items()}

    def plans(self) -> dict[str, MethodPlan]:
        """The plan of every method on this model, before any of them runs."""
        return {name: self._plan(name, reason) for name, reason in self.usable().items()}

    def passes(self, requests: Sequence[Request]) -> float:
        """Forward passes that these requests need together in addition to the prediction; a backward counts as two."""
        methods = [(EXPLAINERS[request.name], request) for request in requests]
        needed = [
            (method, checked(method.params, request.settings, request.name), request.target)
            for method, request in methods
        ]
        return passes(needed, self.model.preprocess.crop)

    def estimate(self, requests: Sequence[Request]) -> float:
        """Estimated seconds of these requests: their passes times the measured time of one."""
        return self.passes(requests) * pass_seconds(self.model)

    def cached(self, picture: Picture, request: Request, seed: int = 0, layer: str = "") -> Explanation | None:
        """The finished explanation if it is still in the cache, without a model pass."""
        cached = self.cache.peek(self._key(picture, request, seed, layer))
        return cached if isinstance(cached, Explanation) else None

    def explain(
        self,
        picture: Picture,
        request: Request,
        *,
        seed: int = 0,
        layer: str = "",
        report: Report = silent,
        watch: Watch = never_stop,
        prefetch: Prefetch = NOTHING,
    ) -> Explanation:
        """The explanation for one request, cached once finished. Raises what `core.explain.explain` raises.

        What `prefetch` lists is computed from the same forward if the method allows it.
        """
        if cached := self.cached(picture, request, seed, layer):
            report(1.0, EXPLAINERS[request.name].title)
            return cached
        query = self._query(picture, request.target, layer, seed, report=report, prefetch=prefetch)
        result = explain(request.name, query, request.settings, watch, settle=request.settle)
        if result.finished:
            self.cache.put(self._key(picture, request, seed, layer), result)
        return result

    def compare(
        self,
        picture: Picture,
        requests: Sequence[Request],
        done: Callable[[Request, Answer], None],
        *,
        seed: int = 0,
        layer: str = "",
        report: Report = silent,
        watch: Callable[[Request], Watch] = lambda request: never_stop,
    ) -> None:
        """Process the requests, cheap ones first, passing each result to `done`; a failure does not stop the others."""
        weights = {id(request): self.passes([request]) for request in requests}
        new = [request for request in requests if not self.cached(picture, request, seed, layer)]
        needed = {work.name for request in new for work in EXPLAINERS[request.name].shares}
        prefetch = Prefetch(
            tuple(self._classes(target) for target in dict.fromkeys(request.target for request in new)),
            tuple(rule for rule in get_args(ReluRule) if rule in needed),
        )
        total, before = sum(weights.values()) or 1.0, 0.0
        for request in sorted(requests, key=lambda request: weights[id(request)]):
            after = before + weights[id(request)]
            try:
                part_report = subrange(report, before / total, after / total)
                result: Answer = self.explain(
                    picture,
                    request,
                    seed=seed,
                    layer=layer,
                    report=part_report,
                    watch=watch(request),
                    prefetch=prefetch,
                )
            except VitrineError as error:
                result = error
            before = after
            done(request, result)

    def _plan(self, name: str, reason: str) -> MethodPlan:
        if reason:
            return MethodPlan(reason)
        method = EXPLAINERS[name]
        requests = {budget: Request(name, 0, method.budget(budget)) for budget in BUDGETS}
        layers_read = method.layers_read(self.model.survey, "", checked(method.params, {}, name))
        needed = {budget: self.passes([request]) for budget, request in requests.items()}
        second = pass_seconds(self.model)
        return MethodPlan("", layers_read, needed, {budget: count * second for budget, count in needed.items()})

    def _key(self, picture: Picture, request: Request, seed: int, layer: str) -> tuple[object, ...]:
        method = EXPLAINERS[request.name]
        settings = digest(checked(method.params, request.settings, request.name))
        own_key = (request.name, request.target, settings, request.settle)
        return (self.model.key, picture.sha, *own_key, seed, layer or self.model.survey.default)

    def _tensor(self, picture: Picture) -> Tensor:
        def make() -> Tensor:
            preprocess = self.model.preprocess
            return preprocess.tensor(preprocess.view(picture.source))[None].to(self.model.device)

        return self.cache.get((self.model.key, picture.sha, "tensor"), make)

    def _classes(self, target: int) -> Classes:
        return Classes(torch.tensor([target], device=self.model.device))

    def _query(
        self,
        picture: Picture,
        target: int,
        layer: str = "",
        seed: int = 0,
        *,
        batch: int = 0,
        report: Report = silent,
        prefetch: Prefetch = NOTHING,
    ) -> Query:
        execution = Execution(
            batch=batch or batch_of(self.model, home() / "pace"),
            precision=precision(),
            report=report,
            cache=self.cache,
            # Methods that read layers by default use the first recording.
            prefetch=prefetch + Prefetch(layers=self.model.survey.stages[1:]),
        )
        return Query(
            self.model, self._tensor(picture), self._classes(target), layer, seed, picture.sha, execution=execution
        )

    @torch.no_grad()
    def _output(self, picture: Picture, layer: str) -> Tensor:
        with capture(self.model.net, layer) as outputs:
            self.model.net(self._tensor(picture))
        facts = self.model.survey.layer(layer)
        return (grid(outputs[layer], facts.layout) if facts else outputs[layer])[0].cpu()


def pass_seconds(model: Model) -> float:
    """Seconds per image of a forward on this model's device, at its best batch size."""
    return seconds_of(model, home() / "pace")
