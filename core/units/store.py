"""Analyses of units on disk, read-only: one store per analysis, whose manifest is named by the analysis' noun.

tables, besides those of the analysis (`ANALYSES[name].tables`)
    images       image, name (path within the folder), label (a class of the model; -1 unknown)
    layers       layer, name, units, height, width (of its maps), field_height, field_width (pixels that a position
                 depends on, wherever they lie), jump_down, jump_right (pixels between two positions; 0 where every
                 position depends on all pixels)
    concepts     concept, name, category; none where the analysis needs none

The same inputs, settings and seed give the same bytes; durations are in `build.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import StoreError
from core.serialization import load
from core.store.facts import DataFacts, ModelFacts
from core.store.manifest import Manifest, Misfit
from core.store.reader import Store
from core.store.schema import Schema
from core.store.unit_tables import TABLES, check_tables, check_units, counts
from core.units.activating import activating
from core.units.analysis import ANALYSES, Analysis
from core.units.config import UnitsConfig, validated
from core.units.dissection import dissection
from core.units.overview import profiles
from core.units.relevance import relevance

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Analyses that can be stored; importing them registers their cards.
BUILT = (activating, dissection, profiles, relevance)


@dataclass(frozen=True, kw_only=True)
class UnitsManifest(Manifest):
    """The manifest of an analysis."""

    config: Mapping[str, Any]  # as `units.config.UnitsConfig` is stored
    model: ModelFacts
    data: DataFacts
    notes: tuple[str, ...] = ()  # what has to be known to read the results, as sentences
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries

    def __post_init__(self) -> None:
        check_tables(self)
        if self.settings.analysis not in ANALYSES:
            raise Misfit("config.analysis")

    @cached_property
    def settings(self) -> UnitsConfig:
        """The settings it was built with. Raises BadParameter or UnknownName if they are not valid."""
        return validated(load(UnitsConfig, self.config))


@cache
def schema_of(name: str) -> Schema[UnitsManifest]:
    """The schema of a stored analysis. Raises UnknownName."""
    entry: Analysis = ANALYSES[name]
    return Schema(
        entry.noun,
        entry.version,
        UnitsManifest,
        tables={**TABLES, **entry.tables},
        arrays=entry.arrays,
        optional=entry.optional,
        counts=counts,
        check=check_units,
    )


class UnitStore(Store[UnitsManifest]):
    """A finished analysis of units, opened read-only.

    Raises StoreError if the folder holds none, or one that is damaged or of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        names = [name for name, one in ANALYSES.items() if (Path(path) / f"{one.noun}.json").is_file()]
        if not names:
            message = f"There is no analysis of units in {path}."
            raise StoreError(message, "Give a folder that `vitrine units` made.")
        super().__init__(schema_of(names[0]), path)
        if self.analysis.name != names[0]:
            raise StoreError(f"{path} is not the store of one analysis.", "Delete it and build it again.")

    @property
    def analysis(self) -> Analysis:
        """The card of the analysis."""
        return ANALYSES[self.manifest.settings.analysis]

    def known_array(self, name: str) -> "NDArray[Any] | None":
        """An array as `array` gives it; None for one that stores of an earlier format lack. Raises StoreDamaged."""
        return self.array(name) if name in self.manifest.arrays else None

    @cached_property
    def tables(self) -> Mapping[str, "pd.DataFrame"]:
        """All tables by name; not to be changed."""
        return {name: self.table(name) for name in self.schema.tables}
