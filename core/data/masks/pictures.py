"""Pictures of masks: which of their pixels belong to the object, whatever values they have."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.environment import limit
from core.errors import BadImage, VitrineError
from core.files import read_bytes
from core.images import loaded_image, shown

Mask = NDArray[np.bool_]  # (H, W), true on the object

_VOID = 255  # the index that marks borders in the label maps of VOC
_GREY = "Save it in grey: black for the background, white for the object."


def stored_image(content: Path | bytes, file: str = "") -> Image.Image:
    """The image in a file of a mask, with its values unchanged; bytes are called `file`. Raises BadImage."""
    path = content if isinstance(content, Path) else Path(file)
    try:
        data = content if isinstance(content, bytes) else read_bytes(content, limit("image"))
        return loaded_image(data, path.name, plain=True).image
    except VitrineError as error:
        raise BadImage(f"{shown(str(path))} cannot be read as an image: {error.message}", "Replace the file.") from None
    except Exception as error:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        reason = getattr(error, "strerror", None) or "it is incomplete or damaged"
        raise BadImage(f"{shown(str(path))} cannot be read as an image ({reason}).", "Replace the file.") from None


def mask_file(mask: Mask) -> bytes:
    """A mask as a PNG file, white on black, which `mask_picture` reads as the same mask."""
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


def mask_picture(content: Path | bytes, file: str) -> tuple[Mask, str]:
    """The object's pixels in a picture called `file`, and what was assumed about its values, as a sentence or "".

    Of two values the higher one is the object; of more, those above half of the range, or in a label map all but zero.
    Where opacity varies, it is the mask. Raises BadImage for a file that cannot be read, colours and negative values.
    """
    image, name = stored_image(content, file), shown(file)
    if image.mode in {"P", "PA"} and _is_label_map(image):
        labels = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
        return (labels != 0) & (labels != _VOID), f"{name} is a label map, and all of its labels count as the object."
    if image.mode in {"P", "PA", "LA", "RGBA", "La", "RGBa"}:
        image = image.convert("RGBA")
        opacity = np.asarray(image.getchannel("A"))
        if opacity.min() < opacity.max():
            return opacity > 127, f"The opaque part of {name} counts as the object."
        image = image.convert("RGB")
    values = np.asarray(image)
    if values.ndim == 3:
        if values.shape[2] != 3 or (values != values[..., :1]).any():
            raise BadImage(f"{name} is a picture in colour, not a mask.", _GREY)
        values = values[..., 0]
    return _object(values, name)


def _is_label_map(image: Image.Image) -> bool:
    """Whether a picture with a palette uses colours, so that its indices are labels."""
    palette = np.array(image.getpalette("RGB"), int).reshape(-1, 3)
    used = np.flatnonzero(image.getchannel(0).histogram() if image.mode == "PA" else image.histogram())
    known = palette[used[used < len(palette)]]
    return bool((known != known[:, :1]).any())


def _object(values: NDArray[Any], name: str) -> tuple[Mask, str]:
    """The object's pixels by grey values (H, W), and what was assumed about them."""
    if values.dtype == bool:
        return values.astype(bool), ""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BadImage(f"{name} has values that are no numbers.", _GREY)
    different = np.unique(values)
    low, high = different[0].item(), different[-1].item()
    if low < 0:
        raise BadImage(f"{name} has negative values.", _GREY)
    if len(different) == 1:
        return values > 0, f"{name} marks the whole image." if high else ""
    if len(different) == 2:
        note = f"Of the values {low:g} and {high:g} of {name} the higher one counts as the object." if low else ""
        return values > low, note
    most = next((most for most in (1, 255, 65_535) if high <= most), high)
    border = most / 2 if high > most / 2 else 0
    return values > border, f"{name} has {len(different):,} values: those above {border:g} count as the object."
