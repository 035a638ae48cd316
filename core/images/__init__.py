"""Images: decoding of files, preprocessing for a network, resizing of maps."""

from core.images.decode import FORMATS, MAX_BYTES, MAX_PIXELS, Picture, Pixels, decode, read_picture, shown
from core.images.preprocess import MAX_RATIO, Preprocess, resized

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_RATIO",
    "Picture",
    "Pixels",
    "Preprocess",
    "decode",
    "read_picture",
    "resized",
    "shown",
]
