import base64
import io
import os
import re
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageFont

from core.figures.colormaps import table
from core.figures.sheet import KINDS, OPACITY, Panel, overlay, sheet
from core.figures.style import DrawnMap, Span, Style, span


@pytest.fixture
def view():
    return np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


@pytest.fixture
def values():
    return np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)


def naive(view, values, span, style):
    """Every pixel by itself, with Python's own numbers."""
    colours = table(style.diverging if span.signed else style.sequential).tolist()
    out = np.zeros_like(view)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            share = min(max((float(values[y, x]) - span.low) / (span.high - span.low), 0.0), 1.0)
            strength = abs(2 * share - 1) if span.signed else share
            alpha = (strength**OPACITY if style.blend == "value" else 1) * style.opacity
            if strength < style.threshold or (span.only and round(share * 255) == 0):
                alpha = 0
            colour = colours[round(share * 255)]
            for c in range(3):
                out[y, x, c] = round(int(view[y, x, c]) * (1 - alpha) + colour[c] * alpha)
    return out


SPANS = [Span(-1, 2), Span(-2, 2, signed=True), Span(0, 1.5, only=True), Span(0, -1.5, only=True), Span(2, -1)]
STYLES = [Style(), Style(threshold=0.4, opacity=0.5), Style(blend="even", sequential="gray", diverging="PuOr")]


@pytest.mark.parametrize("span", SPANS, ids=range(len(SPANS)))
@pytest.mark.parametrize("style", STYLES, ids=range(len(STYLES)))
def test_overlay_equals_the_naive_one(view, values, span, style):
    ours = overlay(view, values, span, style).astype(int)
    assert np.abs(ours - naive(view, values, span, style)).max() <= 1  # float32 against float64


def test_zero_of_a_signed_map_shows_the_photo(view):
    values = np.zeros((6, 6), np.float32)
    values[0, 0], values[5, 5] = 3, -1
    shown = overlay(view, values, span(DrawnMap(values, signed=True)))
    untouched = values == 0
    assert (shown[untouched] == view[untouched]).all()
    assert (shown[0, 0] == table(Style().diverging)[255]).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_map_of_one_value_leaves_the_photo_alone(view, signed):
    values = np.zeros((6, 6), np.float32)
    assert (overlay(view, values, span(DrawnMap(values, signed))) == view).all()


def test_a_finer_photo_keeps_its_size(view, values):
    fine = np.repeat(np.repeat(view, 4, 0), 4, 1)
    shown = overlay(fine, values, Span(-2, 2, signed=True))
    assert shown.shape == (24, 24, 3)
    assert (overlay(fine, values * 0, Span(-2, 2, signed=True)) == fine).all()


def opened(content):
    return Image.open(io.BytesIO(content))


def test_a_sheet_has_a_row_per_sequence_and_wraps_long_ones(view, values):
    photo, one = Panel("photo"), Panel("Saliency", ("tench",), values, Span(-2, 2, signed=True))
    single = opened(sheet(view, "t", [[photo, one]]))
    double = opened(sheet(view, "t", [[photo, one], [photo, one]]))
    wrapped = opened(sheet(view, "t", [[photo, *[one] * 7]]))
    assert double.width == single.width
    assert double.height == wrapped.height > single.height
    assert wrapped.width > 3 * single.width


