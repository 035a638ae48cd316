"""Settings of a folder of maps: everything that its maps depend on, stored with them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from core.environment import home, limit
from core.errors import StoreError, VitrineError
from core.explain import EXPLAINERS
from core.files import atomic_write, read_json
from core.images import Window
from core.models.model import Model
from core.network.half_precision import precision_of
from core.network.throughput import batch_of
from core.randomness import generator
from core.serialization import digest, dump, load

FILE = "settings.json"
FORMAT = 1
_ROUNDING = 1e-3  # of the largest logit: more is no rounding

# What a difference in each field is called in the sentence that refuses it.
_CALLED = {
    "format": "format", "sha": "model", "options": "model", "true": "true class", "images": "images",
    "page": "page", "window": "window", "precision": "precision", "methods": "methods or settings",
    "targets": "targets", "layers": "layers", "seed": "seed", "stored": "stored results of units",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the maps of a folder depend on; `source` and `batch` do not make other maps, apart from rounding."""

    format: int
    model: str  # its name
    sha: str  # `Model.key`
    options: Mapping[str, Any]  # of the model, those that are not the defaults
    methods: Mapping[str, Mapping[str, Any]]  # with all settings
    stored: Mapping[str, str]  # what identifies the stored results that a method reads
    targets: tuple[str, ...]
    layers: tuple[str, ...]
    seed: int
    page: int
    window: tuple[float, ...]  # empty for none
    precision: str
    true: int  # the class that all images were said to be of, -1 for none
    images: str  # hash of the paths of the images, in their order, and of their true classes
    count: int
    source: str  # the folder of the images
    batch: int


def settings_of(
    model: Model,
    methods: Mapping[str, Mapping[str, Any]],
    targets: Sequence[str],
    layers: Sequence[str],
    *,
    seed: int,
    page: int,
    window: Window | None,
    true: int | None,
    images: Sequence[tuple[str, int | None]],
    source: Path,
) -> Settings:
    """The settings for the maps of these images, each with its path and true class, without a batch size."""
    chosen = {name: EXPLAINERS[name].chosen(given) for name, given in methods.items()}
    return Settings(
        format=FORMAT,
        model=model.name,
        sha=model.key,
        options=model.options.changed(),
        methods=chosen,
        stored={name: read for name, own in chosen.items() if (read := EXPLAINERS[name].stored_read(model, own))},
        targets=tuple(targets),
        layers=tuple(layers),
        seed=seed,
        page=page,
        window=tuple(window or ()),
        precision=precision_of(model, home() / "pace"),
        true=-1 if true is None else true,
        images=digest(images),
        count=len(images),
        source=str(source.resolve()),
        batch=0,
    )


def read_settings(folder: Path) -> Settings:
    """The settings stored in a folder of maps. Raises StoreError if there are none that can be read."""
    try:
        settings = load(Settings, read_json(folder / FILE, limit("manifest")))
    except (OSError, ValueError, TypeError, AttributeError, VitrineError):
        raise StoreError(f"{folder} is no folder of maps.", "Give one that `vitrine explain` wrote.") from None
    if settings.format != FORMAT:
        message = f"{folder} holds maps of format {settings.format}, and this version reads {FORMAT}."
        raise StoreError(message, "Use the version of Vitrine that wrote it, or another folder.")
    return settings


def agreed(folder: Path, wanted: Settings, model: Model) -> Settings:
    """The stored settings of a folder if maps with the wanted ones may be added to it, else StoreError.

    In an empty folder the wanted ones are stored, with a batch size that is measured for the model.
    """
    if not (folder / FILE).exists():
        if foreign := [name for name in ("results.csv", "finished.log", "maps") if (folder / name).exists()]:
            raise StoreError(f"{folder} holds another {foreign[0]}.", "Choose another folder.")
        fresh = replace(wanted, batch=_batch(model))
        with atomic_write(folder / FILE) as file:
            file.write(_encoded(fresh))
        return fresh
    stored = read_settings(folder)
    for name, called in _CALLED.items():
        # As JSON: a tuple has become a list.
        if dump(getattr(stored, name)) != dump(getattr(wanted, name)):
            message = f"{folder} holds maps with other {called}."
            if called == "model":
                message = f"{folder} holds maps of another model, {stored.model}, or with other options of it."
            raise StoreError(message, "Repeat its command to continue it, or choose another folder.")
    return stored


def _encoded(settings: Settings) -> bytes:
    """The settings as the content of their file."""
    return (json.dumps(dump(settings), indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


@torch.no_grad()
def _batch(model: Model) -> int:
    """The fastest batch size; 1 for a network whose outputs for an image depend on the others in the batch."""
    noise = torch.rand(2, *model.preprocess.shape, generator=generator(0))
    images = model.preprocess.normalised(noise).to(model.device).contiguous(memory_format=model.order)
    together, alone = model.net(images), model.net(images[:1])
    largest = float(alone.abs().max().clamp_min(1.0))
    independent = len(together) == 2 and float((together[:1] - alone).abs().max()) <= _ROUNDING * largest
    return batch_of(model, home() / "pace") if independent else 1
