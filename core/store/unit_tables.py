"""The tables that all stored analyses of units have, and checks of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.store.manifest import Manifest, Misfit
from core.store.schema import Column

if TYPE_CHECKING:
    import pandas as pd

    from core.store.reader import Store

FORMAT = 1

_TEXT, _ROW, _COUNT, _SIZE = Column("text"), Column("whole", rows=True), Column("whole"), Column("whole", 1)

TABLES: Mapping[str, Mapping[str, Column]] = {
    "images": {"image": _ROW, "name": _TEXT, "label": Column("whole", -1)},
    "layers": {
        "layer": _ROW, "name": _TEXT, "units": _SIZE, "height": _SIZE, "width": _SIZE, "field_height": _COUNT,
        "field_width": _COUNT, "jump_down": _COUNT, "jump_right": _COUNT,
    },
    "concepts": {"concept": _ROW, "name": _TEXT, "category": _TEXT},
}  # fmt: skip


def counts(manifest: Manifest) -> Mapping[str, int]:
    """The numbers that columns and shapes refer to."""
    names = ("images", "layers", "concepts", "units", "classes", "patches")
    return {name: manifest.tables[name].rows for name in names if name in manifest.tables}


def check_tables(manifest: Manifest) -> None:
    """Raise Misfit if there are no images, layers or units."""
    for name in ("images", "layers", "units"):
        if name not in manifest.tables or not manifest.tables[name].rows:
            raise Misfit(f"tables.{name}")


def check_units(_store: "Store[Any]", tables: "Mapping[str, pd.DataFrame]") -> None:
    """Raise Misfit if the units are not those of the layers."""
    sizes = tables["layers"]["units"].tolist()
    expected = [
        (layer, unit) for layer, size in enumerate(sizes) for unit in range(min(size, len(tables["units"]) + 1))
    ]
    if list(tables["units"][["layer", "unit"]].itertuples(index=False, name=None)) != expected:
        raise Misfit("units.parquet has other units than its layers")
