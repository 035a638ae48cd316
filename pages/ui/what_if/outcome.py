"""What a network makes of the image of a page as it is, and with the edits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.edits.apply import edited, scaled
from core.edits.edit import Filters
from core.errors import BadImage
from core.explain.target_name import TargetName
from core.images import Picture
from core.workbench import Workbench
from pages.ui.session import location, state
from pages.ui.what_if.edit_list import Edits

TOP = 5
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

    def rows(self) -> list[Row]:
        """The first classes of both, those before first; of a regression all its values."""
        bench, then = self.before.bench, self.after.bench
        before, after = bench.probabilities(self.before.picture), then.probabilities(self.after.picture)
        first = [one for asked in (self.before, self.after) for one, *_ in asked.bench.top(asked.picture, TOP)]
        return [(bench.model.labels[one], float(before[one]), float(after[one]), one) for one in dict.fromkeys(first)]

    def sentence(self) -> str:
        """Whether the prediction changes."""
        model = self.before.bench.model
        if model.output == "regression":
            return ""
        (old, name, was), (new, other, _) = (one.bench.top(one.picture, 1)[0] for one in (self.before, self.after))
        now = float(self.after.bench.probabilities(self.after.picture)[old])
        change = f"Prediction changes to {other}; {name}" if new != old else f"Prediction unchanged: {name}"
        return f"{change} {was:.1%} → {now:.1%}"


def outcome(subject: Subject, edits: Edits) -> Outcome:
    """The outcome of these edits. Raises a VitrineError for those that this picture or network does not allow."""
    bench, picture = subject.bench, subject.picture
    texts = tuple(str(one) for one in edits if not isinstance(one, Filters))
    dials = tuple(one for one in edits if isinstance(one, Filters))
    changed, model = picture, bench.model
    if texts:
        changed = bench.cache.get(("edited", picture.key, texts), lambda: edited(picture, edits, image))
    if dials:
        model = bench.cache.get(("scaled", model.key, tuple(map(str, dials))), lambda: scaled(bench.model, edits))
    then = Workbench(model, bench.cache)
    return Outcome(subject, replace(subject, bench=then, picture=changed))


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
