"""Unfinished builds of studies, to be continued or deleted."""

from pathlib import Path

from core.serialization import load
from core.store import unfinished as stores
from core.study.config import StudyConfig, validated

Unfinished = stores.Unfinished[StudyConfig]


def unfinished(folder: Path) -> list[Unfinished]:
    """The unfinished builds of studies directly inside a folder, by name."""
    return stores.unfinished(folder, lambda content: validated(load(StudyConfig, content)))
