"""Maps of a finished exam again: its model, and the settings of its methods."""

from typing import Any

from core.errors import StoreError
from core.exam import Exam
from core.explain import EXPLAINERS
from core.models.model import Model
from core.params import checked


def check_model(exam: Exam, model: Model) -> None:
    """Raise StoreError if a model is not the one of the exam."""
    if model.sha != exam.manifest.model.sha:
        message = f"{model.display} is not the model of the exam {exam.name}: its weights have changed."
        raise StoreError(message, "Build the exam again.")


def settings_of(exam: Exam, method: str) -> dict[str, Any]:
    """The settings of a method in an exam that differ from the defaults of today.

    Raises StoreError if this version has no such method, and BadParameter or UnknownName if it has other settings.
    """
    if method not in EXPLAINERS:
        raise StoreError(f"This version has no method {method}.", "Build the exam again.")
    params = EXPLAINERS[method].params
    values = checked(params, exam.settings_of(method), method)
    return {param.name: values[param.name] for param in params if values[param.name] != param.default}
