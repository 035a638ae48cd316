"""Studies with right checksums and wrong content, and the use that must survive them.

`wrong_studies` and `fuzzed_studies` copy a finished study and change a copy; `used` does with one what pages and
commands do. It raises a VitrineError of one short sentence, or works; what may not happen is any other exception.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.commands.study import _summarise
from core.door.studies import Study as DoorStudy
from core.errors import VitrineError
from core.files import file_sha256
from core.mining.averages import average
from core.mining.rules import mine, stored
from core.models import Model
from core.store.npy import header
from core.study import Study
from core.study.browse import OUTCOMES, Catalogue, PatchFilter, patches_per_image
from core.units.ablation_study import run_ablation

LONGEST = 300  # characters of a message
Change = Callable[["Editor"], object]


class Editor:
    """A study being falsified: its parts are changed and its manifest is made to agree with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = json.loads((path / "study.json").read_text("utf-8"))

    def frame(self, name: str) -> pd.DataFrame:
        """A table as it is."""
        return pq.read_table(self.path / f"{name}.parquet").to_pandas()

    def table(self, name: str, content: pd.DataFrame | pa.Table, **how: Any) -> None:
        """Write another table."""
        table = content if isinstance(content, pa.Table) else pa.Table.from_pandas(content, preserve_index=False)
        pq.write_table(table, self.path / f"{name}.parquet", **how)
        self.manifest["tables"][name] = {"rows": table.num_rows, "columns": table.column_names}
        self.signed(f"{name}.parquet")

    def column(self, name: str, column: str, values: Any) -> None:
        """Write another column; a function is applied to the old one."""
        frame = self.frame(name)
        frame[column] = values(frame[column]) if callable(values) else values
        self.table(name, frame)

    def typed(self, name: str, column: str, kind: pa.DataType, values: Any = None) -> None:
        """Write a column of another type."""
        table = pq.read_table(self.path / f"{name}.parquet")
        number = table.column_names.index(column)
        old = table.column(column)
        new = old.cast(kind) if values is None else pa.array([values] * len(old), kind)
        self.table(name, table.set_column(number, column, new))

    def array(self, name: str) -> NDArray[Any]:
        """An array as it is, to be changed."""
        facts = self.manifest["arrays"][name]
        content = (self.path / f"{name}.npy").read_bytes()[128:]
        return np.frombuffer(content, facts["dtype"]).reshape(facts["shape"]).copy()

    def write(self, name: str, array: NDArray[Any], head: bytes = b"", **facts: Any) -> None:
        """Write another array."""
        content = (head or header(array.shape, array.dtype)) + array.tobytes()
        self.file(f"{name}.npy", content)
        self.manifest["arrays"][name] = {"shape": list(array.shape), "dtype": array.dtype.name, **facts}

    def values(self, name: str, value: float) -> None:
        """Set the first value of an array."""
        array = self.array(name)
        array.reshape(-1)[0] = value
        self.write(name, array)

    def file(self, name: str, content: bytes) -> None:
        """Write another file."""
        (self.path / name).write_bytes(content)
        self.signed(name)

    def signed(self, name: str) -> None:
        """Put the checksum of a file into the manifest."""
        file = self.path / name
        self.manifest["files"][name] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}

    def set(self, value: Any, *place: str) -> None:
        """Set a part of the manifest."""
        inner = self.manifest
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value

    def raw(self, content: bytes) -> None:
        """Write another manifest."""
        (self.path / "study.json").write_bytes(content)
        self.manifest = {}

    def replaced(self, old: str, new: str) -> None:
        """Change the text of the manifest."""
        text = json.dumps(self.manifest, indent=1)
        assert old in text
        self.raw(text.replace(old, new, 1).encode("utf-8", "surrogatepass"))

    def log(self, content: bytes) -> None:
        """Write another log."""
        (self.path / "build.json").write_bytes(content)

    def done(self) -> None:
        """Write the manifest."""
        if self.manifest:
            (self.path / "study.json").write_text(json.dumps(self.manifest, indent=1), "utf-8")


def _first(value: Any) -> Callable[[Any], Any]:
    def changed(column: Any) -> Any:
        values = column.tolist()
        return [value, *values[1:]]

    return changed


def _swapped(e: Editor) -> None:
    patches = e.frame("patches")
    names = list(patches)
    names[2], names[3] = names[3], names[2]
    e.table("patches", patches[names])


