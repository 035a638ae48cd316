"""The list of mutations that cannot be noticed speaks of lines that are there, each once."""

from pathlib import Path

from tests.mutants.explained import explained

ROOT = Path(__file__).resolve().parents[2]


def test_every_line_of_the_list_is_in_its_file():
    for one in explained():
        lines = [line.strip() for line in (ROOT / one.file).read_text("utf-8").splitlines()]
        start = one.before.splitlines()[0]
        assert start in lines, f"{one.file} no longer has the line {start!r}"
        assert one.after != one.before
        assert one.why.endswith(".")


def test_no_mutation_is_listed_twice():
    keys = [(one.file, one.before, one.after) for one in explained()]
    assert len(set(keys)) == len(keys)
