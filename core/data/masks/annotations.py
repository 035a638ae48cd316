"""Annotations of objects in images: COCO JSON, and the XML of VOC and ImageNet; safe with any content."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from core.images.loading import MAX_PIXELS, MAX_SIDE
from core.params import finite

Mask = NDArray[np.bool_]  # (H, W)
Points = NDArray[np.float64]  # (N, 2), x and y in pixels
Size = tuple[int, int]  # height and width

_OBJECTS = 1_000  # of an image, and outlines of all of them
_POINTS = 100_000  # of the outlines of an image
_RUNS = 1_000_000  # of a run-length encoded mask
_PIXELS = 4 * MAX_PIXELS  # of all such masks of an image
_FARTHEST = 1e7  # pixels: no outline reaches beyond it
_ELEMENTS, _DEEPEST = 100_000, 50  # of an XML file


@dataclass(frozen=True)
class Object:
    """An object in an image: as outlines, as a mask, or as its box alone."""

    name: str = ""  # of its class; "" if the file has none
    box: Points | None = None  # (2, 2): the corners at its top left and bottom right; None if unknown
    outlines: tuple[Points, ...] = ()  # polygons, whose union it is
    mask: Mask | None = None


@dataclass(frozen=True)
class Annotated:
    """The objects in one image."""

    size: Size | None  # of the image, if the file says it
    objects: tuple[Object, ...]


@dataclass
class CocoImage:
    """What a COCO file says about one image."""

    size: Size | None
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    names: Mapping[Hashable, str] = field(default_factory=dict)  # of the categories

    def read(self) -> Annotated:
        """Its objects. Raises ValueError, with the reason, if one of them is not valid."""
        if len(self.entries) > _OBJECTS:
            raise ValueError(f"it has {len(self.entries):,} objects; the limit is {_OBJECTS:,}")
        objects, pixels = list[Object](), 0
        for entry in self.entries:
            objects.append(_coco_object(entry, self.names, _PIXELS - pixels))
            pixels += 0 if objects[-1].mask is None else objects[-1].mask.size
        check_count([points for one in objects for points in one.outlines])
        return Annotated(self.size, tuple(objects))


def coco_images(content: Any) -> tuple[dict[str, CocoImage], int]:
    """The images of a COCO file by name, from its JSON, and how many annotations belong to none of them.

    Raises ValueError, with the reason, for JSON that is none of COCO.
    """
    images, annotations = (content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise ValueError("it has no lists of images and annotations, as COCO has")
    categories = content.get("categories")
    names = {
        one["id"]: one["name"]
        for one in (categories if isinstance(categories, list) else ())
        if isinstance(one, dict) and isinstance(one.get("id"), int | str) and isinstance(one.get("name"), str)
    }
    found: dict[str, CocoImage] = {}
    by_id: dict[Hashable, CocoImage] = {}
    for image in images:
        name, number = (image.get(key) if isinstance(image, dict) else None for key in ("file_name", "id"))
        if not isinstance(name, str) or not isinstance(number, int | str):
            raise ValueError("an image in it has no file_name or no id")
        if name in found or number in by_id:
            raise ValueError(f"it has two images called {short(name)} or with the id {short(number)}")
        found[name] = by_id[number] = CocoImage(_size(image.get("height"), image.get("width")), names=names)
    strays = 0
    for entry in annotations:
        number = entry.get("image_id") if isinstance(entry, dict) else None
        owner = by_id.get(number) if isinstance(number, int | str) else None
        if owner is None:
            strays += 1
        else:
            owner.entries.append(entry)
    return found, strays


def xml_boxes(content: bytes) -> tuple[Annotated, str]:
    """The boxes in an XML file of VOC or ImageNet, and the name of the image that it says it is for, "" if none.

    Pixels count from one there, and both ends belong to a box. Raises ValueError, with the reason, for other content.
    """
    root = _xml(content)
    if root.tag != "annotation":
        raise ValueError(f"it holds {short(root.tag)}, not an annotation as VOC and ImageNet have it")
    elements = root.findall("object")
    if len(elements) > _OBJECTS:
        raise ValueError(f"it has {len(elements):,} objects; the limit is {_OBJECTS:,}")
    objects = []
    for element in elements:
        texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = _numbers(texts, 4, "box")
        name = (element.findtext("name") or "").strip()
        objects.append(Object(name, _box(left - 1, top - 1, right, bottom)))
    height, width = (finite(root.findtext(f"size/{side}")) for side in ("height", "width"))
    return Annotated(_size(height, width), tuple(objects)), (root.findtext("filename") or "").strip()


def _xml(content: bytes) -> Element:
    """The root of an XML file; a document type is refused, so that no entity can be defined."""
    builder, depth, count = TreeBuilder(), 0, 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _DEEPEST or count > _ELEMENTS:
            raise ValueError("it is nested too deeply" if depth > _DEEPEST else "it has too many elements")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which could define entities")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno} is not XML") from None
    except LookupError:
        raise ValueError("its encoding is unknown") from None
    return builder.close()


def _coco_object(entry: Mapping[str, Any], names: Mapping[Hashable, str], pixels: int) -> Object:
    """An object from its entry; its mask may have at most so many pixels."""
    category = entry.get("category_id")
    name = names.get(category, "") if isinstance(category, int | str) else ""
    box, shape = None, entry.get("segmentation")
    if entry.get("bbox"):
        left, top, width, height = _numbers(entry["bbox"], 4, "box")
        box = _box(left, top, left + width, top + height)
    if isinstance(shape, dict):  # of a crowd, the box holds many objects
        return Object(name, None if entry.get("iscrowd") else box, mask=_from_runs(shape, pixels))
    if shape:
        outlines = tuple(outline(one) for one in (shape if isinstance(shape, list) else [shape]))
        corners = np.concatenate(outlines)
        return Object(name, np.stack([corners.min(0), corners.max(0)]) if box is None else box, outlines)
    if box is None:
        raise ValueError("an object in it has neither a segmentation nor a bbox")
    return Object(name, box)


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    if not (left < right and top < bottom):
        raise ValueError(f"a box in it ends before it begins ({left:g}, {top:g} to {right:g}, {bottom:g})")
    return np.array([[left, top], [right, bottom]], np.float64)


def outline(given: object) -> Points:
    """A polygon from a list of x, y, x, y …"""
    count = len(given) if isinstance(given, list) else 0
    return np.array(_numbers(given, max(6, count + count % 2), "polygon"), np.float64).reshape(-1, 2)


def _numbers(given: object, count: int, what: str) -> list[float]:
    """So many coordinates; ValueError for anything else, which is said to be no box, or whatever it is meant to be."""
    numbers = [finite(one) for one in given] if isinstance(given, list) else []
    known = [one for one in numbers if one is not None and abs(one) <= _FARTHEST]
    if len(known) != count or len(numbers) != count:
        raise ValueError(f"{short(given)} in it is no {what}")
    return known


def check_count(outlines: Sequence[Points]) -> None:
    """Raise ValueError if these are too many outlines of one image, or have too many points."""
    if len(outlines) > _OBJECTS or sum(map(len, outlines)) > _POINTS:
        raise ValueError(f"it has more than {_OBJECTS:,} outlines or {_POINTS:,} points in one image")


def _from_runs(shape: Mapping[str, Any], most: int) -> Mask:
    """A run-length encoded mask: runs of false and true in turn, down the columns."""
    sides, counts = shape.get("size"), shape.get("counts")
    size = _size(*sides) if isinstance(sides, list) and len(sides) == 2 else None
    if size is None:
        raise ValueError(f"{short(sides)} in it is no size of a mask")
    if size[0] * size[1] > most:
        raise ValueError(f"the masks of one image in it have more than {_PIXELS:,} pixels")
    if not isinstance(counts, list | str) or len(counts) > _RUNS:
        raise ValueError(f"a mask in it has no runs, or more than {_RUNS:,}")
    runs = list(_unpacked(counts)) if isinstance(counts, str) else counts
    if not all(type(run) is int and run >= 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise ValueError("the runs of a mask in it do not add up to its size")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[::-1]).T


def _unpacked(text: str) -> Iterable[int]:
    """The runs in a text of pycocotools: numbers of five bits a character, from the fourth on as differences."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("the runs of a mask in it are no text of COCO")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= 1 << shift if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return runs


def _size(height: object, width: object) -> Size | None:
    """Height and width, None if they are not those of an image; some files say zero."""
    sides = [finite(side) for side in (height, width)]
    if any(side is None or side != int(side) or not 1 <= side <= MAX_SIDE for side in sides):
        return None
    rows, columns = (int(side or 0) for side in sides)
    return rows, columns
