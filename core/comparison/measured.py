"""Measured pictures: the measures of all maps of a picture, and the file from which interrupted work is resumed."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.card import Passes
from core.comparison.assessment import Context, MeasureRequest, assess, measure_passes, needs_mask
from core.comparison.comparison import Tile
from core.data.masks import ObjectMask
from core.environment import limit
from core.errors import VitrineError
from core.explain import Explanation
from core.explain.target_name import TargetName
from core.files import atomic_write, read_json
from core.images import Picture
from core.measure import MEASURES, Curve, Measurement, Undefined
from core.params import finite
from core.progress import Report, headed, silent, subrange
from core.resources import version
from core.serialization import digest, dump
from core.workbench import Answer, Request, Workbench

_FORMAT = 1

Settings = Mapping[str, Mapping[str, Any]]  # by the name of their method or measure
Annotate = Callable[[TargetName], ObjectMask | Undefined]


@dataclass(frozen=True)
class Steps:
    """The curve of one map."""

    x_name: str
    x: tuple[float, ...]
    y_name: str
    y: tuple[float, ...]
    names: tuple[str, ...] = ()  # of the steps, if they have names


Result = float | Steps | Undefined


@dataclass(frozen=True)
class Plan:
    """What is measured of every picture, checked against the model."""

    targets: Sequence[str]  # "predicted", or as `target_name` reads them
    methods: Settings
    measures: Settings
    layers: Sequence[str] = ()  # where activations are read; none for the default
    seed: int = 0

    def requests(self, bench: Workbench, target: TargetName | None = None) -> list[Request]:
        """The requests for the maps of a target: methods that depend on the layer have one for each."""
        return bench.requests(self.methods, [target or TargetName((0,))], self.layers)

    def passes(self, bench: Workbench) -> Passes:
        """At most the passes that a picture needs: measures with the same settings share them."""
        requests = self.requests(bench)
        measures = [MeasureRequest(name, chosen) for name, chosen in self.measures.items()]
        of_measures = (measure_passes(bench, one, measure) for one in requests for measure in measures)
        return Passes(1) + sum(of_measures, bench.passes(requests)) * len(self.targets)


@dataclass(frozen=True)
class Row:
    """A measure of one map of a picture."""

    target: str  # as the plan has it
    explained: TargetName
    method: str
    layer: str  # "" for the default, and for a method that does not depend on it
    measure: str
    result: Result
    failed: bool = False  # the method or the measure raised an error, whose sentence is the reason


def measure_picture(
    bench: Workbench,
    picture: Picture,
    plan: Plan,
    annotate: Annotate,
    finished: dict[str, Result],
    *,
    report: Report = silent,
) -> list[Row]:
    """The rows of a picture in the order of the plan.

    `annotate` gives the object of a target, or why it is not known. Results in `finished`, which hold everything that
    determines them in their keys, are taken from there, and new ones are added to it.
    """
    rows = list[Row]()
    for number, text in enumerate(plan.targets):
        part = subrange(report, number / len(plan.targets), (number + 1) / len(plan.targets))
        target = bench.target(picture, text)
        rows += _OfTarget(bench, picture, plan, text, target, annotate(target)).rows(finished, part)
    return rows


@dataclass(frozen=True)
class _OfTarget:
    """The measures of the maps of a picture for one target."""

    bench: Workbench
    picture: Picture
    plan: Plan
    text: str  # as the plan has the target
    target: TargetName
    annotation: ObjectMask | Undefined

    @cached_property
    def requests(self) -> dict[str, Request]:
        """The requests by their key."""
        return {request.key: request for request in self.plan.requests(self.bench, self.target)}

    @cached_property
    def measures(self) -> dict[str, MeasureRequest]:
        """The measures by name."""
        return {name: MeasureRequest(name, chosen) for name, chosen in self.plan.measures.items()}

    @cached_property
    def marks(self) -> str:
        """A hash of the annotation, "" without one."""
        one = self.annotation
        if isinstance(one, Undefined):
            return ""
        return sha256(np.packbits(one.mask).tobytes() + one.boxes.tobytes()).hexdigest()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The keys of requests and the names of measures, in the order in which they share passes."""
        return [(key, measure) for key in self.requests for measure in self.measures]

    def rows(self, finished: dict[str, Result], report: Report) -> list[Row]:
        """The rows, taken from the finished results or added to them."""
        keys = {pair: self._key(*pair) for pair in self.pairs}
        results = {pair: finished[key] for pair, key in keys.items() if key in finished}
        if isinstance(self.annotation, Undefined):
            results |= {pair: self.annotation for pair in self.pairs if needs_mask(pair[1])}
        missing = [pair for pair in self.pairs if pair not in results]
        weights = {pair: 1 + self._passes(*pair).weight for pair in missing}
        needed = self._needed({key for key, _ in missing}, [measure for _, measure in missing])
        before = self.bench.passes(needed).weight if needed else 0.0
        total = before + sum(weights.values()) or 1.0
        answers = self._answers(needed, subrange(report, 0, before / total))
        failed = dict[tuple[str, str], Undefined]()
        for pair in missing:
            after = before + weights[pair]
            part = subrange(report, before / total, after / total)
            before = after
            try:
                results[pair] = self._result(*pair, answers, part)
            except VitrineError as error:
                failed[pair] = Undefined(str(error))
                continue
            if not _of_agreement(pair[1]) or not any(isinstance(one, VitrineError) for one in answers.values()):
                finished[keys[pair]] = results[pair]
        report(1.0, "")
        requests = [self.requests[key] for key, _ in self.pairs]
        return [
            Row(
                self.text, self.target, request.name, request.layer, pair[1],
                failed[pair] if pair in failed else results[pair], pair in failed,
            )
            for pair, request in zip(self.pairs, requests, strict=True)
        ]  # fmt: skip

    def _needed(self, keys: Set[str], measures: Sequence[str]) -> list[Request]:
        """The maps that these measures of these requests need; agreement needs all of them."""
        every = any(map(_of_agreement, measures))
        return [request for key, request in self.requests.items() if every or key in keys]

    def _answers(self, requests: Sequence[Request], report: Report) -> dict[str, Answer]:
        """The maps of these requests by their key."""
        answers: dict[str, Answer] = {}
        if requests:
            self.bench.compare(
                self.picture,
                requests,
                lambda request, answer: answers.update({request.key: answer}),
                seed=self.plan.seed,
                report=report,
            )
            report(1.0, "")  # a map that was cancelled is returned as it is: here cancelling goes on
        return answers

    def _result(self, key: str, measure: str, answers: Mapping[str, Answer], report: Report) -> Result:
        """A measure of a map. Raises the error of its method, and what `assess` raises."""
        answer = answers[key]
        if not isinstance(answer, Explanation):
            raise answer
        others = {name: one for name, one in answers.items() if name != key and isinstance(one, Explanation)}
        context = Context(others, None if isinstance(self.annotation, Undefined) else self.annotation)
        tile, request = Tile(self.picture, self.requests[key]), self.measures[measure]
        part = headed(report, f"{answer.name}: {MEASURES[measure].title}")
        return _of_one(assess(self.bench, tile, answer, request, context, report=part))

    def _passes(self, key: str, measure: str) -> Passes:
        return measure_passes(self.bench, self.requests[key], self.measures[measure])

    def _key(self, key: str, measure: str) -> str:
        """A key with everything that a result depends on."""
        model, request = self.bench.model, self.requests[key]
        marks = self.marks if needs_mask(measure) else ""
        others = sorted(self.requests) if _of_agreement(measure) else []
        where = [version(), torch.__version__, str(model.device), self.bench.precision, model.key, self.picture.key]
        what = [key, self.measures[measure].key, request.layer or model.survey.default, self.plan.seed]
        return digest([*where, *what, marks, others])


