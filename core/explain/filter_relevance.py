"""The relevance of filters for the classes of a model: weights of linear models, stored by `core.units.relevance`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.environment import exact, home
from core.errors import BadParameter, StoreError, Unsupported, brief
from core.models.model import Model
from core.resources import ASSETS
from core.store.facts import ModelFacts
from core.store.manifest import Manifest, Misfit
from core.store.reader import Store, read_manifest
from core.store.schema import Column, Schema
from core.store.unit_tables import FORMAT, TABLES, check_tables, check_units, counts

if TYPE_CHECKING:
    import pandas as pd

NONZERO = 1e-6  # weights up to this magnitude count as zero
BUNDLED = ASSETS / "units"
_LEAST = 1e-300  # a sum that divides

_COUNT, _LABEL, _NUMBER = Column("whole"), Column("whole", below="classes"), Column("number", -1e30, 1e30)
_LAYER, _POSITIVE = Column("whole", below="layers"), Column("number", 0, 1e30)

# The tables of the analysis, in addition to those that all analyses of units have.
WEIGHTS: Mapping[str, Mapping[str, Column]] = {
    "units": {"layer": _LAYER, "unit": _COUNT, "classes": _COUNT},
    "classes": {
        "label": Column("whole", rows=True), "name": Column("text"), "images": _COUNT, "units": _COUNT,
        "error": _POSITIVE, "gap": _POSITIVE,
    },
    "weights": {"label": _LABEL, "rank": _COUNT, "layer": _LAYER, "unit": _COUNT, "weight": _NUMBER},
    "path": {"label": _LABEL, "mu": _POSITIVE, "units": _COUNT, "error": _POSITIVE, "gap": _POSITIVE},
}  # fmt: skip


@dataclass(frozen=True)
class Features:
    """Where the M features lie: every unit of some layers, layer by layer."""

    layers: tuple[tuple[str, int], ...]  # name and number of units

    @property
    def count(self) -> int:
        """The number M of features."""
        return sum(units for _, units in self.layers)

    def unit(self, feature: int) -> tuple[str, int]:
        """The layer and the unit of a feature. Raises IndexError for one that there is not."""
        for layer, units in self.layers:
            if 0 <= feature < units:
                return layer, feature
            feature -= units
        raise IndexError(feature)


def energies(maps: Tensor) -> Tensor:
    """The sum of the squares of each rectified map (B, K, h, w), as (B, K)."""
    return maps.clamp(min=0).to(exact(maps.device)).double().square().sum((2, 3))


def shares(sums: Sequence[Tensor]) -> NDArray[np.float64]:
    """The features (B, M) from the `energies` (B, K) of each layer.

    They are divided by their sum over the units of the layer; all together have the l2 norm one (section 3.1 of Oramas
    et al. 2019, and their released code). Zero where a layer is not active at all.
    """
    vectors = torch.cat([one / one.sum(1, keepdim=True).clamp(min=_LEAST) for one in sums], 1)
    found: NDArray[np.float64] = (vectors / vectors.norm(dim=1, keepdim=True).clamp(min=_LEAST)).numpy(force=True)
    return found


@dataclass(frozen=True)
class Relevance:
    """Weights of the units of some layers of a model for each of its classes."""

    features: Features
    weights: NDArray[np.float64]  # (C, M)

    def relevant(self, label: int, layer: str = "") -> list[tuple[str, int, float]]:
        """The units with a positive weight for a class, the largest first: layer, unit and weight; of one layer."""
        row = self.weights[label]
        order = [int(feature) for feature in np.argsort(-row, kind="stable") if row[feature] > NONZERO]
        units = [(*self.features.unit(feature), float(row[feature])) for feature in order]
        return [one for one in units if layer in ("", one[0])]

    @classmethod
    def of(cls, tables: "Mapping[str, pd.DataFrame]", layers: tuple[tuple[str, int], ...]) -> "Relevance":
        """The weights in the tables of the analysis; `layers` are its layers and their numbers of units."""
        features = Features(layers)
        starts = np.cumsum([0, *(units for _, units in layers)])
        weights, table = np.zeros((len(tables["classes"]), features.count)), tables["weights"]
        weights[table["label"], starts[table["layer"]] + table["unit"]] = table["weight"]
        return cls(features, weights)


@dataclass(frozen=True, kw_only=True)
class _Manifest(Manifest):
    """What is read of the manifest: the settings of the analysis, and the model."""

    config: Mapping[str, Any]
    model: ModelFacts

    def __post_init__(self) -> None:
        check_tables(self)
        settings = self.config.get("settings")
        if not (isinstance(settings, dict) and type(settings.get("mu")) in (int, float)):
            raise Misfit("config.settings.mu")


_SCHEMA = Schema(
    "relevance", FORMAT, _Manifest, tables={**TABLES, **WEIGHTS}, arrays={}, counts=counts, check=check_units
)


class StoredRelevance(Store[_Manifest]):
    """A stored analysis of relevance, opened read-only. Raises StoreError as `core.store.reader.Store`."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(_SCHEMA, path)

    @cached_property
    def relevance(self) -> Relevance:
        """The weights."""
        tables = {name: self.table(name) for name in ("layers", "classes", "weights")}
        layers = tuple(zip(tables["layers"]["name"], tables["layers"]["units"].tolist(), strict=True))
        return Relevance.of(tables, layers)

    @property
    def source(self) -> str:
        """Where the weights come from, in a few words."""
        mu, images = self.manifest.config["settings"]["mu"], self.manifest.tables["images"].rows
        return f"{self.name} (μ = {mu:g}, {images:,} images)"


