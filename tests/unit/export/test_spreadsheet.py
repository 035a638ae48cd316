"""No CSV holds a cell that a spreadsheet would run, and numbers stay numbers."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from core.export.spreadsheet import as_csv, cell

NASTY = [
    '=HYPERLINK("http:x.invalid","go")', "+1", "-2", "@sum", "\t=1", "\r=1", "\n=1", " =1+1", "＝1",
    "=cmd|'/c calc'!A1",
]  # fmt: skip
PLAIN = [
    "a, b",
    'say "hi"',
    "naïve 花",
    "two\ttabs",
    "a\r=1",
    "a\n=1",
    "<b>bold</b>",
    "*star*",
    "'quoted'",
    "",
    "x=1",
    "a-b",
]


@pytest.mark.parametrize("text", NASTY)
def test_a_text_that_would_run_gets_an_apostrophe(text):
    assert cell(text) == f"'{text}"
    rows = list(csv.reader(io.StringIO(as_csv(pd.DataFrame({text: [text]})), newline="")))
    assert rows == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay(text):
    assert cell(text) == text
    assert list(csv.reader(io.StringIO(as_csv(pd.DataFrame({"a": [text], "b": [1]})), newline="")))[1] == [text, "1"]


def test_numbers_stay_numbers():
    table = pd.DataFrame({"a": [-1, 2], "b": [-0.5, np.nan], "c": [True, False], "d": np.float32([-1, 1])})
    assert as_csv(table) == table.to_csv(index=False, lineterminator="\r\n")
    assert cell(-1) == -1
    mixed = pd.DataFrame({"a": [-1, "-1"]})
    assert as_csv(mixed) == "a\r\n-1\r\n'-1\r\n"
    assert list(mixed["a"]) == [-1, "-1"], "the table itself stays"


def test_columns_of_one_name_are_kept_apart():
    table = pd.DataFrame([["=a", "=b"]], columns=["x", "x"])
    assert as_csv(table) == "x,x\r\n'=a,'=b\r\n"
