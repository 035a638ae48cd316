"""Models of the user's own code: trust, what they are given, and outputs that are refused."""

import numpy as np
import pytest

from core.errors import BadModel, Unavailable
from core.models.sources.trust import trust
from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.own_model import own_model

WINE = DATASETS["wine"].load()
FOREST = """
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
def build():
    given = load_wine()
    return RandomForestClassifier(5, random_state=0).fit(given.data, [f"class_{one}" for one in given.target])
"""


def written(tmp_path, code, *, trusted=True):
    path = tmp_path / "mine.py"
    path.write_text(code)
    return trust(f"{path}:build") if trusted else f"{path}:build"


def returning(tmp_path, outputs, more=""):
    return written(tmp_path, f"""
import numpy as np
class Model:
    {more}
    def predict_proba(self, frame):
        n = len(frame)
        return {outputs}
def build():
    return Model()
""")  # fmt: skip


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_a_forest_predicts_in_the_order_of_the_table(tmp_path):
    predict = own_model(written(tmp_path, FOREST), WINE)
    assert (predict(WINE.values).argmax(1) == WINE.answers).mean() > 0.95


def test_code_runs_only_after_it_was_named(tmp_path):
    ran = tmp_path / "ran"
    name = written(tmp_path, f"open({str(ran)!r}, 'w')\ndef build(): pass\n", trusted=False)
    with pytest.raises(Unavailable, match="run only when the command line names it"):
        own_model(name, WINE)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["model.pkl", "MODEL.JOBLIB", "a/b.pickle", "m.dill"])
def test_a_pickle_is_refused_with_the_way_out(name):
    with pytest.raises(BadModel, match=r"could run any code.*FILE.py:FUNCTION"):
        own_model(name, WINE)


def test_what_is_no_code_is_refused():
    with pytest.raises(BadModel, match="names no code"):
        own_model("resnet18", WINE)


def test_it_is_given_names_and_categories_as_texts(tmp_path):
    name = written(tmp_path, """
class Model:
    def predict(self, frame):
        assert list(frame) == ["course", "age", "travel", "absences", "sleep", "reading hours", "study hours"]
        return frame["study hours"] + (frame["course"] == "science")
def build():
    return Model()
""")  # fmt: skip
    students = made.students()
    expected = students.values[:, 6] + (students.values[:, 0] == 2)
    assert np.array_equal(own_model(name, students)(students.values), expected[:, None])


def test_its_own_order_of_classes_is_put_right(tmp_path):
    outputs = "np.tile([0.7, 0.2, 0.1], (n, 1))"
    order = 'classes_ = ["class_2", "class_0", "class_1"]'
    assert own_model(returning(tmp_path, outputs, order), WINE)(WINE.values[:1]).tolist() == [[0.2, 0.1, 0.7]]
    assert own_model(returning(tmp_path, outputs), WINE)(WINE.values[:1]).tolist() == [[0.7, 0.2, 0.1]]
    with pytest.raises(BadModel, match="no class 'class_0'"):
        own_model(returning(tmp_path, outputs, 'classes_ = ["a", "b", "c"]'), WINE)
    with pytest.raises(BadModel, match=r"has 2 classes|no class"):
        own_model(returning(tmp_path, outputs, 'classes_ = ["class_0", "class_1"]'), WINE)


def test_labels_are_probabilities_of_zero_and_one(tmp_path):
    code = "class Model:\n    def predict(self, frame): return [{!r}] * len(frame)\ndef build(): return Model()\n"
    assert own_model(written(tmp_path, code.format("class_1")), WINE)(WINE.values[:1]).tolist() == [[0, 1, 0]]
    digits = DATASETS["digits"].load()
    assert own_model(written(tmp_path, code.format(3.0)), digits)(digits.values[:1]).argmax() == 3
    with pytest.raises(BadModel, match="predicts the label 'other'"):
        own_model(written(tmp_path, code.format("other")), WINE)


@pytest.mark.parametrize(
    ("outputs", "part"),
    [
        ("np.ones((n, 2)) / 2", r"shape \(2, 2\) for 2 rows, not \(2, 3\)"),
        ("np.ones((n + 1, 3)) / 3", r"shape \(3, 3\)"),
        ("np.ones((n, 3))", "a row adds up to 3"),
        ("np.tile([2.0, -1, 0], (n, 1))", "the least value is -1"),
        ("np.full((n, 3), np.nan)", "not finite"),
        ("np.full((n, 3), 'a')", "returns no numbers"),
        ("1 / 0", "fails with ZeroDivisionError"),
        ("None", "returns no numbers|shape"),
    ],
)
def test_outputs_that_are_no_probabilities_are_refused(outputs, part, tmp_path):
    with pytest.raises(BadModel, match=part) as caught:
        own_model(returning(tmp_path, outputs), WINE)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("value", "part"), [("5", "a value of type int without"), ("dict", "the class dict without"), ("None", "NoneType")]
)
def test_what_is_no_model_is_refused(value, part, tmp_path):
    with pytest.raises(BadModel, match=part):
        own_model(written(tmp_path, f"def build(): return {value}\n"), WINE)


def test_code_that_fails_is_a_sentence(tmp_path):
    with pytest.raises(BadModel, match=r"mine\.py:build fails with KeyError"):
        own_model(written(tmp_path, "def build(): return {}['x']\n"), WINE)
