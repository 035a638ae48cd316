"""Building a study: the method of Meynen et al. 2023, shard by shard, from one configuration."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.card import Passes
from core.data.image_folder import ImageFolder, contents, image_folder
from core.data.model_options import options_of
from core.engine import Engine, here, map_shards
from core.errors import StudyError, Unavailable, printable
from core.explain import EXPLAINERS
from core.mining.averages import all_averages
from core.mining.rules import Mined, mine
from core.mining.transactions import Transactions, standardised, strongest
from core.models import Model
from core.models import load as load_model
from core.models.name import parsed
from core.progress import Report, silent, subrange
from core.resources import versions
from core.serialization import digest, dump
from core.store.unfinished import note
from core.store.writer import Draft, Shard, writing
from core.study import Study, relative_folder
from core.study.config import StudyConfig, validated
from core.study.paths import recorded
from core.study.plan import SHARD, StudyPlan
from core.study.schema import FORMAT, STUDY, DataFacts, ModelFacts, PassCounts
from core.study.shard import CONTENT, shard_of

T = TypeVar("T")
_LABELS = 3  # of an image with several: fewer than 2 in PASCAL VOC, 3.5 in COCO (Lin et al. 2014)


def config_of(study: Study) -> StudyConfig:
    """The configuration a study was built with."""
    return study.manifest.settings


def planned(config: StudyConfig, model: Model | None = None, device: torch.device | str = "cpu") -> StudyPlan:
    """The plan of a build: model, images, layer, window; raises their errors before work starts."""
    validated(config)
    model = model or load_model(config.model, device, options=options_of(config))
    return plan_of(config, model, _named(image_folder(config.data, model.labels, config.limit)))


def plan_of(config: StudyConfig, model: Model, folder: ImageFolder) -> StudyPlan:
    """The plan of a configuration for these images. Raises as `StudyPlan.of`."""
    return StudyPlan.of(
        model,
        folder,
        layer=config.layer,
        explainer=config.explainer,
        settings=config.settings,
        patches=config.patches,
        transactions=config.transactions,
        seed=config.seed,
        thumbnail=config.thumbnail,
        batch=config.batch,
        window=config.value_window(),
    )


def _named(folder: ImageFolder) -> ImageFolder:
    """The same folder without images whose names are no texts, as tables could not hold them; they are counted."""
    pairs = [(path, label) for path, label in zip(folder.paths, folder.labels, strict=True) if _is_text(path)]
    unmatched = {printable(name): reason for name, reason in folder.unmatched.items()}
    if len(pairs) == len(folder):
        return replace(folder, unmatched=unmatched)
    if not pairs:
        message = f"No image in {folder.root} has a name in UTF-8."
        raise Unavailable(message, "Rename the images.")
    skipped = {**folder.skipped, "pictures whose names are not UTF-8": len(folder) - len(pairs)}
    paths, labels = zip(*pairs, strict=True)
    return replace(folder, paths=paths, labels=labels, skipped=skipped, unmatched=unmatched)


def _is_text(name: str) -> bool:
    return name == name.encode("utf-8", "replace").decode()


def expected_passes(config: StudyConfig, images: int, model: Model) -> Passes:
    """The approximate passes of a build: for each image its heatmap, and three for masked windows.

    Of several labels every predicted one has a heatmap and masked windows of its own, and one forward finds them; their
    number is that of usual images, as it is not known before.
    """
    method = EXPLAINERS[config.explainer]
    heatmap = method.passes(method.chosen(config.settings), min(model.preprocess.size))
    one = heatmap + Passes(forward=min(config.patches.count, 3))
    if model.output != "multilabel" or config.patches.target == "label":
        return one * images
    return (Passes(forward=1) + one * min(len(model.labels), _LABELS)) * images


def build_study(
    config: StudyConfig,
    path: str | Path,
    *,
    model: Model | None = None,
    device: torch.device | str = "cpu",
    report: Report = silent,
    engine: Engine = here,
) -> Study:
    """Build the study, continue an interrupted build of it, or return it if it is complete.

    A build that fails because of too many rules continues from the same shards with other mining settings. Raises
    StudyError about the path or images that change meanwhile, and what `planned` raises about model, images and
    settings.
    """
    plan = planned(config, model, device)
    count = plan.shards
    shas = contents(plan.folder.root, plan.folder.paths, subrange(report, 0.0, 0.02))
    with writing(STUDY, path, _identity(config, plan, shas), _last(config)) as draft:
        if draft.finished:
            return Study(path)
        note(draft, config, len(plan.folder.paths), count)
        map_shards(_Images(plan, shas), count, draft, subrange(report, 0.02, 0.9), engine=engine)
        with _timed() as took:
            _join(draft, plan, count, subrange(report, 0.9, 0.93))
            mined = _mine(draft, plan, config, subrange(report, 0.93, 0.96))
            _averages(draft, mined, subrange(report, 0.96, 0.98))
        log = _log(draft, config, count, took["seconds"])
        draft.finish(_manifest(draft, config, plan, count), log, subrange(report, 0.98, 1.0))
    report(1.0, "study finished")
    return Study(path)


def _identity(config: StudyConfig, plan: StudyPlan, shas: Sequence[str]) -> dict[str, Any]:
    """Everything that determines the bytes of the shards, including the kind of device, as rounding differs.

    Images are identified by their content and labels by their names. Reading all images takes seconds, passes take
    hours.
    """
    settings, method = dump(config), EXPLAINERS[plan.explainer]
    del settings["mining"]
    stored = method.stored_read(plan.model, method.chosen(plan.settings))
    return {
        "config": settings,
        "model": plan.model.sha,
        "labels": digest(plan.model.labels),
        "reading": digest([plan.model.key, plan.model.threshold]),
        "device": plan.model.device.type,
        "images": digest([plan.folder.paths, shas]),
        "shard": [SHARD, CONTENT],
        "format": FORMAT,
        "versions": versions("torch", "numpy", "pillow", "pyarrow"),
        **({"stored": stored} if stored else {}),
    }


def _last(config: StudyConfig) -> dict[str, Any]:
    """What else determines the bytes of the study."""
    return {"mining": dump(config.mining), "versions": versions("pyfim", "networkx")}


@dataclass(frozen=True)
class _Images:
    """The work of the shards; StudyError if an image no longer has its hash."""

    plan: StudyPlan
    shas: Sequence[str]

    def __call__(self, shard: int, report: Report) -> Shard:
        result = shard_of(self.plan, self.plan.span(shard), report)
        images = result.tables["images"]
        for number, path, sha in zip(images["image"], images["path"], images["sha"], strict=True):
            if (sha or contents(self.plan.folder.root, [path])[0])[:16] != self.shas[number][:16]:
                # shards of old and new images must not be mixed
                raise StudyError(f"{path} changed while the study was being built.", "Build it again.")
        return result


def _join(draft: Draft, plan: StudyPlan, count: int, report: Report) -> None:
    """Write the shards as tables and arrays of the whole study."""
    config = plan.transactions
    plain = (
        "thumbnails",
        "maps",
        "crops",
        *plan.optional,
        *(() if config.ranking == "zscore" else ("items", "responses")),
    )
    steps = len(plain) + 5

    def reported(parts: Iterable[T], step: int) -> Iterator[T]:
        """The same parts, with a report after each."""
        for done, one in enumerate(parts):
            report((step + done / count) / steps, "joining")
            yield one

    draft.write_table("images", reported(draft.tables("images", count), 0))
    draft.write_table("windows", reported(draft.tables("windows", count), 1))
    for step, name in enumerate(plain, 2):
        draft.write_array(name, reported(draft.arrays(name, count), step))
    if config.ranking == "zscore":
        spread = _spread(_moments(draft, count))
        for column, name in enumerate(("items", "responses")):
            full = reported(draft.arrays("full", count), steps - 3 + column)
            draft.write_array(
                name, (strongest(one, standardised(one, *spread), config.filters)[column] for one in full)
            )
    draft.write_table("patches", reported(_with_items(draft, count), steps - 1))
    draft.write_table("classes", [_classes(draft, plan, count)])


def _moments(draft: Draft, count: int) -> NDArray[np.float64]:
    """Count, sum, sum of squares and maximum of each filter's responses over all patches, (4, D)."""
    every = np.concatenate(list(draft.arrays("moments", count)))
    return np.concatenate([every[:, :3].sum(0), every[:, 3:].max(0)])


