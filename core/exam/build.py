"""Building an exam: every method on every image, shard by shard, from one configuration."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from core.card import Passes
from core.engine import Engine, here, map_shards
from core.exam import Exam
from core.exam.config import ExamConfig
from core.exam.plan import SHARD, ExamPlan, folds, planned
from core.exam.schema import EXAM, FORMAT
from core.exam.shard import CONTENT, shard_of
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.models import Model
from core.progress import Report, silent, subrange
from core.resources import versions
from core.serialization import digest, dump
from core.store.facts import DataFacts, ModelFacts
from core.store.unfinished import note
from core.store.writer import Draft, Shard, writing
from core.study import relative_folder

_PACKAGES = ("torch", "numpy", "pillow", "pyarrow", "scipy", "scikit-image")


def build_exam(
    config: ExamConfig,
    path: str | Path,
    *,
    model: Model | None = None,
    device: torch.device | str = "cpu",
    report: Report = silent,
    engine: Engine = here,
    plan: ExamPlan | None = None,
) -> Exam:
    """Build the exam, continue an interrupted build of it, or return it if it is complete.

    A `plan` saves making it again. Raises StoreError about the path or images that change meanwhile, and what `planned`
    raises about model, images, masks and settings.
    """
    plan = plan or planned(config, model, device, subrange(report, 0.0, 0.02))
    with writing(EXAM, path, _identity(plan), {"folds": config.folds}) as draft:
        if not draft.finished:
            note(draft, plan.config, len(plan.images.names), plan.shards)
            map_shards(_Shards(plan), plan.shards, draft, subrange(report, 0.02, 0.99), engine=engine)
            _join(draft, plan)
            draft.finish(_manifest(draft, plan), _log(draft, plan), subrange(report, 0.99, 1.0))
            report(1.0, "exam finished")
    return Exam(path)


class _Shards:
    """The work of the shards."""

    def __init__(self, plan: ExamPlan) -> None:
        self.plan = plan

    def __call__(self, shard: int, report: Report) -> Shard:
        return shard_of(self.plan, self.plan.rows(shard), report)


def _identity(plan: ExamPlan) -> dict[str, Any]:
    """Everything that determines the bytes of the shards, including the kind of device, as rounding differs.

    Images are identified by their content and labels by their names. Folds are only formed when the shards are joined.
    """
    config = dump(plan.config)
    del config["folds"]
    read = {one.name: EXPLAINERS[one.name].stored_read(plan.model, one.settings) for _, one in plan.working}
    stored = {name: content for name, content in read.items() if content}
    return {
        "config": config,
        "model": plan.model.sha,
        "labels": digest(plan.model.labels),
        "reading": digest([plan.model.key, plan.model.threshold]),
        "device": plan.model.device.type,
        "images": digest(plan.images.identity),
        "methods": [[one.name, dump(one.settings), one.reason] for one in plan.methods],
        "measures": [[one.name, dump(one.settings)] for one in plan.measures],
        "shard": [SHARD, CONTENT],
        "format": FORMAT,
        "versions": versions(*_PACKAGES),
        **({"stored": stored} if stored else {}),
    }


def _join(draft: Draft, plan: ExamPlan) -> None:
    """Write the shards as tables and arrays of the whole exam."""
    count = plan.shards
    images = pd.concat(draft.tables("images", count), ignore_index=True)
    images.insert(2, "fold", folds(images["label"].tolist(), plan.config.folds))
    draft.write_table("images", [images])
    draft.write_table("classes", [pd.DataFrame({"label": range(len(plan.model.labels)), "name": plan.model.labels})])
    draft.write_table("methods", [_methods(draft, plan)])
    draft.write_table("measures", [_measures(plan)])
    draft.write_table("scores", draft.tables("scores", count))
    if plan.masked:
        draft.write_array("curves", draft.arrays("curves", count))


def _methods(draft: Draft, plan: ExamPlan) -> pd.DataFrame:
    passes: dict[str, Passes] = {}
    for facts in draft.facts(plan.shards):
        for name, counts in facts["passes"].items():
            passes[name] = passes.get(name, Passes()) + Passes(*counts)
    records = [
        {
            "method": number,
            "name": one.name,
            "title": EXPLAINERS[one.name].title,
            "family": EXPLAINERS[one.name].family,
            "settings": json.dumps(dump(one.settings)),
            "forwards": int(passes.get(one.name, Passes()).forward),
            "backwards": int(passes.get(one.name, Passes()).backward),
            "reason": one.reason,
        }
        for number, one in enumerate(plan.methods)
    ]
    return pd.DataFrame(records)


def _measures(plan: ExamPlan) -> pd.DataFrame:
    records = [
        {
            "measure": number,
            "name": one.name,
            "title": one.title,
            "entry": one.entry,
            "region": one.region,
            "settings": json.dumps(dump(one.settings)),
            "better": MEASURES[one.entry].better,
            "unit": MEASURES[one.entry].unit,
        }
        for number, one in enumerate(plan.measures)
    ]
    return pd.DataFrame(records)


def _manifest(draft: Draft, plan: ExamPlan) -> dict[str, Any]:
    images = plan.images
    return {
        "config": dump(plan.config),
        "model": ModelFacts(
            name=plan.model.name,
            sha=plan.model.sha,
            output=plan.model.output,
            preparation=str(plan.model.preprocess),
        ),
        "data": DataFacts(
            folder=relative_folder(images.folder, draft.path) if plan.config.data else "",
            fingerprint=digest(images.identity),
            left_out=images.left_out,
        ),
        "versions": versions(*_PACKAGES),
    }


def _log(draft: Draft, plan: ExamPlan) -> dict[str, Any]:
    """Seconds of every stage, those of interrupted builds included."""
    seconds: Counter[str] = Counter()
    for facts in draft.facts(plan.shards):
        seconds.update(facts["seconds"])
    return {"seconds": dict(seconds), "finished": time.strftime("%Y-%m-%d %H:%M:%S")}
