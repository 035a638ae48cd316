"""Masks of objects in images: pictures named as the images are, COCO JSON, and boxes in XML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.labels import folded
from core.data.masks.annotations import Annotated, CocoImage, Object, Size, xml_boxes
from core.data.masks.drawing import drawn, resized_mask
from core.data.masks.matching import Source, name_of, reason_of, sources_in, text_of
from core.data.masks.pictures import Mask, mask_picture
from core.errors import BadImage, Unavailable, VitrineError
from core.files import is_folder
from core.images import Preprocess, shown
from core.params import expanded
from core.progress import Report, chunks, silent

FORMS = "Give pictures named as the images are, COCO JSON, or XML as VOC and ImageNet have it."


@dataclass(frozen=True)
class ObjectMask:
    """The object in one image as the model sees it."""

    mask: Mask  # (h, w), true somewhere
    boxes: NDArray[np.float64]  # (K, 4): top, left, height and width of each part of it that has a box
    notes: tuple[str, ...] = ()  # what was assumed, as sentences


@dataclass(frozen=True)
class ObjectMasks:
    """The objects in several images as the model sees them, and the images for which none is known."""

    masks: Mask  # (N, h, w), false everywhere for an image without a mask
    boxes: tuple[NDArray[np.float64], ...]  # (K, 4) per image, as in `ObjectMask`
    missing: Mapping[str, str]  # why an image has no mask, one sentence, by its path
    notes: Mapping[str, str]  # what was assumed, by the image's path


@dataclass(frozen=True)
class MaskFolder:
    """The masks of the images at some paths, found and not yet read."""

    sources: Mapping[str, Source]  # by the image's path
    missing: Mapping[str, str]  # why an image has none, one sentence, by its path
    notes: tuple[str, ...]  # what was left out, as sentences

    def mask(self, path: str, size: Size, preprocess: Preprocess, name: str = "") -> ObjectMask:
        """The object in the image at `path`, whose picture has this height and width, as a model sees it.

        Of several objects those of the class `name` count, or all if there is none. Raises BadImage, one sentence, for
        an image without a mask, and for a mask that cannot be read or does not fit the image.
        """
        if path not in self.sources:
            raise BadImage(self.missing.get(path, f"There is no mask for {shown(path)}."), FORMS)
        source = self.sources[path]
        file = shown(source.file)
        if not isinstance(source.content, CocoImage) and not source.kind:
            whole, note = mask_picture(source.content, source.file)
            notes = [note, _fitted((whole.shape[0], whole.shape[1]), size, file)]
            mask, boxes = preprocess.mask(resized_mask(whole, size)), np.empty((0, 4))
        else:
            annotated = _annotated(path, source)
            objects, note = _of_class(annotated.objects, name, file)
            shapes = [one.mask.shape for one in objects if one.mask is not None]
            notes = [note, *(_fitted((own[0], own[1]), size, file) for own in (annotated.size or size, *shapes))]
            mask, boxes = drawn(objects, annotated.size or size, size, preprocess)
        if not mask.any():
            message = f"{file} marks nothing in what the model sees of {shown(path)}."
            raise BadImage(message, "Squash images instead of cropping them, or give another mask.")
        return ObjectMask(mask, boxes, tuple(dict.fromkeys(filter(None, notes))))

    def masks(
        self,
        paths: Sequence[str],
        sizes: Sequence[Size],
        preprocess: Preprocess,
        names: Sequence[str] = (),
        report: Report = silent,
    ) -> ObjectMasks:
        """The objects in several images, each as `mask` reads it; those without one get the reason."""
        masks, boxes = np.zeros((len(paths), *preprocess.size), bool), [np.empty((0, 4))] * len(paths)
        missing, notes = dict[str, str](), dict[str, str]()
        for span in chunks(len(paths), 1, report, "masks", counted=True):
            index, path = span.start, paths[span.start]
            try:
                found = self.mask(path, sizes[index], preprocess, names[index] if names else "")
            except VitrineError as error:
                missing[path] = error.message
                continue
            masks[index], boxes[index] = found.mask, found.boxes
            if found.notes:
                notes[path] = " ".join(found.notes)
        return ObjectMasks(masks, tuple(boxes), missing, notes)


def mask_folder(root: str | Path, paths: Sequence[str], report: Report = silent) -> MaskFolder:
    """The masks of the images at these relative paths, in a folder or one COCO file.

    A picture or XML file belongs to the image with the same path but for the ending, else to the only one of its name;
    so does what a COCO file says about an image. Raises Unavailable if there is no such folder, or no mask of any of
    the images.
    """
    root = expanded(root)
    try:
        if not is_folder(root) and not root.is_file():
            raise Unavailable(f"There is no folder or file of masks at {shown(str(root))}.", "Check the path.")
        sources = sources_in(root, report)
    except (OSError, ValueError) as error:
        message = f"The masks in {shown(str(root))} cannot be listed: {reason_of(error)}."
        raise Unavailable(message, "Check the path.") from None
    found, missing = sources.matched(paths)
    if not found and paths:
        reason = next(iter((*sources.notes, *missing.values())))
        raise Unavailable(f"No image has a mask in {shown(str(root))}. {reason}", FORMS)
    return MaskFolder(found, missing, tuple(sources.notes))


def _annotated(path: str, source: Source) -> Annotated:
    """What an annotation says about the image at `path`."""
    file, meant = shown(source.file), ""
    try:
        if isinstance(source.content, CocoImage):
            annotated = source.content.read()
        else:
            annotated, meant = xml_boxes(text_of(source.content))
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read for {shown(path)}: {reason_of(error)}."
        raise BadImage(message, "Correct the annotation.") from None
    if meant and "%" not in meant and name_of(meant) != name_of(path):  # ImageNet has some files with "%s"
        raise BadImage(f"{file} is about another image, {shown(meant)}.", "Give it the name of its image.")
    if not annotated.objects:
        raise BadImage(f"{file} has no object in {shown(path)}.", "Annotate one, or leave the image out.")
    return annotated


def _of_class(objects: Sequence[Object], name: str, file: str) -> tuple[Sequence[Object], str]:
    """The objects of a class, all if it has none; and the sentence that says so, "" if there is nothing to say."""
    if not name or not any(one.name for one in objects):
        return objects, ""
    chosen = [one for one in objects if folded(one.name) == folded(name)]
    if not chosen:
        return objects, f"No object in {file} is called {shown(name)}: all of them count."
    left_out = len(objects) - len(chosen)
    return chosen, f"Left out in {file}: {left_out:,} object{'s' * (left_out != 1)} of other classes." * bool(left_out)


def _fitted(own: Size, size: Size, file: str) -> str:
    """The sentence that says that a mask is resized to the size of its image, "" if it is not.

    Raises BadImage if the proportions differ by more than a pixel: such a mask belongs to another image.
    """
    if own == size:
        return ""
    told, image = (f"{width:,} × {height:,} px" for height, width in (own, size))
    if abs(own[0] * size[1] - own[1] * size[0]) > max(*own, *size):
        message = f"The mask in {file}, {told}, does not have the proportions of the image, {image}."
        raise BadImage(message, "It may belong to another image, or one that was cropped or turned.")
    return f"The mask in {file}, {told}, was resized to the image, {image}."
