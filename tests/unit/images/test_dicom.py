"""DICOM files: values, windows, colours and frames as pydicom itself computes them, and no personal text anywhere."""

import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, get_decoder, pixel_array
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless

from core.errors import BadImage
from core.images import decode, dicom, formats
from core.images.preprocess import Preprocess

FILES = sorted(path for path in Path(str(resources.files("pydicom") / "data/test_files")).rglob("*") if path.is_file())
GREY = ("MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm", "examples_overlay.dcm",
        "6154", "17106", "2062", "4528")  # fmt: skip
COLOURS = ("ExplVR_BigEnd.dcm", "SC_rgb_small_odd.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_rle.dcm",
           "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_rgb_color.dcm")  # fmt: skip


def file(name: str) -> Path:
    return next(path for path in FILES if path.name == name)


def made(pixels: np.ndarray[Any, Any], **elements: Any) -> bytes:
    """An uncompressed file with these pixels (frames, rows, columns) and elements."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    bits = 8 * pixels.dtype.itemsize
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


RAMP = np.arange(2 * 6 * 8, dtype=np.int16).reshape(2, 6, 8) * 30 - 1000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_an_image_or_one_sentence_without_a_personal_text(path):
    try:
        said = decode(path.read_bytes(), path.name).note
    except BadImage as error:
        said = str(error)
    assert said.count(". ") < 3
    dataset = pydicom.dcmread(path, force=True)
    texts = [str(one.value) for one in dataset if one.VR in {"PN", "LO", "SH", "LT", "DA", "TM", "UI", "ST"}]
    shown = said.replace(path.name, "")
    assert not [text for text in texts if len(text) > 3 and text in shown]


@pytest.mark.parametrize("name", GREY)
def test_values_are_those_of_the_modality_and_the_window_in_the_file(name):
    dataset = pydicom.dcmread(file(name))
    values = apply_modality_lut(dataset.pixel_array, dataset)
    black, white = apply_voi_lut(np.array([-1e9, 1e9]), dataset)
    expected = (apply_voi_lut(values, dataset) - black) / (white - black)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        expected = 1 - expected
    picture = decode(file(name).read_bytes(), name)
    assert picture.values is not None
    assert np.allclose(picture.values, expected, atol=1e-6)
    assert picture.scale is not None
    assert (picture.scale.least, picture.scale.most) == pytest.approx((values.min(), values.max()))


def test_the_note_says_how_values_were_rescaled_and_which_are_black_and_white():
    assert decode(file("693_J2KI.dcm").read_bytes(), "x").note == (
        "Its values are the stored ones − 1,024 (Hounsfield units), as the file says. "
        "Values −10 to 89 shown as black to white, as the file says."
    )
    assert decode(file("6154").read_bytes(), "x").note == (
        "Its values are 0.684 × the stored ones + 200, as the file says. "
        "Values 200 to 2,999 shown as white to black, as the file says."
    )


def test_a_window_that_is_given_counts_in_rescaled_values():
    picture = decode(file("2062").read_bytes(), "x", (-1000.0, 1000.0))
    dataset = pydicom.dcmread(file("2062"))
    values = apply_modality_lut(dataset.pixel_array, dataset)
    assert np.allclose(picture.values, np.clip((values + 1000) / 2000, 0, 1), atol=1e-6)


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_red_green_and_blue(name):
    picture = decode(file(name).read_bytes(), name)
    assert picture.values is None
    assert (picture.pixels == pixel_array(pydicom.dcmread(file(name)))).all()


def test_what_pillow_cannot_decode_names_another_decoder():
    name = "GDCMJ2K_TextGBR.dcm"
    if get_decoder(JPEG2000Lossless).available_plugins == ("pillow",):
        with pytest.raises(BadImage, match=r"Pillow cannot decode it.*pip install 'pylibjpeg\[openjpeg\]'"):
            decode(file(name).read_bytes(), name)
    else:
        expected = pixel_array(pydicom.dcmread(file(name)))
        assert (decode(file(name).read_bytes(), name).pixels == expected).all()


def test_a_palette_gives_colours_with_all_their_bits():
    dataset = pydicom.dcmread(file("examples_palette.dcm"))
    expected = apply_color_lut(dataset.pixel_array, dataset) / 65535
    picture = decode(file("examples_palette.dcm").read_bytes(), "x")
    assert np.allclose(picture.values, expected, atol=1e-6)


def test_colours_of_16_bits_keep_them():
    dataset = pydicom.dcmread(file("SC_rgb_rle_16bit.dcm"))
    picture = decode(file("SC_rgb_rle_16bit.dcm").read_bytes(), "x")
    assert np.allclose(picture.values, dataset.pixel_array / 65535, atol=1e-6)


@pytest.mark.parametrize(("name", "page"), [("rtdose.dcm", 15), ("examples_ybr_color.dcm", 7)])
def test_frames_are_pages(name, page):
    picture = decode(file(name).read_bytes(), name, page=page)
    expected = pixel_array(pydicom.dcmread(file(name)), index=page - 1)
    assert picture.note.startswith(f"Page {page} of {picture.pages}.")
    shown = picture.pixels
    if picture.values is not None:
        shown, expected = picture.values, (expected - expected.min()) / (expected.max() - expected.min())
    assert np.allclose(shown, expected, atol=1e-6)


def test_each_frame_has_its_own_window_and_rescaling():
    groups = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=number, RescaleType="HU")],
            FrameVOILUTSequence=[item(WindowCenter=100 * number, WindowWidth=500)],
        )
        for number in (1, 2)
    ]
    data = made(RAMP, PerFrameFunctionalGroupsSequence=groups)
    for page in (1, 2):
        low, high = 100 * page - 0.5 - 499 / 2, 100 * page - 0.5 + 499 / 2
        expected = np.clip((RAMP[page - 1] * 2.0 + page - low) / (high - low), 0, 1)
        assert np.allclose(decode(data, "x.dcm", page=page).values, expected, atol=1e-6)
    shared = [item(FrameVOILUTSequence=[item(WindowCenter=0, WindowWidth=100)])]
    picture = decode(made(RAMP, SharedFunctionalGroupsSequence=shared), "x.dcm", page=2)
    assert picture.scale is not None
    assert picture.scale.window == (-50, 49)


def test_an_exact_window_and_one_that_means_nothing():
    exact = decode(made(RAMP, WindowCenter=0, WindowWidth=200, VOILUTFunction="LINEAR_EXACT"), "x")
    assert exact.scale is not None
    assert exact.scale.window == (-100, 100)
    narrow = decode(made(RAMP, WindowCenter=0, WindowWidth=1), "x")
    assert narrow.scale is not None
    assert narrow.scale.window == (RAMP[0].min(), RAMP[0].max())


def test_the_network_sees_more_than_8_bits():
    picture = decode(made(RAMP), "x.dcm")
    seen = Preprocess(6, 6, channels="grey", mean=(0,), std=(1,)).seen(picture)
    assert len(np.unique(seen)) > 30
    assert seen.dtype == np.float32


def test_a_file_whose_compression_needs_a_plug_in_says_which(monkeypatch):
    lossless = get_decoder(JPEGLSLossless)
    monkeypatch.setattr(lossless, "_available", {})
    dataset = dicom.opened(file("MR_small_jpeg_ls_lossless.dcm").read_bytes())
    with pytest.raises(dicom.Refused, match=r"compressed as JPEG-LS Lossless .* needs a plug-in") as error:
        dicom.frame(dataset, 1)
    assert error.value.args[1] == "Install it: pip install pyjpegls"
    extended = get_decoder(JPEGExtended12Bit)
    monkeypatch.setattr(
        extended, "_available", {name: one for name, one in extended._available.items() if name == "pillow"}
    )
    with pytest.raises(dicom.Refused, match="compressed as JPEG Extended") as error:
        dicom.frame(dicom.opened(file("JPGExtended.dcm").read_bytes()), 1)
    assert error.value.args[1] == "Install it: pip install python-gdcm"


def test_without_pydicom_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", tuple(name for name in formats.FORMATS if name != "DICOM"))
    with pytest.raises(BadImage, match=r"x\.dcm is a DICOM file, which needs a package that is not installed") as error:
        decode(made(RAMP), "x.dcm")
    assert "pip install 'vitrine[dicom]'" in error.value.hint


def test_a_file_without_a_preamble_is_known_by_its_ending():
    data = made(RAMP)[132:]
    assert decode(data, "x.dcm").pages == 2
    with pytest.raises(BadImage, match="is not an image"):
        decode(data, "x.bin")


@pytest.mark.parametrize(
    "elements", [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2_000_000_000}, {"Rows": 0}]
)
def test_claims_that_the_file_does_not_hold_are_refused(elements):
    with pytest.raises(BadImage):
        decode(made(RAMP, **elements), "x.dcm")


def table(bits: int, first: int, values: np.ndarray[Any, Any], **elements: Any) -> Dataset:
    """An item of a lookup table for display."""
    return item(LUTDescriptor=[len(values), first, bits], LUTData=values.astype(np.uint16).tobytes(), **elements)


@pytest.mark.parametrize(("bits", "count"), [(16, 900), (12, 4096), (8, 200), (8, 700)])
def test_a_table_for_display_is_applied_where_there_is_no_window(bits, count):
    entries = np.linspace(0, 1, count) ** 2 * (2**bits - 1)
    pixels = np.arange(2 * 6 * 8, dtype=np.uint16).reshape(2, 6, 8) * 10
    content = made(pixels, VOILUTSequence=[table(bits, 100, entries)])
    picture = decode(content, "x")
    expected = np.interp(pixels[0].astype(float), np.arange(100, 100 + count), entries.astype(np.uint16))
    assert picture.values is not None or bits == 8
    shown = picture.values if picture.values is not None else picture.pixels[..., 0] / 255
    assert np.allclose(shown, expected / (2**bits - 1), atol=1e-6)
    assert "Its values are those of the lookup table for display in the file." in picture.note
    if bits > 8:  # pydicom wraps differences over 255 around in tables of 8 bits
        assert np.array_equal(apply_voi_lut(pixels[0], pydicom.dcmread(io.BytesIO(content))), expected)


def test_a_window_precedes_a_table_for_display_and_a_damaged_table_is_said():
    lut = table(16, 0, np.arange(900))
    both = decode(made(RAMP, VOILUTSequence=[lut], WindowCenter=0, WindowWidth=200), "x")
    assert "lookup table" not in both.note
    assert np.array_equal(both.values, decode(made(RAMP, WindowCenter=0, WindowWidth=200), "x").values)
    lut.LUTData = lut.LUTData[:20]
    damaged = decode(made(RAMP, VOILUTSequence=[lut]), "x")
    assert "cannot be read, and is not applied" in damaged.note
    assert np.array_equal(damaged.values, decode(made(RAMP), "x").values)
