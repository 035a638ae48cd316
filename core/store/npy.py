"""Headers of `.npy` files, padded to a fixed length so that they can be written after the data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

HEADER = 128  # bytes, enough for every shape a store has


def header(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> bytes:
    """The header of a `.npy` file, version 1.0."""
    import numpy as np

    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    body = text.ljust(HEADER - 11).encode("latin1") + b"\n"
    return np.lib.format.magic(1, 0) + (len(body)).to_bytes(2, "little") + body
