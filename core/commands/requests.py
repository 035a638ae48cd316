"""Options that `vitrine explain` and `vitrine measure` share: images, model, targets, settings, layer and seed."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from core.card import Card
from core.commands import complain, options, say
from core.data.model_options import ModelOptions
from core.errors import BadParameter, UnknownName, Unsupported
from core.params import whole
from core.progress import Report
from core.registry import Registry, unknown

if TYPE_CHECKING:
    from core.data.image_files import ImageFile, ImageFiles
    from core.images import Picture, Window
    from core.models.model import Model
    from core.workbench import Workbench

Settings = Mapping[str, Mapping[str, Any]]  # by the name of their card


@dataclass(frozen=True)
class Reading:
    """How the images that a command names are read."""

    limit: int  # of each folder; 0 for all
    page: int
    window: "Window | None"

    def picture(self, image: "ImageFile") -> "Picture":
        """A decoded image. Raises BadImage."""
        return image.picture(self.window, self.page)


@dataclass(frozen=True)
class Asked:
    """The cards of one kind that a command was asked for, and the option that names them."""

    option: str
    known: Registry[Any]  # of cards
    names: Sequence[str]


def request_options(parser: ArgumentParser, owner: str = "METHOD") -> None:
    """Declare the shared options; `owner` says whose settings --set changes."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders or zip archives of images")
    parser.add_argument(
        "--limit", default="0", metavar="COUNT", help="images of each folder, sampled evenly; 0 for all (default)"
    )
    parser.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    parser.add_argument(
        "--target",
        action="append",
        metavar="TARGET",
        help="what to explain: predicted (default), a class (index or label), a difference A-B, a group A+B or a unit "
        "LAYER:NUMBER",
    )
    parser.add_argument("--set", action="append", default=[], metavar=f"{owner}.SETTING=VALUE", help="change a setting")
    kinds = " and measures" if owner != "METHOD" else ""
    parser.add_argument(
        "--budget",
        default="standard",
        help=f"quality of all methods{kinds}: quick, standard (default) or paper; --set overrides it",
    )
    parser.add_argument(
        "--window", metavar="LOW,HIGH", help="values of deep images shown as black and white; write --window=-100,300"
    )
    parser.add_argument(
        "--page", default="1", metavar="NUMBER", help="page of files with several, such as TIFF and DICOM (default: 1)"
    )
    parser.add_argument(
        "--layer",
        default="",
        help="layers whose activations are read, separated by commas (default: last spatial layer)",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")


def edit_option(parser: ArgumentParser) -> None:
    """Declare --edit."""
    parser.add_argument(
        "--edit",
        action="append",
        default=[],
        metavar="EDIT",
        help="change the image or the model first, in this order: box=X,Y,WIDTH,HEIGHT:FILL, "
        "stroke=RADIUS,X,Y,…:FILL or segments=COUNT,INDEX,…:FILL with a fill of zero (black), mean, blur or "
        "'image FILE'; brightness=FACTOR, rotate=DEGREES, noise=DEVIATION, jpeg=QUALITY; filters=LAYER:UNIT,…*FACTOR "
        "with a factor from 0 (off) to 3",
    )


def reading(args: Namespace) -> Reading:
    """The options of images, checked before any work."""
    from core.images import window_of

    window = window_of(args.window) if args.window is not None else None
    limit, page = whole(args.limit), whole(args.page)
    if limit is None:
        raise BadParameter(f"--limit cannot be {args.limit!r}.", "Give a number of images, or 0 for all.")
    if not page:
        raise BadParameter(f"--page cannot be {args.page!r}.", "Give the number of a page, 1 for the first.")
    return Reading(limit, page, window)


def listed(args: Namespace, how: Reading, model: "Model", report: Report, *, judged: bool) -> "ImageFiles":
    """The images that a command names, with their true classes by class folders if `judged`.

    What is to be said about images, model and targets is printed, and added to the notes of the images.
    """
    from core.data.image_files import image_files
    from core.explain.target_name import target_note

    images = image_files(args.images, how.limit, report, model.labels if judged else ())
    named = dict.fromkeys([*targets(args, model), getattr(args, "label", None) or ""])
    images.notes += [*model.notes, *filter(None, (target_note(text, model) for text in named))]
    for sentence in images.notes:
        (complain if args.json else say)(sentence)
    for path, error in images.errors.items():
        report_failure(Path(path).name, str(error))
    return images


def report_failure(name: str, problem: str) -> bool:
    """Print the problem of an image or folder, with its name; returns True, for failed."""
    from core.images import shown

    name = shown(name)
    complain(problem if name in problem else f"{name}: {problem}")
    return True


def writable(out: Path) -> None:
    """Check that the output folder is writable, before any work."""
    from core.export import unwritable

    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise unwritable(out, error) from None


def chosen_names(text: str, known: Registry[Any]) -> list[str]:
    """The cards in a text of names between commas, each once. Raises UnknownName."""
    return [known[name].name for name in dict.fromkeys(name.strip() for name in text.split(","))]


def usable(names: Iterable[str], bench: "Workbench", *, every: bool) -> list[str]:
    """The requested methods, without those that cannot work on the model if `every` was requested, else Unsupported."""
    reasons = bench.usable()
    if every:
        return [name for name in names if not reasons[name]]
    for name in names:
        if reasons[name]:
            raise Unsupported(reasons[name], "Leave it out, or choose another model.")
    return list(names)


def settings(args: Namespace, *asked: Asked) -> Settings:
    """The budget's settings, changed by those given as NAME.SETTING=VALUE, all checked alone and together."""
    kinds: dict[str, Asked] = {name: kind for kind in asked for name in kind.known}
    given: dict[str, dict[str, Any]] = {
        name: kind.known[name].budget(args.budget) for kind in asked for name in kind.names
    }
    for text in args.set:
        name, equals, value = text.partition("=")
        owner, dot, setting = name.partition(".")
        if not (equals and dot):
            hint = f"Write {'NAME' if len(asked) > 1 else 'METHOD'}.SETTING=VALUE, for example rise.masks=500."
            raise BadParameter(f"--set {text!r} cannot be read.", hint)
        if owner not in kinds:
            raise unknown(" or ".join(kind.known.kind for kind in asked), owner, kinds)
        if owner not in given:
            kind = kinds[owner]
            message = f"--set {text!r} is for a {kind.known.kind} that was not requested."
            raise BadParameter(message, f"Add {owner} to {kind.option}.")
        given[owner][setting] = value
    for owner, values in given.items():
        card: Card = kinds[owner].known[owner]
        card.chosen(values)
    return given


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """Settings given as SETTING=VALUE. Raises BadParameter for other texts."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadParameter(f"--set {text!r} cannot be read.", "Write SETTING=VALUE.")
        found[name] = value
    return found


def targets(args: Namespace, model: "Model") -> list[str]:
    """The requested targets, each once, checked against the model: "predicted", or as `target_name` reads them."""
    from core.explain.target_name import target_name

    texts = ["predicted" if text.casefold() == "predicted" else text for text in args.target or ["predicted"]]
    for target in texts:
        if target == "predicted":
            continue
        try:
            target_name(target, model)
        except UnknownName:
            if get_close_matches(target.casefold(), ["predicted"], cutoff=0.8):
                raise unknown("class", target, ("predicted", *model.labels)) from None
            raise
    return list(dict.fromkeys(texts))


def layers(args: Namespace, model: "Model") -> list[str]:
    """The requested layers, each once, checked against the model; none for the default."""
    found = list(dict.fromkeys(names(args.layer)))
    for name in found:
        model.resolve_layer(name)
    return found


def names(text: str) -> tuple[str, ...]:
    """The names in a text with commas between them; none in an empty one."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))