def stored_for(model: Model, name: str = "") -> Path | None:
    """The folder of the stored relevance of a model: the one of this name, else the newest; None if there is none.

    It lies in the user's folder, or is bundled; those of the user come first.
    """
    return next((path for path in _stored(model) if name in ("", path.name)), None)


def content_of(model: Model, name: str = "") -> str:
    """What identifies the content of the relevance that `stored_for` gives; "" for none."""
    path = stored_for(model, name)
    manifest = _manifest(path, _written(path)) if path else None
    return manifest.digest if manifest else ""


def relevance_for(model: Model, name: str = "") -> StoredRelevance:
    """The stored relevance that `stored_for` gives.

    Raises Unsupported if there is none of the model, BadParameter if there is none of that name, StoreDamaged if it
    cannot be read.
    """
    if path := stored_for(model, name):
        return StoredRelevance(path)
    others = [path.name for path in _stored(model)]
    if not others:
        raise Unsupported(f"No relevance of the filters of {model.display} is stored.", how_to_store(model))
    message = f"There is no relevance of the filters of {model.display} called {brief(name, 60)}."
    raise BadParameter(message, f"Choose one of {', '.join(others)}.")


def how_to_store(model: Model) -> str:
    """The command that stores the relevance of a model's filters, as a hint."""
    name = "".join(one if one.isalnum() or one in "-_." else "-" for one in model.display)
    folder = str(home() / "units" / f"{name}-relevance")
    own = f"{Path.home()}{os.sep}"
    shown = f"~/{folder.removeprefix(own)}" if folder.startswith(own) else quote(folder)
    return f"Store it: vitrine units relevance {quote(model.display)} --data FOLDER --out {shown}"


def _stored(model: Model) -> Iterator[Path]:
    """The folders of all relevance that is stored for a model, newest first."""
    for folder in (home() / "units", BUNDLED):
        found = list[Path]()
        with suppress(OSError):
            found = [path for path in folder.iterdir() if (path / _SCHEMA.file).is_file()]
        for path in sorted(found, key=lambda path: (-_written(path), path.name)):
            manifest = _manifest(path, _written(path))
            if manifest and manifest.model.sha == model.sha:
                yield path


def _written(path: Path) -> int:
    """When the store in a folder was written, in nanoseconds; 0 if it is gone."""
    with suppress(OSError):
        return (path / _SCHEMA.file).stat().st_mtime_ns
    return 0


@lru_cache(maxsize=256)
def _manifest(path: Path, _time: int) -> _Manifest | None:
    """The manifest of a store, read again once it was written again; None if it cannot be read."""
    with suppress(StoreError):
        return read_manifest(_SCHEMA, path)
    return None
