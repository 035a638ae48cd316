"""Models of tables out of the user's own code: anything that offers `predict_proba` or `predict`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BadModel, VitrineError, brief
from core.tables.table import Predict, Table

if TYPE_CHECKING:
    from core.models.name import ModelName

PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".sav")
_WAY = "Return an object with predict_proba, as models of scikit-learn have, or with predict."


def own_model(name: str, table: Table) -> Predict:
    """The predictions of the object that a function `FILE.py:FUNCTION` returns.

    It is given a data frame of the features, with categories as texts, and its probabilities (n, C) are put into the
    order of the table's classes if it names its own in `classes_`. Raises BadModel for a pickled model, code that fails
    and outputs of another shape, or that do not add up to one; Unavailable for code that was not named on the command
    line (`core.models.sources.trust`).
    """
    from core.models.sources.own_code import returned

    parts = code_name(name)
    model, _ = returned(parts)
    method = _method(model, parts.display, table)
    order = _order(model, parts.display, table)

    def predict(values: NDArray[np.float64]) -> NDArray[np.float64]:
        frame = table.features(values)
        try:
            outputs = method(frame)
        except VitrineError:
            raise
        except Exception as error:
            said = brief(f"{type(error).__name__}: {' '.join(str(error).split())}", 150)
            hint = "It gets a data frame of the features, with categories as texts."
            raise BadModel(f"{parts.display} fails with {said}.", hint) from error
        return _checked(outputs, len(values), parts.display, table, order)

    predict(table.values[:2])  # so that what does not fit is said at once
    return predict


def code_name(name: str) -> "ModelName":
    """The function that a name refers to, of which no code is run. Raises BadModel for a pickle or what is no code."""
    from core.models.name import parsed

    if name.lower().endswith(PICKLES):
        message = f"{brief(name, 80)} is a pickle, and loading one could run any code."
        raise BadModel(message, "Load it in a file of yours, and give FILE.py:FUNCTION, a function that returns it.")
    parts = parsed(name)
    if parts.source != "python":
        raise BadModel(f"{brief(name, 80)} names no code.", "Give FILE.py:FUNCTION, a function that returns a model.")
    return parts


def _method(model: Any, shown: str, table: Table) -> Callable[[Any], Any]:
    """The method that predicts: for classes, probabilities if there are any."""
    names = ("predict_proba", "predict") if table.classes else ("predict",)
    for name in names:
        if callable(method := getattr(model, name, None)) and not isinstance(model, type):
            return method
    what = f"the class {model.__name__}" if isinstance(model, type) else f"a value of type {type(model).__name__}"
    way = _WAY if table.classes else "Return an object with predict, as models of scikit-learn have."
    raise BadModel(f"{shown} returns {what} without {' and '.join(names)}.", way)


def _order(model: Any, shown: str, table: Table) -> Sequence[int] | None:
    """The outputs in the order of the table's classes; None if the model does not name its classes."""
    given = getattr(model, "classes_", None)
    if given is None or not table.classes:
        return None
    names = [_spelled(one) for one in given]
    missing = [label for label in table.classes if label not in names]
    if missing or len(names) != len(table.classes):
        other = f"{len(names)} classes" if not missing else f"no class {brief(missing[0], 40)!r}"
        raise BadModel(f"{shown} has {other}, the table {len(table.classes)}.", "Train it on the same target.")
    return [names.index(label) for label in table.classes]


def _checked(outputs: Any, rows: int, shown: str, table: Table, order: Sequence[int] | None) -> NDArray[np.float64]:
    """Probabilities (n, C), or numbers (n, 1), out of what a model returned."""
    found = np.asarray(outputs)
    if table.classes and found.ndim == 1:
        return _of_labels(found, rows, shown, table)
    try:
        numbers = found.astype(np.float64)
    except (TypeError, ValueError):
        raise BadModel(f"{shown} returns no numbers.", _WAY) from None
    if not table.classes and numbers.ndim == 1:
        numbers = numbers[:, None]
    expected = (rows, len(table.classes) or 1)
    if numbers.shape != expected:
        message = f"{shown} returns an array of shape {numbers.shape} for {rows} rows, not {expected}."
        raise BadModel(
            message, "Return a row for each row, with a probability of each class." if table.classes else _WAY
        )
    if not np.isfinite(numbers).all():
        raise BadModel(f"{shown} returns values that are not finite.", "Check what it does with these rows.")
    if table.classes:
        if (numbers < -1e-6).any() or not np.allclose(numbers.sum(1), 1, atol=1e-3):
            worst = numbers.sum(1)[np.abs(numbers.sum(1) - 1).argmax()]
            what = f"a row adds up to {worst:.3g}, and the least value is {numbers.min():.3g}"
            message = f"{shown} returns no probabilities: {what}."
            raise BadModel(message, "Return values from 0 to 1 whose rows add up to 1.")
        if order is not None:
            numbers = numbers[:, order]
    return numbers


def _of_labels(found: NDArray[Any], rows: int, shown: str, table: Table) -> NDArray[np.float64]:
    """Predicted labels as probabilities of zero and one."""
    names = [_spelled(one) for one in found]
    strange = [name for name in names if name not in table.classes]
    if len(found) != rows or strange:
        what = f"the label {brief(strange[0], 40)!r}" if strange else f"{len(found)} labels for {rows} rows"
        raise BadModel(f"{shown} predicts {what}.", f"Classes are {brief(', '.join(table.classes), 100)}.")
    return np.array([[float(name == label) for label in table.classes] for name in names])


def _spelled(label: Any) -> str:
    """A label as a table has it: 1.0 is the class "1"."""
    return str(int(label)) if isinstance(label, float | np.floating) and label == int(label) else str(label)
