"""Vitrine in a notebook or a script: explain a network's decision, compare methods, read a study.

>>> import vitrine as vt
>>> model = vt.load("flowers-single-6c")
>>> maps = vt.compare(model, vt.examples()["single-violet"], ["grad_cam", "rise"], rise={"masks": 100})
>>> maps["rise"].values.shape
(128, 128)
>>> saved = maps.save("out")

Maps, comparisons and tables are displayed as the result of a notebook's cell. The same image, model, settings and seed
give the same values. Invalid input raises a `VitrineError` that says what to do.
"""

# `vitrine` is a second name of this file (see pyproject.toml): it only imports, by absolute names, so that there is one
# registry of models and of methods under either name.
from core.door.maps import Comparison, Map, compare, explain, methods
from core.door.networks import examples, load, models, predict, wrap
from core.door.studies import Study, open_study
from core.errors import VitrineError
from core.models import Model
from core.resources import version

__all__ = [  # noqa: RUF022 - in the order of use
    "load",
    "wrap",
    "models",
    "predict",
    "explain",
    "compare",
    "methods",
    "open_study",
    "examples",
    "Model",
    "Map",
    "Comparison",
    "Study",
    "VitrineError",
]

__version__ = version()
