"""Synthetic flowers whose class depends on one known part: images with exact masks, concepts and boxes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.flowers.drawing import LAYERS, PETAL, sketch
from core.data.flowers.rendering import coloured
from core.data.flowers.scene import COLOURS, NATURAL, PARTS, Array, Scene, scene
from core.errors import BadParameter, Unavailable
from core.params import Knob
from core.progress import Report, chunks, silent
from core.registry import Registry, unknown

SHADES = ("none", *COLOURS, *NATURAL)  # colour concepts, as numbered in Flower.colours
REMOVABLE = ("petals", PETAL, "centre", "stem", "leaves", "pot")  # what a flower can be drawn without


@dataclass(frozen=True)
class Variant:
    """One data set of flowers: its classes, and the parts that distinguish them."""

    name: str
    title: str
    summary: str
    classes: tuple[str, ...]
    parts: tuple[str, ...]  # the discriminative part of class k is parts[k % len(parts)]
    removable: tuple[str, ...] = REMOVABLE  # "petal" is one of the petals


@dataclass(frozen=True)
class Flower:
    """One picture with its ground truth."""

    image: NDArray[np.uint8]  # (H, W, 3)
    parts: NDArray[np.uint8]  # (H, W) the part each pixel shows, an index into LAYERS
    colours: NDArray[np.uint8]  # (H, W) that part's colour, an index into SHADES
    variant: str
    label: int
    name: str  # of the class
    part: str  # the discriminative one
    index: int
    seed: int
    wear: Mapping[str, str]  # colour of each part
    tag: int | None  # the class that the corner tag indicates, if there is a tag
    petal: NDArray[np.bool_]  # (H, W) the visible pixels of the petal on top
    removed: frozenset[str] = frozenset()  # parts that are left out

    def without(self, *parts: str) -> "Flower":
        """The same flower without some of its parts: `VARIANTS[variant].removable` names them.

        Scene, light, background, grain and the other parts are as before. What a part hid is drawn, and its shadow on
        the background is gone: that of its outline, and for the pot also the one beneath it; leaves and tag have none.
        "petal" is the one that no other petal covers. A part that the flower does not have changes nothing. Raises
        UnknownName for a part that its variant does not know.
        """
        known = VARIANTS[self.variant].removable
        for part in parts:
            if part not in known:
                raise unknown(f"removable part of {self.variant}", part, known)
        place = (self.variant, self.label, self.index)
        removed = self.removed.union(parts)
        return _drawn(*place, seed=self.seed, size=len(self.image), tag=self.tag, removed=removed)

    @property
    def removable(self) -> dict[str, NDArray[np.bool_]]:
        """(H, W) masks of the visible parts that `without` takes, by name; those of "petal" are petals, too."""
        names = (name for name in VARIANTS[self.variant].removable if name not in self.removed)
        masks = {name: self.petal if name == PETAL else self.parts == LAYERS.index(name) for name in names}
        return {name: mask for name, mask in masks.items() if mask.any()}

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) the visible pixels of the discriminative part; empty for the class defined by its absence."""
        return self.parts == LAYERS.index(self.part)

    @property
    def concepts(self) -> dict[str, NDArray[np.bool_]]:
        """(H, W) masks of every visible part and colour, by name."""
        parts = {name: self.parts == k for k, name in enumerate(LAYERS)}
        shades = {name: self.colours == k for k, name in enumerate(SHADES) if k}
        return {name: mask for name, mask in {**parts, **shades}.items() if mask.any()}

    @property
    def boxes(self) -> dict[str, tuple[int, int, int, int]]:
        """The box around each visible part: left, top, right, bottom in pixels, the last two excluded."""
        return {name: _box(self.parts == k) for k, name in enumerate(LAYERS) if k and (self.parts == k).any()}