def _spread(moments: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each filter's responses from counts, sums and sums of squares."""
    n = np.maximum(moments[0], 1)
    mean = moments[1] / n
    return mean, np.sqrt(np.maximum(moments[2] / n - mean**2, 0))


def _with_items(draft: Draft, count: int) -> Iterator[pd.DataFrame]:
    """Table `patches` with the columns that come from the transactions."""
    items, responses, start = draft.array("items"), draft.array("responses"), 0
    for frame in draft.tables("patches", count):
        stop = start + len(frame)
        strongest_first = responses[start:stop, 0]
        yield frame.assign(filters=(items[start:stop] >= 0).sum(1), response=strongest_first)
        start = stop


def _classes(draft: Draft, plan: StudyPlan, count: int) -> pd.DataFrame:
    images, patches = draft.table("images"), draft.table("patches")
    names, every = plan.model.labels, range(len(plan.model.labels))

    def counted(values: "pd.Series[Any]") -> NDArray[np.int64]:
        return np.asarray(values.value_counts().reindex(every, fill_value=0), np.int64)

    readable = images[images["problem"] == ""]
    correct = readable[readable["label"] == readable["predicted"]]
    return pd.DataFrame({
        "label": np.arange(len(names)),
        "name": list(names),
        "images": counted(readable["label"]),
        "predicted": np.concatenate(list(draft.arrays("predicted", count))).sum(0),
        "correct": counted(correct["label"]),
        "patches": counted(patches["label"]),
    })  # fmt: skip


def _mine(draft: Draft, plan: StudyPlan, config: StudyConfig, report: Report) -> Mined:
    """Rules of the joined transactions, written as tables."""
    report(0.0, "mining rules")
    transactions = _transactions(draft)
    mined = mine(transactions, config.mining, plan.model.labels, config.seed, report=report)
    for name in ("itemsets", "rules", "shared", "nodes", "edges"):
        draft.write_table(name, [getattr(mined, name)])
    moments = _moments(draft, plan.shards)
    mean, deviation = _spread(moments)
    filters = np.arange(moments.shape[1])
    held = np.bincount(transactions.items[transactions.items >= 0], minlength=len(filters))
    tied = mined.edges.groupby("filter")
    rules = mined.rules["filters"].explode().value_counts()
    draft.write_table("filters", [
        pd.DataFrame({
            "filter": filters,
            "patches": held,
            "classes": tied.size().reindex(filters, fill_value=0).to_numpy(np.int64),
            "rules": rules.reindex(filters, fill_value=0).to_numpy(np.int64),
            "mean": mean,
            "deviation": deviation,
            "largest": moments[3],
        })
    ])  # fmt: skip
    return mined


def _transactions(draft: Draft) -> Transactions:
    return Transactions(np.asarray(draft.array("items")), draft.table("patches")["label"].to_numpy(np.int64))


def _averages(draft: Draft, mined: Mined, report: Report) -> None:
    responses, crops = draft.array("responses"), draft.array("crops")
    table, parts = all_averages(mined, _transactions(draft), responses, crops, report)
    draft.write_table("averages", [table])
    draft.write_array("averages", parts)


def _manifest(draft: Draft, config: StudyConfig, plan: StudyPlan, count: int) -> dict[str, Any]:
    images = draft.table("images")
    facts = draft.facts(count)
    model, layer = plan.model, plan.model.survey.layer(plan.layer)
    return {
        "config": dump(config),
        "seed": config.seed,
        "model": ModelFacts(
            name=model.name,
            sha=model.sha,
            layer=plan.layer,
            filters=layer.units if layer else 0,
            cells=tuple(layer.cells) if layer else (),
            size=model.preprocess.size[0],
            width=0 if isinstance(model.preprocess.crop, int) else model.preprocess.size[1],
            head=model.survey.head if plan.layer == model.survey.default else "",
            output=model.output,
            threshold=model.threshold,
            preparation=str(model.preprocess),
        ),
        "data": DataFacts(
            folder=relative_folder(plan.folder.root, draft.path),
            images=len(images),
            skipped=int((images["problem"] != "").sum()),
            labelled=int((images["label"] >= 0).sum()),
            unmatched=tuple(plan.folder.unmatched),
            left_out=plan.folder.skipped,
            fingerprint=digest(images["sha"].tolist()),
        ),
        "window": plan.side,
        "passes": PassCounts(*(sum(one[key] for one in facts) for key in ("forwards", "backwards", "perturbed"))),
        "versions": versions("torch", "numpy", "pillow", "pyarrow", "pyfim", "networkx"),
    }


def _log(draft: Draft, config: StudyConfig, count: int, finishing: float) -> dict[str, Any]:
    """Seconds of every stage, those of interrupted builds included, and where weights, labels and images are."""
    seconds: dict[str, float] = {}
    for one in draft.facts(count):
        for stage, took in one["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + took
    paths = recorded({"model": parsed(config.model).path, "labels": config.labels, "data": config.data}, draft.path)
    return {
        "seconds": {**seconds, "joining and mining": finishing},
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        "paths": {name: some for name, some in paths.items() if all(map(_is_text, some))},
    }


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    took: dict[str, float] = {}
    start = time.perf_counter()
    yield took
    took["seconds"] = time.perf_counter() - start
