"""Training of a network for a table: the same bytes, honest scores, progress and cancelling."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadParameter, Cancelled
from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.network import Network
from core.tables.table import Column, Table
from core.tables.training import NETWORK, error, score, split, train


def digest(trained):
    net = trained.network
    parts = [value.numpy().tobytes() for value in net.net.state_dict().values()]
    parts += [net.mean.tobytes(), net.scale.tobytes(), trained.losses.tobytes(), trained.held_out.values.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("name", ["students", "wine"])
def test_the_same_seed_gives_the_same_bytes(name):
    table = DATASETS[name].load()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = train(table, epochs=3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert digest(train(table, epochs=3, seed=5)) == digest(first)
    assert digest(train(table, epochs=3, seed=6)) != digest(first)


def test_nor_do_they_depend_on_the_threads_of_torch():
    """Sums over several threads are rounded in another order."""
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(digest(train(DATASETS["digits"].load(), epochs=1)))
        assert found[0] == found[1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "least"), [("students", 0.85), ("students_class", 0.85), ("breast_cancer", 0.93), ("wine", 0.9)]
)
def test_it_learns_what_can_be_learnt(name, least):
    trained = train(DATASETS[name].load())
    assert least < trained.score <= 1
    assert trained.score > trained.chance + 0.3
    assert trained.losses[-1, 0] < trained.losses[0, 0] / 2
    outputs = trained.network(trained.held_out.values)
    assert trained.score == pytest.approx(score(outputs, trained.held_out, trained.training))
    assert not any(value.requires_grad for value in trained.network.net.parameters())


def test_where_there_is_nothing_to_learn_it_overfits_and_says_so():
    trained = train(DATASETS["drugs"].load(), epochs=30)
    assert trained.training_score == 1
    low, high = trained.interval
    assert low < 0.5 < high
    assert "12 rows held out, where the most frequent class has 50.0%, and 100.0% on the 34 rows" in trained.sentence


def test_numbers_come_in_their_own_unit_and_chance_is_the_mean():
    table = made.students()
    big = Table("big", table.columns, table.values, table.target, 1e6 + 1000 * table.answers)
    trained, scaled = train(table, epochs=20), train(big, epochs=20)
    assert scaled.score == pytest.approx(trained.score, abs=0.01)
    assert scaled.network(table.values).mean() == pytest.approx(big.answers.mean(), rel=0.01)
    assert (trained.chance, trained.interval) == (0, None)
    assert trained.sentence.startswith("The R² is 0.")


def test_features_that_never_change_do_no_harm():
    table = made.students(60)
    constant = Table("constant", (*table.columns, Column("k")), np.column_stack([table.values, np.full(60, 7.0)]),
                     table.target, table.answers)  # fmt: skip
    trained = train(constant, epochs=2)
    assert np.isfinite(trained.network(constant.values)).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 80), st.floats(0.05, 0.9), st.integers(0, 1000), st.integers(0, 4))
def test_a_split_is_of_all_rows_and_keeps_the_shares_of_classes(rows, share, seed, classes):
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, classes, rows).astype(float) if classes else rng.normal(size=rows)
    target = Column("y", "category", tuple(map(str, range(classes)))) if classes else Column("y")
    table = Table("t", (Column("x"),), np.arange(rows, dtype=float)[:, None], target, answers)
    training, held = split(table, share, seed)
    assert sorted([*training.values[:, 0], *held.values[:, 0]]) == list(range(rows))
    assert len(held) >= 2
    assert len(training) >= 2
    assert abs(len(held) - share * rows) <= 2
    for number in range(classes):
        expected = len(held) / rows * (answers == number).sum()
        assert abs((held.answers == number).sum() - expected) <= 1 + 1e-9


def test_rows_held_out_differ_between_seeds():
    table = made.students(100)
    assert not np.array_equal(split(table, 0.25, 0)[1].values, split(table, 0.25, 1)[1].values)


def test_progress_counts_epochs_and_stops_within_a_batch():
    told = []
    train(DATASETS["wine"].load(), epochs=3, report=lambda fraction, note: told.append((fraction, str(note))))
    assert told[0] == (0, "epochs 0 of 3")
    assert told[-1] == (1, "epochs 3 of 3")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)

    steps = []

    def stop(fraction, note):
        steps.append(fraction)
        if len(steps) == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(DATASETS["wine"].load(), epochs=1000, batch=8, report=stop)
    assert len(steps) == 5
    assert steps[-1] < 0.001


def test_settings_are_those_of_the_card():
    assert [param.name for param in NETWORK.params] == [
        "hidden",
        "epochs",
        "rate",
        "decay",
        "batch",
        "held_out",
        "seed",
    ]
    assert NETWORK.chosen({"hidden": "8,4"})["hidden"] == (8, 4)
    for hidden in ("8.5", "1,1,1,1,1", "0", ""):
        with pytest.raises(BadParameter, match="hidden cannot be"):
            NETWORK.chosen({"hidden": hidden})


def test_settings_that_diverge_are_a_sentence():
    with pytest.raises(BadParameter, match="The training diverged"):
        train(DATASETS["wine"].load(), rate=1, decay=10)


def test_hidden_layers_have_the_sizes_asked_for():
    trained = train(DATASETS["wine"].load(), hidden=(5.0, 3.0), epochs=1)
    shapes = [value.shape for name, value in trained.network.net.named_parameters() if name.endswith("weight")]
    assert shapes == [(5, 13), (3, 5), (3, 3)]


def test_errors_and_scores():
    table = Table("t", (Column("x"),), np.zeros((4, 1)), Column("y"), np.array([0.0, 0, 2, 2]))
    assert error(np.array([[0.0], [0], [2], [0]]), table) == 1
    assert score(np.array([[0.0], [0], [2], [0]]), table, table) == 0
    assert score(np.array([[0.0], [0], [2], [2]]), table, table) == 1
    classes = table.above_average()
    assert error(np.eye(2)[[0, 0, 1, 0]], classes) == 0.25
    assert score(np.eye(2)[[0, 0, 1, 0]], classes, classes) == 0.75


def test_a_network_of_given_weights_leaves_the_global_generator_alone():
    table = made.students(10)
    before = torch.random.get_rng_state()
    net = Network.of(table, [(np.ones((1, 9)), np.ones(1))])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.allclose(net(table.values)[:, 0], table.encoded().sum(1) + 1)
