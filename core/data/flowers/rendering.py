"""Rendering of a drawn scene: colours, background, shadows, light and grain."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.data.flowers.drawing import LAYERS, Sketch
from core.data.flowers.scene import Array, Scene

Plane = NDArray[np.float32]  # (H, W), or what broadcasts to it


def coloured(scene: Scene, drawn: Sketch, colours: Mapping[str, Array]) -> NDArray[np.uint8]:
    """The finished picture, (H, W, 3): the coloured sketch (0..255) on its background, with light and grain.

    `colours` are those of the drawn parts. Only pixels that a part covers at least partly depend on that part's colour.
    """
    size = drawn.gloss.shape[0]
    image = (
        _background(scene, drawn.solid, pot="pot" in colours) * (drawn.cover[0][..., None] / np.float32(255))
        + drawn.gloss[..., None]
    )
    y, x = _grid(size)
    for part, colour in colours.items():
        weight = drawn.tones[LAYERS.index(part)] * _relief(scene, part, x, y)
        image += weight[..., None] * (colour / 255).astype(np.float32)
    falloff = 1 + _ray(scene, x - np.float32(0.5), y - np.float32(0.5)) * np.float32(scene.contrast)
    image *= falloff[..., None] * scene.gain.astype(np.float32)
    grain = np.random.default_rng(scene.grain).standard_normal((size, size, 1), np.float32)
    return np.clip(np.rint(image + np.float32(1.6) * grain), 0, 255).astype(np.uint8)


def _grid(size: int) -> tuple[Plane, Plane]:
    """The middles of the pixels: (H, 1) downwards and (1, W) to the right."""
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return middle[:, None], middle[None, :]


def _ray(scene: Scene, x: Plane, y: Plane) -> Plane:
    """The position of each pixel along the direction of the light."""
    return x * np.float32(np.cos(scene.light)) + y * np.float32(np.sin(scene.light))


def _relief(scene: Scene, part: str, x: Plane, y: Plane) -> Plane:
    """Soft shading that makes a flat part look round: petals darken towards the centre, the pot away from the light."""
    if part == "pot":
        u = (x - np.float32(scene.foot[0])) / np.float32(scene.pot[0])
        return np.float32(1.03) - np.float32(0.26) * (u - np.float32(0.45 * np.sign(np.cos(scene.light)))) ** 2
    if part not in ("petals", "centre"):
        return np.ones((1, 1), np.float32)
    radius = np.float32(scene.radius * (1 if part == "petals" else scene.disc))
    u, v = (x - np.float32(scene.head[0])) / radius, (y - np.float32(scene.head[1])) / radius
    square = u * u + v * v
    if part == "petals":
        return 1 - np.float32(0.38) * np.exp(square / np.float32(-0.16)) + np.float32(0.1) * _ray(scene, u, v)
    return 1 - np.float32(0.16) * square + np.float32(0.16) * _ray(scene, u, v)


def _background(scene: Scene, solid: Image.Image, *, pot: bool) -> NDArray[np.float32]:
    """Wall, soft lights, table, and the shadow of the arrangement with or without a pot on both, (H, W, 3)."""
    size = solid.width
    y, x = _grid(size)
    slope = np.clip(y + (x - np.float32(0.5)) * np.float32(0.3 * np.cos(scene.light)), 0, 1)[..., None]
    top, low = scene.room.wall.astype(np.float32)
    room = top + (low - top) * slope
    cloud = np.asarray(
        Image.fromarray(scene.room.cloud.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    )
    lights = cloud.copy()
    for gx, gy, radius, strength in scene.room.glow.astype(np.float32):
        distance = np.sqrt((x - gx) ** 2 + (y - gy) ** 2) / radius
        lights += strength * np.clip(6 * (1 - distance), 0, 1)
    room += lights[..., None]
    edge = np.float32(scene.room.edge)
    below = np.clip((y - edge) * np.float32(size / 1.5) + np.float32(0.5), 0, 1)[..., None]
    depth = np.float32(0.86) + np.float32(0.28) * np.clip((y - edge) / (1 - edge), 0, 1)[..., None]
    room += below * (depth * scene.room.table.astype(np.float32) - room)
    return np.clip(room, 0, 255) * _shadows(scene, solid, pot=pot)[..., None]


def _shadows(scene: Scene, solid: Image.Image, *, pot: bool) -> Plane:
    """Factor on the background: the outline shifted away from the light, and the shadow under the pot."""
    size = solid.width
    away = np.array([np.cos(scene.light), 0.55 * np.sin(scene.light)]) * 0.07 * size
    moved = solid.transform(solid.size, Image.Transform.AFFINE, (1, 0, away[0], 0, 1, away[1]))
    soft = np.asarray(moved.filter(ImageFilter.GaussianBlur(0.022 * size)), np.float32) / np.float32(255)
    if not pot:
        return 1 - np.float32(0.3) * soft
    y, x = _grid(size)
    width = scene.pot[1]
    u = (x - np.float32(scene.foot[0] - 0.35 * width * np.cos(scene.light))) / np.float32(1.75 * width)
    v = (y - np.float32(scene.foot[1] + scene.pot[2])) / np.float32(0.026)
    under = np.exp(np.float32(-1.3) * (u * u)) * np.exp(np.float32(-1.3) * (v * v))
    return (1 - np.float32(0.3) * soft) * (1 - np.float32(0.55) * under)
