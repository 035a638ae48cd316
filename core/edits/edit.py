"""Edits of an image or of filters, and the texts that stand for them on a command line and in a link."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from reprlib import repr as short
from typing import ClassVar

from core.errors import BadParameter, printable
from core.params import finite, whole
from core.registry import unknown

# Texts come from links: what they may ask for is limited.
MAX_EDITS = 32
MAX_POINTS = 2000
MAX_SEGMENTS = 400
MAX_UNITS = 4096
MAX_TEXT = 30_000  # characters of one edit
MAX_NAME = 300  # characters of an image or layer
MAX_SIDE = 1_000_000  # pixels

# What replaces pixels, with the words that say so; beside these, "image NAME" takes the pixels of another image.
FILLS: Mapping[str, str] = {
    "zero": "black: the value 0 of the image, before the network's normalisation",
    "mean": "the mean colour of the region, of each superpixel by itself",
    "blur": "the image under a Gaussian of 10 pixels for a shorter side of 224",
}
IMAGE = "image "


@dataclass(frozen=True)
class Edit:
    """One edit; `str` gives its text, `read` the edit of a text."""

    kind: ClassVar[str]
    form: ClassVar[str]  # of its text, for messages

    def __str__(self) -> str:
        """KIND=ARGUMENTS."""
        return f"{self.kind}={self._arguments()}"

    def _arguments(self) -> str:
        raise NotImplementedError

    def _require(self, fits: bool, problem: str, hint: str = "") -> None:
        """Raise BadParameter with this problem unless the edit fits."""
        if not fits:
            raise BadParameter(problem, hint or f"Write {self.form}.")


@dataclass(frozen=True)
class PixelEdit(Edit):
    """An edit of an image."""


@dataclass(frozen=True)
class Region(PixelEdit):
    """An edit that replaces the pixels of a region, of the image as decoded (upright)."""


@dataclass(frozen=True)
class Box(Region):
    """A box replaced: its left upper corner, width and height in pixels of the image."""

    kind = "box"
    form = "box=X,Y,WIDTH,HEIGHT:FILL, such as box=10,20,40,30:blur"
    x: int
    y: int
    width: int
    height: int
    fill: str = "blur"

    def __post_init__(self) -> None:
        numbers = (self.x, self.y, self.width, self.height)
        self._require(all(_whole(number) for number in numbers), f"A box of {short(numbers)} is not in whole pixels.")
        self._require(self.width > 0 and self.height > 0, f"A box of {self.width} × {self.height} pixels has no area.")
        _check_fill(self.fill)

    def _arguments(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}:{self.fill}"


@dataclass(frozen=True)
class Stroke(Region):
    """A brush stroke replaced: all pixels within `radius` of a line through the points, x and y in pixels."""

    kind = "stroke"
    form = "stroke=RADIUS,X1,Y1,X2,Y2,…:FILL, such as stroke=8,10,20,40,50:mean"
    radius: int
    points: tuple[tuple[int, int], ...]
    fill: str = "blur"

    def __post_init__(self) -> None:
        self._require(_whole(self.radius) and self.radius > 0, f"A stroke's radius cannot be {short(self.radius)}.")
        self._require(len(self.points) > 0, "A stroke needs at least one point.")
        limit = f"{MAX_POINTS:,} is the limit; leave out some of them."
        self._require(len(self.points) <= MAX_POINTS, f"A stroke of {len(self.points):,} points is too long.", limit)
        fits = all(len(point) == 2 and all(_whole(number) for number in point) for point in self.points)
        self._require(fits, "The points of a stroke are not pairs of whole pixels.")
        _check_fill(self.fill)

    def _arguments(self) -> str:
        numbers = (self.radius, *(number for point in self.points for number in point))
        return f"{','.join(map(str, numbers))}:{self.fill}"


@dataclass(frozen=True)
class Segments(Region):
    """Superpixels replaced: those with the `chosen` indices of about `count`, cut by SLIC."""

    kind = "segments"
    form = "segments=COUNT,INDEX,…:FILL, such as segments=50,3,7:blur"
    count: int
    chosen: tuple[int, ...]
    fill: str = "blur"

    def __post_init__(self) -> None:
        fits = _whole(self.count) and 4 <= self.count <= MAX_SEGMENTS
        self._require(fits, f"An image cannot be cut into {short(self.count)} segments.", f"Give 4 to {MAX_SEGMENTS}.")
        self._require(all(_whole(number) for number in self.chosen), "The indices of segments are not whole numbers.")
        self._require(0 < len(self.chosen) <= MAX_SEGMENTS, f"{len(self.chosen)} segments cannot be chosen.")
        _check_fill(self.fill)

    def _arguments(self) -> str:
        return f"{','.join(map(str, (self.count, *self.chosen)))}:{self.fill}"


@dataclass(frozen=True)
class Brightness(PixelEdit):
    """All values multiplied by a factor from 0 to 5, and clipped."""

    kind = "brightness"
    form = "brightness=FACTOR, from 0 to 5, such as brightness=1.4"
    factor: float

    def __post_init__(self) -> None:
        self._require(_within(self.factor, 0, 5), f"Brightness cannot be {short(self.factor)}.")

    def _arguments(self) -> str:
        return _number(self.factor)


@dataclass(frozen=True)
class Rotation(PixelEdit):
    """The image turned about its centre, counter-clockwise, by −360 to 360 degrees; uncovered corners are black."""

    kind = "rotate"
    form = "rotate=DEGREES, from -360 to 360, such as rotate=15"
    degrees: float

    def __post_init__(self) -> None:
        self._require(_within(self.degrees, -360, 360), f"A rotation cannot be {short(self.degrees)} degrees.")

    def _arguments(self) -> str:
        return _number(self.degrees)


@dataclass(frozen=True)
class Noise(PixelEdit):
    """Gaussian noise added to all values, clipped; its deviation in units of the range from black to white."""

    kind = "noise"
    form = "noise=DEVIATION or noise=DEVIATION,SEED, with a deviation from 0 to 1, such as noise=0.1"
    deviation: float
    seed: int = 0

    def __post_init__(self) -> None:
        self._require(_within(self.deviation, 0, 1), f"The deviation of noise cannot be {short(self.deviation)}.")
        self._require(_whole(self.seed), f"The seed of noise cannot be {short(self.seed)}.")

    def _arguments(self) -> str:
        return _number(self.deviation) + (f",{self.seed}" if self.seed else "")


@dataclass(frozen=True)
class Jpeg(PixelEdit):
    """The image compressed as JPEG of a quality from 1 to 100, and decoded again."""

    kind = "jpeg"
    form = "jpeg=QUALITY, from 1 to 100, such as jpeg=30"
    quality: int

    def __post_init__(self) -> None:
        fits = _whole(self.quality) and 1 <= self.quality <= 100
        self._require(fits, f"The quality of a JPEG cannot be {short(self.quality)}.")

    def _arguments(self) -> str:
        return str(self.quality)


@dataclass(frozen=True)
class Filters(Edit):
    """The outputs of some filters of a layer multiplied by a factor from 0, off, to 3."""

    kind = "filters"
    form = "filters=LAYER:UNIT,…*FACTOR, with a factor from 0 to 3, such as filters=relu4:43,57*0"
    layer: str
    units: tuple[int, ...]
    factor: float = 0.0

    def __post_init__(self) -> None:
        fits = 0 < len(self.layer) <= MAX_NAME and printable(self.layer) == self.layer
        self._require(fits, f"Filters need the name of a layer, not {short(self.layer)}.")
        self._require(0 < len(self.units) <= MAX_UNITS, f"{len(self.units):,} filters cannot be scaled at once.")
        self._require(all(_whole(unit) for unit in self.units), "The indices of filters are not whole numbers.")
        fits = _within(self.factor, 0, 3)
        self._require(fits, f"Filters cannot be multiplied by {short(self.factor)}.", "Give a factor from 0 to 3.")

    def _arguments(self) -> str:
        return f"{self.layer}:{','.join(map(str, self.units))}*{_number(self.factor)}"


def read(text: str) -> Edit:
    """The edit that a text stands for. Raises BadParameter or UnknownName, with the nearest kind of edit as hint."""
    if len(text) > MAX_TEXT:
        raise BadParameter(f"An edit of {len(text):,} characters is too long.", f"The limit is {MAX_TEXT:,}.")
    kind, equals, arguments = text.partition("=")
    if kind not in _READERS:
        raise unknown("edit", kind, _READERS)
    owner, reader = _READERS[kind]
    try:
        if not equals:
            raise ValueError
        return reader(arguments)
    except (ValueError, TypeError):
        raise BadParameter(f"The edit {short(text)} cannot be read.", f"Write {owner.form}.") from None


def read_all(texts: Iterable[str]) -> tuple[Edit, ...]:
    """The edits of several texts, in order. Raises as `read`, and BadParameter for more than MAX_EDITS."""
    given = tuple(texts)
    if len(given) > MAX_EDITS:
        raise BadParameter(f"{len(given):,} edits are too many.", f"The limit is {MAX_EDITS}.")
    return tuple(map(read, given))


def _box(text: str) -> Edit:
    numbers, fill = _filled(text)
    x, y, width, height = numbers
    return Box(x, y, width, height, *fill)


def _stroke(text: str) -> Edit:
    (radius, *numbers), fill = _filled(text)
    return Stroke(radius, tuple(zip(numbers[::2], numbers[1::2], strict=True)), *fill)


def _segments(text: str) -> Edit:
    (count, *chosen), fill = _filled(text)
    return Segments(count, tuple(chosen), *fill)


def _noise(text: str) -> Edit:
    deviation, comma, seed = text.partition(",")
    return Noise(_real(deviation), *(_integers(seed) if comma else ()))


def _jpeg(text: str) -> Edit:
    (quality,) = _integers(text)
    return Jpeg(quality)


def _filters(text: str) -> Edit:
    names, _, factor = text.rpartition("*")
    layer, _, units = names.rpartition(":")
    return Filters(layer, tuple(_integers(units)), _real(factor))


def _filled(text: str) -> tuple[list[int], tuple[str, ...]]:
    """Numbers before the colon, and the fill after it where there is one."""
    numbers, colon, fill = text.partition(":")
    return _integers(numbers), (fill,) if colon else ()


def _integers(text: str) -> list[int]:
    """Whole numbers between commas. Raises ValueError."""
    numbers = [whole(part.strip()) for part in text.split(",")]
    if None in numbers:
        raise ValueError(text)
    return [number for number in numbers if number is not None]


def _real(text: str) -> float:
    """A finite number. Raises ValueError."""
    number = finite(text) if re.fullmatch(r"\s*[-+0-9.eE]{1,30}\s*", text) else None
    if number is None:
        raise ValueError(text)
    return number


_READERS: Mapping[str, tuple[type[Edit], Callable[[str], Edit]]] = {
    "box": (Box, _box),
    "stroke": (Stroke, _stroke),
    "segments": (Segments, _segments),
    "brightness": (Brightness, lambda text: Brightness(_real(text))),
    "rotate": (Rotation, lambda text: Rotation(_real(text))),
    "noise": (Noise, _noise),
    "jpeg": (Jpeg, _jpeg),
    "filters": (Filters, _filters),
}


def _check_fill(fill: str) -> None:
    """Raise UnknownName or BadParameter for what is no fill."""
    name = fill.removeprefix(IMAGE)
    if name != fill:
        if not name.strip() or len(name) > MAX_NAME or printable(name) != name:
            raise BadParameter(f"An image to fill with cannot be called {short(name)}.", "Write image NAME.")
    elif fill not in FILLS:
        raise unknown("fill", fill, (*FILLS, "image NAME"))


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= MAX_SIDE


def _within(number: object, low: float, high: float) -> bool:
    value = finite(number) if isinstance(number, int | float) else None
    return value is not None and low <= value <= high


def _number(value: float) -> str:
    """A number as text that reads back as the same number."""
    return str(int(value)) if value == int(value) else repr(float(value))
