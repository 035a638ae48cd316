"""What the tests of exams share: a small exam of flowers, and exams with given scores."""

import json

import numpy as np
import pandas as pd
import pytest

from core.exam import Exam
from core.exam.build import build_exam
from core.exam.config import ExamConfig
from core.exam.schema import EXAM
from core.serialization import dump
from core.store.writer import writing

SMALL = ExamConfig(variant="single-6c", methods=("saliency", "grad_cam"), images=12, folds=3)


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch):
    """These exams outlive no machine."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def exam(tmp_path_factory):
    return build_exam(SMALL, tmp_path_factory.mktemp("exams") / "small")


@pytest.fixture
def scored(tmp_path):
    """A function that writes an exam with given scores (N, M, K), nan where there is none, and folds (N,)."""

    def write(values, fold, better, families=()):
        images, methods, measures = np.shape(values)
        every = range(images), range(methods), range(measures)
        grid = np.stack(np.meshgrid(*every, indexing="ij"), -1).reshape(-1, 3)
        flat = np.asarray(values, float).reshape(-1)
        names = [f"m{number}" for number in range(methods)]
        tables = {
            "images": {
                "image": every[0], "name": [f"{number}.png" for number in every[0]], "fold": fold, "label": 0,
                "target": 0, "predicted": 0, "probability": 1.0, "untagged": -1,
            },
            "classes": {"label": [0], "name": ["only"]},
            "methods": {
                "method": every[1], "name": names, "title": names, "family": families or ["cam"] * methods,
                "settings": "{}", "forwards": 2 * images, "backwards": images, "reason": "",
            },
            "measures": {
                "measure": every[2], "name": [f"k{number}" for number in every[2]], "title": "K", "entry": "iou",
                "region": "object", "settings": "{}", "better": better, "unit": "",
            },
            "scores": {
                "image": grid[:, 0], "method": grid[:, 1], "measure": grid[:, 2], "value": flat,
                "reason": np.where(np.isnan(flat), "None.", ""),
            },
        }  # fmt: skip
        config = ExamConfig(variant="single-6c", images=images, folds=int(max(fold)) + 1)
        path = tmp_path / "scored"
        with writing(EXAM, path, {}) as draft:
            for name, columns in tables.items():
                draft.write_table(name, [pd.DataFrame(columns)])
            fields = {
                "config": dump(config), "versions": {}, "model": {"name": "m", "sha": ""},
                "data": {"folder": "", "fingerprint": ""},
            }  # fmt: skip
            seconds = {f"maps of {name}": 1.0 + number for number, name in enumerate(names)}
            draft.finish(fields, {"seconds": seconds, "finished": ""})
        return Exam(path)

    return write


@pytest.fixture
def changed(tmp_path, exam):
    """A function that copies the exam with its manifest changed."""

    def copy(change):
        path = tmp_path / "copy"
        path.mkdir()
        for file in exam.path.iterdir():
            (path / file.name).write_bytes(file.read_bytes())
        manifest = json.loads((path / "exam.json").read_text())
        change(manifest)
        (path / "exam.json").write_text(json.dumps(manifest))
        return path

    return copy
