"""Which rule fires, what is said of rules, and the source that gives the same classes."""

import ast
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Unsupported
from core.export.spreadsheet import as_csv
from core.tables.rules.boxes import Boxes
from core.tables.rules.ruleset import Rule, Rules, Term, rules_of
from core.tables.rules.source import python_source
from core.tables.table import Column, Table

COLUMNS = (Column("hours"), Column("colour", "category", ("red", "green", "blue")))
OVER, UNDER = Term(0, low=5.0), Term(0, high=5.0)
RED, OTHERS = Term(1, categories=(0,)), Term(1, categories=(1, 2))


def example():
    rules = (Rule(1, (OVER, RED), 9, 1.0), Rule(0, (UNDER,), 20, 0.9), Rule(1, (Term(0, 3.0, 8.25), OTHERS), 5, 0.5))
    return Rules(COLUMNS, ("fail", "pass"), rules, 0, ("A note.",))


def test_the_first_rule_that_holds_fires_and_without_one_the_majority_class_is_given():
    rows = np.array([[6, 0], [5, 0], [4, 1], [6, 2], [9, 2]], float)
    assert example().fired(rows).tolist() == [0, 1, 1, 2, -1]
    assert example()(rows).tolist() == [1, 0, 0, 1, 0]


def test_rules_read_as_sentences():
    assert example().text.splitlines() == [
        "1. If hours > 5 and colour = red: pass (9 rows, 100.0%).",
        "2. If hours ≤ 5: fail (20 rows, 90.0%).",
        "3. If 3 < hours ≤ 8.25 and colour = green or blue: pass (5 rows, 50.0%).",
        "If no rule holds: fail, the majority class.",
        "A note.",
    ]
    assert example().frame["terms"].tolist() == [2, 1, 3]


def test_the_table_of_terms_has_the_thresholds_at_full_precision():
    rules = Rules(COLUMNS, ("a", "b"), (Rule(0, (Term(0, low=1 / 3), OTHERS), 1, 1.0),), 0)
    first, second = rules.terms.to_dict("records")
    assert first["above"] == 1 / 3
    assert math.isnan(first["up_to"])
    assert second["categories"] == "green | blue"
    assert "0.3333333333333333" in as_csv(rules.terms)


def made(rows=None, labels=(0, 1, 1)):
    rows = np.array([[1.0, 0], [6, 1], [7, 2]]) if rows is None else rows
    return Table("made", COLUMNS, rows, Column("y", "category", ("fail", "pass")), np.array(labels, float))


def test_boxes_that_no_category_fulfils_are_left_out_and_conditions_on_one_column_become_one_term():
    inf = np.inf
    low = np.array([[-inf, 0.5, 0.5, -inf], [-inf, -inf, 0.5, -inf], [2, -inf, -inf, -inf], [-inf, -inf, -inf, -inf]])
    high = np.array([[inf, inf, inf, inf], [inf, 0.5, inf, 0.5], [inf, 0.5, inf, inf], [inf, 0.5, 0.5, 0.5]])
    rules = rules_of(made(), np.array([0, 1, 1]), [Boxes.everywhere(4, 0), Boxes(low, high)], np.arange(4))
    assert [rule.terms for rule in rules.rules] == [(Term(0, low=2.0), OTHERS), (Term(1, categories=(1,)),)]
    assert [(rule.rows, rule.confidence) for rule in rules.rules] == [(2, 1.0), (1, 1.0)]
    assert rules.majority == 1


def test_quality_against_counts_by_hand():
    table = made()
    rules = Rules(COLUMNS, table.classes, (Rule(1, (Term(0, low=6.5),), 1, 1.0), Rule(0, (RED,), 1, 1.0)), 0)

    def predict(values):  # pass, pass, pass
        return np.tile([0.2, 0.8], (len(values), 1))

    quality = rules.quality(table, predict)
    assert quality.fidelity == pytest.approx(1 / 3)
    assert quality.accuracy == pytest.approx(2 / 3)
    assert quality.uncovered == pytest.approx(1 / 3)
    assert (quality.rows, quality.rules, quality.terms) == (3, 2, 1.0)
    with pytest.raises(Unsupported, match="no rows"):
        rules.quality(table.rows(np.zeros(0, np.int64)), predict)


HOSTILE = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "'] or __import__('os').abort() or row['",
        '"""\nraise SystemExit\n"""',
        "a\\",
        "\u202e",
        "\n    return 1 #",
        "{x}",
        "=1+1",
    ]
)


@st.composite
def rules_and_rows(draw):
    names = draw(st.lists(HOSTILE, min_size=2, max_size=2, unique=True))
    categories = tuple(draw(st.lists(HOSTILE, min_size=3, max_size=3, unique=True)))
    labels = tuple(draw(st.lists(HOSTILE, min_size=2, max_size=2, unique=True)))
    number = st.floats(-5, 5)
    terms = [
        st.builds(lambda low: Term(0, low=low), number),
        st.builds(lambda high: Term(0, high=high), number),
        st.builds(lambda low, size: Term(0, low, low + size), number, st.floats(0.1, 5)),
    ]
    kinds = st.sets(st.integers(0, 2), min_size=1, max_size=2).map(lambda some: Term(1, categories=tuple(sorted(some))))
    clause = st.tuples(st.one_of(*terms), kinds) | st.tuples(st.one_of(*terms)) | st.tuples(kinds) | st.just(())
    rules = draw(st.lists(st.builds(lambda label, c: Rule(label, c, 3, 0.5), st.integers(0, 1), clause), max_size=5))
    columns = (Column(names[0]), Column(names[1], "category", categories))
    rows = draw(st.lists(st.tuples(number, st.integers(0, 2)), min_size=1, max_size=8))
    return Rules(columns, labels, tuple(rules), draw(st.integers(0, 1))), np.array(rows, float)


@given(rules_and_rows())
@settings(max_examples=60, deadline=None)
def test_the_source_gives_the_same_classes_whatever_the_names_are(given_pair):
    rules, rows = given_pair
    source = python_source(rules)
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.FunctionDef]
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Import | ast.ImportFrom | ast.Attribute)
    ]
    assert calls == []
    space = {}
    exec(compile(tree, "rules", "exec"), {"__builtins__": {}}, space)
    number, kind = rules.columns
    named = [{number.name: x, kind.name: kind.categories[int(k)]} for x, k in rows]
    assert [space["predict"](row) for row in named] == [rules.classes[label] for label in rules(rows)]
