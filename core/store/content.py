"""Tables and arrays of a store read from bytes that may hold anything, and checked against its schema."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.store.manifest import LONGEST, ArrayFacts, Misfit, TableFacts
from core.store.schema import Column, Values

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

_BLOCK = 1 << 24  # bytes of an array checked at a time


def read_table(
    content: bytes, facts: TableFacts, columns: Mapping[str, Column], counts: Mapping[str, int], most: int
) -> "pd.DataFrame":
    """The table in the bytes of a parquet file.

    Nothing is unpacked before the file's own description fits and promises at most `most` bytes in memory. Raises
    Misfit, as do all functions here, and errors of pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # As dictionaries, so that one long text in a million rows is one text.
    texts = [name for name, column in columns.items() if column.kind == "text"]
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
    described = file.schema_arrow
    if file.metadata.num_rows != facts.rows or tuple(described.names) != facts.columns:
        raise Misfit("has other rows or columns than the manifest says")
    for name in columns:
        if not _fits(described.field(name).type, columns[name], facts.rows):
            raise Misfit(f"has values of another kind in column {name}")
    if facts.rows * len(facts.columns) * 8 + _unpacked(file.metadata) > most:
        raise _too_large(most)
    table = file.read(use_threads=False).replace_schema_metadata(None)
    table.validate(full=True)
    for number, (name, column) in enumerate(columns.items()):
        plain = _checked(table.column(name), name, column, counts, most)
        table = table.set_column(number, name, plain)
    return table.to_pandas()


def check_array(
    name: str, array: ArrayFacts, values: Values, counts: Mapping[str, int], lengths: dict[str, int]
) -> None:
    """Check the shape of an array; `lengths` collects those that have a name but are no count."""
    shape = values.shape
    fits = array.dtype == values.dtype and (not shape or len(shape) == len(array.shape))
    for wanted, length in zip(shape, array.shape, strict=False):
        if isinstance(wanted, str):
            expected = counts[wanted] if wanted in counts else lengths.setdefault(wanted, length)
            fits = fits and length == expected and (wanted in counts or length > 0)
        else:
            fits = fits and length == wanted
    if not fits:
        raise Misfit(f"arrays.{name}")


def check_values(array: "NDArray[Any]", values: Values, counts: Mapping[str, int]) -> None:
    """Check the range of an array's values block by block; not a number is out of any range."""
    if values.low is None:
        return
    high = counts[values.below] - 1 if values.below else values.high
    for block in _blocks(array):
        numbers = block.astype("float32") if block.dtype.itemsize == 2 else block  # float16 is compared slowly
        if not (numbers.min() >= values.low and numbers.max() <= high):
            raise Misfit("has values out of range")


def array_bytes(array: ArrayFacts) -> int:
    """The size of an array's values in bytes."""
    import numpy as np

    return math.prod(array.shape) * np.dtype(array.dtype).itemsize


def _fits(kind: "pa.DataType", column: Column, rows: int) -> bool:
    from pyarrow import types

    if types.is_null(kind):  # what an empty table has
        return rows == 0
    if column.kind in ("wholes", "numbers"):
        if not (types.is_list(kind) or types.is_large_list(kind)):
            return False
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type if column.kind == "text" else kind
    if column.kind == "text":
        return bool(types.is_string(kind) or types.is_large_string(kind))
    if column.kind == "truth":
        return bool(types.is_boolean(kind))
    if column.kind in ("whole", "wholes"):
        return bool(types.is_signed_integer(kind))
    return bool(types.is_float32(kind) or types.is_float64(kind))


def _unpacked(metadata: Any) -> int:
    """The bytes that a parquet file claims to unpack to, and the elements of its lists."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        total += max(0, group.total_byte_size)
        if metadata.num_columns and number == 0:  # tables with lists have one group
            total += sum(8 * max(0, group.column(k).num_values) for k in range(group.num_columns))
    return total


def _checked(
    values: "pa.ChunkedArray", name: str, column: Column, counts: Mapping[str, int], most: int
) -> "pa.ChunkedArray":
    """The values of a column, texts as plain texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count and column.finite:  # pandas writes nan as a gap
        raise Misfit(f"has gaps in column {name}")
    if pa.types.is_null(values.type):
        return values
    if column.kind == "text":
        return _texts(values, name, most)
    if column.kind == "truth":
        return values
    if column.kind in ("wholes", "numbers"):
        lengths = pc.list_value_length(values)
        if len(lengths) and pc.min(lengths).as_py() < 1:
            raise Misfit(f"has empty lists in column {name}")
        flat = pc.list_flatten(values)
        if flat.null_count:
            raise Misfit(f"has gaps in column {name}")
        _check_range(flat.to_numpy(), name, column, counts)
        return values
    _check_range(values.to_numpy(), name, column, counts)
    return values


def _check_range(numbers: "NDArray[Any]", name: str, column: Column, counts: Mapping[str, int]) -> None:
    import numpy as np

    if column.rows and not np.array_equal(numbers, np.arange(len(numbers))):
        raise Misfit(f"has other numbers of rows in column {name}")
    if not len(numbers) or not column.finite:
        return
    high = counts[column.below] - 1 if column.below else counts[column.most] if column.most else column.high
    if not (numbers.min() >= column.low and numbers.max() <= high):
        raise Misfit(f"has values out of range in column {name}")


def _too_large(most: int) -> Misfit:
    return Misfit(f"takes more than {most / 1e6:,.0f} MB in memory")


def _texts(values: "pa.ChunkedArray", name: str, most: int) -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for chunk in values.chunks:
        lengths = pc.binary_length(chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk)
        if len(lengths) and pc.max(lengths).as_py() > LONGEST:
            raise Misfit(f"has a text of more than {LONGEST:,} characters in column {name}")
        if pa.types.is_dictionary(chunk.type):
            lengths = lengths.take(chunk.indices)
        total += pc.sum(lengths).as_py() or 0
    if total > most:
        raise _too_large(most)
    return values.cast(pa.large_string())


def _blocks(array: "NDArray[Any]") -> "Iterator[NDArray[Any]]":
    if not array.size:
        return
    rows = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
