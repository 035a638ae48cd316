"""Uncompressed TIFF files with kinds of values that Pillow does not know, such as floats of 64 bits."""

from math import prod

import numpy as np
from PIL import Image

from core.images.loading import Loaded, check_size
from core.images.structure import directory

_KINDS = {1: "u", 2: "i", 3: "f"}  # by SampleFormat


def uncompressed(data: bytes) -> Loaded | None:
    """The grey values or colours of such a file as floats; None for one that is not of this kind, or incomplete."""
    tags = directory(data) or {}
    size = tuple(tags.get(tag, (0,))[0] for tag in (257, 256))
    bits, bands = tags.get(258, (1,)), tags.get(277, (1,))[0]
    simple = tags.get(259, (1,))[0] == 1 and tags.get(284, (1,))[0] == 1 and tags.get(262, (0,))[0] in {1, 2}
    kind = np.dtype(
        f"{'<' if data[:2] == b'II' else '>'}{_KINDS.get(tags.get(339, (1,))[0], 'V')}{max(1, bits[0] // 8)}"
    )
    if not simple or len(set(bits)) > 1 or bits[0] % 8 or bands not in {1, 3} or not prod(size):
        return None
    check_size(size[1], size[0])
    parts = zip(tags.get(273, ()), tags.get(279, ()), strict=False)
    content = b"".join(data[start : start + length] for start, length in parts)
    if kind.kind == "V" or len(content) < prod(size) * bands * kind.itemsize:
        return None
    values = np.frombuffer(content, kind, prod(size) * bands).reshape(*size, bands).astype(np.float32)
    image, *others = (Image.fromarray(values[..., band]) for band in range(bands))
    return Loaded(image, (), bits=0 if kind.kind == "f" else bits[0], others=others)