HOSTILE = "写真\N{PILE OF POO}\x00\r\n<script>\N{RIGHT-TO-LEFT OVERRIDE}$x^2$ \\alpha {" + "x" * 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_any_text_can_be_drawn(view, values, kind):
    panels = [
        Panel(HOSTILE, (HOSTILE,)),
        Panel(HOSTILE, (HOSTILE, ""), values, Span(-2, 2)),
        Panel("", (), None, note=HOSTILE),
    ]
    page = sheet(view, HOSTILE, [panels], kind=kind)
    if kind == "png":
        assert opened(page).width < 1000
    assert page == sheet(view, HOSTILE, [panels], kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_is_drawn_instead_of_the_map(view, kind):
    values = np.ones((6, 6), np.float32)
    values[0] = 2
    photo = Panel("photo")
    noted = sheet(view, "t", [[photo, Panel("a", values=values, span=Span(1, 2), note="No evidence.")]], kind=kind)
    silent = sheet(view, "t", [[photo, Panel("a", values=None, note="No evidence.")]], kind=kind)
    drawn = sheet(view, "t", [[photo, Panel("a", values=values, span=Span(1, 2))]], kind=kind)
    assert noted == silent != drawn


def test_the_style_reaches_the_sheet_and_its_colour_bar(view, values):
    def page(style, **change):
        return sheet(view, "t", [[Panel("photo"), replace(panel, **change)]], style)

    panel = Panel("a", values=np.abs(values), span=Span(0, 2))
    plain = page(Style())
    others = [Style(opacity=0.5), Style(threshold=0.5), Style(blend="even"), Style(sequential="viridis")]
    assert len({plain, *(page(style) for style in others), page(Style(), span=Span(0, 1))}) == 6
    assert page(Style(diverging="PuOr")) == plain


def test_tiles_have_the_proportions_of_the_photo(values):
    photo = np.zeros((4, 8, 3), np.uint8)
    photo[:, :4] = (255, 0, 0)  # its left half
    sizes = []
    for shown in (photo, photo.transpose(1, 0, 2), photo[:, 2:6]):
        file = np.asarray(Image.open(io.BytesIO(sheet(shown, "x", [[Panel("photo")]], side=200))).convert("RGB"))
        rows, columns = np.nonzero((file[..., 0] > 127) & (file[..., 1] < 20))
        sizes.append((int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1))
    expected = [(100, 100), (200, 200), (200, 100)]
    assert np.abs(np.array(sizes) - np.array(expected)).max() <= 2


def test_a_side_makes_the_tiles_larger(view, values):
    panel = Panel("a", (), values, Span(0, 1))
    small, large = (opened(sheet(view, "t", [[panel]], side=side)) for side in (256, 672))
    assert large.width - small.width == large.height - small.height == 672 - 256


def pictures(content, kind):
    """The pictures in a file, (H, W, 3) each, as a reader of PDF or SVG takes them out; a PNG file is one."""
    if kind == "png":
        return [np.asarray(opened(content).convert("RGB"))]
    if kind == "svg":
        images = ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}image")
        coded = [image.get("{http://www.w3.org/1999/xlink}href").partition("base64,")[2] for image in images]
        return [np.asarray(opened(base64.b64decode(text)).convert("RGB"))[::-1] for text in coded]  # scale(1 -1)
    found = []
    for facts, data in re.findall(rb"/Subtype /Image(.*?)stream\r?\n(.*?)\r?\nendstream", content, re.S):
        size = [int(re.search(rb"/%s (\d+)" % name, facts)[1]) for name in (b"Width", b"Height", b"BitsPerComponent")]
        palette = re.search(rb"/Indexed /DeviceRGB \d+\s\((.*)\)\s*\]", facts, re.S)
        assert b"/Predictor 10" in facts, "rows as a PNG file has them"
        found.append(np.asarray(opened(png_of(*size, data, palette and unescaped(palette[1]))).convert("RGB")))
    return found


def unescaped(text):
    """The bytes of a string in a PDF file."""
    return re.sub(rb"\\(.)", lambda part: {b"n": b"\n", b"r": b"\r"}.get(part[1], part[1]), text, flags=re.S)


