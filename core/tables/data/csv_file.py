"""CSV files of others as columns of texts: encoding, delimiter and header are guessed, and said."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from core.environment import limit
from core.errors import BadParameter, TooLarge, brief
from core.files import read_bytes
from core.params import Knob, expanded

MOST_CELLS = 5_000_000
Delimiter = Literal["auto", "comma", "semicolon", "tab", "bar"]
Encoding = Literal["auto", "utf-8", "utf-16", "cp1252"]
Header = Literal["auto", "yes", "no"]

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OTHERS = {
    b"PK\x03\x04": "a spreadsheet or archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a compressed file",
    b"\x93NUMPY": "an array of NumPy",
    b"\x89HDF": "an HDF5 file",
}
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?")
_SAMPLE = 100  # lines from which the delimiter is guessed
_SPREADSHEET = "Save the table as CSV, as every spreadsheet can."
_ROWS = "Give a header and rows."
_FEWER = "Keep fewer rows or columns."
_NOTED = 20  # renamed columns that are told one by one


@dataclass(frozen=True, eq=False)
class Sheet:
    """The cells of a CSV file as texts, without white space around them."""

    name: str
    names: tuple[str, ...]  # of the columns, all different
    cells: NDArray[np.object_]  # (rows, columns) of str
    notes: tuple[str, ...]  # what was assumed or left out


def read_csv(
    source: str | Path | bytes,
    name: str = "",
    *,
    delimiter: Annotated[Delimiter, Knob("Character between cells.")] = "auto",
    encoding: Annotated[Encoding, Knob("Encoding of the text.")] = "auto",
    header: Annotated[Header, Knob("Whether the first row holds the names of the columns.")] = "auto",
) -> Sheet:
    """The cells of a CSV file, or of its bytes, which `name` then names.

    A cell is never more than a text: formulas are not evaluated. Raises BadParameter for a file that is no table,
    TooLarge for one over VITRINE_CSV_MB or of more than five million cells.
    """
    data, name = _bytes(source, name)
    text, codec = _decoded(data, name, encoding)
    first_line, _, rest = text.partition("\n")
    told = re.fullmatch(r"sep=(.)\s*", first_line)  # as Excel writes and reads
    guess = told[1] if told else _guessed_delimiter(text)
    sign = guess if delimiter == "auto" else _DELIMITERS[delimiter]
    rows = list(_rows(rest if told else text, sign, name))
    if not rows:
        raise BadParameter(f"{name} is empty.", _ROWS)
    named = header == "yes" or (header == "auto" and not any(_NUMBER.fullmatch(cell) for cell in rows[0]))
    notes = [f"{name} was read as {codec} with {_spoken(sign)} between cells."]
    if header == "auto" and not named:
        notes.append("The first row holds a number and was taken as data: the columns are numbered.")
    names, renamed = _unique(rows[0] if named else [""] * len(rows[0]))
    body = [row for row in rows[1:] if row != rows[0]] if named else rows
    if named and len(body) < len(rows) - 1:
        notes.append(f"The header occurs {len(rows) - len(body):,} times and was read once.")
    return Sheet(name, names, *_square(body, len(names), name, [*notes, *renamed]))


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 row" and "1,200 rows"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _bytes(source: str | Path | bytes, name: str) -> tuple[bytes, str]:
    """The content and the name of a file within the limit."""
    most = limit("csv")
    if isinstance(source, bytes):
        if len(source) > most:
            message = f"{name} has {len(source) / 1e6:,.0f} MB, more than the limit of {most / 1e6:,.0f} MB."
            raise TooLarge(message, _FEWER)
        return source, name or "The table"
    path = expanded(source)
    try:
        return read_bytes(path, most), name or path.name
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be a path"
        raise BadParameter(f"{path.name} cannot be read ({reason}).", "Give a CSV file.") from None


def _decoded(data: bytes, name: str, encoding: Encoding) -> tuple[str, str]:
    """The text of a file and its encoding."""
    for start, kind in _OTHERS.items():
        if data.startswith(start):
            raise BadParameter(f"{name} is {kind}, not CSV.", _SPREADSHEET)
    marked = next((codec for mark, codec in _MARKS if data.startswith(mark)), "")
    guesses = {"utf-8": ("utf-8", "cp1252")}.get(unmarked := _unmarked(data), (unmarked,))
    tried = (marked,) if marked else guesses if encoding == "auto" else (encoding,)
    for codec in tried:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if _CONTROLS.search(text):
            break
        if not text.strip():
            raise BadParameter(f"{name} is empty.", _ROWS)
        return text.replace("\r\n", "\n").replace("\r", "\n"), codec.removesuffix("-sig")
    if not codec.startswith("utf-16") and _CONTROLS.search(data.decode("latin-1")):
        raise BadParameter(f"{name} is binary: it holds bytes that no text has.", _SPREADSHEET)
    raise BadParameter(f"{name} is not text in {' or '.join(tried)}.", "Choose its encoding, or save it as UTF-8.")


def _unmarked(data: bytes) -> str:
    """The encoding of a file without a mark: in UTF-16, plain letters have a zero in every other byte."""
    for offset, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = data[offset:1000:2]
        if len(half) > 1 and half.count(0) > 0.7 * len(half):
            return codec
    return "utf-8"


def _guessed_delimiter(text: str) -> str:
    """The delimiter that divides most lines of a sample into the same number of cells, of more than one.

    csv.Sniffer finds delimiters in words, and takes minutes for some texts.
    """
    sample = text[:100_000].split("\n")[:_SAMPLE]
    best, most = ",", (0.0, 0)
    for sign in _DELIMITERS.values():
        try:
            widths = Counter(len(row) for row in csv.reader(sample, delimiter=sign) if row)
        except csv.Error:
            continue
        width, count = widths.most_common(1)[0] if widths else (1, 1)
        if width > 1 and (count / widths.total(), width) > most:
            best, most = sign, (count / widths.total(), width)
    return best


def _rows(text: str, delimiter: str, name: str) -> Iterator[list[str]]:
    """The rows that are not empty, header included, with stripped cells."""
    count = text.count(delimiter) + text.count("\n")
    if count > MOST_CELLS:
        raise TooLarge(f"{name} has {count:,} cells, more than the {MOST_CELLS:,} that fit into memory.", _FEWER)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield cells
    except csv.Error as error:
        message = f"Line {reader.line_num:,} of {name} cannot be read ({brief(str(error), 80)})."
        raise BadParameter(message, "Check the quotes in it, or choose another delimiter.") from None


def _square(
    rows: list[list[str]], width: int, name: str, notes: list[str]
) -> tuple[NDArray[np.object_], tuple[str, ...]]:
    """All rows with the same number of cells; the notes count those that were short."""
    if short := sum(len(row) < width for row in rows):
        notes.append(f"{counted(short, 'row')} with fewer cells than the first: those at the end count as missing.")
    cells = np.full((len(rows), width), "", object)
    for number, row in enumerate(rows):
        if any(row[width:]):
            message = f"Row {number + 1:,} of {name} has {len(row):,} cells, the first row {width:,}."
            raise BadParameter(message, "Mend that row, or choose another delimiter.")
        cells[number, : len(row)] = row[:width]
    return cells, tuple(notes)


def _unique(given: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Different names for the columns, and what was renamed."""
    names, taken, notes = dict[str, None](), set(given), list[str]()
    last = dict[str, int]()  # number given to a name
    renamed = 0
    for number, name in enumerate(given, 1):
        plain = name or f"column {number}"
        unique = plain
        while unique in names or (unique != name and unique in taken):
            last[plain] = last.get(plain, 1) + 1
            unique = f"{plain} ({last[plain]})"
        if name and unique != name:
            renamed += 1
            if renamed <= _NOTED:
                notes.append(f"The name {brief(name, 40)} occurs again: column {number} is called {brief(unique, 40)}.")
        names[unique] = None
    if renamed > _NOTED:
        notes.append(f"So are {counted(renamed - _NOTED, 'other column')}.")
    return tuple(names), notes


def _spoken(delimiter: str) -> str:
    return {sign: f"a {word}" for word, sign in _DELIMITERS.items()}.get(delimiter, repr(delimiter))
