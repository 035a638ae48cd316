"""DeepRED and the surrogate tree against networks whose rules are known."""

import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris, load_wine

from core.errors import Cancelled, Unsupported
from core.tables.network import Network
from core.tables.rules.deepred import DEEPRED, deepred
from core.tables.rules.ruleset import Term
from core.tables.rules.surrogate_tree import fidelity_by_depth, surrogate_tree, synthetic_rows
from core.tables.table import Column, Table

FULL = {"depth": 0, "leaf": 0.0}


def classes_of(table_values, labels, names=("no", "yes"), columns=None):
    columns = columns or tuple(Column(f"x{number}") for number in range(table_values.shape[1]))
    return Table("made", columns, table_values, Column("y", "category", tuple(names)), labels.astype(float))


def corners():
    """The corners of a square, the same number of each."""
    values = np.repeat(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), 5, axis=0)
    return classes_of(values, values.sum(1) == 1)


def xor_network(table):
    """|x0 − x1| as two ReLUs, above a half: yes."""
    hidden = np.array([[4.0, -4.0], [-4.0, 4.0]]), np.zeros(2)
    return Network.of(table, [hidden, (np.array([[-3.0, -3], [3.0, 3]]), np.array([6.0, -6]))])


def random_network(table, hidden=(6, 5), seed=0, ignored=()):
    rng = np.random.default_rng(seed)
    sizes = (len(table.encoded_names), *hidden, len(table.classes))
    layers = [(rng.normal(size=(b, a)), rng.normal(size=b) * 0.3) for a, b in pairwise(sizes)]
    layers[0][0][:, list(ignored)] = 0
    return Network.of(table, layers)


def standardised(values):
    return (values - values.mean(0)) / values.std(0)


def iris():
    data = load_iris()
    return classes_of(np.unique(standardised(data.data), axis=0), np.zeros(149), data.target_names)


def test_xor_gives_the_rule_of_four_regions():
    table = corners()
    network = xor_network(table)
    rules = deepred(table, network, **FULL)
    inf = np.inf
    side = {0: (-inf, 0.5), 1: (0.5, inf)}
    expected = {(int(a != b), (Term(0, *side[a]), Term(1, *side[b]))) for a in (0, 1) for b in (0, 1)}
    assert {(rule.label, rule.terms) for rule in rules.rules} == expected
    assert rules.quality(table, network).fidelity == 1
    assert surrogate_tree(table, network, depth=2, leaf=0).quality(table, network).fidelity == 1


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_full_trees_give_fidelity_one_on_the_rows_they_are_from(seed):
    table = iris()
    network = random_network(table, seed=seed)
    assert len(np.unique(network(table.values).argmax(1))) > 1
    rules = deepred(table, network, **FULL, clauses=20_000)
    quality = rules.quality(table, network)
    assert (quality.fidelity, quality.uncovered) == (1, 0)
    assert all(rule.rows for rule in rules.rules)
    everything = deepred(table, network, **FULL, clauses=20_000, unseen=True)
    assert not everything.notes
    assert everything(table.values).tolist() == rules(table.values).tolist()
    left_out = len(everything.rules) - len(rules.rules)
    assert rules.notes == (
        (f"{left_out:,} rules that no row of the training fulfils were left out.",) if left_out else ()
    )


def test_full_trees_give_fidelity_one_with_one_hidden_layer_and_with_none():
    table = iris()
    for hidden in ((), (7,)):
        network = random_network(table, hidden, seed=1)
        assert deepred(table, network, **FULL, clauses=20_000).quality(table, network).fidelity == 1


def test_an_input_that_the_network_ignores_is_in_no_rule():
    rng = np.random.default_rng(2)
    table = classes_of(rng.normal(size=(400, 4)), np.zeros(400), "abc")
    network = random_network(table, (5, 4), seed=3, ignored=(2,))
    rules = deepred(table, network, depth=4, leaf=0.02)
    used = {term.column for rule in rules.rules for term in rule.terms}
    assert used == {0, 1, 3}


def test_a_threshold_of_the_output_lets_several_classes_fire_and_the_most_confident_one_wins():
    table = iris()
    network = random_network(table, seed=1)
    rules = deepred(table, network, **FULL, output="threshold", clauses=20_000)
    held = np.stack([rule.holds(table.values) for rule in rules.rules], 1)
    labels = np.array([rule.label for rule in rules.rules])
    for row, given in zip(held, rules(table.values), strict=True):
        best = max(rules.rules[number].confidence for number in np.flatnonzero(row))
        assert given in {rules.rules[n].label for n in np.flatnonzero(row) if rules.rules[n].confidence == best}
    assert any(len(set(labels[row])) > 1 for row in held)


def test_two_classes_have_the_same_rules_by_either_condition():
    table = corners()
    one, other = (deepred(table, xor_network(table), **FULL, output=kind) for kind in ("largest", "threshold"))
    assert one.text == other.text


def test_a_class_that_is_never_predicted_has_no_rule():
    table = corners()
    always = Network.of(table, [(np.zeros((2, 2)), np.zeros(2)), (np.zeros((2, 2)), np.array([1.0, 0]))])
    rules = deepred(table, always, **FULL)
    assert [(rule.label, rule.terms) for rule in rules.rules] == [(0, ())]
    assert rules.conditions(rules.rules[0]) == "always"


