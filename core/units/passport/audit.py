"""Audit sheets: which units a person expects a class to depend on, stored in the user's own database."""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Literal, get_args

import pandas as pd

from core.errors import BadParameter, printable
from core.store.database import user_database

Verdict = Literal["expected", "unexpected", "unclear"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
LONGEST = 2000  # characters of a note


@dataclass(frozen=True)
class Mark:
    """What a person says of a unit that a class depends on, or may depend on."""

    label: int  # index of the class
    layer: str
    unit: int
    verdict: Verdict
    note: str = ""


class AuditSheet:
    """The marks of one model, one per class and unit; any number of sessions and processes may change them."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder  # the user's own
        self.model = model  # hash of the weights

    def marks(self) -> tuple[Mark, ...]:
        """All marks by class, layer and unit. Raises Unavailable if they cannot be read."""
        with user_database(self.folder).reading() as connection:
            return () if connection is None else self._stored(connection)

    def set(self, mark: Mark) -> None:
        """Store a mark in place of an earlier one. Raises BadParameter, and Unavailable if it cannot be stored."""
        if mark.verdict not in VERDICTS:
            raise BadParameter(f"A mark cannot be {short(mark.verdict)}.", f"Choose one of {', '.join(VERDICTS)}.")
        if len(mark.note) > LONGEST or mark.note != printable(mark.note):
            message = f"A note cannot be {short(mark.note)}."
            raise BadParameter(message, f"Use at most {LONGEST:,} characters that can be printed.")
        with user_database(self.folder).writing() as connection:
            self._stored(connection)  # raises if there is something else
            row = (self.model, *astuple(mark))
            connection.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?)", row)

    def remove(self, label: int, layer: str, unit: int) -> None:
        """Remove the mark of a class and unit, if there is one. Raises Unavailable."""
        with user_database(self.folder).writing() as connection:
            query = "DELETE FROM marks WHERE model = ? AND label = ? AND layer = ? AND unit = ?"
            connection.execute(query, (self.model, label, layer, unit))

    def table(self, labels: Sequence[str]) -> pd.DataFrame:
        """The sheet for export: model, class, layer, unit, mark, note; `labels` are the names of the classes."""
        rows = [
            (self.model, labels[one.label], one.layer, one.unit, one.verdict, one.note)
            for one in self.marks()
            if one.label < len(labels)
        ]
        return pd.DataFrame(rows, columns=["model", "class", "layer", "unit", "mark", "note"])

    def _stored(self, connection: sqlite3.Connection) -> tuple[Mark, ...]:
        query = "SELECT label, layer, unit, verdict, note FROM marks WHERE model = ? ORDER BY label, layer, unit"
        rows = connection.execute(query, (self.model,)).fetchall()
        if not all(_is_mark(*row) for row in rows):
            raise user_database(self.folder).damaged()
        return tuple(Mark(*row) for row in rows)


def _is_mark(label: object, layer: object, unit: object, verdict: object, note: object) -> bool:
    """Whether these are what `Mark` holds."""
    numbers = all(type(number) is int and 0 <= number < 2**53 for number in (label, unit))
    texts = type(layer) is str and type(note) is str and len(note) <= LONGEST
    return numbers and texts and verdict in VERDICTS
