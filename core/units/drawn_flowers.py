"""The flowers that the bundled analyses are of: not stored, but drawn again into the user's folder when needed."""

from pathlib import Path

from core.data.flowers import VARIANTS
from core.data.flowers.folders import drawn_once
from core.environment import home
from core.errors import Unavailable
from core.models.model import Model
from core.progress import Report, silent
from core.resources import ASSETS
from core.units.store import UnitStore

SEED = 31  # of flowers that no network was trained on
PER_CLASS = {"double-12c": 40, "part-2c": 120, "shortcut": 80, "single-6c": 80}  # as in assets/units/README.md
MU = 5.0  # the bound for flowers in the code of Oramas et al.


def flower_folder(model: Model) -> Path | None:
    """The folder of the flowers for a model, which may not be drawn yet; None if it was not trained on flowers."""
    variant = model.facts.get("variant")
    return home() / "flowers" / f"{variant}-{PER_CLASS[variant]}-{SEED}" if variant in PER_CLASS else None


def flower_count(model: Model) -> int:
    """The number of images in that folder once they are drawn."""
    variant = model.facts["variant"]
    return PER_CLASS[variant] * len(VARIANTS[variant].classes)


def drawn_flowers(model: Model, report: Report = silent) -> Path:
    """The same folder, drawn at the first request. Raises Unavailable for other models, or if it cannot be written."""
    folder = flower_folder(model)
    if folder is None:
        raise Unavailable(f"{model.display} was not trained on flowers.", "Name a folder of images.")
    variant = model.facts["variant"]
    return drawn_once(folder, variant, per_class=PER_CLASS[variant], seed=SEED, report=report)


def images_of(store: UnitStore, model: Model, report: Report = silent) -> Path:
    """The folder of the images that an analysis is of; those of a bundled one are drawn at the first request.

    Raises Unavailable if the folder is not there.
    """
    folder = (store.path / store.manifest.data.folder).resolve()
    if folder.is_dir():
        return folder
    if store.path.resolve().is_relative_to(ASSETS.resolve()) and flower_folder(model):
        return drawn_flowers(model, report)
    message = f"The images of {store.name} are not in {folder}."
    raise Unavailable(message, "Put them back, or compute the analysis again.")
