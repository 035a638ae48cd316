"""Unfinished builds of exams, to be continued or deleted."""

from pathlib import Path

from core.exam.config import ExamConfig, validated
from core.serialization import load
from core.store import unfinished as stores

Unfinished = stores.Unfinished[ExamConfig]


def unfinished(folder: Path) -> list[Unfinished]:
    """The unfinished builds of exams directly inside a folder, by name."""
    return stores.unfinished(folder, lambda content: validated(load(ExamConfig, content)))
