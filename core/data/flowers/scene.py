"""The random scene of a flower image, independent of its class: pose, shapes, background and light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COLOURS = {
    "blue": (38, 98, 214),
    "orange": (246, 128, 20),
    "red": (205, 24, 44),
    "turquoise": (18, 178, 170),
    "violet": (134, 62, 190),
    "yellow": (250, 212, 36),
}  # colours that define classes; alphabetical, so that folders sort like labels
NATURAL = {"green": (84, 146, 62), "grey": (212, 209, 206), "white": (248, 247, 244)}


@dataclass(frozen=True)
class Petals:
    """The form of a blossom's petals."""

    count: int
    width: float  # half width over length
    blunt: float  # where along its length a petal is widest: below 1 near the base, above 1 near the tip
    notch: float  # depth of the dent in the tip
    phase: float  # radians
    rows: int  # rings of petals, the back one first
    wobble: Array  # (2, 11, 3), by row and petal: offsets of angle, length and tone


@dataclass(frozen=True)
class Room:
    """The background: wall, table and lights."""

    wall: Array  # (2, 3) colours of its gradient
    table: Array  # (3,)
    edge: float  # height at which wall and table meet
    glow: Array  # (n, 4) soft lights on the wall: x, y, radius, strength
    cloud: Array  # (5, 5) unevenness of the wall


@dataclass(frozen=True)
class Scene:
    """One arrangement, in units of the picture's side, x to the right and y down."""

    head: Array  # (2,) centre of the blossom
    radius: float  # of the blossom
    tilt: Array  # (2, 2) the blossom's plane as seen
    petals: Petals
    disc: float  # radius of the centre over that of the blossom
    foot: Array  # (2,) middle of the pot's opening
    pot: Array  # (3,) half width at the rim, half width at the base, height
    band: int  # decoration of the pot: 0 plain, 1 a band, 2 dots, 3 zigzag
    bend: Array  # (2,) the stem's control point
    stem: float  # half width of the stem
    leaves: Array  # (2, 5): place on the stem, length, angle, width, curl
    wear: dict[str, str]  # colour of each part that the class does not define
    tint: dict[str, Array]  # (3,) factor on the colour of each part
    fade: float  # how far the petals of the shortcut variant are bleached
    tag: float  # in 0..1: decides with rho whether the tag indicates the class
    tag_label: float  # in 0..1: the class that a wrong tag indicates
    tag_place: Array  # (2,) centre of the tag
    room: Room
    light: float  # radians, where light comes from
    gain: Array  # (3,) strength and colour of the light
    contrast: float  # how much light falls off over the picture
    grain: int  # seed of the sensor noise


def scene(seed: int, index: int) -> Scene:
    """Arrangement `index` of a seed: it depends on these two numbers alone."""
    rng = np.random.default_rng([seed, index])
    size = rng.uniform(0.8, 1.08)
    light = rng.choice([-1, 1]) * rng.uniform(0.25, 1.1) - np.pi / 2
    foot = np.array([rng.uniform(0.40, 0.60), 0.945 - 0.185 * size + rng.uniform(-0.02, 0.02)])
    radius = size * rng.uniform(0.22, 0.265)
    head = np.array([foot[0] + rng.uniform(-0.11, 0.11), max(foot[1] - size * rng.uniform(0.41, 0.48), radius + 0.03)])
    return Scene(
        head=head,
        radius=radius,
        tilt=_tilt(rng),
        petals=_petals(rng),
        disc=rng.uniform(0.24, 0.33),
        foot=foot,
        pot=size * np.array([rng.uniform(0.125, 0.16), rng.uniform(0.085, 0.115), rng.uniform(0.175, 0.205)]),
        band=int(rng.integers(4)),
        bend=np.array([rng.uniform(-0.12, 0.12), rng.uniform(-0.04, 0.04)]),
        stem=size * rng.uniform(0.023, 0.029),
        leaves=np.stack([_leaf(rng, size, heights) for heights in ((0.16, 0.34), (0.32, 0.5))]),
        wear=_wear(rng),
        tint={part: rng.uniform(0.93, 1.05) * rng.uniform(0.97, 1.03, 3) for part in PARTS},
        fade=rng.uniform(0.45, 0.97),
        tag=rng.uniform(),
        tag_label=rng.uniform(),
        tag_place=np.array([0.115, 0.885]) + rng.uniform(-0.015, 0.015, 2),
        room=_room(rng),
        light=light,
        gain=rng.uniform(0.93, 1.12) * (1 + rng.uniform(-0.05, 0.05) * np.array([1.0, 0.1, -1.0])),
        contrast=rng.uniform(0.06, 0.2),
        grain=int(rng.integers(2**32)),
    )


