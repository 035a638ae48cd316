"""Hostile masks: entities, deep and vast JSON and XML, runs and outlines without end, sparse files, pipes and links."""

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from core.data.masks import mask_folder
from core.errors import BadImage
from core.images import Preprocess
from tests.hostile.forked import Case
from tests.hostile.pictures import saved

SIZE = (32, 32)
_VALUES = (
    "",
    "0",
    "1",
    "3",
    "-9",
    "30.5",
    "1e9",
    "1e300",
    "null",
    "true",
    "[]",
    "{}",
    "[[1, 2]]",
    '"',
    "<",
    "&a;",
    "99999",
)
Maker = Callable[[Path], object]


def make(root: Path) -> Iterator[Path]:
    """Folders of masks for x.png below `root`; each is to be read, or refused with one sentence."""
    for name, maker in _MAKERS.items():
        path = root / name.replace(" ", "-")
        path.mkdir(parents=True)
        maker(path)
        yield path


def fuzzed(root: Path, count: int) -> Iterator[Path]:
    """Folders with a sound mask, a value or some bytes of which are changed by chance."""
    picture = io.BytesIO()
    Image.fromarray(np.tri(*SIZE, dtype=np.uint8) * 255).save(picture, "PNG")
    sound = {"x.xml": _xml(_BOX), "all.json": json.dumps(_coco(*_SOUND)), "x.png": picture.getvalue().decode("latin-1")}
    for seed in range(count):
        random, path = Random(seed), root / str(seed)
        name = random.choice(sorted(sound))
        content = sound[name]
        if random.random() < 0.7:
            values = list(re.finditer(r"\w+|\[[^\[\]]*\]", content))
            start, end = random.choice(values).span()
        else:
            start = random.randrange(len(content))
            end = start + random.randint(0, 3)
        changed = content[:start] + random.choice(_VALUES) + content[end:]
        path.mkdir(parents=True)
        (path / name).write_bytes(changed.encode("latin-1" if name == "x.png" else "utf-8"))
        yield path


def read(path: Path) -> None:
    """Everything that a measure does with a folder of masks. Raises VitrineError."""
    found = mask_folder(path, ["x.png"])
    masks = found.masks(["x.png"], [SIZE], Preprocess(crop=24, resize=28))
    for reason in (*masks.missing.values(), *found.missing.values()):
        raise BadImage(reason)
    assert masks.masks.any()
    assert np.isfinite(masks.boxes[0]).all()


def cases(folder: Path) -> Iterator[Case]:
    """All folders for the worker."""
    for path in make(folder / "masks"):
        yield f"masks {path.relative_to(folder)}", partial(read, path)


def _coco(*annotations: Any, **changes: Any) -> dict[str, Any]:
    images = [{"id": 1, "file_name": "x.png", "width": SIZE[1], "height": SIZE[0]}]
    return {"images": images, "annotations": [{"image_id": 1, **one} for one in annotations], **changes}


def _file(name: str, content: bytes | str) -> Maker:
    return lambda path: (path / name).write_bytes(content.encode() if isinstance(content, str) else content)


def _of_coco(*annotations: Any, **changes: Any) -> Maker:
    return _file("all.json", json.dumps(_coco(*annotations, **changes)))


def _sparse(name: str, start: bytes) -> Maker:
    def maker(path: Path) -> None:
        with (path / name).open("wb") as file:
            file.write(start)
            file.truncate(30_000_000_000)

    return maker


def _xml(content: str, before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<annotation><filename>x.png</filename>{content}</annotation>'


def _box(*ends: object) -> str:
    inside = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), ends, strict=True))
    return f"<object><name>cat</name><bndbox>{inside}</bndbox></object>"


def _links(path: Path) -> None:
    (path / "x.png").symlink_to("/dev/zero")
    (path / "x.xml").symlink_to("/proc/self/mem")
    (path / "all.json").symlink_to("all.json")
    (path / "up").symlink_to(path)


def _pipes(path: Path) -> None:
    for name in ("x.png", "x.xml", "all.json"):
        os.mkfifo(path / name)


