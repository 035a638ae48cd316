"""The predictions of a network for an image as it is, and with the edits of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.edits.what_if import WhatIf, what_if
from core.errors import BadImage
from core.explain.target_name import TargetName
from core.images import Picture
from core.workbench import Workbench
from pages.ui.session import location, state
from pages.ui.what_if.edit_list import Edits
from pages.ui.widgets.text import percent

Row = tuple[str, float, float, int]  # a class with its probability before and after, and its index


@dataclass(frozen=True)
class Subject:
    """A picture and the network that is asked about it; `target` is what the maps explain."""

    bench: Workbench
    picture: Picture
    target: TargetName
    true: int | None = None  # the true class, if it is known


@dataclass(frozen=True)
class Outcome:
    """The same question before the edits and after them."""

    before: Subject
    after: Subject
    found: WhatIf

    def rows(self) -> list[Row]:
        """The first classes of both, those before first; of a regression all its values."""
        found, labels = self.found, self.before.bench.model.labels
        first = dict.fromkeys((*found.top_before, *found.top_after))
        return [(labels[one], float(found.before[one]), float(found.after[one]), one) for one in first]

    def sentence(self) -> str:
        """Whether the prediction changes."""
        found, model = self.found, self.before.bench.model
        if model.output == "regression":
            return ""
        old, new = found.top_before[0], found.top_after[0]
        name = model.labels[old]
        change = f"Prediction changes to {model.labels[new]}; {name}" if new != old else f"Prediction unchanged: {name}"
        return f"{change} {percent(float(found.before[old]))} → {percent(float(found.after[old]))}"


def outcome(subject: Subject, edits: Edits) -> Outcome:
    """The outcome of these edits. Raises a VitrineError for those that this picture or network does not allow."""
    bench, picture = subject.bench, subject.picture
    key = ("what if", bench.model.key, picture.key, tuple(map(str, edits)))
    found = bench.cache.get(key, lambda: what_if(bench, picture, edits, image))
    then = Workbench(found.model, bench.cache)
    return Outcome(subject, replace(subject, bench=then, picture=found.picture), found)


def image(name: str) -> Picture:
    """The image that fills a shape: an example or an upload, by name or hash. Raises BadImage."""
    if example := state.samples().get(name):
        return state.sample(example.path)
    uploads = state.session().uploads()
    sha = next((one for one, title in uploads.items() if name in (one, title)), "")
    if sha and (found := state.session().upload(sha)):
        return found
    raise BadImage(f"The image {location.named(name)} isn't available here.", "Upload it, or choose another fill.")


def images(but: Picture) -> Sequence[tuple[str, str]]:
    """The images that can fill a shape, as (name, title): those of the strip except the picture itself."""
    examples = [(name, name) for name in location.examples() if name != but.name]
    return [*((sha, name) for sha, name in state.session().uploads().items() if sha != but.sha), *examples]