def _of_agreement(measure: str) -> bool:
    """Whether a measure compares a map with the others."""
    return MEASURES[measure].family == "agreement"


def _of_one(measurement: Measurement) -> Result:
    """The result of the only picture of a query."""
    result = measurement.result
    if not isinstance(result, Curve):
        number = result[0]
        return number if isinstance(number, Undefined) else float(number)
    row = result.y[0]
    if isinstance(row, Undefined):
        return row
    return Steps(result.x_name, tuple(result.x.tolist()), result.y_name, tuple(row.tolist()), result.steps)


def as_json(result: Result) -> dict[str, Any]:
    """A result as JSON: its value, its curve, or the reason why it has none."""
    if isinstance(result, float):
        return {"value": result}
    facts: dict[str, Any] = dump(result)
    return facts


@dataclass(frozen=True)
class Finished:
    """The results of finished pictures: a file for each in a folder, whole or absent, named by the picture."""

    folder: Path

    def read(self, picture: Picture) -> dict[str, Result]:
        """The results of a picture by their key; none if the file is missing or is not what was written."""
        try:
            content = read_json(self._path(picture), limit("text"))
            if content["version"] != _FORMAT:
                return {}
            return {key: _parsed(entry) for key, entry in content["results"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def write(self, picture: Picture, results: Mapping[str, Result]) -> None:
        """Write the results of a picture. Raises OSError."""
        content = {"version": _FORMAT, "results": {key: as_json(results[key]) for key in sorted(results)}}
        with atomic_write(self._path(picture)) as file:
            file.write((json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def _path(self, picture: Picture) -> Path:
        return self.folder / f"{picture.key}.json"


def _parsed(entry: Mapping[str, Any]) -> Result:
    """A result from its JSON form, which may have been edited; ValueError, LookupError or TypeError for any other."""
    if "value" in entry:
        return _numbers([entry["value"]])[0]
    if "reason" in entry:
        return Undefined(_text(entry["reason"]))
    x, y, names = _numbers(entry["x"]), _numbers(entry["y"]), tuple(map(_text, entry["names"]))
    if len(x) != len(y) or len(names) not in {0, len(x)}:
        raise ValueError("the steps of a curve differ in number")
    return Steps(_text(entry["x_name"]), x, _text(entry["y_name"]), y, names)


def _numbers(values: Sequence[object]) -> tuple[float, ...]:
    numbers = tuple(number for one in values if isinstance(one, float) and (number := finite(one)) is not None)
    if len(numbers) != len(values):
        raise ValueError("a number is missing")
    return numbers


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value
