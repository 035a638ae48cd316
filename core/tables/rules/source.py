"""Rules as Python source: a function without imports that gives their classes."""

import math

from core.tables.rules.ruleset import Rules, Term


def python_source(rules: Rules) -> str:
    """The source of `predict(row)`, which maps the features of a row by their names to the name of a class.

    Numbers are numbers, categories their names. Names of columns, categories and classes are written as string
    literals, thresholds at full precision; nothing else of the table is in the source.
    """
    lines = [
        "def predict(row):",
        '    """The class of a row: a mapping from the names of features to numbers or categories."""',
    ]
    for rule in rules.rules:
        conditions = " and ".join(_comparison(rules, term) for term in rule.terms) or "True"
        comment = f"  # {rule.rows} rows, confidence {rule.confidence:.4f}"
        lines += [f"    if {conditions}:{comment}", f"        return {rules.classes[rule.label]!r}"]
    lines.append(f"    return {rules.classes[rules.majority]!r}")
    return "\n".join(lines) + "\n"


def _comparison(rules: Rules, term: Term) -> str:
    column = rules.columns[term.column]
    value = f"row[{column.name!r}]"
    if term.categories:
        names = [column.categories[number] for number in term.categories]
        return f"{value} == {names[0]!r}" if len(names) == 1 else f"{value} in {names!r}"
    low = f"{float(term.low)!r} < " if term.low > -math.inf else ""
    high = f" <= {float(term.high)!r}" if term.high < math.inf else ""
    return f"{low}{value}{high}"
