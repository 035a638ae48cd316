"""Conversion of the texts of a sheet into a table: kinds of columns, missing values, the target."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter, TooLarge, brief
from core.params import Knob
from core.registry import unknown
from core.tables.data.csv_file import MOST_CELLS, Sheet, counted
from core.tables.table import Column, Kind, Table

Guess = Literal["number", "category", "text"]
Texts = NDArray[np.object_]  # (n,) of str

LEAST_ROWS = 10
MOST_CATEGORIES = 50  # of a column whose kind is guessed
MOST_CLASSES = 10  # of a target of whole numbers that is guessed to be classes
GAP = "missing"  # the category of cells without a value
_GAPS = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "."))
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Choices:
    """What is predicted, and which guesses are corrected."""

    target: Annotated[str, Knob("Column that is predicted; empty for the last one.")] = ""
    numbers: Annotated[str, Knob("Columns that hold numbers, separated by commas.")] = ""
    categories: Annotated[str, Knob("Columns that hold categories, separated by commas.")] = ""
    omit: Annotated[str, Knob("Columns that are left out, separated by commas.")] = ""
    missing: Annotated[
        Literal["fill", "drop"],
        Knob("Cells without a value: numbers get the median and categories one of their own, or the row is left out.",
             names=("fill them", "leave out their rows")),
    ] = "fill"  # fmt: skip


def guesses(sheet: Sheet) -> dict[str, Guess]:
    """The kind that each column is guessed to have; features of the kind "text" are left out."""
    return {name: _guess(sheet.cells[:, number]) for number, name in enumerate(sheet.names)}


def table_of(sheet: Sheet, choices: Choices = Choices()) -> Table:
    """The table of a sheet; its notes say what was assumed, filled and left out.

    Rows without a target are left out, as are columns of texts that nearly all differ and columns of one value. Raises
    UnknownName for a column that does not exist, BadParameter for a target of one value, fewer than ten rows or no
    feature left, TooLarge for more values than fit into memory.
    """
    kinds, omitted = _chosen(sheet, choices)
    target = choices.target or next((name for name in reversed(sheet.names) if name not in omitted), "")
    if target not in sheet.names:
        raise unknown("column", target, sheet.names)
    notes = [*sheet.notes, *([] if choices.target else [f"The target is the last column, {brief(target, 60)}."])]
    answers = sheet.cells[:, sheet.names.index(target)]
    features = [(name, sheet.cells[:, number]) for number, name in enumerate(sheet.names)
                if name != target and name not in omitted]  # fmt: skip
    rows = _kept(answers, features if choices.missing == "drop" else [], kinds, notes)
    if len(rows) < LEAST_ROWS:
        message = f"{sheet.name} has {counted(len(rows), 'row')} to use, a model needs at least {LEAST_ROWS}."
        raise BadParameter(message, "Add rows; if it has more, choose another delimiter.")
    column, numbers = _target(answers[rows], target, kinds.get(target), notes)
    found = _features([(name, texts[rows]) for name, texts in features], kinds, notes)
    if not found:
        raise BadParameter(f"{sheet.name} has no feature with two different values.", "Choose other columns.")
    values = np.stack([values for _, values in found], axis=1)
    return Table(sheet.name, tuple(one for one, _ in found), values, column, numbers, tuple(notes))


def _chosen(sheet: Sheet, choices: Choices) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """The kinds of columns that were corrected, and the columns to leave out."""
    numbers, categories, omitted = (
        _columns(text, sheet.names) for text in (choices.numbers, choices.categories, choices.omit)
    )
    named = [*numbers, *categories, *omitted]
    for name in named:
        if named.count(name) > 1:
            raise BadParameter(f"The column {brief(name, 60)} is named twice.", "Give it one kind, or leave it out.")
    if choices.target in omitted:
        raise BadParameter(f"The target {brief(choices.target, 60)} is left out.", "Choose another target.")
    kinds: dict[str, Kind] = dict.fromkeys(numbers, "number")
    return kinds | dict.fromkeys(categories, "category"), omitted


def _kept(
    answers: Texts, complete: Sequence[tuple[str, Texts]], kinds: Mapping[str, Kind], notes: list[str]
) -> NDArray[np.int64]:
    """The rows that have a target, and a value of each feature that must be complete."""
    rows = ~_gaps(answers)
    if left_out := int((~rows).sum()):
        notes.append(f"Left out: {counted(left_out, 'row')} without a target.")
    before = rows.sum()
    for name, texts in complete:
        if kinds.get(name, _guess(texts)) != "text":
            rows &= ~_gaps(texts)
    if left_out := int(before - rows.sum()):
        notes.append(f"Left out: {counted(left_out, 'row')} with missing values.")
    return np.flatnonzero(rows)


def _columns(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns in a text with commas between them; a name with a comma stands in quotes."""
    words = next(csv.reader([text], skipinitialspace=True), [])
    found = tuple(filter(None, (name.strip() for name in words)))
    for name in found:
        if name not in names:
            raise unknown("column", name, names)
    return found


