"""Studies with little in them, for tests of the store."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from core.store.manifest import Misfit
from core.store.schema import Values
from core.store.writer import writing
from core.study import Study
from core.study.schema import STUDY, StudyManifest

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = STUDY.file


@dataclass(frozen=True, kw_only=True)
class SmallManifest(StudyManifest):
    """A manifest that says nothing about its tables and arrays."""

    def __post_init__(self):
        if not isinstance(self.config.get("data"), str):
            raise Misfit("config.data")


# Studies with little in them: their tables may have any columns, their arrays are all of two kinds.
SMALL = replace(
    STUDY,
    manifest=SmallManifest,
    tables={name: {} for name in STUDY.tables},
    arrays={**dict.fromkeys(STUDY.arrays, Values("int32")), "crops": Values("uint8")},
    counts=lambda manifest: {},
    check=lambda store, tables: None,
)
MANIFESTED = {
    "config": {"model": "m", "data": ".", "explainer": "grad_cam"},
    "seed": 0,
    "model": {"name": "m", "sha": "", "layer": "l", "filters": 1, "cells": [1, 1], "size": 8, "head": ""},
    "data": {"folder": ".", "images": 6, "skipped": 0, "labelled": 0, "strange": []},
    "window": 2,
    "passes": {"forwards": 1, "backwards": 1, "perturbed": 1},
}


def shard(number):
    frame = pd.DataFrame({"image": [2 * number, 2 * number + 1], "path": ["a.png", "b.png"], "problem": ""})
    return {"images": frame}, {"crops": np.full((2, 3), number, np.uint8)}, {"forwards": number}


def write(path, identity=None, shards=3):
    with writing(SMALL, path, identity or {"a": 1}) as draft:
        if not draft.finished:
            for number in draft.missing(shards):
                draft.keep(number, *shard(number))
            draft.write_table("images", draft.tables("images", shards))
            draft.write_table("classes", [pd.DataFrame({"label": [0], "name": ["rose"]})])
            draft.write_array("crops", draft.arrays("crops", shards))
            for name in [name for name in STUDY.tables if name not in {"images", "classes"}]:
                draft.write_table(name, [pd.DataFrame({"number": [1, 2]})])
            for name in [name for name in STUDY.arrays if name != "crops"]:
                draft.write_array(name, [np.zeros((2, 2), np.int32)])
            log = {"seconds": {}, "finished": ""}
            assert [facts["forwards"] for facts in draft.facts(shards)] == list(range(shards))
            draft.finish(MANIFESTED, log)
    return Study(path)


def interrupted(path, identity, *shards):
    """A writing that ends in the middle, after some shards."""
    with writing(SMALL, path, identity) as draft:
        for number in shards:
            draft.keep(number, *shard(number))
        raise InterruptedError


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "build.json"}