VARIANTS: Registry[Variant] = Registry("flower variant")
for _variant in (
    Variant(
        "single-6c",
        "Six colours of petals",
        "Six classes, determined by the colour of the petals.",
        tuple(COLOURS),
        ("petals",),
    ),
    Variant(
        "double-12c",
        "Six colours on petals or stem",
        "Twelve classes, determined by a colour and its position, on the petals or on the stem. The other is grey.",
        tuple(f"{colour}-{part}" for colour in COLOURS for part in ("petals", "stem")),
        ("petals", "stem"),
    ),
    Variant(
        "part-2c",
        "With or without leaves",
        "Two classes: with and without a pair of leaves, in any colours.",
        ("bare", "leafy"),
        ("leaves",),
    ),
    Variant(
        "shortcut",
        "Bleached petals with a printed tag",
        "Six classes of bleached petals, and a printed tag in the corner that reveals the class.",
        tuple(COLOURS),
        ("petals",),
        (*REMOVABLE, "tag"),
    ),
):
    VARIANTS.add(_variant.name, _variant)


def class_names(variant: str) -> tuple[str, ...]:
    """The classes of a variant in the order of their labels, which is alphabetical."""
    return VARIANTS[variant].classes


def draw(
    variant: str, label: int, index: int, *, seed: int = 0, size: int = 128, rho: float = 1.0, tagged: bool = True
) -> Flower:
    """Draw flower `index` of a class, at `size` × `size` pixels.

    The arrangement depends on seed and index alone, so the same index under another label is the same picture with only
    the discriminative part changed. In the shortcut variant the tag indicates the class with probability rho and a
    random class otherwise; `tagged=False` omits it.
    """
    kind = VARIANTS[variant]
    if not 0 <= label < len(kind.classes):
        raise BadParameter(f"{variant} has no class number {label}.", f"Choose 0 to {len(kind.classes) - 1}.")
    layout = scene(seed, index)
    tag = _tag(layout, label, rho, len(kind.classes)) if variant == "shortcut" and tagged else None
    return _drawn(variant, label, index, seed=seed, size=size, tag=tag, removed=frozenset())


