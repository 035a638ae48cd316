"""Audit marks: stored by model, class, layer and unit, beside the tags, and exported as a table."""

import sqlite3

import pytest

from core.errors import BadParameter, Unavailable
from core.store import database
from core.study.tags import Tags
from core.units.passport.audit import LONGEST, AuditSheet, Mark

LABELS = ("rose", "violet")


def test_marks_are_stored_changed_and_removed(tmp_path):
    sheet = AuditSheet(tmp_path / "home", "a" * 64)
    assert sheet.marks() == ()
    assert not (tmp_path / "home").exists(), "reading makes nothing"
    first, second = Mark(1, "relu4", 7, "unexpected", "the tag, ünusual"), Mark(0, "relu4", 7, "expected")
    for mark in (first, second):
        sheet.set(mark)
    assert AuditSheet(tmp_path / "home", "a" * 64).marks() == (second, first), "by class"
    assert AuditSheet(tmp_path / "home", "b" * 64).marks() == (), "another model has its own"
    sheet.set(Mark(1, "relu4", 7, "unclear"))
    assert sheet.marks() == (second, Mark(1, "relu4", 7, "unclear"))
    sheet.remove(1, "relu4", 7)
    sheet.remove(1, "relu3", 7)
    assert sheet.marks() == (second,)


def test_the_table_names_classes_and_leaves_out_those_the_model_lacks(tmp_path):
    sheet = AuditSheet(tmp_path, "a" * 64)
    for mark in (Mark(0, "relu4", 3, "expected", "petals"), Mark(5, "relu4", 3, "unclear")):
        sheet.set(mark)
    assert sheet.table(LABELS).to_dict("records") == [
        {"model": "a" * 64, "class": "rose", "layer": "relu4", "unit": 3, "mark": "expected", "note": "petals"}
    ]


@pytest.mark.parametrize(
    "mark",
    [Mark(0, "r", 0, "maybe"), Mark(0, "r", 0, "expected", "n" * (LONGEST + 1)), Mark(0, "r", 0, "unclear", "\0")],
)
def test_a_mark_that_cannot_be_stored_is_a_sentence(tmp_path, mark):
    with pytest.raises(BadParameter, match="cannot be"):
        AuditSheet(tmp_path, "a" * 64).set(mark)
    assert not (tmp_path / database.NAME).exists()


def test_a_database_of_the_version_before_gets_a_place_for_marks_and_keeps_its_tags(tmp_path):
    with sqlite3.connect(tmp_path / database.NAME) as connection:
        connection.executescript(database._STEPS[0])
        connection.execute("INSERT INTO tags VALUES (?, 3, 'artefact')", ("c" * 16,))
        connection.execute("PRAGMA user_version=1")
    connection.close()
    sheet = AuditSheet(tmp_path, "a" * 64)
    assert sheet.marks() == ()
    sheet.set(Mark(0, "relu4", 1, "unclear"))
    assert Tags(tmp_path, "c" * 64).all() == {3: ("artefact",)}
    assert sheet.marks() == (Mark(0, "relu4", 1, "unclear"),)


@pytest.mark.parametrize("column", ["label = -1", "label = 1.5", "verdict = 'x'", "note = x'ff'", "unit = 'one'"])
def test_a_row_that_is_no_mark_is_a_sentence(tmp_path, column):
    sheet = AuditSheet(tmp_path, "a" * 64)
    sheet.set(Mark(0, "relu4", 1, "expected"))
    with database.user_database(tmp_path).writing() as connection:
        connection.execute(f"UPDATE marks SET {column}")
    for act in (sheet.marks, lambda: sheet.set(Mark(0, "relu4", 2, "expected"))):
        with pytest.raises(Unavailable, match="is damaged"):
            act()
