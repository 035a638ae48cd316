"""Mutations that change nothing anybody can observe, each with the reason: `explained.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Explained:
    """One mutation of a line, found by the line's text, so that the line may move."""

    file: str  # from the root of the repository
    before: str  # the line, without its indentation
    after: str
    why: str


def explained() -> list[Explained]:
    """The list. A TypeError for an entry with other fields."""
    return [Explained(**entry) for entry in tomllib.loads(LIST.read_text("utf-8"))["mutation"]]