PARTS = ("stem", "leaves", "pot", "petals", "centre")


def _petals(rng: np.random.Generator) -> Petals:
    count = int(rng.integers(5, 12))
    snug = np.pi / count * rng.uniform(0.72, 1.12)  # 1 where neighbours just touch
    blunt = rng.uniform(0.95, 1.9)
    rng.uniform()  # unused draw, so that a seed still gives the flowers on which the bundled networks were trained
    return Petals(
        count=count,
        width=float(np.clip(snug, 0.17, 0.56)),
        blunt=blunt,
        notch=rng.choice([0.0, 0.0, 0.07, 0.13]),
        phase=rng.uniform(0, 2 * np.pi),
        rows=int(rng.integers(1, 3)),
        wobble=rng.uniform(-1, 1, (2, 11, 3)),
    )


def _tilt(rng: np.random.Generator) -> Array:
    """A circle seen from the side: flattened by up to a third, along any direction."""
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.76, 1.0)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return axes @ np.diag([1.0, flat]) @ axes.T


def _leaf(rng: np.random.Generator, size: float, heights: tuple[float, float]) -> Array:
    return np.array(
        [
            rng.uniform(*heights),
            size * rng.uniform(0.19, 0.26),
            rng.uniform(0.35, 0.95),
            rng.uniform(0.2, 0.28),
            rng.uniform(-0.25, 0.35),
        ]
    )


def _wear(rng: np.random.Generator) -> dict[str, str]:
    """Colours of the parts, from the palette of the classes: a colour alone, on any part, does not reveal a class."""
    names = list(COLOURS)
    wear = {part: names[rng.integers(len(names))] for part in ("pot", "petals", "centre")}
    leaf = [*names, "green", "green"][rng.integers(len(names) + 2)]
    return {"stem": "green", "leaves": leaf, **wear}


def _room(rng: np.random.Generator) -> Room:
    """Wall, table and the soft lights of the background: pale or dim tones of the same palette."""
    names = list(COLOURS)
    hue = np.array(COLOURS[names[rng.integers(len(names))]], float)
    other = np.array(COLOURS[names[rng.integers(len(names))]], float)
    level = rng.choice([rng.uniform(60, 120), rng.uniform(150, 225), rng.uniform(185, 240)])
    depth = rng.uniform(0.06, 0.28)
    wall = np.stack(
        [level + depth * (hue - hue.mean()) * 0.9, level * rng.uniform(0.74, 0.95) + depth * (other - other.mean())]
    )
    wood = np.array([[186, 150, 112], [146, 108, 78], [214, 204, 190], [108, 92, 84], [226, 220, 214]], float)
    table = wood[rng.integers(len(wood))] * rng.uniform(0.85, 1.05) + rng.uniform(-8, 8, 3)
    count = int(rng.integers(0, 9))
    glow = np.stack(
        [
            rng.uniform(0, 1, count),
            rng.uniform(0, 0.75, count),
            rng.uniform(0.03, 0.1, count),
            rng.uniform(10, 42, count),
        ],
        1,
    )
    cloud = rng.normal(0, rng.uniform(2, 9), (5, 5))
    return Room(wall, table, rng.uniform(0.78, 0.88), glow, cloud)
