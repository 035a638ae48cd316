"""Formats of files, recognised by their first bytes: those that are read, and others by name."""

import re
from importlib.util import find_spec
from pathlib import PurePath

from PIL import features

HEAD = 512  # bytes that are enough to recognise a file

# As Pillow names them, and DICOM; those with an optional library only where it is there.
FORMATS = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"),
    *(name for name, library in (("JPEG2000", "jpg_2000"), ("AVIF", "avif")) if features.check(library)),
    *(name for name, package in (("HEIF", "pillow_heif"), ("DICOM", "pydicom")) if find_spec(package)),
)
READABLE = f"Use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STARTS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": _TIFF,
    "JPEG2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
}
_PNM = re.compile(rb"P(?:[1-6]|f)(?:\s|#[^\n]*\n)+\d")
# What other files are, in the singular and the plural.
_OTHERS = (
    ((b"8BPS",), "a Photoshop file", "Photoshop files"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL "), "a JPEG XL image", "JPEG XL images"),
    ((b"\0\0\1\0", b"icns"), "an icon", "icons"),
    ((b"%PDF",), "a PDF document", "PDF documents"),
    ((b"PK\3\4", b"PK\5\6"), "a zip archive", "zip archives"),
    (
        (b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ"),
        "a compressed file or archive",
        "compressed files or archives",
    ),
    ((b"\x89HDF",), "an HDF5 file", "HDF5 files"),
    ((b"\x93NUMPY",), "a NumPy array", "NumPy arrays"),
    ((b"v/1\1",), "an OpenEXR image", "OpenEXR images"),
    ((b"SIMPLE  =",), "a FITS file", "FITS files"),
    ((b"RIFF",), "an audio or video file", "audio or video files"),
    ((b"\x1aE\xdf\xa3",), "a video", "videos"),
    ((b"FUJIFILM", b"IIRO", b"IIU\0"), "a raw camera image", "raw camera images"),
)
_RAW = {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".pef", ".srw", ".raf", ".3fr", ".iiq"}
_DICOM = {".dcm", ".dicom"}
_NIFTI = (".nii", ".nii.gz")
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


def readable(head: bytes, name: str = "") -> str:
    """The Pillow format of a file that is read, by its first HEAD bytes; "" for other files.

    Of the file's `name`, two endings count: raw camera images begin like TIFF, and old DICOM files like nothing.
    """
    kind = next((kind for kind, starts in _STARTS.items() if head.startswith(starts)), "")
    if not kind and head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        kind = "WEBP"
    if not kind and head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}:
        kind = "BMP"
    if not kind and _PNM.match(head):
        kind = "PPM"
    if not kind and head[4:8] == b"ftyp" and _brands(head) & _AVIF:
        kind = "AVIF"
    if not kind and head[4:8] == b"ftyp" and _brands(head) & _HEIF:
        kind = "HEIF"
    if head[128:132] == b"DICM" or (not kind and PurePath(name).suffix.lower() in _DICOM):
        kind = "DICOM"
    if kind == "TIFF" and (head[8:10] == b"CR" or PurePath(name).suffix.lower() in _RAW):
        return ""
    return kind if kind in FORMATS else ""


def other(head: bytes, name: str = "") -> tuple[str, str]:
    """What a file that is not read is, by its first HEAD bytes: in the singular and the plural, "" if unknown."""
    ending, brands = PurePath(name).suffix.lower(), _brands(head) if head[4:8] == b"ftyp" else set()
    kinds = (
        (head[128:132] == b"DICM" or ending in _DICOM, "a DICOM file", "DICOM files"),
        (head[344:347] in {b"n+1", b"ni1"} or name.lower().endswith(_NIFTI), "a NIfTI file", "NIfTI files"),
        (head.startswith(_TIFF) or ending in _RAW, "a raw camera image", "raw camera images"),
        (brands & _AVIF, "an AVIF image", "AVIF images"),
        (brands & _HEIF, "an HEIC image", "HEIC images"),
        (brands, "a video", "videos"),
        (b"<svg" in head.lower() and head.lstrip()[:1] in {b"<", b"\xef"}, "an SVG drawing", "SVG drawings"),
        *((head.startswith(starts), one, many) for starts, one, many in _OTHERS),
    )
    return next(((one, many) for fits, one, many in kinds if fits), ("", ""))


def plugin(head: bytes, name: str = "") -> str:
    """The package that reads this kind of file and is not installed; "" where there is none."""
    return {"a DICOM file": "'vitrine[dicom]'", "an HEIC image": "pillow-heif"}.get(other(head, name)[0], "")


def _brands(head: bytes) -> set[bytes]:
    """The brands of a file in the ISO base media format, which say what it contains."""
    size = min(max(16, int.from_bytes(head[:4], "big")), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
