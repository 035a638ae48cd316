"""Drawing of a flower scene without colours: mask and brightness of every part, supersampled four times."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from core.data.flowers.scene import Array, Scene

LAYERS = ("background", "stem", "leaves", "pot", "petals", "centre", "tag")  # painted in this order, up to the blossom
PETAL = "petal"  # the one painted last, which no other petal covers: a part of the petals
FLAT = ("leaves", "tag")  # cast no shadow: a part that may be absent is visible in its own pixels only
OVER = 4  # samples per pixel and direction
FULL = 160  # the tone that leaves a colour unchanged: darker below, nearer to white above
_TONE = np.arange(256) / FULL
_PLAIN = np.round(255 * np.clip(np.minimum(_TONE, 1) - np.maximum(_TONE - 1, 0), 0, 1)).astype(int).tolist()
_GLOSS = np.round(255 * np.maximum(_TONE - 1, 0)).astype(int).tolist()
_ONLY = [[255 if part == k else 0 for part in range(256)] for k in range(len(LAYERS))]

_PATTERNS: tuple[Callable[[int, int], bool], ...] = (  # is the cell in column i and row j of a tag black?
    lambda i, j: j % 2 == 0,
    lambda i, j: i % 2 == 0,
    lambda i, j: (i + j) % 2 == 0,
    lambda i, j: max(abs(i - 3), abs(j - 3)) in (1, 3),
    lambda i, j: i in (j, 6 - j),
    lambda i, j: 3 in (i, j),
)


@dataclass(frozen=True)
class Sketch:
    """The part and brightness of every pixel before colouring: the same for all colours of a scene."""

    cover: NDArray[np.uint8]  # (len(LAYERS), H, W) fraction of a pixel that each part covers, 255 is all
    tones: NDArray[np.uint8]  # (len(LAYERS), H, W) weight of the part's colour, 255 is all
    gloss: NDArray[np.uint8]  # (H, W) white added
    solid: Image.Image  # mode L, the parts that cast a shadow
    petal: Image.Image  # mode L, the outline of the petal on top, which the centre may cover

    @property
    def parts(self) -> NDArray[np.uint8]:
        """(H, W) the part that covers most of each pixel, as an index into LAYERS."""
        return np.asarray(self.cover.argmax(0), dtype=np.uint8)


class _Canvas:
    """Two pictures painted together, one of parts and one of tones."""

    def __init__(self, size: int) -> None:
        self.side = size * OVER
        self.parts = Image.new("L", (self.side, self.side), 0)
        self.tones = Image.new("L", (self.side, self.side), FULL)
        self.solid = Image.new("L", (size, size), 0)
        self.petal = Image.new("L", (size, size), 0)
        self._size = size
        self._part = ImageDraw.Draw(self.parts)
        self._tone = ImageDraw.Draw(self.tones)
        self._solid = ImageDraw.Draw(self.solid)

    def shape(self, part: str, points: Array, tone: float) -> None:
        """Fill a polygon, (n, 2) in units of the side."""
        flat = (points * self.side).ravel().tolist()
        self._part.polygon(flat, fill=LAYERS.index(part))
        self._tone.polygon(flat, fill=_level(tone))
        if part not in FLAT:
            self._solid.polygon((points * self._size).ravel().tolist(), fill=255)

    def mark(self, points: Array) -> None:
        """Note a polygon as the petal on top."""
        ImageDraw.Draw(self.petal).polygon((points * self._size).ravel().tolist(), fill=255)

    def shade(self, points: Array, tone: float) -> None:
        """Change only the tone of a polygon."""
        self._tone.polygon((points * self.side).ravel().tolist(), fill=_level(tone))

    def line(self, points: Array, tone: float, width: float) -> None:
        """Change only the tone along a line; its width is in units of the side."""
        self._tone.line(
            (points * self.side).ravel().tolist(), fill=_level(tone), width=max(1, round(width * self.side))
        )

    def sketch(self) -> Sketch:
        """The sketch, at its final size."""
        plain = self.tones.point(_PLAIN)
        cover = np.zeros((len(LAYERS), self._size, self._size), np.uint8)
        weight = np.zeros_like(cover)
        for k in (k for k, count in enumerate(self.parts.histogram()) if count):
            mask = self.parts.point(_ONLY[k])
            cover[k] = np.asarray(mask.reduce(OVER))
            weight[k] = np.asarray(ImageChops.darker(mask, plain).reduce(OVER))
        gloss = np.asarray(self.tones.point(_GLOSS).reduce(OVER))
        return Sketch(cover, weight, gloss, self.solid, self.petal)


def sketch(scene: Scene, size: int, *, without: Collection[str] = (), tag: int | None = None) -> Sketch:
    """The parts of a scene at `size` × `size` pixels, with or without a tag; those named in `without` are left out."""
    canvas = _Canvas(size)
    stem = _stem(scene)
    if "stem" not in without:
        _paint_stem(canvas, scene, stem)
    if "leaves" not in without:
        for row, side in zip(scene.leaves, (-1, 1), strict=True):
            _paint_leaf(canvas, stem, row, side, scene.light)
    if "pot" not in without:
        _paint_pot(canvas, scene)
    if "petals" not in without:
        _paint_petals(canvas, scene, whole=PETAL not in without)
    if "centre" not in without:
        _paint_centre(canvas, scene)
    if tag is not None and "tag" not in without:
        _paint_tag(canvas, scene.tag_place, tag)
    return canvas.sketch()


def _stem(scene: Scene) -> Array:
    """The stem's middle line from pot to blossom, (n, 2)."""
    t = np.linspace(0, 1, 25)[:, None]
    start = scene.foot + np.array([0, 0.02])
    control = (start + scene.head) / 2 + scene.bend
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * scene.head