_BOX = _box(4, 4, 20, 20)
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_SQUARE = [2, 2, 20, 2, 20, 20, 2, 20]
_SOUND = (
    {"bbox": [2, 2, 9, 9], "segmentation": [_SQUARE], "category_id": 1},
    {"segmentation": {"size": [32, 32], "counts": [40, 100, 884]}},
)
_STAR = [float(value) for number in range(40_000) for value in (16 + 99 * (-1) ** number, number % 32)]
_MAKERS: dict[str, Maker] = {
    "empty": lambda path: None,
    "links": _links,
    "pipes": _pipes,
    "laughs": _file("x.xml", _xml(f"<name>&l9;</name>{_BOX}", f'<!DOCTYPE a [<!ENTITY l0 "ha">{_LAUGHS}]>')),
    "file of the system": _file(
        "x.xml", _xml(f"<name>&f;</name>{_BOX}", '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>')
    ),
    "entity that is not there": _file("x.xml", _xml(f"<name>&f;</name>{_BOX}")),
    "deep xml": _file("x.xml", _xml("<a>" * 100_000 + "</a>" * 100_000)),
    "many elements": _file("x.xml", _xml("<a/>" * 500_000)),
    "many boxes": _file("x.xml", _xml(_BOX * 5_000)),
    "vast text": _file("x.xml", _xml(f"<name>{'a' * 15_000_000}</name>{_BOX}")),
    "long name": _file("x.xml", _xml(_BOX).replace("x.png", "y" * 100_000)),
    "binary xml": _file("x.xml", bytes(range(256))),
    "other encoding": _file("x.xml", b'<?xml version="1.0" encoding="ebcdic"?><annotation/>'),
    "half of a character": _file("x.xml", _xml(_BOX).encode("utf-16")[:-1]),
    "no annotation": _file("x.xml", "<html/>"),
    "no boxes": _file("x.xml", _xml("<object/>")),
    "boxes of words": _file("x.xml", _xml(_box("a", "b", "c", "d"))),
    "boxes without end": _file("x.xml", _xml(_box("nan", "-inf", "inf", "1e400"))),
    "box beyond all": _file("x.xml", _xml(_box(-9e6, -9e6, 9e6, 9e6))),
    "box beside": _file("x.xml", _xml(_box(100, 100, 120, 120))),
    "box reversed": _file("x.xml", _xml(_box(20, 20, 4, 4))),
    "size of a galaxy": _file("x.xml", _xml(f"<size><width>1e300</width><height>1e300</height></size>{_BOX}")),
    "vast size": _file("x.xml", _xml(f"<size><width>500000</width><height>500000</height></size>{_BOX}")),
    "sparse xml": _sparse("x.xml", b"<annotation>"),
    "sparse json": _sparse("all.json", b'{"images": ['),
    "sparse picture": _sparse("x.png", b"\x89PNG\r\n\x1a\n"),
    "deep json": _file("all.json", "[" * 200_000),
    "deep json that ends": _file("all.json", "[" * 400 + "]" * 400),
    "same key": _file("all.json", '{"images": [], "images": [], "annotations": []}'),
    "numbers without end": _file("all.json", '{"images": [], "annotations": [1e999, NaN]}'),
    "json of another kind": _file("all.json", '{"images": {}, "annotations": 3}'),
    "images of another kind": _of_coco(images=[3, None, "x.png"]),
    "image twice": _of_coco(images=[{"id": 1, "file_name": "x.png"}] * 2),
    "ids of lists": _of_coco(images=[{"id": [1], "file_name": "x.png"}]),
    "categories of another kind": _of_coco(*_SOUND, categories=[{"id": {}, "name": 3}, 7]),
    "names without end": _of_coco(images=[{"id": 1, "file_name": "a/" * 100_000 + "x.png"}]),
    "many objects": _of_coco(*[{"bbox": [1, 1, 2, 2]}] * 20_000),
    "many strays": _of_coco(*[{"image_id": 7}] * 200_000),
    "objects of another kind": _of_coco({"bbox": "abcd"}),
    "outline of another kind": _of_coco({"segmentation": 7}),
    "outline of words": _of_coco({"segmentation": [["a", "b", "c", "d", "e", "f"]]}),
    "outline of objects": _of_coco({"segmentation": [{"x": 1}, [[1, 2], [3, 4], [5, 6]]]}),
    "odd outline": _of_coco({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}),
    "far outline": _of_coco({"segmentation": [[-1e300, 0, 1e300, 0, 0, 1e300]]}),
    "flat outline": _of_coco({"segmentation": [[5, 5, 20, 5, 9, 5]]}),
    "star": _of_coco({"segmentation": [_STAR]}),
    "many stars": _of_coco(*[{"segmentation": [_STAR[:20_000]]}] * 30),
    "many outlines": _of_coco({"segmentation": [_SQUARE] * 50_000}),
    "outlines at the limit": _of_coco({"segmentation": [_SQUARE] * 1_000}),
    "runs of a galaxy": _of_coco({"segmentation": {"size": [500_000, 500_000], "counts": [0, 250_000_000_000]}}),
    "runs that do not end": _of_coco({"segmentation": {"size": [32, 32], "counts": [5] * 3_000_000}}),
    "runs below zero": _of_coco({"segmentation": {"size": [32, 32], "counts": [2000, -976]}}),
    "runs of words": _of_coco({"segmentation": {"size": [32, 32], "counts": ["a", None, 1.5]}}),
    "runs of zero": _of_coco({"segmentation": {"size": [0, 0], "counts": []}}),
    "text of runs": _of_coco({"segmentation": {"size": [32, 32], "counts": "o" * 900_000}}),
    "text that is none": _of_coco({"segmentation": {"size": [32, 32], "counts": "\x00é日"}}),
    "text that stops": _of_coco({"segmentation": {"size": [32, 32], "counts": "`0P"}}),
    "masks of many pixels": _of_coco(
        *[{"segmentation": {"size": [5_000, 5_000], "counts": [0, 25_000_000]}}] * 50,
        images=[{"id": 1, "file_name": "x.png", "width": 5_000, "height": 5_000}],
    ),
    "many files": lambda path: [_file(f"{n}.json", "{}")(path) for n in range(1_500)],
    "large files": lambda path: [_file(f"{n}.json", f'["{"a" * 9_000_000}"]')(path) for n in range(6)],
    "damaged picture": _file("x.png", saved("PNG")[:40]),
    "vast picture": _file("x.png", b"P4 999999 999999 \n"),
    "text as a picture": _file("x.png", "mask"),
    "animation": _file("x.gif", saved("GIF")),
}  # fmt: skip
