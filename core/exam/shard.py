"""The work on one shard of an exam: maps of all methods for a few images, and their scores."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.data.layout import UNKNOWN
from core.errors import Cancelled, TooLarge, VitrineError
from core.exam.images import OBJECT, Views
from core.exam.plan import ExamMeasure, ExamMethod, ExamPlan
from core.exam.schema import NO_CURVE, THRESHOLDS
from core.explain import EXPLAINERS, Query, explain
from core.explain.execution import Execution
from core.explain.forward_backward import ForwardBackward
from core.explain.run import Explanation, is_memory
from core.explain.targets import Classes
from core.measure import Curve, Evidence, Measurement, Undefined, evaluate
from core.network.cancellation import RepeatedReport
from core.progress import Report, headed, rising, silent, subrange
from core.store.writer import Shard

T = TypeVar("T")

CONTENT = 2  # changes with what a shard holds: exams interrupted before such a change begin again


@dataclass
class _Costs:
    """Seconds by stage, and passes by method."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    passes: dict[str, Passes] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


@dataclass(frozen=True)
class _Maps:
    """The maps (B, H, W) of one method, and why an image has none."""

    values: Tensor
    reasons: Sequence[str]
    offset: bool  # the values are defined up to a constant

    @property
    def usable(self) -> list[int]:
        """The images that have a map."""
        return [row for row, reason in enumerate(self.reasons) if not reason]


def shard_of(plan: ExamPlan, rows: range, report: Report) -> Shard:
    """Tables, arrays and facts of the images of these rows.

    Raises TooLarge if a batch does not fit into memory: it affects the bytes of an exam, so it is not halved here.
    """
    try:
        with RepeatedReport(report) as repeated:
            return _shard_of(plan, rows, repeated.report)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        message = f"{plan.config.batch} images at a time do not fit into memory."
        raise TooLarge(message, "Use a smaller batch (--batch), or fewer methods.") from None


def _shard_of(plan: ExamPlan, rows: range, report: Report) -> Shard:
    costs = _Costs()
    with costs.stage("images"):
        views = plan.images.views(rows, subrange(report, 0.0, 0.02))
        query, images = _asked(plan, rows, views)
    reports = _reports(rising(subrange(report, 0.02, 1.0)), plan)
    maps: dict[str, _Maps] = {}
    for _, method in plan.working:
        with costs.stage(f"maps of {method.name}"):
            maps[method.name] = _explained(method, query.with_report(next(reports)), costs)
    scores = []
    curves = np.full((len(rows), len(plan.methods), THRESHOLDS), NO_CURVE, np.float16)
    others = {name: one.values for name, one in maps.items() if EXPLAINERS[name].family != "control"}
    for number, method in plan.working:
        with costs.stage(f"measures of {method.name}"):
            found = _Measured(method, maps[method.name], query, views, others, partial(_without, plan, rows))
            for column, measure in enumerate(plan.measures):
                numbers = found.numbers(measure, next(reports))
                scores += [(row, number, column, *one) for row, one in zip(rows, numbers, strict=True)]
            if plan.masked:
                curves[:, number] = found.curves()
    columns = ["image", "method", "measure", "value", "reason"]
    facts = {
        "passes": {name: [one.forward, one.backward] for name, one in costs.passes.items()},
        "seconds": costs.seconds,
    }
    tables = {"images": images, "scores": pd.DataFrame(scores, columns=columns).astype({"value": np.float64})}
    return Shard(tables, {"curves": curves} if plan.masked else {}, facts)


def _without(plan: ExamPlan, rows: range, row: int, parts: Collection[str]) -> Tensor:
    """One of these images without some of its parts."""
    return plan.images.without(rows[row], parts)


def _reports(report: Report, plan: ExamPlan) -> Iterator[Report]:
    """The parts of a report for the maps of each method, then for each of its measures, by their passes."""
    works = [(EXPLAINERS[one.name].title, plan.map_cost(one).weight) for _, one in plan.working]
    works += [
        (f"measures of {EXPLAINERS[one.name].title}", plan.measure_cost(one, measure).weight)
        for _, one in plan.working
        for measure in plan.measures
    ]
    ends = np.cumsum([0.0, *(1 + weight for _, weight in works)])
    for (note, _), low, high in zip(works, ends[:-1] / ends[-1], ends[1:] / ends[-1], strict=True):
        yield headed(subrange(report, low, high), note)


