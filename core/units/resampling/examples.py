"""Images of a folder with masks of their objects, as comparisons of metrics take them."""

from dataclasses import dataclass

from core.data.image_folder import image_folder
from core.data.layout import UNKNOWN
from core.data.masks import mask_folder
from core.errors import BadImage, Unavailable
from core.images import read_picture, shown
from core.models.model import Model
from core.progress import Report, chunks, silent, subrange
from core.units.resampling.comparison import Example


@dataclass(frozen=True)
class Examples:
    """Images of known class whose object is masked."""

    images: tuple[Example, ...]
    names: tuple[str, ...]  # their paths within the folder
    left_out: dict[str, str]  # why an image is not among them, one sentence, by its path
    notes: tuple[str, ...]  # what was assumed, as sentences


def examples(data: str, model: Model, masks: str = "", *, limit: int = 0, report: Report = silent) -> Examples:
    """The first images of each class of a folder with their masks, at most `limit` in all; 0 for all of them.

    `masks` is their folder or file, by default the folder `masks` beside the images, as flowers have it. Raises
    Unavailable if no image can be used.
    """
    folder = image_folder(data, model.labels)
    known = mask_folder(masks or folder.base / "masks", folder.paths, subrange(report, 0, 0.1))
    chosen = folder.limited(limit)
    images, names, left_out = [], [], dict[str, str]()
    for span in chunks(len(chosen), 1, subrange(report, 0.1, 1), "images and masks", counted=True):
        path, label = chosen.paths[span.start], chosen.labels[span.start]
        if label == UNKNOWN:
            left_out[path] = f"{shown(path)} belongs to no class of the model."
            continue
        try:
            picture = read_picture(chosen.root, path)
            height, width = picture.pixels.shape[:2]
            mask = known.mask(path, (height, width), model.preprocess, model.labels[label]).mask
        except BadImage as error:
            left_out[path] = error.message
            continue
        images.append(Example(model.preprocess.tensor(model.preprocess.seen(picture)), label, mask))
        names.append(path)
    if not images:
        message = f"No image of {shown(data)} can be used. {next(iter(left_out.values()), '')}".strip()
        raise Unavailable(message, "Give a folder of images of known classes with masks of their objects.")
    return Examples(tuple(images), tuple(names), left_out, (*folder.notes, *known.notes))