def _paint_stem(canvas: _Canvas, scene: Scene, middle: Array) -> None:
    across = _normals(middle) * scene.stem * np.linspace(1.1, 0.85, len(middle))[:, None]
    lit = 1 if np.cos(scene.light) > 0 else -1
    canvas.shape("stem", np.concatenate([middle - across, (middle + across)[::-1]]), 0.8)
    for width, tone in ((0.72, 0.9), (0.5, 1.0), (0.28, 1.08)):
        shift = across * lit * np.sign(across[:, :1] + 1e-9) * (1 - width) * 0.75
        canvas.shade(np.concatenate([middle + shift - width * across, (middle + shift + width * across)[::-1]]), tone)


def _paint_leaf(canvas: _Canvas, stem: Array, leaf: Array, side: int, light: float) -> None:
    height, length, angle, width, curl = leaf
    root = stem[round(height * (len(stem) - 1))]
    t = np.linspace(0, 1, 22)
    bow = angle - curl * t * 1.6  # leaves rise, then bend down or up
    steps = np.stack([side * np.cos(bow), -np.sin(bow)], 1) * length / len(t)
    rib = root + np.concatenate([[[0, 0]], np.cumsum(steps, 0)])[:-1]
    half = _normals(rib) * (width * length * np.sin(np.pi * t**0.85) ** 0.9)[:, None]
    upper, lower = rib - half, rib + half
    bright = 0.1 * np.sin(light) * -1
    canvas.shape("leaves", np.concatenate([upper, lower[::-1]]), 0.7)
    canvas.shade(np.concatenate([rib - 0.88 * half, rib[::-1]]), 0.92 + bright)
    canvas.shade(np.concatenate([rib, (rib + 0.88 * half)[::-1]]), 0.80)
    for k in range(4, 19, 3):
        for way in (-1, 1):
            tip = rib[min(k + 3, 21)] + way * 0.72 * half[min(k + 3, 21)]
            canvas.line(np.stack([rib[k], tip]), 0.98 if way < 0 else 0.88, 0.0035)
    canvas.line(rib, 1.08, 0.006)


def _paint_pot(canvas: _Canvas, scene: Scene) -> None:
    (x, y), (rim, base, height) = scene.foot, scene.pot
    turn = np.linspace(0, 2 * np.pi, 48)
    ellipse = np.stack([np.cos(turn), np.sin(turn)], 1)
    lip, flat = 0.24 * height, 0.16
    low = np.linspace(0, np.pi, 24)
    body = np.concatenate(
        [
            [[x - rim * 0.93, y + lip * 0.6], [x + rim * 0.93, y + lip * 0.6]],
            np.stack([x + base * np.cos(low), y + height + base * flat * np.sin(low)], 1),
        ]
    )
    canvas.shape("pot", body, 0.97)
    _decorate(canvas, scene)
    canvas.line(np.array([[x - rim * 0.9, y + lip * 1.28], [x + rim * 0.9, y + lip * 1.28]]), 0.72, 0.016)
    curve = rim * flat * 0.5
    front = np.concatenate(
        [[[x - rim, y], [x + rim, y]], np.stack([x + rim * np.cos(low), y + lip + curve * np.sin(low)], 1)]
    )
    canvas.shape("pot", front, 1.04)
    canvas.shape("pot", np.array([x, y]) + ellipse * [rim, rim * flat], 1.12)
    canvas.shade(np.array([x, y + 0.003]) + ellipse * [rim * 0.9, rim * flat * 0.72], 0.34)


def _decorate(canvas: _Canvas, scene: Scene) -> None:
    (x, y), (rim, base, height) = scene.foot, scene.pot
    level = y + 0.64 * height
    half = rim * 0.93 + (base - rim * 0.93) * 0.6
    if scene.band == 1:
        canvas.shade(_strip(x, level, half, 0.09 * height, 0.05), 1.28)
    elif scene.band == 2:
        turn = np.linspace(0, 2 * np.pi, 16)
        dot = np.stack([np.cos(turn), np.sin(turn)], 1) * 0.055 * height
        for u in np.linspace(-0.8, 0.8, 6):
            canvas.shade(dot * [np.sqrt(1 - u * u) * 1.4, 1.4] + [x + half * u, level + 0.05 * half * (1 - u * u)], 1.3)
    elif scene.band == 3:
        u = np.linspace(-0.97, 0.97, 13)
        wave = np.stack([x + half * u, level + 0.05 * half * (1 - u * u) + 0.07 * height * (-1.0) ** np.arange(13)], 1)
        canvas.line(wave, 1.28, 0.011)


