"""Hostile tables: formulas, vast and broken CSV files, and what only looks like one."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from core.tables.data.csv_file import read_csv
from tests.hostile.forked import Case

_ROWS = 30


def _table(header: str, *columns: str) -> bytes:
    """A table of so many rows; `{}` stands for the number of the row."""
    rows = [",".join(column.format(row) for column in columns) for row in range(_ROWS)]
    return "\n".join([header, *rows]).encode()


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    yield "formulas", _table("=1+1,@b,y", "=HYPERLINK(0)", "{}", "+{}")
    yield "one target", _table("a,b,y", "{}", "1", "same")
    yield "all constant", _table("a,b,y", "1", "2", "{}")
    yield "texts alone", _table("a,b,y", "text {}", "other {}", "third {}")
    yield "header twice", _table("a,b,y", "{}", "{}", "1") + b"\na,b,y\n"
    yield "names twice", _table("a,a,a", "{}", "1", "{}")
    yield "huge numbers", _table("a,b,y", "1e400", "-1e308", "{}")
    yield "no numbers", _table("a,b,y", "nan", "inf", "-inf")
    yield "controls", _table("\x1b[2J,\u202eb,y", "{}", "\x07", "{}")
    yield "long names", _table(f"{'a' * 100_000},b,y", "{}", "1", "{}")
    yield "a million columns", b",".join([b"x"] * 1_000_000) + (b"\n" + b",".join([b"1"] * 1_000_000)) * 2
    yield "quotes without end", b'a,b\n1,"' + b"\n" * 1_000_000
    yield "delimiters alone", b";,\t|" * 500_000
    yield "one line", b"1," * 3_000_000
    yield "empty lines", b"\n" * 5_000_000
    yield "utf-16 cut", "a,b\n1,2\n".encode("utf-16")[:-1]
    yield "utf-7", b"+AGE-,b\n" + b"1,2\n" * _ROWS
    yield "zeros", bytes(2_000_000)
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(100)


def read(content: bytes) -> None:
    """Read it as an upload."""
    read_csv(content, name="table.csv")


def cases(folder: Path) -> Iterator[Case]:
    """Contents, and files that are none."""
    folder.mkdir()
    for name, content in files():
        yield f"table {name}", partial(read, content)
    os.mkfifo(folder / "pipe.csv")
    with (folder / "sparse.csv").open("wb") as file:
        file.truncate(30_000_000_000)
    for name in ("pipe.csv", "sparse.csv", "nothing.csv", "."):
        yield f"table {name}", partial(read_csv, folder / name)
    yield "table /dev/zero", partial(read_csv, Path("/dev/zero"))
