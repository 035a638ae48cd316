"""DICOM files: one frame with rescaled values, and the window and meaning of the values that the file names.

Imports nothing else of Vitrine, as `core.images.loading`, which also runs in a process of its own. Only elements of
the image are parsed: names of patients and all other personal ones are never read.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, get_decoder, pixel_array
from pydicom.pixels.utils import get_nr_frames
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PALETTE = [
    f"{part}{colour}PaletteColorLookupTable{what}"
    for colour in ("Red", "Green", "Blue", "Alpha")
    for part, what in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    if (part, colour) != ("Segmented", "Alpha")
]
_ELEMENTS = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *_PALETTE,
    *_PIXELS,
]
# The plug-ins of pydicom that decode what Pillow does not, by the beginning of the name of the compression.
_OPENJPEG = "'pylibjpeg[openjpeg]'"
_PLUGINS = {"JPEG-LS": "pyjpegls", "High-Throughput": _OPENJPEG, "JPEG 2000": _OPENJPEG, "JPEG": "python-gdcm"}
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")


class Refused(Exception):
    """A file that gives no image: what is wrong with it, to follow its name, and what to do."""


@dataclass(frozen=True)
class Frame:
    """One frame of a file."""

    values: NDArray[Any]  # (H, W) rescaled, or (H, W, 3) colours
    bits: int  # of a value; 0 where they are rescaled
    notes: Sequence[str]  # what was done with the values, as sentences
    window: tuple[float, float] | None  # the values that the file shows as black and white
    inverted: bool  # whether low values are white


def opened(data: bytes) -> Dataset:
    """The elements of the image in a file. Raises Refused for a file without one."""
    config.settings.reading_validation_mode = config.IGNORE
    dataset = dcmread(io.BytesIO(data), force=True, specific_tags=list(_ELEMENTS))
    if not any(name in dataset for name in _PIXELS) or not dataset.get("Rows") or not dataset.get("Columns"):
        hint = "Choose another file: reports, plans and directories contain none"
        raise Refused("is a DICOM file without an image", hint)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def pages(dataset: Dataset) -> int:
    """The number of its frames."""
    return int(get_nr_frames(dataset, warn=False))


def size(dataset: Dataset) -> tuple[int, int]:
    """Width and height of its frames."""
    return int(dataset.Columns), int(dataset.Rows)


def frame(dataset: Dataset, page: int) -> Frame:
    """A frame, the first of which is page 1. Raises Refused, and any error for damaged files."""
    values = _decoded(dataset, page)
    bits = int(dataset.get("BitsStored", 0)) if values.dtype.kind in "iu" else 0
    bits = bits if bits >= 8 else 0  # masks
    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = 8 * values.dtype.itemsize
    if values.ndim == 2:
        return _grey(dataset, page, values, bits, inverted=kind == "MONOCHROME1")
    if kind not in _COLOURS:
        raise Refused("holds colours in a way that this app does not know", "Convert it to RGB and try again")
    top = 255 if bits <= 8 else 2.0**bits - 1
    return Frame(values[..., :3], bits, (), (0.0, float(top)), inverted=False)


def _decoded(dataset: Dataset, page: int) -> NDArray[Any]:
    """The values of a frame as stored, colours as RGB."""
    uid = dataset.file_meta.TransferSyntaxUID
    name = uid.name.partition(",")[0].partition(" (")[0] if uid.name != uid else "in an unknown way"
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        raise Refused(f"is compressed as {name}, which cannot be decoded", "Save it uncompressed") from None
    plugin = next((plugin for start, plugin in _PLUGINS.items() if name.startswith(start)), "")
    missing = Refused(f"is compressed as {name}, which needs a plug-in of pydicom", f"Install it: pip install {plugin}")
    if not decoder.is_available:
        raise missing
    try:
        return pixel_array(dataset, index=page - 1)
    except RuntimeError:  # all plug-ins failed, of which Pillow decodes least
        if decoder.available_plugins != ("pillow",):
            raise
        if name.startswith("JPEG Extended"):  # it knows no more than 8 bits
            raise missing from None
        what = f"is compressed as {name}, and Pillow cannot decode it"
        raise Refused(what, f"It may be damaged; else install another decoder: pip install {plugin}") from None


def _grey(dataset: Dataset, page: int, values: NDArray[Any], bits: int, *, inverted: bool) -> Frame:
    """A frame of one channel with its values rescaled."""
    notes = []
    transformed = _group(dataset, page, "PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = (_number(transformed, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if dataset.get("ModalityLUTSequence"):
        values, bits = apply_modality_lut(values, dataset), 0
        notes.append("Its values are those of the lookup table in the file.")
    elif slope is not None and intercept is not None and (slope, intercept) != (1, 0):
        whole = values.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer()
        values, bits = values * np.float64(slope) + intercept, 0
        values = values.astype(np.int64) if whole and np.abs(values).max() < 2**53 else values
        unit = " (Hounsfield units)" if transformed.get("RescaleType") == "HU" else ""
        times, sign = "" if slope == 1 else f"{slope:g} × ", "−" if intercept < 0 else "+"
        notes.append(f"Its values are {times}the stored ones {sign} {abs(intercept):,g}{unit}, as the file says.")
    shown = _group(dataset, page, "FrameVOILUTSequence", "WindowCenter")
    window = _window(shown)
    if window and shown.get("VOILUTFunction") == "SIGMOID":
        notes.append("Its window has soft ends in the file, and straight ones here.")
    if window is None and dataset.get("VOILUTSequence"):
        try:
            values, bits = _displayed(dataset, values)
            window = (0.0, 2.0**bits - 1)
            notes.append("Its values are those of the lookup table for display in the file.")
        except (AttributeError, KeyError, TypeError, ValueError):
            notes.append("The lookup table for display in the file cannot be read, and is not applied.")
    return Frame(values, bits, notes, window, inverted)


def _displayed(dataset: Dataset, values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The values that the file's first lookup table for display gives, and their bits (PS3.3, C.11.2.1.1).

    Values before and behind the table get its first and last entry. Computed here, as pydicom wraps differences over
    255 around in tables of 8 bits. Raises ValueError, or an error of another kind, for a damaged table.
    """
    table = dataset.VOILUTSequence[0]
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    entries = entries or 2**16
    given = table.LUTData
    if isinstance(given, bytes):
        little = dataset.original_encoding[1]
        given = np.frombuffer(given[: 2 * entries], "<u2" if little else ">u2")
    content = np.asarray(given, np.uint16)
    if not 0 < bits <= 16 or content.shape != (entries,):
        raise ValueError
    return content[np.clip(values - np.float64(first), 0, entries - 1).astype(np.int64)], bits


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """The first window of a file as its lowest and highest value (PS3.3, C.11.2.1)."""
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if centre is None or width is None:
        return None
    if dataset.get("VOILUTFunction", "LINEAR") == "LINEAR":  # of whole numbers: both ends count
        centre, width = centre - 0.5, width - 1
    return (centre - width / 2, centre + width / 2) if width > 0 else None


def _group(dataset: Dataset, page: int, group: str, name: str) -> Dataset:
    """What holds an element: the functional group of a frame, that of all frames, or the file."""
    for sequence, index in (("PerFrameFunctionalGroupsSequence", page - 1), ("SharedFunctionalGroupsSequence", 0)):
        items = dataset.get(sequence) or ()
        inner = items[index].get(group) if index < len(items) else None
        if inner and name in inner[0]:
            return inner[0]
    return dataset


def _number(dataset: Dataset, name: str) -> float | None:
    """The first number of an element; None if there is none."""
    value = dataset.get(name)
    first = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) else value
    try:
        number = float(first)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
