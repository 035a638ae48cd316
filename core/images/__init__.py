"""Images: decoding of files, preprocessing for a network, resizing of maps."""

from core.images.decode import (
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    Picture,
    Pixels,
    decode,
    picture_file,
    picture_of,
    read_picture,
    shown,
)  # fmt: skip
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
    "picture_file",
    "picture_of",
    "read_picture",
    "resized",
    "shown",
]
