"""Building a stored analysis of units: shard by shard, continued after an interruption."""

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from numpy.typing import NDArray

from core.data.model_options import options_of
from core.engine import Engine, here, map_shards
from core.errors import TooLarge
from core.explain.run import is_memory
from core.models import load as load_model
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.network.receptive_field import receptive_fields
from core.progress import Report, silent, subrange
from core.resources import versions
from core.serialization import digest, dump
from core.store.facts import DataFacts, ModelFacts
from core.store.unfinished import note
from core.store.writer import Draft, Shard, writing
from core.study import relative_folder
from core.units.analysis import ANALYSES, SHARD, Analysis, Findings, Part, Parts, Subject, check_needs
from core.units.config import UnitsConfig, validated
from core.units.folder_images import FolderImages
from core.units.store import UnitStore, schema_of

_PACKAGES = ("torch", "numpy", "pillow", "pyarrow", "pandas")
CONTENT = 1  # changes with what a shard holds: builds interrupted before such a change begin again


@dataclass(frozen=True)
class UnitsPlan:
    """The checked plan of an analysis."""

    config: UnitsConfig  # with all settings and layers
    entry: Analysis
    subject: Subject
    images: FolderImages


def planned(
    config: UnitsConfig, model: Model | None = None, device: torch.device | str = "cpu", report: Report = silent
) -> UnitsPlan:
    """The plan of an analysis; raises the errors about settings, model, layers, images and masks before any work."""
    validated(config)
    entry = ANALYSES[config.analysis]
    model = model or load_model(config.model, device, options=options_of(config))
    settings = entry.chosen(config.settings, model)
    layers = config.layers or entry.layers(model)
    for name in layers:
        model.resolve_layer(name)
    concepts = "concepts" in entry.needs
    images = FolderImages(config.data, model, concepts=concepts, limit=config.images, report=report)
    subject = Subject(model, layers, images, config.seed, config.batch)
    check_needs(entry, subject)
    return UnitsPlan(replace(config, layers=layers, settings=settings), entry, subject, images)


def build_analysis(
    config: UnitsConfig,
    path: str | Path,
    *,
    model: Model | None = None,
    device: torch.device | str = "cpu",
    report: Report = silent,
    engine: Engine = here,
    plan: UnitsPlan | None = None,
) -> UnitStore:
    """Build the analysis, continue an interrupted build of it, or return it if it is complete.

    A `plan` saves making it again. Raises StoreError about the path or images that change meanwhile, TooLarge if a
    batch does not fit into memory, and what `planned` raises.
    """
    plan = plan or planned(config, model, device, subrange(report, 0.0, 0.05))
    schema = schema_of(plan.entry.name)
    with writing(schema, path, _identity(plan)) as draft:
        if not draft.finished:
            shards = plan.subject.shards * plan.entry.rounds
            note(draft, plan.config, len(plan.images.names), shards)
            rounds = _Rounds(draft, engine)
            subject = replace(plan.subject, mapper=rounds, report=subrange(report, 0.05, 0.98))
            findings = plan.entry.run(subject, **plan.config.settings)
            _write(draft, plan, findings)
            draft.finish(_manifest(draft, plan, findings), _log(draft, rounds.count), subrange(report, 0.98, 1.0))
            report(1.0, f"{schema.noun} finished")
    return UnitStore(path)


class _Rounds:
    """Runs the rounds of an analysis as consecutive shards of a draft."""

    def __init__(self, draft: Draft, engine: Engine) -> None:
        self.draft, self.engine, self.count = draft, engine, 0

    def __call__(self, part: Part, count: int, report: Report) -> Parts:
        first, self.count = self.count, self.count + count
        map_shards(_Round(part, first), self.count, self.draft, report, engine=self.engine)
        return _Stored(self.draft, first, count)


@dataclass(frozen=True)
class _Round:
    """The work of the shards of one round."""

    part: Part
    first: int

    def __call__(self, shard: int, report: Report) -> Shard:
        start = time.perf_counter()
        try:
            with RepeatedReport(report) as repeated:
                arrays = self.part(shard - self.first, repeated.report)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_memory(error):
                raise
            message = "The images of one batch do not fit into memory."
            raise TooLarge(message, "Use a smaller batch (--batch), or fewer layers.") from None
        return Shard({}, arrays, {"seconds": time.perf_counter() - start})


@dataclass(frozen=True)
class _Stored:
    """The results of one round, on disk."""

    draft: Draft
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def array(self, shard: int, name: str) -> NDArray[Any]:
        return self.draft.array_of(self.first + shard, name)


def _identity(plan: UnitsPlan) -> dict[str, Any]:
    """Everything that determines the bytes of the store, including the kind of device, as rounding differs."""
    model = plan.subject.model
    return {
        "config": dump(plan.config),
        "model": model.sha,
        "reading": digest([model.key, model.labels]),
        "device": model.device.type,
        "images": digest(plan.images.identity),
        "shard": [SHARD, CONTENT],
        "format": plan.entry.version,
        "versions": versions(*_PACKAGES),
    }


def _write(draft: Draft, plan: UnitsPlan, findings: Findings) -> None:
    """Write all tables and arrays of the store."""
    images, subject = plan.images, plan.subject
    example = torch.zeros(1, *subject.model.preprocess.shape, device=subject.model.device)
    fields = receptive_fields(subject.model.net, example, subject.layers)
    layers = []
    for number, facts in enumerate(subject.facts):
        rows, across = fields[facts.name].rows, fields[facts.name].columns
        size = (*facts.cells, rows.size, across.size, rows.jump, across.jump)
        layers.append((number, facts.name, facts.units, *size))
    columns = list(draft.schema.tables["layers"])
    draft.write_table(
        "images", [pd.DataFrame({"image": range(len(images.names)), "name": images.names, "label": images.labels})]
    )
    draft.write_table("layers", [pd.DataFrame(layers, columns=columns)])
    concepts = [(number, one.name, one.category) for number, one in enumerate(images.concepts)]
    draft.write_table("concepts", [pd.DataFrame(concepts, columns=["concept", "name", "category"])])
    for name in plan.entry.tables:
        draft.write_table(name, [findings.tables[name]])
    for name in (*plan.entry.arrays, *plan.entry.optional):
        draft.write_array(name, [findings.arrays[name]])


def _manifest(draft: Draft, plan: UnitsPlan, findings: Findings) -> dict[str, Any]:
    model, images = plan.subject.model, plan.images
    return {
        "config": dump(plan.config),
        "model": ModelFacts(model.name, model.sha, model.output, str(model.preprocess)),
        "data": DataFacts(
            folder=relative_folder(images.folder.base, draft.path),
            fingerprint=digest(images.identity),
            left_out=images.left_out,
        ),
        "notes": findings.notes,
        "versions": versions(*_PACKAGES),
    }


def _log(draft: Draft, shards: int) -> dict[str, Any]:
    """Seconds of all shards, those of interrupted builds included."""
    seconds: Counter[str] = Counter()
    for facts in draft.facts(shards):
        seconds.update(shards=facts["seconds"])
    return {"seconds": dict(seconds), "finished": time.strftime("%Y-%m-%d %H:%M:%S")}
