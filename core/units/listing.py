"""Stored analyses of units in folders, and those of one model."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from core.errors import VitrineError
from core.explain import filter_relevance
from core.serialization import load
from core.store import unfinished as stores
from core.units.analysis import ANALYSES
from core.units.config import UnitsConfig, validated
from core.units.store import BUILT, UnitStore

BUNDLED = filter_relevance.BUNDLED
Unfinished = stores.Unfinished[UnitsConfig]


def list_analyses(*folders: str | Path) -> dict[Path, UnitStore | str]:
    """The analyses directly inside these folders by path, broken ones with their problem as a sentence."""
    found: dict[Path, UnitStore | str] = {}
    files = [f"{ANALYSES[one.__name__].noun}.json" for one in BUILT]
    for folder in map(Path, folders):
        for path in sorted({file.parent for name in files for file in folder.glob(f"*/{name}")}):
            try:
                found[path] = UnitStore(path)
            except VitrineError as error:
                found[path] = str(error)
    return found


def analyses_of(sha: str, found: Mapping[Path, UnitStore | str]) -> dict[str, list[UnitStore]]:
    """The analyses of the model with this hash, by name of the analysis, in the order of `found`."""
    own: dict[str, list[UnitStore]] = {}
    for store in found.values():
        if isinstance(store, UnitStore) and store.manifest.model.sha == sha:
            own.setdefault(store.analysis.name, []).append(store)
    return own


def latest(found: Iterable[UnitStore], layer: str = "") -> UnitStore | None:
    """The one that was finished last; of those that contain a layer, if one is named. Of equal ones the first."""
    fitting = [one for one in found if not layer or layer in one.table("layers")["name"].tolist()]
    return max(fitting, key=lambda one: str(one.log.get("finished", "")), default=None)


def unfinished(folder: Path) -> list[Unfinished]:
    """The unfinished builds of analyses directly inside a folder, by name."""
    return stores.unfinished(folder, lambda content: validated(load(UnitsConfig, content)))
