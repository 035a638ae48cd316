"""Images: decoding of files, preprocessing for a network, resizing of maps."""

from core.images.decode import (
    Picture,
    decode,
    loaded_image,
    picture_file,
    picture_of,
    read_picture,
    shown,
)  # fmt: skip
from core.images.deferred import DeferredPicture, deferred
from core.images.depth import Pixels, Scale, Values, Window, eight_bits, window_of, window_text
from core.images.formats import FORMATS
from core.images.loading import MAX_PIXELS
from core.images.preprocess import MAX_RATIO, Preprocess, joined, resized

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "MAX_RATIO",
    "DeferredPicture",
    "Picture",
    "Pixels",
    "Preprocess",
    "Scale",
    "Values",
    "Window",
    "decode",
    "deferred",
    "eight_bits",
    "joined",
    "loaded_image",
    "picture_file",
    "picture_of",
    "read_picture",
    "resized",
    "shown",
    "window_of",
    "window_text",
]
