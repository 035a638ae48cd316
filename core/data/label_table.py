"""Tables of labels beside images: a CSV file with a column of file names and one of classes."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.environment import limit
from core.errors import Unavailable
from core.files import read_bytes
from core.registry import unknown

_FILES = {
    "file",
    "filename",
    "image",
    "imagename",
    "imageid",
    "img",
    "imgname",
    "path",
    "filepath",
    "imagepath",
    "id",
    "name",
}
_LABELS = {"label", "labels", "class", "classname", "target", "category", "species", "breed", "y", "diagnosis"}
_ENDINGS = {".csv", ".tsv", ".txt"}


@dataclass(frozen=True)
class LabelTable:
    """The classes of images by a table."""

    name: str  # of its file
    labels: tuple[str, ...]  # for each image, "" where the table has none
    missing: int  # rows that name no image


def label_table(folders: Sequence[Path], paths: Sequence[str]) -> LabelTable | None:
    """The table in these folders that labels most of the images at these relative paths; None if there is none."""
    files = dict.fromkeys(
        file
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
    )
    tables = [table for file in files if (table := _read(file, paths))]
    return max(tables, key=lambda table: sum(map(bool, table.labels)), default=None)


def table_column(file: Path, column: str, paths: Sequence[str]) -> tuple[str, ...]:
    """The value in one column of a table for each image at these relative paths, "" where it has none.

    The table has a header and a column of file names. Raises Unavailable for a file that cannot be read or names none
    of the images, UnknownName for a column that it lacks.
    """
    try:
        rows = _rows(file)
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a table"
        raise Unavailable(f"{file.name} cannot be read ({reason}).", "Give a CSV file with a header.") from None
    header = [cell.strip() for cell in rows[0]] if rows else []
    if column not in header:
        raise unknown(f"column of {file.name}", column, header)
    number = header.index(column)
    name = next((index for index, head in enumerate(_heads(header)) if head in _FILES and index != number), None)
    values, names = [""] * len(paths), _names(paths)
    for row in rows[1:] if name is not None else []:
        if name is not None and len(row) > max(name, number) and (index := _index(row[name], names)) is not None:
            values[index] = row[number].strip()
    if not any(values):
        message = f"{file.name} names none of the images."
        raise Unavailable(message, "Give it a column `file` with their paths in the folder.")
    return tuple(values)


def _read(file: Path, paths: Sequence[str]) -> LabelTable | None:
    """The labels of one file; None if it cannot be read as such a table, or names none of the images."""
    try:
        rows = _rows(file)
    except (OSError, ValueError, csv.Error):
        return None
    columns = _columns(rows)
    if columns is None:
        return None
    name, label, start = columns
    names = _names(paths)
    labels, missing = [""] * len(paths), 0
    for row in rows[start:]:
        if len(row) <= max(name, label):
            continue
        index = _index(row[name], names)
        if index is None:
            missing += 1
        else:
            labels[index] = row[label].strip()
    return LabelTable(file.name, tuple(labels), missing) if any(labels) else None


def _rows(file: Path) -> list[list[str]]:
    """The rows of a table that are not empty. Raises OSError, ValueError and errors of csv."""
    text = _text(read_bytes(file, limit("text")))
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)) if any(row)]


def _text(content: bytes) -> str:
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _delimiter(text: str) -> str:
    """The separator that is most frequent in the first line."""
    first = text.lstrip().partition("\n")[0]
    return max(",;\t|", key=first.count) if any(one in first for one in ",;\t|") else " "


def _columns(rows: Sequence[Sequence[str]]) -> tuple[int, int, int] | None:
    """The columns of file names and labels, and the first row after the header; two columns need no header."""
    if not rows:
        return None
    heads = _heads(rows[0])
    name = next((index for index, head in enumerate(heads) if head in _FILES), None)
    label = next((index for index, head in enumerate(heads) if head in _LABELS and index != name), None)
    if name is not None and label is not None:
        return name, label, 1
    if len(heads) == 2:
        return (0, 1, 1) if name == 0 else (1, 0, 1) if name == 1 else (0, 1, 0)
    return None


def _heads(header: Sequence[str]) -> list[str]:
    """The letters and digits of each heading."""
    return ["".join(letter for letter in cell.casefold() if letter.isalnum()) for cell in header]


def _names(paths: Sequence[str]) -> dict[str, int]:
    """The images by all names that a table may use: the path, its end, each with and without the ending."""
    names: dict[str, int] = {}
    for index, text in reversed(list(enumerate(paths))):  # the first of several images wins
        path = PurePosixPath(text)
        for name in (path.stem, path.name, str(path.with_suffix("")), text):
            names[name] = index
    return names


def _index(cell: str, names: dict[str, int]) -> int | None:
    text = cell.strip().replace("\\", "/").removeprefix("./")
    name = PurePosixPath(text).name
    return next((names[one] for one in (text, name) if one in names), None)