@torch.no_grad()
def _asked(plan: ExamPlan, rows: range, views: Views) -> tuple[Query, pd.DataFrame]:
    """The query about the images of a shard, with their predictions cached, and table `images` without folds."""
    model, images = plan.model, views.inputs
    labels = torch.tensor([plan.images.labels[row] for row in rows], device=images.device)
    query = Query(model, images, Classes(labels), seed=plan.config.seed, execution=Execution(plan.config.batch))
    logits = query.clean_logits()
    predicted = model.predicted(logits)
    own = (labels != UNKNOWN) & (plan.config.target == "label")
    targets = torch.where(own, labels, predicted)
    untagged = torch.full_like(predicted, -1)
    if views.untagged is not None:
        untagged = model.predicted(query.logits(views.untagged))
    probability = model.probabilities(logits).gather(1, predicted[:, None])[:, 0]
    columns = {"label": labels, "target": targets, "predicted": predicted, "probability": probability.cpu().double()}
    table = pd.DataFrame({
        "image": list(rows),
        "name": [plan.images.names[row] for row in rows],
        **{name: values.cpu().numpy() for name, values in (columns | {"untagged": untagged}).items()},
    })  # fmt: skip
    return query.with_targets(Classes(targets)), table


def _explained(method: ExamMethod, query: Query, costs: _Costs) -> _Maps:
    """The maps of a method, computed without what others cached: its passes and time are its own."""

    def run(span: range) -> Explanation:
        one = _part(query, span)
        fresh = one.fresh()
        fresh.remember(ForwardBackward(one.clean_logits(), {}, {}))
        found = explain(method.name, fresh, method.settings, halve=False)
        if not found.finished:
            raise Cancelled  # an unfinished map must not enter an exam
        costs.passes[method.name] = costs.passes.get(method.name, Passes()) + found.passes
        return found

    count = len(query.images)
    maps, reasons, offset = torch.zeros(count, *query.size), [""] * count, False
    for span, found in _tried(range(count), count, run):
        if isinstance(found, str):
            reasons[span.start] = found
        else:
            maps[span.start : span.stop] = found.maps
            offset = found.offset
    return _Maps(maps, reasons, offset)


def _part(query: Query, span: range) -> Query:
    """The query about some of its images."""
    return query if len(span) == len(query.images) else query.subset(slice(span.start, span.stop), query.report)


def _tried(rows: Sequence[int], count: int, run: Callable[[range], T]) -> Iterator[tuple[range, T | str]]:
    """What `run` gives for these rows: for all `count` images together, else for each alone.

    Where it fails, why, as a sentence: what one image does to a method or measure must not stop the others.
    """
    spans = [range(row, row + 1) for row in rows]
    if len(rows) == count > 1:
        try:
            yield range(count), run(range(count))
            return
        except VitrineError:
            pass  # some image is to blame
    for span in spans:
        try:
            yield span, run(span)
        except VitrineError as error:
            yield span, error.message


@dataclass(frozen=True)
class _Measured:
    """The maps of one method under the measures."""

    method: ExamMethod
    maps: _Maps
    query: Query
    views: Views
    others: Mapping[str, Tensor]
    without: Callable[[int, Collection[str]], Tensor]  # one of the images without some parts

    def numbers(self, measure: ExamMeasure, report: Report) -> list[tuple[float, str]]:
        """The number of each image, nan if it has none, and why it has none."""
        numbers = [(np.nan, reason) for reason in self.maps.reasons]
        for span, found in self._evaluated(measure.entry, measure.settings, measure.region, report):
            if isinstance(found, str):
                numbers[span.start] = np.nan, found
                continue
            assert not isinstance(found.result, Curve)  # as the plan says
            for row, one in zip(span, found.result, strict=True):
                numbers[row] = (np.nan, one.reason) if isinstance(one, Undefined) else (float(one), "")
        return numbers

    def curves(self) -> NDArray[np.float16]:
        """The IoU with the object's mask by threshold (B, T); NO_CURVE where there is none."""
        curves = np.full((len(self.maps.reasons), THRESHOLDS), NO_CURVE, np.float16)
        for span, found in self._evaluated("iou_curve", {"thresholds": THRESHOLDS}, OBJECT, silent):
            if isinstance(found, Measurement) and isinstance(found.result, Curve):
                for row, one in zip(span, found.result.y, strict=True):
                    if not isinstance(one, Undefined):
                        curves[row] = one
        return curves

    def _evaluated(
        self, name: str, settings: Mapping[str, Any], region: str, report: Report
    ) -> Iterator[tuple[range, Measurement | str]]:
        others = {other: maps for other, maps in self.others.items() if other != self.method.name}

        def explained(query: Query) -> Tensor:
            return explain(self.method.name, query, self.method.settings, halve=False).maps

        def run(span: range) -> Measurement:
            rows = slice(span.start, span.stop)
            mask = self.views.masks[region][rows] if region in self.views.masks else None
            evidence = Evidence(
                _part(self.query.with_report(report), span), self.maps.values[rows], mask,
                parts={part: masks[rows] for part, masks in self.views.parts.items()},
                without=(lambda row, parts: self.without(span.start + row, parts)) if self.views.parts else None,
                others={other: maps[rows] for other, maps in others.items()}, explain_again=explained,
                offset=self.maps.offset,
            )  # fmt: skip
            return evaluate(name, evidence, settings)

        yield from _tried(self.maps.usable, len(self.maps.reasons), run)
