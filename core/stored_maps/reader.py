"""A folder of maps opened again: the stored maps of an image, found by the hash of its file."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.environment import limit
from core.errors import StoreError
from core.explain import EXPLAINERS, Explanation
from core.export import key
from core.files import read_bytes
from core.images import Picture, resized, shown
from core.models.model import Model
from core.serialization import dump, parse_json
from core.stored_maps.settings import FILE, read_settings
from core.stored_maps.writer import TABLE, finished, maps_file, rows
from core.workbench import Request, Workbench

_READ_FROM = "read from"  # the remark that a stored map has


def is_maps(folder: Path) -> bool:
    """Whether a folder holds maps of a folder."""
    return (folder / FILE).is_file() and (folder / TABLE).is_file()


class StoredMaps:
    """The maps in a folder that `vitrine explain` wrote, also one that is still being written.

    Raises StoreError if the folder holds none that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = read_settings(folder)
        self.finished = finished(folder)  # images
        try:
            self._numbers = {row["sha256"]: int(row["number"]) for row in rows(folder) if row["file"]}
        except (OSError, ValueError, KeyError, TypeError):
            raise StoreError(f"{folder / TABLE} cannot be read.", "Repeat the command that wrote it.") from None

    @property
    def name(self) -> str:
        """The name of the folder, for texts."""
        return shown(self.folder.name or str(self.folder))

    def __contains__(self, picture: Picture) -> bool:
        """Whether there are maps of the image."""
        return picture.sha in self._numbers

    def is_of(self, model: Model) -> bool:
        """Whether the maps are of this model, with the same options."""
        return self.settings.sha == model.key and dump(self.settings.options) == dump(model.options.changed())

    def fill(self, bench: Workbench, tiles: Iterable[tuple[Picture, Request]], seed: int) -> None:
        """Let the workbench cache what is stored of these requests, so that it is not computed."""
        for picture, request in tiles:
            if not bench.cached(picture, request, seed):
                found = self.explanation(bench.model, picture, request, seed)
                if found is not None:
                    bench.remember(picture, request, found, seed)

    def explanation(self, model: Model, picture: Picture, request: Request, seed: int) -> Explanation | None:
        """The stored map of a request, resized to the model's input; None if there is none of exactly this request."""
        own, method = self.settings, EXPLAINERS[request.name]
        same = self.is_of(model) and picture in self and not request.settle and seed == own.seed
        seen = (picture.page, tuple(picture.window or ())) == (own.page, tuple(own.window))
        if not (same and seen) or dump(method.chosen(request.settings)) != dump(own.methods.get(request.name)):
            return None
        if own.stored.get(request.name, "") != method.stored_read(model, method.chosen(request.settings)):
            return None
        wanted = request.layer or model.survey.default
        layers = own.layers if own.layers and method.follows_layer(model.survey) else ("",)
        layer = next((one for one in layers if (one or model.survey.default) == wanted), None)
        if layer is None:
            return None
        array = key(Request(request.name, request.target, layer=layer))
        try:
            values, facts = self._read(self._numbers[picture.sha], array)
            return _explanation(request, model, values, facts, seed=seed, name=self.name)
        except (OSError, ValueError, KeyError, TypeError):  # changed by others: it is computed as any other
            return None

    def _read(self, number: int, array: str) -> tuple[Tensor, Mapping[str, Any]]:
        content = io.BytesIO(read_bytes(self.folder / maps_file(number), limit("upload")))
        with np.load(content, allow_pickle=False) as stored:
            values = torch.from_numpy(np.array(stored[array], np.float32))
            return values, parse_json(str(stored["facts"]).encode())[array]


def _explanation(
    request: Request, model: Model, values: Tensor, facts: Mapping[str, Any], *, seed: int, name: str
) -> Explanation:
    """The explanation that was stored. Raises ValueError if the map cannot be one of this model."""
    size = model.preprocess.size
    if values.dim() != 2 or not bool(values.isfinite().all()) or tuple(facts["size"]) != tuple(size):
        raise ValueError("it is no map")
    return Explanation(
        name=request.name,
        maps=resized(values[None], size),
        scores=torch.tensor([float(facts["score"])]),
        targets=request.target.targets("cpu"),
        settings=EXPLAINERS[request.name].chosen(request.settings),
        layer=str(facts["layer"]),
        seed=seed,
        seconds=0.0,
        forwards=0,
        backwards=0,
        signed=bool(facts["signed"]),
        offset=bool(facts["offset"]),
        finished=True,
        remarks={**facts["remarks"], _READ_FROM: name},
        behind=bool(facts["behind"]),
        grid=values[None] if tuple(values.shape) != tuple(size) else None,
    )
