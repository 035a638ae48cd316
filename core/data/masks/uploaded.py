"""Masks that a visitor gives: one file or outlines for one image, or files for many images, held in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import PurePosixPath

import numpy as np

from core.data.archive import members
from core.data.listing import LeftOut
from core.data.masks.annotations import Size, check_count, outline
from core.data.masks.drawing import fill
from core.data.masks.folder import FORMS, MaskFolder, ObjectMask
from core.data.masks.matching import Sources
from core.data.masks.pictures import mask_file
from core.errors import BadImage, VitrineError
from core.images import Preprocess, shown

KINDS = ("png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp", "json", "xml")


def uploaded_mask(
    content: bytes, file: str, image: str, size: Size, preprocess: Preprocess, *, name: str = ""
) -> ObjectMask:
    """The object in the image called `image`, whose picture has this height and width, as a model sees it.

    A picture or XML file is taken to belong to the image; a COCO file says itself which images it is about. Of several
    objects those of the class `name` count, or all if there is none. Raises BadImage.
    """
    path = _name(image) or "image"
    ending = PurePosixPath(file).suffix.lower()
    own = _name(file) if ending == ".json" else f"{PurePosixPath(path).stem}{ending}"
    found = MaskFiles({own: content}).folder([path])
    if not found.sources:
        raise BadImage(f"{shown(file)} has no mask for {shown(path)}.", FORMS)
    return found.mask(path, size, preprocess, name)


def drawn_mask(outlines: object, size: Size) -> bytes:
    """The mask of an image of this height and width with these outlines, [[x, y, x, y, …], …] in pixels, as a PNG file.

    A pixel belongs to an outline if its centre does, and to the mask if it belongs to one of them. Raises BadImage for
    other content, and for outlines around no pixel.
    """
    try:
        shapes = [outline(one) for one in (outlines if isinstance(outlines, list) else ())]
        check_count(shapes)
    except ValueError as error:
        raise BadImage(f"The drawing cannot be read: {error}.", "Draw it again.") from None
    mask = np.zeros(size, bool)
    for shape in shapes:
        fill(mask, shape)
    if not mask.any():
        raise BadImage("The drawing marks no pixel of the image.", "Draw a larger shape on the image.")
    return mask_file(mask)


@dataclass(frozen=True)
class MaskFiles:
    """Files with masks of many images by name: pictures named as the images are, COCO JSON, XML."""

    files: Mapping[str, bytes]

    @cached_property
    def key(self) -> str:
        """A hash of names and contents."""
        found = sha256()
        for name, content in self.files.items():
            found.update(f"{name} {len(content)} ".encode(errors="replace") + content)
        return found.hexdigest()

    @cached_property
    def _sources(self) -> Sources:
        found = Sources()
        for name, content in self.files.items():
            found.add(content, name)
        found.note_refused()
        return found

    def folder(self, paths: Sequence[str]) -> MaskFolder:
        """The masks of the images at these paths, matched as those in a folder are."""
        sources = self._sources.copy()
        found, missing = sources.matched(paths)
        return MaskFolder(found, missing, tuple(sources.notes))


def mask_files(files: Iterable[tuple[str, bytes]], left_out: LeftOut, room: int) -> dict[str, bytes]:
    """The files that may hold masks by name, also of zip archives, as far as `room` bytes hold them."""
    found, used = dict[str, bytes](), 0
    for name, content in _unpacked(files, left_out):
        if PurePosixPath(name).suffix.lower()[1:] not in KINDS:
            left_out.add("files that hold no masks", name)
        elif used + len(content) > room:
            left_out.add(f"masks for which {room / 1e6:,.0f} MB have no room", name)
        else:
            found[name] = content
            used += len(content)
    return found


def _unpacked(files: Iterable[tuple[str, bytes]], left_out: LeftOut) -> Iterable[tuple[str, bytes]]:
    for name, content in files:
        if not content.startswith((b"PK\3\4", b"PK\5\6")):
            yield name, content
            continue
        try:
            yield from members(content, name, left_out)
        except VitrineError as error:
            left_out.add(str(error).rstrip("."))


def _name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name