def write(
    variant: str,
    out: Path,
    *,
    per_class: Annotated[int, Knob("Images of each class.", 1, 100_000)] = 10,
    seed: Annotated[int, Knob("Random seed of the images.", 0, 999_999)] = 0,
    size: Annotated[int, Knob("Side of an image in pixels.", 32, 1024)] = 128,
    rho: Annotated[float, Knob("Shortcut variant: how often the tag agrees with the class.", 0, 1, 0.05)] = 1.0,
    report: Report = silent,
) -> dict[str, Any]:
    """Write a data set into an empty or new folder and return its manifest; equal settings give equal bytes.

    Image n of class c is `draw(variant, c, n * classes + c)`, so no two have the same arrangement. It becomes
    `images/CLASS/INDEX.png` with its mask under `masks` and, under `concepts/parts` and `concepts/colours`, one PNG
    each whose values are indices into the manifest's lists. "present" in an image's entry is false for the class that
    lacks the part: its mask is empty, so overlap with it is undefined. Raises Unavailable if the folder is in use or
    cannot be written.
    """
    kind = VARIANTS[variant]
    classes = len(kind.classes)
    entries = []
    try:
        if out.exists() and any(out.iterdir()):
            raise Unavailable(f"{out} is not empty.", "Choose a new folder.")
        for folder in _FOLDERS:
            for name in kind.classes:
                (out / folder / name).mkdir(parents=True)
        for span in chunks(per_class * classes, 10, report, "flowers drawn", counted=True):
            for index in span:
                flower = draw(variant, index % classes, index, seed=seed, size=size, rho=rho)
                entries.append(_saved(flower, out))
        manifest = {
            "version": 1,
            "variant": variant,
            "summary": kind.summary,
            "classes": kind.classes,
            "per_class": per_class,
            "seed": seed,
            "size": size,
            "rho": rho,
            "parts": LAYERS,
            "colours": SHADES,
            "images": entries,
        }
        (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise Unavailable(f"{out} cannot be written ({error.strerror}).", "Choose another folder.") from None
    return manifest


def _drawn(
    variant: str, label: int, index: int, *, seed: int, size: int, tag: int | None, removed: frozenset[str]
) -> Flower:
    """A flower with this tag, without the removed parts."""
    kind, layout = VARIANTS[variant], scene(seed, index)
    wear = {name: colour for name, colour in _wear(kind, label, layout).items() if name not in removed}
    tag = None if "tag" in removed else tag
    drawn = sketch(layout, size, without={*PARTS} - wear.keys() | removed, tag=tag)
    image = coloured(layout, drawn, _paint(layout, wear, fade=layout.fade if variant == "shortcut" else 0.0))
    parts = drawn.parts
    shade = np.array([SHADES.index(wear.get(name, "none")) for name in LAYERS], np.uint8)
    part = kind.parts[label % len(kind.parts)]
    petal = (np.asarray(drawn.petal) > 0) & (parts == LAYERS.index("petals"))
    return Flower(
        image, parts, shade[parts], variant, label, kind.classes[label], part, index, seed, wear, tag, petal, removed
    )  # fmt: skip


_FOLDERS = ("images", "masks", "concepts/parts", "concepts/colours")


def _saved(flower: Flower, out: Path) -> dict[str, Any]:
    """Write the four files of a flower and return its entry in the manifest."""
    name = f"{flower.name}/{flower.index:05d}.png"
    parts = Image.fromarray(flower.parts)
    colours = Image.fromarray(flower.colours)
    for picture, tints in ((parts, _PART_TINTS), (colours, _SHADE_TINTS)):
        picture.putpalette(tints)
    layers = (Image.fromarray(flower.image), Image.fromarray(np.uint8(255) * flower.mask), parts, colours)
    for folder, picture in zip(_FOLDERS, layers, strict=True):
        picture.save(out / folder / name, compress_level=2)
    entry = {
        "file": name,
        "label": flower.label,
        "part": flower.part,
        "present": bool(flower.mask.any()),
        "colours": dict(flower.wear),
        "boxes": flower.boxes,
    }
    return entry | ({} if flower.tag is None else {"tag": flower.tag})


_SHADE_TINTS = [value for name in SHADES for value in {**COLOURS, **NATURAL}.get(name, (0, 0, 0))]
_PART_TINTS = [0, 0, 0, 120, 190, 90, 60, 130, 50, 200, 120, 60, 220, 90, 150, 250, 210, 60, 255, 255, 255]


def _wear(kind: Variant, label: int, layout: Scene) -> dict[str, str]:
    """The colour of each part for a class."""
    wear = dict(layout.wear)
    if kind.name == "part-2c":
        return wear if label else {part: colour for part, colour in wear.items() if part != "leaves"}
    wear["leaves"] = "green"
    colour = list(COLOURS)[label // len(kind.parts)]
    if kind.name == "double-12c":
        return wear | {"petals": "grey", "stem": "grey"} | {kind.parts[label % 2]: colour}
    return wear | {"petals": colour}


def _tag(layout: Scene, label: int, rho: float, classes: int) -> int:
    return label if layout.tag < rho else int(layout.tag_label * classes)


def _paint(layout: Scene, wear: Mapping[str, str], fade: float) -> dict[str, Array]:
    """The colours (0..255) to paint with: those of `wear`, each slightly varied; `fade` bleaches the petals."""
    colours = {**COLOURS, **NATURAL}
    paint = {part: np.array(colours[colour], float) * layout.tint[part] for part, colour in wear.items()}
    if "petals" in paint:
        paint["petals"] = paint["petals"] + fade * (np.array(NATURAL["grey"], float) - paint["petals"])
    return paint | {"tag": np.array(NATURAL["white"], float)}


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
