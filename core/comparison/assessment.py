"""Assessments: measures of the maps of a comparison, each computed once per session."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.card import Passes
from core.comparison.comparison import Comparison, Tile
from core.data.masks import ObjectMask
from core.errors import VitrineError
from core.explain import EXPLAINERS, Explanation, Query, explain
from core.jobs import Job
from core.measure import MEASURES, Evidence, Measurement, evaluate
from core.network.cancellation import RepeatedReport
from core.params import checked
from core.progress import Counted, Report, headed, silent, subrange
from core.serialization import digest
from core.workbench import Request, Workbench, pass_seconds

Outcome = Measurement | VitrineError


@dataclass(frozen=True)
class MeasureRequest:
    """A measure, and its settings that differ from the defaults."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """A short text, equal exactly for equal requests."""
        return digest(self)[:16]


@dataclass(frozen=True)
class Context:
    """What some measures need beside the map: other maps of the same target, and where the object is."""

    others: Mapping[str, Explanation] = field(default_factory=dict)  # by the key of their request
    annotation: ObjectMask | None = None


class Pair(NamedTuple):
    """A measure of one map."""

    tile: Tile
    measure: MeasureRequest

    @property
    def key(self) -> str:
        """A short text, equal exactly for the same measure of the same map."""
        return f"{self.tile.key}-{self.measure.key}"


def needs_mask(measure: str) -> bool:
    """Whether a measure compares maps with the mask of the object."""
    return MEASURES[measure].requires == "mask"


def measure_passes(bench: Workbench, request: Request, measure: MeasureRequest) -> Passes:
    """The passes that a measure of one map needs in addition to the map."""
    card, method = MEASURES[measure.name], EXPLAINERS[request.name]
    settings = checked(card.params, measure.settings, card.name)
    side = min(bench.model.preprocess.size)
    own = method.passes(checked(method.params, request.settings, method.name), side)
    return card.passes(settings, side) + own * card.reruns(settings)


def assess(
    bench: Workbench,
    tile: Tile,
    explanation: Explanation,
    measure: MeasureRequest,
    context: Context | None = None,
    *,
    report: Report = silent,
) -> Measurement:
    """A measure of the finished map of a tile, cached in the session. Raises what `core.measure.evaluate` raises."""
    context = context or Context()
    if cached := recalled(bench, tile, explanation, measure, context):
        return cached
    request, annotation = tile.request, context.annotation
    with RepeatedReport(report) as repeated:
        query = bench.query(tile.picture, request.target, request.layer, explanation.seed, report=repeated.report)
        evidence = Evidence(
            query,
            explanation.maps,
            None if annotation is None else torch.from_numpy(annotation.mask)[None],
            () if annotation is None else [annotation.boxes],
            others={name: one.maps for name, one in context.others.items()},
            explain_again=lambda changed: _explained(changed, request),
            offset=explanation.offset,
        )
        result = evaluate(measure.name, evidence, measure.settings)
    bench.cache.put(_key(bench, tile, explanation, measure, context), result)
    return result


def recalled(
    bench: Workbench,
    tile: Tile,
    explanation: Explanation,
    measure: MeasureRequest,
    context: Context | None = None,
) -> Measurement | None:
    """The same if it is still in the cache, without a model pass."""
    cached = bench.cache.peek(_key(bench, tile, explanation, measure, context or Context()))
    return cached if isinstance(cached, Measurement) else None


def _explained(query: Query, request: Request) -> Tensor:
    return explain(request.name, query, request.settings, settle=request.settle).maps


def _key(
    bench: Workbench, tile: Tile, explanation: Explanation, measure: MeasureRequest, context: Context
) -> tuple[object, ...]:
    """Everything that a measure depends on: requests, layers and seeds stand for the maps."""
    others = sorted((name, one.layer, one.seed) for name, one in context.others.items())
    compared = tuple(others) if MEASURES[measure.name].family == "agreement" else ()
    annotation = context.annotation if needs_mask(measure.name) else None
    marks = () if annotation is None else (annotation.mask, annotation.boxes)
    own = (tile.key, explanation.layer, explanation.seed, measure.key)
    return (bench.model.key, "measure", *own, compared, *(np.ascontiguousarray(one).tobytes() for one in marks))


class Assessment:
    """Measures of the maps of a comparison, computed in a background thread when they are asked for.

    Any thread may read it while the work is running. Of several measures of one picture those that share passes follow
    each other, and a failure does not stop the others.
    """

    def __init__(self, comparison: Comparison, annotations: Mapping[str, ObjectMask] | None = None) -> None:
        self.comparison = comparison
        self.annotations = annotations or {}  # by the key of the picture; others count from then on
        self.current = ""  # key of the running pair
        self.job: Job[None] | None = None
        self._queue: dict[str, Pair] = {}  # by key
        self._failed: dict[str, VitrineError] = {}  # by the key of the pair

    def pairs(self, measures: Sequence[MeasureRequest]) -> list[Pair]:
        """These measures of every finished map."""
        return [Pair(tile, measure) for tile, _ in self._maps().values() for measure in measures]

    def open(self, measures: Sequence[MeasureRequest]) -> list[Pair]:
        """Those of them without a result."""
        return [pair for pair in self.pairs(measures) if self.outcome(pair) is None]

    def passes(self, pairs: Iterable[Pair]) -> Passes:
        """At most the passes that these need: measures with the same settings share them."""
        return sum((measure_passes(self.comparison.bench, pair.tile.request, pair.measure) for pair in pairs), Passes())

    def estimate(self, pairs: Iterable[Pair]) -> float:
        """Estimated seconds of these, at most."""
        return self.passes(pairs).weight * pass_seconds(self.comparison.bench.model)

    def start(self, pairs: Sequence[Pair]) -> None:
        """Compute these in the background."""
        if self.job:
            self.job.cancel()
            self.job = None
        self._queue = {pair.key: pair for pair in pairs}
        if self._queue:
            self.job = Job(self._work, counted=self.count)

    @property
    def running(self) -> bool:
        """Whether work is running."""
        return self.job is not None and self.job.running

    def waiting(self, pair: Pair) -> bool:
        """Whether work is running that computes this pair."""
        return self.running and pair.key in self._queue and self.outcome(pair) is None

    def cancel(self) -> None:
        """Request cancellation; results so far are kept."""
        if self.job:
            self.job.cancel()

    def count(self) -> Counted:
        """The number of measures with a result, of those that were started."""
        return Counted(
            "measures", sum(self.outcome(pair) is not None for pair in self._queue.values()), len(self._queue)
        )

    def _maps(self) -> dict[str, tuple[Tile, Explanation]]:
        """The finished maps by the key of their tile."""
        maps = self.comparison.answered()
        return {t.key: (t, answer) for t, answer in maps if isinstance(answer, Explanation) and answer.finished}

    def outcome(self, pair: Pair) -> Outcome | None:
        """The result of a pair, also of an earlier comparison in the session; None without one."""
        failed = self._failed.get(pair.key)
        found = self._maps().get(pair.tile.key)
        if failed or found is None:
            return failed
        return recalled(self.comparison.bench, *found, pair.measure, self.context(pair))

    def context(self, pair: Pair) -> Context:
        """The other maps and the annotation that a measure is computed with."""
        picture, request = pair.tile
        others = {
            tile.request.key: answer
            for tile, answer in self._maps().values()
            if tile.picture.key == picture.key and tile.request.target == request.target and tile.request != request
        }
        return Context(others, self.annotations.get(picture.key))

    def _work(self, report: Report) -> None:
        queue = list(self._queue.values())
        weights = [self._weight(pair) for pair in queue]
        total, before = sum(weights), 0.0
        for pair, weight in zip(queue, weights, strict=True):
            after = before + weight
            self.current = pair.key
            title = f"{EXPLAINERS[pair.tile.request.name].title}: {MEASURES[pair.measure.name].title}"
            part_report = headed(subrange(report, before / total, after / total), title)
            self._compute(pair, part_report)
            before = after
            report(after / total, "")

    def _weight(self, pair: Pair) -> float:
        try:
            return 1 + measure_passes(self.comparison.bench, pair.tile.request, pair.measure).weight
        except VitrineError:  # settings that are not valid: the result says so
            return 1

    def _compute(self, pair: Pair, report: Report) -> None:
        tile, explanation = self._maps()[pair.tile.key]
        try:
            assess(self.comparison.bench, tile, explanation, pair.measure, self.context(pair), report=report)
        except VitrineError as error:
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self._failed[pair.key] = error