def test_beyond_the_cap_a_note_says_what_was_done_instead():
    table = iris()
    network = random_network(table, (12, 10), seed=1)
    few = deepred(table, network, **FULL, clauses=20)
    assert any("so a tree describes each clause" in note for note in few.notes)
    fewest = deepred(table, network, **FULL, clauses=1)
    assert any("one tree on the features" in note for note in fewest.notes)
    assert all(rules.quality(table, network).fidelity > 0.9 for rules in (few, fewest))
    assert fewest.notes[0] in fewest.text


def test_categories_become_equalities():
    rng = np.random.default_rng(1)
    columns = (Column("size"), Column("colour", "category", ("red", "green", "blue")))
    values = np.stack([rng.normal(size=90), np.arange(90) % 3], 1)
    table = classes_of(values, values[:, 1] == 2, columns=columns)
    blue = Network.of(
        table, [(np.array([[0.0, 0, 0, 4]]), np.zeros(1)), (np.array([[-1.0], [1]]), np.array([2.0, -2]))]
    )
    for rules in (deepred(table, blue), surrogate_tree(table, blue)):
        assert {(rule.label, rule.terms) for rule in rules.rules} == {
            (1, (Term(1, categories=(2,)),)),
            (0, (Term(1, categories=(0, 1)),)),
        }
    assert "colour = red or green" in rules.text


def test_a_number_as_target_is_refused():
    table = Table("made", (Column("x"),), np.zeros((3, 1)), Column("score"), np.zeros(3))
    with pytest.raises(Unsupported, match="score is a number"):
        surrogate_tree(table, lambda values: values)


def test_extraction_counts_and_stops():
    table, notes = iris(), []

    def stop(fraction, note):
        notes.append((fraction, str(note)))
        if len(notes) > 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        deepred(table, random_network(table), **FULL, report=stop)
    assert "trees 0 of" in notes[0][1]
    assert "class 1 of 3" in notes[0][1]
    fractions = []
    deepred(table, random_network(table), **FULL, clauses=20, report=lambda fraction, note: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_card_has_the_settings():
    assert [param.name for param in DEEPRED.params] == ["depth", "leaf", "output", "clauses", "unseen"]


def test_deeper_trees_are_more_faithful():
    data = load_wine()
    table = classes_of(standardised(data.data), data.target, data.target_names)
    network = random_network(table, (8, 6))
    found = fidelity_by_depth(table, network, table, depths=(1, 3, 20))
    assert found["fidelity"].is_monotonic_increasing
    assert found["fidelity"].iloc[-1] == 1
    assert found["rules"].is_monotonic_increasing


def test_synthetic_rows_lie_between_rows_of_the_table():
    columns = (Column("x"), Column("kind", "category", ("a", "b")))
    values = np.array([[0.0, 0], [1, 1], [2, 1]])
    table = classes_of(values, np.array([0, 1, 1]), columns=columns)
    rows = synthetic_rows(table, 500, jitter=0)
    assert rows[:, 0].min() >= 0
    assert rows[:, 0].max() <= 2
    assert len(np.unique(rows[:, 0])) > 200
    assert set(rows[:, 1]) == {0, 1}
    assert (rows[rows[:, 1] == 0, 0] <= 1).all()  # nearer to the first row than to the others, or it itself
    noisy = synthetic_rows(table, 500, jitter=0.5)
    assert noisy[:, 0].min() < 0
    np.testing.assert_array_equal(rows, synthetic_rows(table, 500, jitter=0))


def test_synthetic_rows_bring_the_tree_closer_to_the_network():
    rng = np.random.default_rng(4)
    table = classes_of(rng.normal(size=(40, 2)), np.zeros(40))
    fresh = classes_of(rng.normal(size=(1000, 2)), np.zeros(1000))
    network = random_network(table, (6,), seed=2)
    alone, helped = (surrogate_tree(table, network, depth=0, leaf=0, synthetic=count) for count in (0, 2000))
    assert helped.quality(fresh, network).fidelity > alone.quality(fresh, network).fidelity + 0.02


def trained(table, hidden, steps=150):
    """A small network that fits the rows of a table."""
    scale = np.maximum(table.values.std(0), 1e-9)
    rows, labels = (
        torch.from_numpy((table.values - table.values.mean(0)) / scale).float(),
        torch.from_numpy(table.answers),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = [torch.nn.Linear(a, b) for a, b in pairwise((rows.shape[1], *hidden, len(table.classes)))]
    net = torch.nn.Sequential(*[part for layer in linear for part in (layer, torch.nn.ReLU())][:-1])
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(rows), labels.long()).backward()
        optimiser.step()
    return Network(table, net.eval(), table.values.mean(0), scale)


@pytest.mark.slow
def test_digits_take_less_than_two_minutes_and_notes_say_where_the_cap_was_passed():
    data = load_digits()
    columns = tuple(Column(f"pixel {number}") for number in range(64))
    table = classes_of(data.data, data.target, "0123456789", columns)
    network = trained(table, (32, 16))
    began = time.process_time()
    rules = deepred(table, network)
    quality = rules.quality(table, network)
    print(f"{time.process_time() - began:.0f} s of CPU, {quality}", *rules.notes, sep="\n")
    assert time.process_time() - began < 120
    assert quality.fidelity > 0.6
    assert rules.notes
    assert "more than 2,000 clauses, so a tree describes each clause" in rules.notes[0]
