"""The panel of what if on the page that compares: about the current image, network and first target."""

from core.study import Study
from pages.ui.session import location
from pages.ui.study import ablation, open_study
from pages.ui.what_if import edit_list
from pages.ui.what_if import panel as whole
from pages.ui.what_if.outcome import Subject


def panel(method: str) -> None:
    """The panel about the current image; `method` is the first one of the comparison."""
    whole.panel(_subject, _study(), method)


def leave() -> None:
    """Take the edits from the address while the page shows something else; the session keeps them."""
    edit_list.write(())


def _subject() -> Subject:
    bench, picture = location.bench(), location.subject()
    return Subject(bench, picture, location.targets(bench, picture)[0], location.true_class(bench, picture))


def _study() -> Study | None:
    """The open study if it is of the current model, else the first that is."""
    studies = [open_study.selected(), *(entry.study for entry in open_study.listed().values())]
    return next((one for one in studies if one and ablation.is_current(one)), None)