def _renamed(e: Editor) -> None:
    table = pq.read_table(e.path / "patches.parquet")
    names = ["image" if name == "rank" else name for name in table.column_names]
    e.table("patches", table.rename_columns(names))


def _head(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode("latin1") + b"\n"


def _long_text(e: Editor) -> None:
    e.column("images", "path", lambda column: ["x" * 20_000] * len(column))


def _repeated_text(e: Editor) -> None:
    rows = len(e.frame("images"))
    e.column("images", "stop", ["y" * 200_000] * rows)


def _sparse(e: Editor) -> None:
    shape = [10**9, *e.manifest["arrays"]["crops"]["shape"][1:]]
    with (e.path / "crops.npy").open("wb") as file:
        file.write(header(tuple(shape), np.dtype("uint8")))
        file.truncate(128 + int(np.prod(shape)))
    e.manifest["arrays"]["crops"]["shape"] = shape
    e.manifest["files"]["crops.npy"] = {"bytes": (e.path / "crops.npy").stat().st_size, "sha256": "0" * 64}


_WRONG: dict[str, Change] = {
    # Columns and types of tables.
    "column missing": lambda e: e.table("patches", e.frame("patches").drop(columns="drop")),
    "column too many": lambda e: e.table("patches", e.frame("patches").assign(more=1)),
    "columns swapped": _swapped,
    "column twice": _renamed,
    "column renamed": lambda e: e.table("classes", e.frame("classes").rename(columns={"name": "Name"})),
    "no columns": lambda e: e.table("edges", pa.table({})),
    "labels are numbers": lambda e: e.column("classes", "name", lambda c: list(range(len(c)))),
    "labels are bytes": lambda e: e.typed("classes", "name", pa.binary()),
    "labels have a gap": lambda e: e.column("classes", "name", _first(None)),
    "labels are not utf-8": lambda e: e.table(
        "classes",
        pq.read_table(e.path / "classes.parquet").set_column(
            1, "name", pa.array([b"\xff\xfe"] * len(e.frame("classes")), pa.binary()).view(pa.string())
        ),
    ),
    "labels are missing": lambda e: e.table("classes", e.frame("classes").iloc[:-1]),
    "no labels": lambda e: e.table("classes", e.frame("classes").iloc[:0]),
    "labels too many": lambda e: e.table("classes", pd.concat([e.frame("classes")] * 2)),
    "label is very long": lambda e: e.column("classes", "name", _first("z" * 10**6)),
    "floats for numbers of images": lambda e: e.typed("patches", "image", pa.float64()),
    "floats for rules": lambda e: e.column("rules", "rank", lambda c: c + 0.5),
    "texts for numbers": lambda e: e.column("patches", "x", lambda c: c.astype(str)),
    "dates for numbers": lambda e: e.typed("images", "width", pa.timestamp("s")),
    "decimals for numbers": lambda e: e.typed("rules", "support", pa.decimal128(10, 3), 0),
    "lists for numbers": lambda e: e.column("patches", "x", lambda c: [[v] for v in c]),
    "numbers for lists": lambda e: e.column("rules", "filters", lambda c: [1] * len(c)),
    "lists of lists": lambda e: e.column("rules", "filters", lambda c: [[[1]]] * len(c)),
    "lists of floats": lambda e: e.column("rules", "filters", lambda c: [[1.5]] * len(c)),
    "structs": lambda e: e.column("nodes", "name", lambda c: [{"a": 1}] * len(c)),
    "unsigned": lambda e: e.typed("patches", "image", pa.uint64()),
    "truth as numbers": lambda e: e.typed("windows", "kept", pa.int64()),
    "dictionary of numbers": lambda e: e.table(
        "images",
        pq.read_table(e.path / "images.parquet").set_column(
            0, "image", pq.read_table(e.path / "images.parquet").column("image").dictionary_encode()
        ),
    ),
    "pandas metadata": lambda e: e.table(
        "classes", pq.read_table(e.path / "classes.parquet").replace_schema_metadata({"pandas": '{"index_columns": 5}'})
    ),
    # Their rows and values.
    "a row too many": lambda e: e.table("patches", pd.concat([e.frame("patches"), e.frame("patches").iloc[:1]])),
    "a row too few": lambda e: e.table("patches", e.frame("patches").iloc[1:]),
    "no patches": lambda e: e.table("patches", e.frame("patches").iloc[:0]),
    "no images": lambda e: e.table("images", e.frame("images").iloc[:0]),
    "images twice": lambda e: e.column("images", "image", _first(1)),
    "no filters": lambda e: e.table("filters", e.frame("filters").iloc[:0]),
    "filters shuffled": lambda e: e.table("filters", e.frame("filters").iloc[::-1]),
    "image beyond": lambda e: e.column("patches", "image", _first(10**6)),
    "image negative": lambda e: e.column("patches", "image", _first(-1)),
    "window of no image": lambda e: e.column("windows", "image", _first(10**6)),
    "label beyond": lambda e: e.column("patches", "label", _first(99)),
    "label negative": lambda e: e.column("patches", "label", _first(-1)),
    "true label beyond": lambda e: e.column("images", "label", _first(99)),
    "predicted below -1": lambda e: e.column("images", "predicted", _first(-7)),
    "probability above 1": lambda e: e.column("images", "probability", _first(1.7)),
    "probability nan": lambda e: e.column("images", "probability", _first(float("nan"))),
    "negative count": lambda e: e.column("classes", "patches", _first(-5)),
    "huge count": lambda e: e.column("averages", "patches", _first(2**62)),
    "huge width": lambda e: e.column("images", "width", _first(2**63 - 1)),
    "score infinite": lambda e: e.column("patches", "score", _first(float("inf"))),
    "drop nan": lambda e: e.column("patches", "drop", _first(float("nan"))),
    "position beyond": lambda e: e.column("patches", "x", _first(10**6)),
    "position negative": lambda e: e.column("patches", "y", _first(-1)),
    "patch over the edge": lambda e: e.column("patches", "x", lambda c: [e.manifest["model"]["size"] - 1] * len(c)),
    "window over the edge": lambda e: e.column("windows", "y", lambda c: [e.manifest["model"]["size"] - 1] * len(c)),
    "patch of another size": lambda e: e.column("patches", "size", lambda c: c - 1),
    "path upwards": lambda e: e.column("images", "path", _first("../../etc/passwd")),
    "path absolute": lambda e: e.column("images", "path", _first("/etc/passwd")),
    "path empty": lambda e: e.column("images", "path", _first("")),
    "path with zero": lambda e: e.column("images", "path", _first("a\0b")),
    "path very long": _long_text,
    "text of megabytes": _repeated_text,
    "rule of filters beyond": lambda e: e.column("rules", "filters", lambda c: [[10**6]] * len(c)),
    "rule without filters": lambda e: e.column("rules", "filters", lambda c: [[]] * len(c)),
    "rule with a gap": lambda e: e.column("rules", "filters", lambda c: [[None]] * len(c)),
    "rule of negative filters": lambda e: e.column("rules", "filters", lambda c: [[-1]] * len(c)),
    "rule nobody holds": lambda e: e.column(
        "rules", "filters", lambda c: [list(range(e.manifest["model"]["filters"]))] * len(c)
    ),
    "rule of another class": lambda e: e.column("rules", "label", lambda c: (c + 1) % 5),
    "rule counts": lambda e: e.column("rules", "n_both", lambda c: c + 1),
    "support above 1": lambda e: e.column("rules", "support", _first(1.5)),
    "lift negative": lambda e: e.column("rules", "lift", _first(-1.0)),
    "no rules": lambda e: e.table("rules", e.frame("rules").iloc[:0]),
    "shared lists differ": lambda e: e.column("shared", "supports", lambda c: [[0.5]] * len(c)),
    "shared of classes beyond": lambda e: e.column("shared", "labels", lambda c: [[0, 99]] * len(c)),
    "shared by one": lambda e: e.column("shared", "classes", lambda c: [1] * len(c)),
    "node without edge": lambda e: e.table("edges", e.frame("edges").iloc[1:]),
    "edge without node": lambda e: e.table("nodes", e.frame("nodes").iloc[1:]),
    "node of another kind": lambda e: e.column("nodes", "kind", lambda c: ["class"] * len(c)),
    "node named otherwise": lambda e: e.column("nodes", "node", _first("f")),
    "node nowhere": lambda e: e.column("nodes", "x", _first(float("nan"))),
    "node far away": lambda e: e.column("nodes", "y", _first(1e300)),
    "average without rule": lambda e: e.column("averages", "filter", lambda c: (c + 1) % 16),
    "average of nothing": lambda e: e.column("averages", "patches", _first(0)),
    "averages missing": lambda e: e.table("averages", e.frame("averages").iloc[1:]),
    "filter mean nan": lambda e: e.column("filters", "mean", _first(float("nan"))),
    "filter largest nan": lambda e: e.column("filters", "largest", _first(float("nan"))),
    "parquet cut": lambda e: e.file("rules.parquet", (e.path / "rules.parquet").read_bytes()[:-30]),
    "parquet empty": lambda e: e.file("rules.parquet", b""),
    "parquet of zeros": lambda e: e.file("rules.parquet", b"PAR1" + bytes(400) + b"PAR1"),
    "parquet is a csv": lambda e: e.file("rules.parquet", b"rule,label\n1,2\n"),
    # The arrays.
    "array too short": lambda e: e.write("crops", e.array("crops")[1:]),
    "array too long": lambda e: e.write("thumbnails", np.concatenate([e.array("thumbnails")] * 2)),
    "array flat": lambda e: e.write("crops", e.array("crops").reshape(-1)),
    "array grey": lambda e: e.write("crops", e.array("crops")[..., :1]),
    "thumbnails not square": lambda e: e.write("thumbnails", e.array("thumbnails")[:, :5]),
    "thumbnails of no pixels": lambda e: e.write("thumbnails", e.array("thumbnails")[:, :0, :0]),
    "items of no columns": lambda e: e.write("items", e.array("items")[:, :0]),
    "responses narrower": lambda e: e.write("responses", e.array("responses")[:, :2]),
    "pooled narrower": lambda e: e.write("pooled", e.array("pooled")[:, :2]),
    "maps of other cells": lambda e: e.write("maps", e.array("maps")[:, :1]),
    "items of floats": lambda e: e.write("items", e.array("items").astype("float32")),
    "items of 64 bits": lambda e: e.write("items", e.array("items").astype("int64")),
    "items of objects": lambda e: e.file("items.npy", b"\x93NUMPY" + b"\x80\x04cos\nsystem\n(S'true'\ntR." * 20),
    "items named objects": lambda e: e.set("object", "arrays", "items", "dtype"),
    "items of the other order": lambda e: e.write("items", e.array("items").astype(">i4")),
    "items by column": lambda e: e.write(
        "items",
        e.array("items"),
        _head(f"{{'descr': '<i4', 'fortran_order': True, 'shape': {e.array('items').shape}}}"),
    ),
    "item beyond": lambda e: e.values("items", 10**6),
    "item below -1": lambda e: e.values("items", -9),
    "item twice": lambda e: e.write("items", np.repeat(e.array("items")[:, :1], e.array("items").shape[1], 1)),
    "response nan": lambda e: e.values("responses", float("nan")),
    "response negative": lambda e: e.values("responses", -1),
    "responses zero": lambda e: e.write("responses", e.array("responses") * 0),
    "pooled nan": lambda e: e.values("pooled", float("nan")),
    "pooled infinite": lambda e: e.values("pooled", float("inf")),
    "map nan": lambda e: e.values("maps", float("nan")),
    "average nan": lambda e: e.values("averages", float("nan")),
    "average above 1": lambda e: e.values("averages", 9),
    "shape huge": lambda e: e.set([2**62, 10, 10, 3], "arrays", "crops", "shape"),
    "shape negative": lambda e: e.set([-1, 10, 10, 3], "arrays", "crops", "shape"),
    "sparse terabytes": _sparse,
    # The manifest.
    "window zero": lambda e: e.set(0, "window"),
    "window beyond": lambda e: e.set(10**6, "window"),
    "size zero": lambda e: e.set(0, "model", "size"),
    "size huge": lambda e: e.set(10**15, "model", "size"),
    "no cells": lambda e: e.set([], "model", "cells"),
    "cells of one": lambda e: e.set([3], "model", "cells"),
    "filters zero": lambda e: e.set(0, "model", "filters"),
    "filters beyond": lambda e: e.set(10**6, "model", "filters"),
    "images beyond": lambda e: e.set(10**6, "data", "images"),
    "skipped beyond": lambda e: e.set(10**6, "data", "skipped"),
    "seed another": lambda e: e.set(2**40, "seed"),
    "support zero": lambda e: e.set(0, "config", "mining", "support"),
    "support a text": lambda e: e.set("x", "config", "mining", "support"),
    "filters of a patch zero": lambda e: e.set(0, "config", "mining", "filters"),
    "setting unknown": lambda e: e.set(1, "config", "mining", "speed"),
    "setting of a kind unknown": lambda e: e.set("some", "config", "mining", "sets"),
    "tau infinite": lambda e: e.replaced('"tau": ', '"tau": 1e999, "was": '),
    "mining a list": lambda e: e.set([], "config", "mining"),
    "settings of the method a text": lambda e: e.set("x", "config", "settings"),
    "layer a number": lambda e: e.set(5, "config", "layer"),
    "layer very long": lambda e: e.set("l" * 100_000, "model", "layer"),
    "name very long": lambda e: e.set("n" * 100_000, "model", "name"),
    "file upwards": lambda e: e.set({"bytes": 1, "sha256": ""}, "files", "../x"),
    "file with zero": lambda e: e.set({"bytes": 1, "sha256": ""}, "files", "a\0b"),
    "table upwards": lambda e: e.set({"rows": 1, "columns": []}, "tables", "../x"),
    "version zero": lambda e: e.set(0, "version"),
    "version a float": lambda e: e.set(2.5, "version"),
    "bytes huge": lambda e: e.set(2**62, "files", "crops.npy", "bytes"),
    "manifest nested": lambda e: e.raw(b"[" * 200_000),
    "config nested": lambda e: e.replaced('"settings": {}', '"settings": {"a": ' + "[" * 2000 + "]" * 2000 + "}"),
    "manifest nested in braces": lambda e: e.raw(b'{"a":' * 200_000),
    "number overflows": lambda e: e.replaced('"window": ', '"window": 1e400, "was": '),
    "number of 5000 digits": lambda e: e.replaced('"window": ', '"window": 1' + "0" * 5000 + ', "was": '),
    "nan": lambda e: e.replaced('"window": ', '"window": NaN, "was": '),
    "infinity": lambda e: e.replaced('"tau": ', '"tau": Infinity, "was": '),
    "key twice": lambda e: e.replaced('"window": ', '"window": 3, "window": '),
    "not utf-8": lambda e: e.raw(json.dumps(e.manifest).encode("utf-16")),
    "latin-1": lambda e: e.raw(json.dumps({**e.manifest, "é": 1}, ensure_ascii=False).encode("latin-1")),
    "half a character": lambda e: e.replaced('"explainer": "', '"explainer": "\\ud800'),
    "byte order mark": lambda e: e.raw(b"\xef\xbb\xbf" + json.dumps(e.manifest).encode()),
    "manifest empty": lambda e: e.raw(b""),
    "manifest of zeros": lambda e: e.raw(bytes(1000)),
    # The log.
    "log nested": lambda e: e.log(b"[" * 200_000),
    "log of texts": lambda e: e.log(b'{"seconds": {"a": "x"}, "finished": ""}'),
    "log infinite": lambda e: e.log(b'{"seconds": {"a": 1e999}, "finished": ""}'),
    "log of an absurd date": lambda e: e.log(b'{"seconds": {}, "finished": "' + b"9" * 100_000 + b'"}'),
    "log of a truth": lambda e: e.log(b'{"seconds": {"a": true}, "finished": ""}'),
}


def wrong_studies(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a study with something wrong in each, by what it is."""
    for name, change in _WRONG.items():
        path = folder / name.replace(" ", "-").replace("/", "-")
        shutil.copytree(source, path)
        editor = Editor(path)
        change(editor)
        editor.done()
        yield name, path


# What may stand in place of a file.
NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda file: file.symlink_to("/dev/zero"),
    "folder": lambda file: file.mkdir(),
    "loop": lambda file: file.symlink_to(file.name),
    "terabyte": lambda file: os.truncate(os.open(file, os.O_CREAT | os.O_WRONLY), 1 << 40),
}


def special_studies(source: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a study with a pipe, a device, a folder or a circular link in place of a file."""
    files = ["study.json", "build.json", "images.parquet", "items.npy"]
    for kind, make in NO_FILES.items():
        for file in files:
            path = folder / f"{kind}-{file.partition('.')[0]}"
            shutil.copytree(source, path)
            (path / file).unlink()
            make(path / file)
            yield f"{file} is a {kind}", path


def fuzzed_studies(source: Path, folder: Path, count: int, seed: int = 0) -> Iterator[tuple[str, Path]]:
    """Copies of a study with a few parts of manifest, log, tables or arrays changed by chance; checksums are right."""
    rng = random.Random(seed)
    path = folder / "fuzzed"
    for number in range(count):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path)
        editor = Editor(path)
        for _ in range(rng.randint(1, 3)):
            with suppress(
                pa.ArrowException, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, OSError
            ):
                # what was changed before may not allow this change
                rng.choice([_fuzz_manifest, _fuzz_manifest, _fuzz_table, _fuzz_array, _fuzz_bytes])(editor, rng)
            if not editor.manifest:
                break
        editor.done()
        yield f"number {number} of seed {seed}", path


_VALUES: list[Any] = [
    None, True, -1, 0, 1, 2, 7, 99, 2**31, 2**53, 2**63 - 1, 2**64, 10**400, 0.5, -1.5, 1e300, "", "x", "../x",
    "a\0b", "é" * 300, [], [1], [[]], {}, {"a": 1},
]  # fmt: skip


def _fuzz_manifest(e: Editor, rng: random.Random) -> None:
    place: Any = e.manifest
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        if isinstance(place, dict) and rng.random() < 0.2:
            del place[key]
        else:
            place[key] = rng.choice(_VALUES)
        return


def _fuzz_table(e: Editor, rng: random.Random) -> None:
    name = rng.choice(sorted(e.manifest["tables"]))
    frame = e.frame(name)
    column = rng.choice(list(frame))
    value = rng.choice([-1, 0, 1, 3, 2**31, 2**62, 0.5, float("nan"), float("inf"), -1e300, "x", None, [1], "\0"])
    values = frame[column].tolist()
    values[rng.randrange(len(values))] = value
    frame[column] = values if rng.random() < 0.5 else [value] * len(values)
    e.table(name, frame if rng.random() < 0.9 else frame.iloc[: rng.randrange(len(frame))])


def _fuzz_array(e: Editor, rng: random.Random) -> None:
    name = rng.choice(sorted(e.manifest["arrays"]))
    array = e.array(name)
    array.reshape(-1)[rng.randrange(max(1, array.size))] = rng.choice([-1, -2, 0, 1, 15, 16, 255])
    e.write(name, array)


def _fuzz_bytes(e: Editor, rng: random.Random) -> None:
    name = rng.choice(sorted(file.name for file in e.path.iterdir()))
    content = bytearray((e.path / name).read_bytes())
    for _ in range(rng.randint(1, 4)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    if name == "study.json":
        e.raw(bytes(content))
    elif name == "build.json" or not isinstance(e.manifest.get("files"), dict):
        (e.path / name).write_bytes(bytes(content))
    else:
        e.file(name, bytes(content))


def used(path: Path, model: Model) -> VitrineError | None:
    """Open a study and do what pages and commands do with one; returns the error of opening it, if any."""
    try:
        study = Study(path)
    except VitrineError as error:
        return error
    catalogue = Catalogue(study)
    everything = catalogue.matching(PatchFilter())
    for outcome in OUTCOMES:
        catalogue.matching(PatchFilter(outcome=outcome, filters=(0,), label=0, drop=0.1))
    catalogue.by_label(PatchFilter())
    catalogue.by_filter(PatchFilter())
    for order in ("score", "drop", "response", "image"):
        catalogue.ordered(everything, order)
    catalogue.sheet(everything, study.labels).to_csv()
    patches_per_image(study.table("images"))
    for name in study.manifest.tables:
        study.table(name)
    for name in ("crops", "thumbnails", "items", "responses"):
        np.asarray(study.array(name)[:50])
    study.lost()
    _summarise(study)
    json.dumps({"log": study.log, **asdict(study.manifest)}, default=str)
    settings = study.manifest.settings.mining
    mined = stored(study, settings)
    for label, number in zip(mined.edges["label"], mined.edges["filter"], strict=True):
        _, rows, weights = average(study, mined, int(label), int(number))
        assert len(rows)
        assert weights.sum() > 0
    for label in mined.sets_of:
        assert mined.filters_of(label)
    mine(study, settings, seed=study.manifest.seed)
    door = DoorStudy(path)
    for table in (door.rules(), door.shared(), door.patches(), door.averages()):
        table.to_json()
    try:
        for number in range(len(door.averages())):
            np.asarray(study.array("averages")[number])
        sets = {label: mined.filters_of(label) for label in range(len(study.labels))}
        run_ablation(study, {"mined": sets}, model, draws=2).summary()
    except VitrineError as error:  # large arrays are checked when they are first read; images may be gone
        return error
    return None
