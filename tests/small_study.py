"""A study of a few flowers, built once for all tests that look at studies."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from core.data import flowers
from core.files import file_sha256
from core.mining.averages import all_averages
from core.mining.rules import mine
from core.mining.transactions import Transactions
from core.store.npy import header
from core.study import Study
from core.study.build import build_study, config_of
from core.study.config import MiningConfig, PatchConfig, StudyConfig
from core.study.schema import STUDY

VARIANT, EACH = "double-12c", 5


def images(folder: Path) -> Path:
    """A folder of flowers with a sub-folder per class."""
    for label, name in enumerate(flowers.class_names(VARIANT)):
        (folder / name).mkdir(parents=True)
        for index in range(EACH):
            Image.fromarray(flowers.draw(VARIANT, label, index, seed=77).image).save(folder / name / f"{index}.png")
    return folder


def built(home: Path, name: str = "small") -> Study:
    """A study of these flowers among the user's own, in `home`/studies."""
    config = StudyConfig(
        model=f"flowers-{VARIANT}",
        data=str(images(home / "flowers")),
        patches=PatchConfig(count=3, draws=200),
        mining=MiningConfig(support=0.6),
        thumbnail=48,
    )
    return build_study(config, home / "studies" / name)


def edited(study: Study, path: Path, items: NDArray[np.int16] | None = None, **tables: pd.DataFrame) -> Study:
    """A copy of a study that says something else, for what no build can be relied on to give.

    `items` are the filters of its patches, from which its rules are mined again, `tables` whole tables of it.
    """
    shutil.copytree(study.path, path)
    arrays = {}
    if items is not None:
        transactions = Transactions(items, study.table("patches")["label"].to_numpy(np.int64))
        mined = mine(transactions, config_of(study).mining, study.labels, study.manifest.seed)
        responses = np.where(items >= 0, np.maximum(study.array("responses"), np.float32(1e-3)), np.float32(0))
        averages, parts = all_averages(mined, transactions, responses, study.array("crops"))
        arrays = {"items": items.astype(np.int32), "responses": responses, "averages": np.concatenate(list(parts))}
        tables = {name: getattr(mined, name) for name in ("itemsets", "rules", "shared", "nodes", "edges")} | tables
        tables = {"averages": averages} | tables
    manifest = json.loads((path / STUDY.file).read_text("utf-8"))
    for name, table in tables.items():
        file = path / f"{name}.parquet"
        table.to_parquet(file, index=False)
        manifest["files"][file.name] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        manifest["tables"][name]["rows"] = len(table)
    for name, array in arrays.items():
        content = header(array.shape, array.dtype) + array.tobytes()
        (path / f"{name}.npy").write_bytes(content)
        manifest["files"][f"{name}.npy"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest["arrays"][name] = {"shape": list(array.shape), "dtype": array.dtype.name}
    (path / STUDY.file).write_text(json.dumps(manifest), "utf-8")
    return Study(path)
