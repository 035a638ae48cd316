"""The overview of the units of a layer: their responses by class, their table and their map."""

from core.units.overview.profiles import Profiles, profiles
from core.units.overview.projection import Projection, projected
from core.units.overview.table import unit_table

__all__ = ["Profiles", "Projection", "profiles", "projected", "unit_table"]
