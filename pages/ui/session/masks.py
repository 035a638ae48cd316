"""The masks of objects that a session knows: given for an image or for many, and those of the examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from core.comparison import Comparison
from core.data.masks import MaskFolder, ObjectMask
from core.data.masks.annotations import Size
from core.data.masks.uploaded import MaskFiles, uploaded_mask
from core.errors import TooLarge, VitrineError
from core.images import Picture
from core.serialization import digest
from core.workbench import Workbench
from pages.ui.session import state

_MANY = "masks"  # the key of the files for many images


@dataclass(frozen=True)
class Given:
    """A mask that was given for one image."""

    file: str  # the name of its file
    content: bytes
    origin: str  # where it is from, as a sentence
    outlines: tuple[tuple[float, ...], ...] = ()  # x, y, x, y … in pixels of the image, if it was drawn

    @cached_property
    def key(self) -> str:
        """A hash of the content."""
        return sha256(self.content).hexdigest()


def given(picture: Picture) -> Given | None:
    """The mask that was given for this image alone."""
    found = state.session().files.peek(("mask", picture.key))
    return found if isinstance(found, Given) else None


def give(bench: Workbench, picture: Picture, one: Given) -> None:
    """Remember a mask of an image until the tab is closed.

    Raises BadImage for one that does not fit, TooLarge for one that the session's memory has no room for.
    """
    files = state.session().files
    uploaded_mask(one.content, one.file, picture.name, _size(picture), bench.model.preprocess)
    _check_room(len(one.content))
    files.put(("mask", picture.key), one)


def remove(picture: Picture) -> None:
    """Forget the mask that was given for this image."""
    state.session().files.discard(("mask", picture.key))


def files() -> MaskFiles | None:
    """The files that were given for many images."""
    found = state.session().files.peek(_MANY)
    return found if isinstance(found, MaskFiles) else None


def give_files(added: dict[str, bytes]) -> None:
    """Remember files with masks of many images, beside those given before. Raises TooLarge."""
    _check_room(sum(map(len, added.values())))
    known = files()
    state.session().files.put(_MANY, MaskFiles({**(known.files if known else {}), **added}))


def remove_files() -> None:
    """Forget the files for many images."""
    state.session().files.discard(_MANY)


def matched(names: Sequence[str]) -> MaskFolder:
    """The files' masks of the images with these names."""
    known = files()
    if known is None:
        return MaskFolder({}, {}, ())
    session = state.session()
    return session.cache.get(("masks", known.key, digest(list(names))), lambda: known.folder(names))


def mask(
    bench: Workbench, picture: Picture, name: str = "", names: Sequence[str] = ()
) -> ObjectMask | VitrineError | None:
    """The object in an image as the model sees it, or why the one that was given cannot be used; None without one.

    Of several objects those of the class `name` count. A mask given for the image comes before those given for many,
    which are matched with the images of these `names`, and these before that of an example.
    """
    preprocess, one, many = bench.model.preprocess, given(picture), files()
    if one:
        key = ("mask", preprocess, picture.key, digest([one.file]), one.key, name)
        return _made(
            bench, key,
            lambda: uploaded_mask(one.content, one.file, picture.name, _size(picture), preprocess, name=name),
        )  # fmt: skip
    if many and (source := (folder := matched(names or [picture.name])).sources.get(picture.name)):
        key = ("mask", preprocess, picture.key, many.key, source.file, name)
        return _made(bench, key, lambda: folder.mask(picture.name, _size(picture), preprocess, name))
    example = state.samples().get(picture.name)
    if example is None or state.sample(example.path).sha != picture.sha:
        return None
    return bench.cache.get(("mask", preprocess, picture.key), lambda: example.mask(preprocess))


def known(shown: Comparison) -> dict[str, ObjectMask]:
    """The masks of a comparison's pictures by their key; of several objects those of the class that is explained."""
    names = [one.name for one in shown.pictures]
    found = {one.key: mask(shown.bench, one, explained(shown, one), names) for one in shown.pictures}
    return {key: one for key, one in found.items() if isinstance(one, ObjectMask)}


def explained(shown: Comparison, picture: Picture) -> str:
    """The label of the only class that is explained for a picture, "" if there are several or other targets."""
    targets = {tile.request.target.index for tile in shown.tiles if tile.picture.key == picture.key}
    only = next(iter(targets)) if len(targets) == 1 else None
    return "" if only is None else shown.bench.model.labels[only]


def _made(bench: Workbench, key: tuple[object, ...], make: Callable[[], ObjectMask]) -> ObjectMask | VitrineError:
    """A mask that is made once, or the error that says why it cannot be."""

    def made() -> ObjectMask | VitrineError:
        try:
            return make()
        except VitrineError as error:
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error

    return bench.cache.get(key, made)


def _check_room(size: int) -> None:
    """Raise TooLarge if there is no room for so many bytes."""
    room = state.session().files.budget
    if size > room:
        raise TooLarge(f"The masks take {size / 1e6:,.0f} MB, and this tab holds {room / 1e6:,.0f} MB.", "Give fewer.")
    state.check_room(size)


def _size(picture: Picture) -> Size:
    return picture.pixels.shape[0], picture.pixels.shape[1]