def png_of(width, height, bits, data, palette):
    head = struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 2, 0, 0, 0)
    chunks = [(b"IHDR", head), *([(b"PLTE", palette)] if palette else []), (b"IDAT", data), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def within(picture, tile):
    """Whether the tile stands somewhere in the picture, pixel by pixel."""
    height, width = tile.shape[:2]
    free = picture[: picture.shape[0] - height + 1, : picture.shape[1] - width + 1]
    starts = np.argwhere((free == tile[0, 0]).all(-1) & (picture[: len(free), width - 1 :] == tile[0, -1]).all(-1))
    return any((picture[y : y + height, x : x + width] == tile).all() for y, x in starts)


@pytest.fixture
def smooth():
    y, x = np.mgrid[:256, :256] / 255
    return (np.sin(5 * x) + y**2 - 0.5).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signed", [False, True])
def test_values_are_read_back_out_of_the_file(smooth, kind, signed):
    """A tile contains only colours of the table, and looking them up gives the map to half a step."""
    style = Style(blend="even")
    span = Span(-2, 2, signed=True) if signed else Span(-1, 1.5)
    view = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    content = sheet(view, "t", [[Panel("photo"), Panel("a", ("b",), smooth, span)]], style, kind=kind)
    found, tile = pictures(content, kind), overlay(view, smooth, span, style)
    assert any(within(one, tile) for one in found)
    assert any(within(one, view) for one in found)
    colours = table(style.diverging if signed else style.sequential).astype(int)
    codes = (colours * [65536, 256, 1]).sum(1)
    places = np.argmax((tile.astype(int) * [65536, 256, 1]).sum(-1)[..., None] == codes, -1)
    assert (colours[places] == tile).all()
    read = span.low + places / 255 * (span.high - span.low)
    doubled = len(codes) - len(set(codes.tolist()))  # neighbours of one colour in the table
    assert (
        np.abs(read - np.clip(smooth, span.low, span.high)).max()
        <= (0.5 + doubled) / 255 * (span.high - span.low) + 1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_colour_bar_goes_through_the_table(view, smooth, kind):
    panel = Panel("a", (), smooth, Span(-1, 1.5))
    bar = table(Style().sequential)[None].repeat(10, 0)
    assert any(within(one, bar) for one in pictures(sheet(view, "t", [[panel]], kind=kind), kind))


def texts(content):
    """The texts of an SVG file with their boxes in pixels, measured by another library: (left, top, right, bottom)."""
    found = []
    fonts = Path(__import__("matplotlib").get_data_path(), "fonts", "ttf")
    for node in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text"):
        style = node.get("style")
        size = float(re.search(r"font-size: ([\d.]+)px", style)[1]) * 96 / 72
        name = "DejaVuSans-Bold.ttf" if "font-weight: 700" in style else "DejaVuSans.ttf"
        width = ImageFont.truetype(fonts / name, size).getlength(node.text)
        left = (
            float(node.get("x")) * 96 / 72
            - width * {"start": 0, "middle": 0.5, "end": 1}[re.search(r"text-anchor: (\w+)", style)[1]]
        )
        baseline = float(node.get("y")) * 96 / 72
        found.append((node.text, (left, baseline - 0.75 * size, left + width, baseline + 0.2 * size)))
    return found


def test_what_a_figure_says_is_text_in_svg(view, values):
    panel = Panel("Grad-CAM", ("layer4", "unfinished, 10 forward"), values, Span(-1, 1, signed=True))
    lead = Panel("tabby", ("probability 90.0%",))
    said = [text for text, _ in texts(sheet(view, "cat.png · net", [[lead, panel]], kind="svg"))]
    assert said == [
        "cat.png · net", "tabby", "probability 90.0%", "Grad-CAM", "layer4", "unfinished, 10 forward",
        "≤ -1", "≥ 1", "0",
    ]  # fmt: skip


LONG = (
    "great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "i" * 200,
    "W" * 200,
    "三毛猫",
    HOSTILE,
)


@pytest.mark.parametrize("methods", [1, 4, 12])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_no_text_touches_another_or_leaves_the_page(view, values, classes, methods):
    def panel(number):
        name, tiny = LONG[number % len(LONG)], 1.234e-5 * (1 + number)
        if number % 5 == 3:
            return Panel(name, (name,), note=name)
        return Panel(name, (name, name), tiny * values, Span(-tiny, tiny, signed=number % 2 == 0))

    rows = [[Panel(LONG[k % len(LONG)], (LONG[-k],)), *map(panel, range(methods))] for k in range(classes)]
    content = sheet(view, LONG[classes], rows, kind="svg")
    width, height = (float(size) * 96 / 72 for size in ElementTree.fromstring(content).get("viewBox").split()[2:])
    found = texts(content)
    for text, (left, top, right, bottom) in found:
        assert 15 <= left < right <= width - 15, text
        assert 15 <= top < bottom <= height - 10, text
    for (one, a), (other, b) in combinations(found, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (one, other)


def test_a_middle_that_would_touch_the_ends_is_left_out(view, values):
    span = Span(-1.11e-11, 1.23e-6, signed=True)
    said = [text for text, _ in texts(sheet(view, "t", [[Panel("", (), values, span)]], side=160, kind="svg"))]
    assert said == ["t", "≤ -1.11e-11", "≥ 1.23e-06"]


def test_letters_that_the_font_lacks_are_replaced(view):
    content = sheet(view, "t", [[Panel("三毛猫 cat", ("Ünïcödé Ελληνικά кот",))]], kind="svg")
    assert [text for text, _ in texts(content)] == [
        "t",
        "\N{REPLACEMENT CHARACTER}" * 3 + " cat",
        "Ünïcödé Ελληνικά кот",
    ]


def test_the_texts_of_a_pdf_come_with_their_fonts(view, values):
    content = sheet(view, "t", [[Panel("Métho∂", ("κ",), values, Span(0, 1))]], kind="pdf")
    assert b"/FontFile2" in content, "TrueType"
    assert b"/Type3" not in content
    assert b"DejaVuSans-Bold" in content


ALONE = """
import sys
import numpy as np
from core.figures.sheet import KINDS, Panel, sheet
from core.figures.style import Span
assert not any(name.startswith("matplotlib") for name in sys.modules), "loaded before anything is drawn"
values = np.arange(36, dtype=np.float32).reshape(6, 6)
rows = [[Panel("三 cat"), Panel("a $x$", ("b",), values, Span(0, 30))]]
for kind in KINDS:
    sys.stdout.buffer.write(sheet(np.zeros((6, 6, 3), np.uint8), "t", rows, kind=kind))
assert "matplotlib.pyplot" not in sys.modules
"""


def test_neither_time_nor_settings_of_the_user_change_the_bytes(tmp_path):
    """Other seeds of hashing, another year, and a configuration of matplotlib that would change everything."""
    (tmp_path / "matplotlibrc").write_text("font.size: 40\nsvg.fonttype: path\npdf.fonttype: 3\nsavefig.dpi: 30\n")
    found = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", ALONE], capture_output=True, check=True, env={**os.environ, **more}
        ).stdout
        for more in (
            {"PYTHONHASHSEED": "1"},
            {"PYTHONHASHSEED": "2", "MPLCONFIGDIR": str(tmp_path), "SOURCE_DATE_EPOCH": "1"},
        )
    ]
    assert found[0] == found[1]
    assert all(head in found[0] for head in (b"\x89PNG", b"%PDF", b"<svg"))
    assert not re.search(rb"Matplotlib v|CreationDate|<dc:date>|/Producer|Software", found[0])


def test_threads_draw_what_one_draws(view, values):
    import matplotlib

    settings = dict(matplotlib.rcParams)
    work = [(kind, number) for number in range(2) for kind in KINDS]

    def drawn(item):
        kind, number = item
        return sheet(view, f"t{number}", [[Panel(f"a{number}", ("b",), values, Span(0, 1 + number))]], kind=kind)

    alone = [drawn(item) for item in work]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(drawn, work)) == alone
    assert dict(matplotlib.rcParams) == settings
