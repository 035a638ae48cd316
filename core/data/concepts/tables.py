"""Tables of annotations in CSV files of others."""

import csv
import io
from pathlib import Path

from core.environment import limit
from core.errors import Unavailable
from core.files import read_bytes
from core.images import shown


def table_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column, stripped; none if there is no such file. Raises Unavailable."""
    if not file.exists():
        return []
    try:
        text = read_bytes(file, limit("text")).decode("utf-8-sig")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline="")) if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a CSV file in UTF-8"
        raise Unavailable(f"{shown(str(file))} cannot be read ({reason}).", "Replace the file.") from None
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]] if rows else []
