"""Hostile arguments of the command line."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from core.cli import main
from core.errors import VitrineError
from tests.hostile.forked import Case

MODEL = "flowers-single-6c"
NUMBERS = ("", "-1", "1e400", "nan", "inf", "9" * 400, "0x10", "١٢", "1_000", "½", "\0", " ", "1;2", "--", "$(id)")
NAMES = ("", " ", "\0", "\x1b[31m", "\u202eabc", "a" * 5000, "../../etc/passwd", "/dev/zero", "resnet18@/dev/zero",
         "resnet18@/proc/self/mem", "timm:x", "hf:a/b", "x.py:build", "resnet18@", "@", ":", "resnet18@\udcff",
         "http://127.0.0.1/x", "*", "None", "flowers@/etc")  # fmt: skip


def cases(folder: Path) -> Iterator[Case]:
    """Commands with hostile arguments, run in `folder`; all write below `folder`/out at most."""
    image = folder / "photo.png"
    Image.new("RGB", (32, 24), "teal").save(image)
    pipe = folder / "pipe.png"
    os.mkfifo(pipe)
    explain = ["explain", str(image), "--model", MODEL, "--method", "saliency", "--out", str(folder / "out")]
    for number in NUMBERS:
        yield _command(folder, "seed", [*explain, "--seed", number])
        yield _command(
            folder, "set", [*explain[:-4], "--method", "rise", "--set", f"rise.masks={number}", *explain[-2:]]
        )
        yield _command(folder, "target", [*explain, "--target", number])
        yield _command(folder, "limit", ["study", "build", "--model", MODEL, "--data", str(folder), "--limit", number,
                                         "--out", str(folder / "out" / "study")])  # fmt: skip
    for name in NAMES:
        yield _command(folder, "model", ["check", "--model", name])
        yield _command(folder, "layer", [*explain, "--layer", name])
        yield _command(folder, "method", [*explain[:-4], "--method", name, *explain[-2:]])
        yield _command(folder, "budget", [*explain, "--budget", name])
    for path in (pipe, "/dev/zero", "/dev/stdin", folder, folder / "none.png", "\0.png", "x" * 300, "\udcff.png", ""):
        yield _command(folder, "image", ["explain", str(path), *explain[2:]])
        yield _command(folder, "labels", ["check", "--model", f"flowers@{path}", "--labels", str(path)])
        yield _command(folder, "data", ["study", "build", "--model", MODEL, "--data", str(path),
                                        "--out", str(folder / "out" / "study")])  # fmt: skip
        yield _command(folder, "study", ["study", "info", str(path)])
    long = folder / "out" / ("y" * 300)
    for out in (long, folder / "photo.png", folder / "photo.png" / "in", "\0", "/proc/none/out", "/dev/full/x", pipe):
        yield _command(folder, "out", [*explain[:-1], str(out)])
        yield _command(folder, "study out", ["study", "build", "--model", MODEL, "--data", str(folder),
                                             "--out", str(out)])  # fmt: skip


def _command(folder: Path, what: str, words: Sequence[str]) -> Case:
    """One command, which runs in `folder`."""

    def handle() -> None:
        os.chdir(folder)
        output, problems = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(problems):
            try:
                code = main(list(words))
            except SystemExit as end:  # argparse
                code = end.code if isinstance(end.code, int) else 1
        said = problems.getvalue()
        if code == 2 and "Traceback" not in said and "defect" not in said:
            raise VitrineError(said.strip().splitlines()[-1])
        if code:
            raise AssertionError(f"exit code {code}: {said[-2000:]}")

    return f"{what}: {' '.join(words)[-90:]!r}", handle
