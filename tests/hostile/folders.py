"""Hostile folders of images: pipes, links in circles, sparse files, archives and tables that claim too much."""

import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from core.data.image_folder import contents, scan
from core.errors import BadImage
from core.images import read_picture
from tests.hostile.forked import Case
from tests.hostile.pictures import saved

Maker = Callable[[Path], object]


def make(root: Path) -> Iterator[Path]:
    """Folders, or files in place of one, below `root`; each is to be scanned, or refused with one sentence."""
    for name, maker in _MAKERS.items():
        path = root / name.replace(" ", "-")
        path.mkdir(parents=True)
        maker(path)
        inner = path / "data.zip"
        yield inner if inner.exists() or inner.is_symlink() else path


def read(path: Path) -> None:
    """Everything that a study does with a folder before a model sees it. Raises VitrineError."""
    found = scan(path)
    contents(found.root, found.paths[:50])
    for index in range(min(len(found), 20)):
        found.boxes(index)
        found.concepts(index)
        try:
            read_picture(found.root, found.paths[index])
        except BadImage:
            continue


def cases(folder: Path) -> Iterator[Case]:
    """All folders for the worker."""
    for path in make(folder / "folders"):
        yield f"folder {path.relative_to(folder)}", partial(read, path)


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved("PNG"))


def _sparse(path: Path, start: bytes = b"\x89PNG\r\n\x1a\n", size: int = 30_000_000_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)


def _pipes(path: Path) -> None:
    _image(path / "a" / "x.png")
    os.mkfifo(path / "a" / "pipe.png")
    os.mkfifo(path / "labels.csv")
    os.mkfifo(path / "b")
    (path / "a" / "zero.png").symlink_to("/dev/zero")
    (path / "a" / "memory.png").symlink_to("/proc/self/mem")
    (path / "a" / "null.png").symlink_to("/dev/null")


def _beside(name: str, content: bytes | None) -> Maker:
    def maker(path: Path) -> None:
        _image(path / "images" / "a" / "x.png")
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            os.mkfifo(path / name)
        else:
            (path / name).write_bytes(content)

    return maker


def _circles(path: Path) -> None:
    _image(path / "a" / "x.png")
    (path / "a" / "up").symlink_to(path)
    (path / "a" / "self").symlink_to("self")
    (path / "b").symlink_to(path / "a")
    (path / "c").symlink_to("d")
    (path / "d").symlink_to("c")


def _tangle(path: Path) -> None:
    """Folders that all link to each other: factorially many paths."""
    names = [f"d{number}" for number in range(14)]
    for name in names:
        _image(path / name / "x.png")
        for other in names:
            (path / name / f"to-{other}").symlink_to(path / other)


def _deep(path: Path) -> None:
    current = path / "a"
    for _ in range(400):
        current = current / "d"
    current.mkdir(parents=True)
    _image(path / "a" / "x.png")


def _names(path: Path) -> None:
    for name in (b"\xff\xfe.png", b"a\nb.png", b"\x1b[31m.png", "\u202egnp.png".encode(), b"x" * 251 + b".png"):
        (path / "c").mkdir(exist_ok=True)
        (path / "c" / os.fsdecode(name)).write_bytes(saved("PNG"))
    _image(path / os.fsdecode(b"\xff class") / "x.png")


def _locked(path: Path) -> None:
    _image(path / "a" / "x.png")
    (path / "b").mkdir(mode=0)
    (path / "a" / "secret.png").write_bytes(saved("PNG"))
    (path / "a" / "secret.png").chmod(0)


def _many(path: Path) -> None:
    (path / "a").mkdir()
    for number in range(1500):
        (path / "a" / f"{number}.png").write_bytes(b"")


def _table(content: bytes) -> Maker:
    def maker(path: Path) -> None:
        _image(path / "x.png")
        (path / "labels.csv").write_bytes(content)

    return maker


def _zip(*members: tuple[str, bytes], change: Callable[[bytearray], object] = len, **facts: int) -> Maker:
    def maker(path: Path) -> None:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = facts.get("method", zipfile.ZIP_DEFLATED)
                info.external_attr = facts.get("mode", 0o644) << 16
                archive.writestr(info, content)
        content = bytearray(stream.getvalue())
        change(content)
        (path / "data.zip").write_bytes(content)

    return maker


def _claim(offset: int, form: str, value: int) -> Callable[[bytearray], object]:
    """Change a number in each entry of the central directory."""

    def change(content: bytearray) -> None:
        at = content.find(b"PK\1\2")
        while at >= 0:
            struct.pack_into(form, content, at + offset, value)
            at = content.find(b"PK\1\2", at + 4)

    return change


