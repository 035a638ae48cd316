"""CSV files of others: what is guessed, what is said, and what is refused with one sentence."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MOST, BadParameter, TooLarge, UnknownName, VitrineError
from core.export.spreadsheet import as_csv
from core.tables.data.conversion import GAP, Choices, guesses, table_of
from core.tables.data.csv_file import read_csv
from core.tables.data.datasets import DATASETS

COLOURS = ("red", "green", "blue")


def text(rows=20, sign=",", header="size,colour,weight", cell=lambda row: f"{row / 2}", **cells):
    """A table of three columns; `cells` replace texts at (row, column) given as r3c1."""
    lines = [[cell(row), COLOURS[row % 3], str(100 + row)] for row in range(rows)]
    for place, value in cells.items():
        row, column = map(int, place[1:].split("c"))
        lines[row][column] = value
    return "\n".join([header.replace(",", sign), *(sign.join(line) for line in lines)]) + "\n"


def table(content, *, choices=None, **options):
    content = content if isinstance(content, bytes) else content.encode()
    return table_of(read_csv(content, "mine.csv", **options), choices or Choices())


def said(found, part):
    assert any(part in note for note in found.notes), found.notes


def refused(content, part, kind=BadParameter, **options):
    with pytest.raises(kind) as caught:
        table(content, **options)
    assert part in caught.value.message
    is_a_sentence(caught.value)


def is_a_sentence(error):
    assert error.message.endswith(".")
    assert error.hint
    assert len(str(error)) <= MOST
    assert "\n" not in str(error)


def test_a_plain_table():
    found = table(text())
    assert found.names == ("size", "colour")
    assert found.columns[1].categories == ("blue", "green", "red")
    assert np.array_equal(found.values[:, 0], np.arange(20) / 2)
    assert found.frame["colour"].tolist()[:3] == list(COLOURS)
    assert np.array_equal(found.answers, 100 + np.arange(20))
    said(found, "utf-8 with a comma")
    said(found, "The target is the last column, weight.")


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiter_encoding_and_line_ends_are_guessed(sign, codec, end):
    content = text(sign=sign, header="größe,colour,weight").replace("\n", end).encode(codec)
    found = table(content)
    assert found.names == ("größe", "colour")
    assert np.array_equal(found.values, table(text()).values)


def test_options_win_over_guesses():
    found = table("a,b;c,d;e,f\n" + text(sign=";").partition("\n")[2], delimiter="semicolon")
    assert found.names == ("a,b", "c,d")
    refused(text(sign=";"), "different texts", delimiter="comma")
    assert table(text(header="1,2,3"), header="yes").names == ("1", "2")
    refused(text().encode("cp1252") + b"\xe9", "not text in utf-8", encoding="utf-8")


def test_a_table_without_header_is_numbered():
    content = text().partition("\n")[2]
    found = table(content)
    assert found.names == ("column 1", "column 2")
    assert len(found) == 20
    said(found, "the columns are numbered")


def test_the_first_line_for_excel_names_the_delimiter():
    assert table("sep=|\n" + text(sign="|")).names == ("size", "colour")


def test_quoted_cells_hold_delimiters_and_line_breaks():
    found = table(text(r0c1='"red, or\nnearly"'))
    assert "red, or\nnearly" in found.columns[1].categories
    assert len(found) == 20


def test_decimal_commas_are_numbers():
    found = table(text(sign=";", cell=lambda row: f"{row},5"))
    assert np.array_equal(found.values[:, 0], np.arange(20) + 0.5)


def test_numbers_of_every_spelling_and_none_of_others():
    found = table(text(r0c0=" +1e3 ", r1c0="-.5", r2c0="5.", r3c0="1_000", r4c0="inf", r5c0="1e999", r6c0="0x10"),
                  choices=Choices(numbers="size"))  # fmt: skip
    assert found.values[:3, 0].tolist() == [1000, -0.5, 5]
    said(found, "size holds 4 cells without a number, which count as missing.")
    said(found, "4 missing values of size filled with the median, 6")


@pytest.mark.parametrize("gap", ["", "NA", "n/a", "NaN", "null", "None", "?", "-"])
def test_missing_values_are_filled_and_said(gap):
    found = table(text(r4c0=gap, r5c1=gap, r6c2=gap))
    assert len(found) == 19
    assert np.isfinite(found.values).all()
    assert found.values[4, 0] == np.median([row / 2 for row in range(20) if row not in (4, 6)])
    assert found.frame["colour"][5] == GAP
    said(found, "Left out: 1 row without a target.")
    said(found, "1 missing value of size filled with the median")
    said(found, "1 missing value of colour made a category of their own.")


def test_or_their_rows_are_left_out():
    found = table(text(r4c0="", r5c1="?", r6c2=""), choices=Choices(missing="drop"))
    assert len(found) == 17
    assert GAP not in found.columns[1].categories
    said(found, "Left out: 2 rows with missing values.")


def test_a_category_called_missing_is_not_the_gap():
    found = table(text(r0c1="missing", r1c1=""))
    assert {"missing", "(missing)"} <= set(found.columns[1].categories)


def test_kinds_are_guessed_and_can_be_corrected():
    names = "\n".join(["name,code,grade,y", *(f"person {row},{row % 4},{'ab'[row % 2]},{row}" for row in range(20))])
    sheet = read_csv(names.encode(), "mine.csv")
    assert guesses(sheet) == {"name": "text", "code": "number", "grade": "category", "y": "number"}
    found = table_of(sheet)
    assert found.names == ("code", "grade")
    said(found, "name was left out: 20 of its 20 texts differ.")
    found = table_of(sheet, Choices(categories="code, name", omit="grade"))
    assert [column.kind for column in found.columns] == ["category", "category"]
    assert found.columns[1].categories == ("0", "1", "2", "3")
    refused(names, "grade holds no numbers", choices=Choices(numbers="grade"))


def test_numbers_as_categories_are_in_their_order():
    found = table(text(cell=lambda row: str([10, 9, 2][row % 3])), choices=Choices(categories="size"))
    assert found.columns[0].categories == ("2", "9", "10")


def test_the_target_may_be_any_column():
    found = table(text(), choices=Choices(target="colour"))
    assert found.classes == ("blue", "green", "red")
    assert found.names == ("size", "weight")


def test_few_whole_numbers_are_classes_unless_corrected():
    content = text(header="weight,colour,y").replace(",1", ",")
    small = "\n".join(["x,y", *(f"{row},{row % 2}" for row in range(20))])
    found = table(small)
    assert found.classes == ("0", "1")
    said(found, "The 2 whole numbers of y were taken as classes.")
    assert table(small, choices=Choices(numbers="y")).classes == ()
    assert table(content).classes == ()


def test_constant_and_empty_columns_are_left_out():
    lines = ["a,b,c,d,y", *(f"{row},7,same,,{row}" for row in range(12))]
    found = table("\n".join(lines))
    assert found.names == ("a",)
    said(found, "b was left out: all its values are the same.")
    said(found, "c was left out: all its values are the same.")
    said(found, "d was left out: it is empty.")


def test_a_repeated_header_and_repeated_names():
    content = text(header="size,size,size")
    found = table(content + content)
    assert found.names == ("size", "size (2)")
    assert len(found) == 40
    said(found, "The name size occurs again: column 2 is called size (2).")
    said(found, "The header occurs 2 times and was read once.")
    assert read_csv(b"a,a,a (2),,\n" + b"1,2,3,4,5\n" * 3).names == ("a", "a (3)", "a (2)", "column 4", "column 5")


def test_short_rows_and_empty_lines():
    found = table(text() + "\n\n,,\n7.5\n")
    said(found, "1 row with fewer cells than the first")
    said(found, "1 row without a target")
    assert len(found) == 20
    refused(text() + "1,red,3,4\n", "Row 21 of mine.csv has 4 cells, the first row 3.")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "is empty"),
        (b",,,\n,,,\n", "is empty"),
        (b"a,b\n", "has 0 rows to use"),
        (b"a,b\n1,2\n", "has 1 row to use, a model needs at least 10"),
        (b"a,b\n" + b"1,2\n" * 20, "The target b has the same value in every row."),
        (b"a,b\n" + b"".join(b"1,%d\n" % row for row in range(20)), "no feature with two different values"),
        (b"a,b\n" + b"".join(b"%d,t%d\n" % (row, row) for row in range(20)), "20 different texts, too many"),
        (b"just words\n" + b"and\nmore\n" * 20, "no feature"),
        (b"PK\x03\x04rest of a spreadsheet", "is a spreadsheet or archive, not CSV"),
        (b"%PDF-1.7", "is a PDF"),
        (bytes(range(256)) * 4, "is binary"),
        (b"a,b\n1,2\x00\n", "is binary"),
        (b'a,b\n1,"2\n3,4\n', "cannot be read"),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "cannot be read"),
        (b"\xff\xfea", "not text in utf-16"),
    ],
)  # fmt: skip
def test_files_that_are_no_table(content, part):
    refused(content, part)


def test_a_target_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'weight'"):
        table(text(), choices=Choices(target="wieght"))
    for field in ("numbers", "categories", "omit"):
        with pytest.raises(UnknownName, match="no column called 'hue'"):
            table(text(), choices=Choices(**{field: "hue"}))


def test_choices_that_contradict_each_other():
    refused(text(), "named twice", choices=Choices(numbers="size", categories="size"))
    refused(text(), "is left out", choices=Choices(target="size", omit="size"))
    refused(text(), "'red', which is not a number", choices=Choices(target="colour", numbers="colour"))


def test_names_with_commas_stand_in_quotes():
    content = text(header='"a,b",colour,y')
    assert table(content, choices=Choices(omit='"a,b"')).names == ("colour",)


def test_more_than_memory_takes_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("core.tables.data.csv_file.MOST_CELLS", 50)
    refused(text(), "more than the 50 that fit into memory", TooLarge)
    monkeypatch.undo()
    monkeypatch.setattr("core.tables.data.conversion.MOST_CELLS", 70)
    refused(text(), "too many for the memory", TooLarge)
    monkeypatch.undo()
    monkeypatch.setenv("VITRINE_CSV_MB", "0")
    refused(text(), "more than the limit of 0 MB", TooLarge)


def test_a_file_on_disk_is_read_and_others_are_refused(tmp_path):
    (tmp_path / "mine.csv").write_text(text())
    assert read_csv(tmp_path / "mine.csv").name == "mine.csv"
    for path in (tmp_path, tmp_path / "none.csv", "a\0b"):
        with pytest.raises(BadParameter) as caught:
            read_csv(path)
        assert caught.value.hint


FORMULAS = ("=1+1", '=HYPERLINK("http://x")', "+cmd|' /C calc'!A0", "@SUM(1)", "-2+3", "\t=1")


def test_formulas_are_texts_and_escaped_when_they_leave():
    quoted = ['"' + one.replace('"', '""') + '"' for one in FORMULAS]
    content = text(24, header="size,=colour,weight", **{f"r{row}c1": quoted[row % 6] for row in range(24)})
    found = table(content)
    assert set(found.columns[1].categories) == {one.strip() for one in FORMULAS}
    written = list(csv.reader(io.StringIO(as_csv(found.frame))))
    assert written[0][1] == "'=colour"
    assert all(row[1].startswith("'") for row in written[1:])


def test_what_is_written_is_read_again():
    for name in ("students", "wine"):
        own = DATASETS[name].load()
        found = table_of(read_csv(as_csv(own.frame).encode(), name))
        assert np.array_equal(found.values, own.values)
        assert np.array_equal(found.answers, own.answers)
        assert found.columns == own.columns


def test_wide_tables_are_read_in_seconds():
    """46 × 18,632, as the drug study: the names of columns are compared by hash, not one with another."""
    own = DATASETS["drugs"].load()
    labels = np.where(own.answers == 1, "yes", "no")
    lines = [",".join([*map(str, row), label]) for row, label in zip(own.values, labels, strict=True)]
    assert table("\n".join([",".join([*own.names, "y"]), *lines])).values.shape == own.values.shape


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_a_sentence(content):
    try:
        table(content)
    except VitrineError as error:
        is_a_sentence(error)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=4), min_size=1, max_size=30),
    st.sampled_from([",", ";", "\t"]),
)
def test_any_cells_give_a_table_or_a_sentence(rows, sign):
    stream = io.StringIO()
    csv.writer(stream, delimiter=sign).writerows(rows)
    try:
        found = table(stream.getvalue().encode("utf-8", "replace"))
    except VitrineError as error:
        is_a_sentence(error)
    else:
        assert np.isfinite(found.encoded()).all()
        assert np.isfinite(found.answers).all()
        assert len(set(found.names)) == len(found.names)
