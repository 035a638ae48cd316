"""The tables that all stores of units have."""

from types import SimpleNamespace

import pandas as pd
import pytest

from core.store.manifest import Misfit
from core.store.unit_tables import check_units


@pytest.mark.parametrize(
    ("units", "fits"),
    [([(0, 0), (0, 1), (1, 0)], True), ([(0, 0), (1, 0), (0, 1)], False), ([(0, 0), (0, 1)], False)],
)
def test_the_units_are_those_of_the_layers_in_order(units, fits):
    tables = {"layers": pd.DataFrame({"units": [2, 1]}), "units": pd.DataFrame(units, columns=["layer", "unit"])}
    if fits:
        check_units(SimpleNamespace(), tables)
    else:
        with pytest.raises(Misfit, match="other units than its layers"):
            check_units(SimpleNamespace(), tables)
