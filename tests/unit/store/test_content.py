"""Tables read from bytes that may hold anything: what fits is read, and what does not is one reason."""

import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.store.content import check_array, check_values, read_table
from core.store.manifest import LONGEST, ArrayFacts, Misfit, TableFacts
from core.store.schema import Column, Values

MUCH = 10**9


def read(columns, schema=None, most=MUCH, change=lambda content: content, counts=None, **options):
    """The table written as parquet, changed and read."""
    table, file = pa.table(columns), io.BytesIO()
    pq.write_table(table, file, **options)
    facts = TableFacts(rows=table.num_rows, columns=tuple(table.column_names))
    return read_table(change(file.getvalue()), facts, schema or {}, counts or {}, most)


@pytest.mark.parametrize("schema", [{}, {"name": Column("text")}])
@pytest.mark.parametrize("dictionary", [False, True])
def test_texts_that_are_not_utf_8_are_refused_when_the_table_is_read(schema, dictionary):
    def change(content):
        assert content.count(b"second") >= 1
        return content.replace(b"second", b"sec\xff\xfed")

    columns, options = {"name": ["first", "second"]}, {"compression": "none", "use_dictionary": dictionary}
    assert read(columns, schema, **options)["name"].tolist() == ["first", "second"]
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        read(columns, schema, change=change, **options)


def test_a_table_larger_than_allowed_is_refused_with_the_limit():
    columns = {"a": list(range(100_000)), "b": ["x" * 80] * 100_000}
    schema = {"a": Column("whole"), "b": Column("text")}
    with pytest.raises(Misfit, match=r"^takes more than 2 MB in memory$"):
        read(columns, schema, 1_500_000)
    with pytest.raises(Misfit, match=r"^takes more than 8 MB in memory$"):
        read(columns, schema, 7_999_999)  # its texts alone take as many bytes
    assert len(read(columns, schema, 8_000_000)) == 100_000


def test_a_text_may_be_as_long_as_allowed_and_no_longer():
    assert read({"a": ["x" * LONGEST]}, {"a": Column("text")})["a"].str.len().tolist() == [LONGEST]
    with pytest.raises(Misfit, match=r"has a text of more than 10,000 characters in column a$"):
        read({"a": ["", "x" * (LONGEST + 1)]}, {"a": Column("text")})


@pytest.mark.parametrize(
    ("column", "fits", "wrong", "reason"),
    [
        (Column("whole"), [0, 7], [-1, 7], "has values out of range in column a"),
        (Column("whole", low=2, high=3), [2, 3], [2, 4], "has values out of range in column a"),
        (Column("whole", low=2, high=3), [2, 3], [1, 3], "has values out of range in column a"),
        (Column("whole", below="images"), [0, 4], [0, 5], "has values out of range in column a"),
        (Column("whole", most="images"), [0, 5], [0, 6], "has values out of range in column a"),
        (Column("whole", rows=True), [0, 1], [0, 2], "has other numbers of rows in column a"),
        (Column("number", high=1), [0.0, 1.0], [0.5, 1.5], "has values out of range in column a"),
        (Column("number", high=1), [0.0, 1.0], [0.5, None], "has gaps in column a"),
        (Column("number", high=1), [0.0, 1.0], [0.5, math.nan], "has values out of range in column a"),
        (Column("text"), ["", "b"], ["a", None], "has gaps in column a"),
        (Column("truth"), [True, False], [True, None], "has gaps in column a"),
        (Column("wholes", high=9), [[0, 9], [1]], [[1], [10]], "has values out of range in column a"),
        (Column("wholes"), [[0], [1]], [[1], []], "has empty lists in column a"),
        (Column("wholes"), [[0], [1]], [[1], [None]], "has gaps in column a"),
        (Column("numbers", high=1), [[0.5], [1.0]], [[0.5], [1.5]], "has values out of range in column a"),
        (Column("whole"), [1, 2], [0.5, 1.0], "has values of another kind in column a"),
        (Column("number"), [0.5, 1.0], [1, 2], "has values of another kind in column a"),
        (Column("wholes"), [[1], [2]], [1, 2], "has values of another kind in column a"),
        (Column("truth"), [True, True], [1, 2], "has values of another kind in column a"),
        (Column("text"), ["a", "b"], [1, 2], "has values of another kind in column a"),
    ],
)  # fmt: skip
def test_the_values_of_a_column_are_those_of_its_schema(column, fits, wrong, reason):
    found = read({"a": fits}, {"a": column}, counts={"images": 5})["a"].tolist()
    assert [list(one) if isinstance(fits[0], list) else one for one in found] == fits
    with pytest.raises(Misfit) as error:
        read({"a": wrong}, {"a": column}, counts={"images": 5})
    assert str(error.value) == reason


def test_numbers_that_need_not_be_finite_may_be_anything():
    found = read({"a": [-math.inf, math.nan, None, 5.0]}, {"a": Column("number", high=1, finite=False)})["a"]
    assert found.isna().tolist() == [False, True, True, False]


def test_other_rows_or_columns_than_the_manifest_says_are_refused():
    table, file = pa.table({"a": [1, 2]}), io.BytesIO()
    pq.write_table(table, file)
    for rows, columns in ((3, ("a",)), (1, ("a",)), (2, ("b",)), (2, ("a", "b"))):
        with pytest.raises(Misfit, match="has other rows or columns than the manifest says"):
            read_table(file.getvalue(), TableFacts(rows=rows, columns=columns), {}, {}, MUCH)


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.5, 3.5], [0.5, math.nan], [-1.0, 3.5]])
def test_values_of_an_array_lie_in_their_range_on_both_sides(values):
    check_values(np.array([0.0, 3.0]), Values("float64", low=0, high=3), {})
    check_values(np.array([0.0, 3.0]), Values("float64", low=0, below="images"), {"images": 4})
    for allowed in (Values("float64", low=0, high=3), Values("float64", low=0, below="images")):
        with pytest.raises(Misfit, match="has values out of range"):
            check_values(np.array(values), allowed, {"images": 4})


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 4), "float64"), ((5, 3), "float32"), ((4, 4), "float32"), ((5,), "float32")]
)
def test_an_array_has_the_type_and_the_shape_of_its_schema(shape, dtype):
    values = Values("float32", ("images", 4))
    check_array("scores", ArrayFacts(shape=(5, 4), dtype="float32"), values, {"images": 5}, {})
    with pytest.raises(Misfit, match=r"arrays\.scores"):
        check_array("scores", ArrayFacts(shape=shape, dtype=dtype), values, {"images": 5}, {})
