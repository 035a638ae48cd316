"""`python -m tests.hostile FOLDER` handles the whole corpus in a forked worker and prints what does not hold.

With a number as well, it handles so many fuzzed inputs instead.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from core.errors import VitrineError
from core.models.checkpoint import opened
from core.models.weights import fit
from core.study.build import build_study
from core.study.config import TransactionConfig
from tests import nets
from tests.hostile import arguments, checkpoints, exported, folders, masks, pictures, settings, studies, tables, tags
from tests.hostile.forked import Case, main
from tests.tiny_build import PATCHES, config, draw

torch.set_num_threads(1)  # a fork has no other thread


def corpus(folder: Path) -> Iterator[Case]:
    """Every hostile input."""
    source = study(folder)
    yield from arguments.cases(folder / "arguments")
    yield from pictures.cases(folder)
    yield from folders.cases(folder)
    yield from masks.cases(folder)
    yield from tables.cases(folder / "tables")
    for name, content in checkpoints.files():
        yield f"weights {name}", partial(fitted, folder / "weights", name, content)
    yield "onnx sound", partial(exported.check_sound, folder / "onnx")
    for name, content in exported.files():
        yield f"onnx {name}", partial(exported.opened, folder / "onnx", name, content)
    for make in (studies.wrong_studies, studies.special_studies):
        for name, path in make(source, folder / make.__name__):
            yield f"study {name}", partial(used, path)
    for name, home in tags.damaged_tags(folder / "tags", "study"):
        yield f"tags {name}", partial(tags_used, home)


def fuzzed(folder: Path, count: int) -> Iterator[Case]:
    """So many inputs changed by chance: 40% images, 30% weights, 10% each settings, studies and tags."""
    source = study(folder)
    yield from pictures.cases(folder, 2 * count // 5)
    for seed in range(3 * count // 10):
        yield f"weights {seed}", partial(fitted, folder / "weights", *checkpoints.mutated(seed))
    yield from settings.cases(count // 10)
    for seed in range(count // 10):
        yield f"study {seed}", partial(fuzzed_study, source, folder / "studies", seed)
        yield f"tags {seed}", partial(fuzzed_tags, folder / "tags", seed)


def study(folder: Path) -> Path:
    """A tiny study, which others are made from."""
    for label in range(3):
        for number in range(4):
            draw(folder / "data" / f"class_{label}" / f"{number}.png", 10 * label + number)
    wanted = config(
        folder / "data", patches=replace(PATCHES, target="label"), transactions=TransactionConfig(filters=8)
    )
    return build_study(wanted, folder / "study", model=nets.model("gap")).path


def fitted(folder: Path, name: str, content: bytes) -> None:
    """Read a weights file and fit it to a small network."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with opened(folder / name) as checkpoint:
        fit(checkpoints.small_net(), checkpoint, "small")


def used(path: Path) -> None:
    """Use a study as pages and commands do."""
    raised(studies.used(path, nets.model("gap")))


def tags_used(home: Path) -> None:
    """Use tags as pages do."""
    raised(tags.tags_used(home, "study"))


def fuzzed_study(source: Path, folder: Path, seed: int) -> None:
    """Use a study that was changed by chance."""
    folder.mkdir(exist_ok=True)
    for _, path in studies.fuzzed_studies(source, folder, 1, seed):
        used(path)


def fuzzed_tags(folder: Path, seed: int) -> None:
    """Use tags that were changed by chance."""
    folder.mkdir(exist_ok=True)
    for _, home in tags.fuzzed_tags(folder, "study", 1, seed):
        tags_used(home)


def raised(error: VitrineError | None) -> None:
    """Raise what was returned."""
    if error:
        raise error


place = Path(sys.argv[1]).resolve()
for room in ("arguments", "wrong_studies", "special_studies", "tags"):
    (place / room).mkdir()
main(list(fuzzed(place, int(sys.argv[2])) if len(sys.argv) > 2 else corpus(place)))