def _end(offset: int, form: str, value: int) -> Callable[[bytearray], object]:
    return lambda content: struct.pack_into(form, content, content.rfind(b"PK\5\6") + offset, value)


_PICTURE = saved("PNG")
_MAKERS: dict[str, Maker] = {
    "empty": lambda path: None,
    "pipes": _pipes,
    "circles": _circles,
    "tangle": _tangle,
    "deep": _deep,
    "names": _names,
    "locked": _locked,
    "many": _many,
    "sparse": lambda path: _sparse(path / "a" / "x.png"),
    "sparse zeros": lambda path: _sparse(path / "a" / "x.png", b""),
    "sparse boxes": lambda path: (_image(path / "images" / "a" / "x.png"), _sparse(path / "boxes.json", b"{")),
    "sparse mask": lambda path: (_image(path / "images" / "a" / "x.png"), _sparse(path / "masks" / "a" / "x.png")),
    "sparse table": lambda path: (_image(path / "x.png"), _sparse(path / "labels.csv", b"file,label\n")),
    "sparse archive": lambda path: _sparse(path / "data.zip", b"PK\3\4", 300_000_000),
    "pipe of boxes": _beside("boxes.json", None),
    "pipe of a mask": _beside("masks/a/x.png", None),
    "pipe of concepts": _beside("concepts/parts/a/x.png", None),
    "nested boxes": _beside("boxes.json", b"[" * 200_000),
    "strange boxes": _beside("boxes.json", json.dumps({"a/x.png": [[10**400, 0, 1, 1]]}).encode()),
    "binary boxes": _beside("boxes.json", bytes(range(256))),
    "boxes of another kind": _beside("boxes.json", b'{"a/x.png": {"x": 1}}'),
    "damaged mask": _beside("masks/a/x.png", _PICTURE[:40]),
    "vast mask": _beside("masks/a/x.png", b"P4 999999 999999 \n"),
    "concepts without names": _beside("concepts/parts/a/x.png", saved("PNG")),
    "table of one long line": _table(b"file,label\nx.png," + b"a" * 5_000_000),
    "table of quotes": _table(b'file,label\n"x.png,' + b'""' * 500_000),
    "table of columns": _table(b"," * 3_000_000),
    "table of rows": _table(b"file,label\n" + b"x.png,y\n" * 300_000),
    "table of zero bytes": _table(b"file,label\nx.png,\0\0"),
    "table of half a character": _table(b"\xff\xfefile"),
    "archive that leads out": _zip(("../../out.png", _PICTURE), ("/tmp/out.png", _PICTURE), ("a/x.png", _PICTURE)),
    "archive of links": _zip(("a/x.png", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "archive of devices": _zip(("a/x.png", b"x"), mode=stat.S_IFCHR | 0o777),
    "archive bomb": _zip(*((f"a/{number}.png", _PICTURE + bytes(40_000_000)) for number in range(3))),
    "archive that claims": _zip(("a/x.png", _PICTURE), change=_claim(24, "<I", 2**32 - 2)),
    "archive that claims less": _zip(("a/x.png", _PICTURE), change=_claim(24, "<I", 1)),
    "archive with a password": _zip(("a/x.png", _PICTURE), change=_claim(8, "<H", 1)),
    "archive of another method": _zip(("a/x.png", _PICTURE), method=zipfile.ZIP_LZMA),
    "archive of an unknown method": _zip(("a/x.png", _PICTURE), change=_claim(10, "<H", 99)),
    "archive with a far member": _zip(("a/x.png", _PICTURE), change=_claim(42, "<I", 2**31)),
    "archive with a wrong sum": _zip(("a/x.png", _PICTURE), change=_claim(16, "<I", 1)),
    "archive with a long list": _zip(("a/x.png", _PICTURE), change=_end(12, "<I", 2**32 - 2)),
    "archive with a far list": _zip(("a/x.png", _PICTURE), change=_end(16, "<I", 2**31)),
    "archive of many": _zip(*((f"a/{number}.png", b"") for number in range(2_000))),
    "archive of long names": _zip(("a/" + "x" * 5000 + ".png", _PICTURE), ("b/" * 3000 + "x.png", _PICTURE)),
    "archive of file and folder": _zip(("a", _PICTURE), ("a/x.png", _PICTURE), ("a", _PICTURE)),
    "archive in an archive": _zip(("data.zip", b"PK\3\4" + bytes(99))),
    "cut archive": _zip(("a/x.png", _PICTURE), change=lambda content: content.__delitem__(slice(40, None))),
    "archive as a pipe": lambda path: os.mkfifo(path / "data.zip"),
    "archive as a link": lambda path: (path / "data.zip").symlink_to("/dev/zero"),
}  # fmt: skip