def _strip(x: float, y: float, half: float, thick: float, sag: float) -> Array:
    u = np.linspace(-0.985, 0.985, 17)
    line = np.stack([x + half * u, y + sag * half * (1 - u * u)], 1)
    across = np.array([0, thick])
    return np.concatenate([line - across, (line + across)[::-1]])


def _paint_petals(canvas: _Canvas, scene: Scene, *, whole: bool) -> None:
    """Paint all petals, or all but the last one."""
    form = scene.petals
    order = np.argsort(np.arange(form.count) * 5 % form.count, kind="stable")
    places = [(row, k) for row in range(form.rows) for k in order]
    for row, k in places if whole else places[:-1]:
        back = row == 0 and form.rows == 2
        reach = scene.radius * (1.0 if row == 0 else 0.84)
        turn, stretch, tone = form.wobble[row, k] * [0.09, 0.05, 0.05]
        angle = form.phase + (k + 0.5 * row) * 2 * np.pi / form.count + turn
        top = _paint_petal(canvas, scene, reach * (1 + stretch), angle, tone - (0.13 if back else 0.0))
    canvas.mark(top)


def _paint_petal(canvas: _Canvas, scene: Scene, reach: float, angle: float, tone: float) -> Array:
    """Paint a petal and return its outline, (n, 2)."""
    form = scene.petals
    u = np.linspace(0, 1, 22)
    half = form.width * np.sin(np.pi * u**form.blunt) ** 0.75
    across = np.concatenate([half, -half[::-1]])
    along = np.concatenate([u, u[::-1]])
    dent = form.notch * np.cos(np.pi / 2 * np.minimum(np.abs(across) / (form.width * 0.7), 1))
    along = along - dent * (along > 0.8)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = scene.tilt @ turned * reach

    def outline(length: float, width: float) -> Array:
        return scene.head + np.stack([along * length, across * width], 1) @ centre.T

    canvas.shape("petals", outline(1.0, 1.0), 0.66 + tone)
    for length, width, level in ((0.975, 0.93, 0.94), (0.955, 0.82, 1.01), (0.92, 0.66, 1.07), (0.86, 0.46, 1.12)):
        canvas.shade(outline(length, width), level + tone)
    for lean in (-0.22, 0.0, 0.22):
        rib = np.stack([u[2:17], lean * form.width * 2 * u[2:17] ** 1.3], 1)
        canvas.line(scene.head + rib @ centre.T, 0.93 + tone, 0.004)
    return outline(1.0, 1.0)


def _paint_centre(canvas: _Canvas, scene: Scene) -> None:
    turn = np.linspace(0, 2 * np.pi, 40)
    disc = np.stack([np.cos(turn), np.sin(turn)], 1) @ scene.tilt.T * scene.radius * scene.disc
    canvas.shape("centre", scene.head + disc, 0.6)
    canvas.shade(scene.head + 0.9 * disc, 0.86)
    seed = np.stack([np.cos(turn[::4]), np.sin(turn[::4])], 1) * scene.radius * scene.disc * 0.1
    for n in range(1, 42):  # florets on the golden spiral, as in a sunflower
        radius, angle = 0.84 * np.sqrt(n / 42), n * 2.39996
        floret = np.array([np.cos(angle), np.sin(angle)]) @ scene.tilt.T * radius * scene.radius * scene.disc
        canvas.shade(scene.head + floret + seed, 1.14 - 0.1 * radius if n % 2 else 0.62)


def _paint_tag(canvas: _Canvas, centre: Array, tag: int) -> None:
    """A small white label; its pattern is the number of a class."""
    half, ink = 0.078, 0.12
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    canvas.shape("tag", centre + corner * half, 0.8)
    canvas.shape("tag", centre + corner * (half - 0.006), 1.0)
    inner = half - 0.016
    steps = np.linspace(-inner, inner, 8)
    pitch = steps[1] - steps[0]
    cells = [(i, j) for i in range(7) for j in range(7) if _PATTERNS[tag](i, j)]
    for i, j in cells:
        canvas.shade(centre + [steps[i], steps[j]] + (corner + 1) / 2 * pitch, ink)


def _normals(line: Array) -> Array:
    """Unit vectors across a line, (n, 2)."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    return np.stack([-along[:, 1], along[:, 0]], 1)


def _level(tone: float) -> int:
    return min(max(round(tone * FULL), 0), 255)