def _target(texts: Texts, name: str, kind: Kind | None, notes: list[str]) -> tuple[Column, NDArray[np.float64]]:
    shown, numbers, different = brief(name, 60), _numbers(texts), len(set(texts))
    every = bool(np.isfinite(numbers).all())
    few = every and different <= MOST_CLASSES and bool((numbers == np.round(numbers)).all())
    if different == 1 or (every and kind != "category" and np.ptp(numbers) == 0):
        raise BadParameter(f"The target {shown} has the same value in every row.", "Choose another column.")
    if kind == "number" and not every:
        wrong = brief(str(texts[~np.isfinite(numbers)][0]), 40)
        raise BadParameter(f"The target {shown} holds {wrong!r}, which is not a number.", "Take it as categories.")
    if kind is None and _guess(texts) == "text":
        message = f"The target {shown} has {different:,} different texts, too many for classes."
        raise BadParameter(message, "Choose another column, or say that it holds categories.")
    if kind is None and few:
        notes.append(f"The {different} whole numbers of {shown} were taken as classes.")
    if kind == "category" or (kind is None and (few or not every)):
        return _categories(texts, name)
    return Column(name), numbers


def _features(
    given: Sequence[tuple[str, Texts]], kinds: Mapping[str, Kind], notes: list[str]
) -> list[tuple[Column, NDArray[np.float64]]]:
    """The columns that can be used, with their values; notes say what was filled and which were left out."""
    found, encoded = list[tuple[Column, NDArray[np.float64]]](), 0
    for name, texts in given:
        shown, gaps, kind = brief(name, 60), _gaps(texts), kinds.get(name) or _guess(texts)
        different = len(set(texts[~gaps]))
        if different == 0:
            notes.append(f"{shown} was left out: it is empty.")
            continue
        if kind == "text":
            notes.append(f"{shown} was left out: {different:,} of its {(~gaps).sum():,} texts differ.")
            continue
        column, values = (_number if kind == "number" else _category)(texts, name, gaps, notes)
        if np.ptp(values) == 0:
            notes.append(f"{shown} was left out: all its values are the same.")
            continue
        encoded += max(1, len(column.categories))
        if encoded * len(values) > MOST_CELLS:
            message = f"With the categories of {shown} there are over {MOST_CELLS:,} values, too many for the memory."
            raise TooLarge(message, "Leave out columns with many categories.")
        found.append((column, values))
    return found


def _number(texts: Texts, name: str, gaps: NDArray[np.bool_], notes: list[str]) -> tuple[Column, NDArray[np.float64]]:
    shown, numbers = brief(name, 60), _numbers(texts)
    wrong = ~np.isfinite(numbers)
    if wrong.all():
        raise BadParameter(f"{shown} holds no numbers.", "Take it as categories, or leave it out.")
    if strange := int((wrong & ~gaps).sum()):
        notes.append(f"{shown} holds {counted(strange, 'cell')} without a number, which count as missing.")
    if wrong.any():
        median = float(np.median(numbers[~wrong]))
        notes.append(f"{counted(int(wrong.sum()), 'missing value')} of {shown} filled with the median, {median:g}.")
        numbers[wrong] = median
    return Column(name), numbers


def _category(texts: Texts, name: str, gaps: NDArray[np.bool_], notes: list[str]) -> tuple[Column, NDArray[np.float64]]:
    if gaps.any():
        own = GAP
        while own in texts:
            own = f"({own})"
        texts = np.where(gaps, own, texts)
        missing = counted(int(gaps.sum()), "missing value")
        notes.append(f"{missing} of {brief(name, 60)} made a category of their own.")
    return _categories(texts, name)


def _categories(texts: Texts, name: str) -> tuple[Column, NDArray[np.float64]]:
    """Categories in the order of numbers if all are, else of the alphabet."""
    labels = sorted(set(texts))
    numbers = _numbers(np.array(labels, object))
    if np.isfinite(numbers).all():
        labels = [labels[place] for place in np.argsort(numbers, kind="stable")]
    codes = {label: float(number) for number, label in enumerate(labels)}
    return Column(name, "category", tuple(labels)), np.array([codes[text] for text in texts])


def _guess(texts: Texts) -> Guess:
    present = texts[~_gaps(texts)]
    if np.isfinite(_numbers(present)).all():
        return "number"
    different = len(set(present))
    return "text" if different > min(MOST_CATEGORIES, 0.8 * len(present)) else "category"


def _gaps(texts: Texts) -> NDArray[np.bool_]:
    return np.array([text.lower() in _GAPS for text in texts], bool)


def _numbers(texts: Texts) -> NDArray[np.float64]:
    """The numbers in texts, with decimal commas if all are written so; nan for other texts and infinite numbers."""
    with suppress(ValueError):  # the fast way for wide tables, whose columns are mostly plain numbers
        numbers = texts.astype(np.float64)
        if np.isfinite(numbers).all() and not any("_" in text for text in texts):
            return numbers
    plain = [bool(_NUMBER.fullmatch(text)) for text in texts]
    if not all(plain) and all(_DECIMAL_COMMA.fullmatch(text) or text.lower() in _GAPS for text in texts):
        texts = np.array([text.replace(",", ".") for text in texts], object)
        plain = [bool(_NUMBER.fullmatch(text)) for text in texts]
    numbers = np.array([float(text) if one else np.nan for text, one in zip(texts, plain, strict=True)])
    return np.where(np.isfinite(numbers), numbers, np.nan)
