"""The tables that are opened by name: their cards are true, and what was planted in them is there."""

import numpy as np
import pytest

from core.errors import BadParameter, UnknownName
from core.tables.data import made
from core.tables.data.datasets import DATASETS


@pytest.mark.parametrize("name", DATASETS)
def test_the_card_is_true(name):
    card, table = DATASETS[name], DATASETS[name].load()
    assert table.name == card.name == name
    assert table.values.shape == (card.rows, card.features) == (len(table), len(table.columns))
    assert (table.target.name, len(table.classes)) == (card.target, card.classes)
    assert np.isfinite(table.values).all()
    assert np.isfinite(table.answers).all()
    assert len(set(table.names)) == card.features
    if card.classes:
        assert set(table.answers) == set(range(card.classes))
    assert card.summary.endswith(".")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="students"):
        DATASETS["student"]


def test_students_follow_their_formula():
    """Least squares on many students find the coefficients that the docstring names."""
    table = made.students(20_000)
    design = np.column_stack([np.ones(len(table)), table.encoded()[:, [0, 2]], table.values[:, 1:]])
    found = dict(zip(("", "arts", "science", *table.names[1:]), np.linalg.lstsq(design, table.answers)[0], strict=True))
    planted = {"arts": -1, "science": 2, "age": 0, "travel": 0, "absences": -0.4, "sleep": 0.8, "reading hours": 0.5,
               "study hours": 2.5}  # fmt: skip
    for name, value in planted.items():
        assert found[name] == pytest.approx(value, abs=0.15), name
    residual = table.answers - design @ np.linalg.lstsq(design, table.answers)[0]
    assert residual.std() == pytest.approx(4, abs=0.1)


def test_the_strongest_influence_is_the_seventh_feature():
    table = made.students()
    assert table.names[6] == made.STRONGEST
    correlations = [abs(np.corrcoef(column, table.answers)[0, 1]) for column in table.values.T]
    assert np.argmax(correlations) == 6


def test_no_gene_tells_the_response():
    """The largest of 18,632 differences of means is what shuffled labels give, too."""
    table = made.drugs()
    assert table.answers.sum() == 23

    def largest(answers):
        return np.abs(table.values[answers == 1].mean(0) - table.values[answers == 0].mean(0)).max()

    null = [largest(np.random.default_rng(draw).permutation(table.answers)) for draw in range(40)]
    assert min(null) * 0.9 < largest(table.answers) < max(null) * 1.1


def test_a_seed_gives_the_same_table_and_another_seed_another():
    first, again, other = made.students(seed=3), made.students(seed=3), made.students(seed=4)
    assert first.values.tobytes() == again.values.tobytes()
    assert first.answers.tobytes() == again.answers.tobytes()
    assert not np.array_equal(first.values, other.values)


def test_above_average_is_above_the_mean():
    table = made.students()
    classes = table.above_average()
    assert np.array_equal(classes.answers == 1, table.answers > table.answers.mean())
    assert classes.frame["score"].iloc[0] == classes.classes[int(classes.answers[0])]
    with pytest.raises(BadParameter, match="no average"):
        classes.above_average()


def test_numbers_alone_are_encoded_as_they_are():
    table = made.students()
    numbers = DATASETS["wine"].load()
    assert numbers.encoded() is numbers.values
    assert table.encoded().shape == (400, 9)
    assert np.array_equal(table.encoded()[:, :3].argmax(1), table.values[:, 0])
