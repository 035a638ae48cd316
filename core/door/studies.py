"""Studies in notebooks: the patches, filters and rules of a model, as tables and images."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from core.door.networks import class_from
from core.errors import BadParameter, UnknownName
from core.mining.rules import shared_by_rules
from core.params import expanded
from core.study import Study as StoredStudy
from core.study.browse import Catalogue, PatchFilter
from core.workbench import find_study

Label = str | int  # of a class: its label or its index


class Study(StoredStudy):
    """A finished study, read-only: tables of rules, patches and averages by class, and their pictures.

    `table(name)` and `array(name)` return all stored data; `labels` are the classes of the model.

    >>> import vitrine as vt
    >>> study = vt.open_study("flowers-double-12c")
    >>> study
    Study(flowers-double-12c: 12 classes, 28 rules, 536 patches)
    """

    def rules(self, label: Label | None = None) -> pd.DataFrame:
        """The rules "these filters → this class", of one class or all, best first; indexed by rule.

        >>> import vitrine as vt
        >>> rules = vt.open_study("flowers-double-12c").rules("red-petals")
        >>> bool((rules["confidence"] > 0.5).all())
        True
        """
        rules = self._of_class(self.table("rules"), label).set_index("rule")
        rules["filters"] = _tuples(rules["filters"])
        return rules[["class", "filters", "support", "confidence", "lift", "score", "n_both", "n_class", "n_all"]]

    def shared(self, label: Label | None = None, *, sharing: str = "rules") -> pd.DataFrame:
        """Sets of filters shared by several classes; all, or those of one class.

        By default those in rules of several classes; with `sharing="itemsets"` all that are frequent in several.

        >>> import vitrine as vt
        >>> shared = vt.open_study("flowers-double-12c").shared(sharing="itemsets")
        >>> int(shared["classes"].map(len).min())
        2
        """
        if sharing not in {"rules", "itemsets"}:
            raise BadParameter(f"sharing cannot be {sharing!r}.", "Use 'rules' or 'itemsets'.")
        shared = shared_by_rules(self.table("rules")) if sharing == "rules" else self.table("shared")
        if label is not None:
            index = class_from(self, label)
            shared = shared[shared["labels"].map(lambda labels: index in labels).astype(bool)].reset_index(drop=True)
        names = [tuple(self.labels[one] for one in labels) for labels in shared["labels"]]
        table = {"filters": _tuples(shared["filters"]), "classes": names, "supports": _tuples(shared["supports"])}
        return pd.DataFrame({**table, "n_all": shared["n_all"]})

    def patches(self, label: Label | None = None, *, filters: Sequence[int] = ()) -> pd.DataFrame:
        """The patches, of one class or all, in which all these filters are active; largest drop of the score first.

        >>> import vitrine as vt
        >>> patches = vt.open_study("flowers-double-12c").patches("red-petals")
        >>> bool(patches["drop"].is_monotonic_decreasing)
        True
        """
        catalogue = Catalogue(self)
        for number in filters:
            if not 0 <= number < catalogue.units:
                raise BadParameter(f"There is no filter {number}.", f"This layer has 0 to {catalogue.units - 1}.")
        conditions = PatchFilter(label=None if label is None else class_from(self, label), filters=tuple(filters))
        rows = catalogue.ordered(catalogue.matching(conditions), "drop")
        return catalogue.sheet(rows, self.labels).set_index("patch")

    def patch(self, number: int) -> Image.Image:
        """The pixels of a patch, by its number in `patches`, as a Pillow image.

        >>> import vitrine as vt
        >>> vt.open_study("flowers-double-12c").patch(0).size
        (37, 37)
        """
        crops = self.array("crops")
        if not 0 <= number < len(crops):
            raise UnknownName(f"There is no patch {number}.", f"This study has patches 0 to {len(crops) - 1}.")
        return Image.fromarray(np.array(crops[number]))

    def averages(self, label: Label | None = None) -> pd.DataFrame:
        """The average patches, of one class or all: class, filter, number of patches, and sum of their weights.

        The pixels of row k are `study.array("averages")[k]`, (w, w, 3) in [0, 1].

        >>> import vitrine as vt
        >>> vt.open_study("flowers-double-12c").averages("red-petals").columns.to_list()
        ['class', 'filter', 'patches', 'weight']
        """
        table = self._of_class(self.table("averages"), label).set_index("average")
        return table[["class", "filter", "patches", "weight"]]

    def average(self, label: Label, filter: int) -> Image.Image:
        """The average patch of a filter in a class, weighted by the filter's response, as a Pillow image.

        >>> import vitrine as vt
        >>> study = vt.open_study("flowers-double-12c")
        >>> study.average("red-petals", int(study.averages("red-petals")["filter"].iloc[0])).size
        (37, 37)
        """
        table = self.averages(label)
        rows = table.index[table["filter"] == filter]
        if not len(rows):
            available = ", ".join(str(number) for number in table["filter"][:12]) or "none"
            name = self.labels[class_from(self, label)]
            raise UnknownName(f"No rule of {name} has the filter {filter}.", f"Filters of its rules: {available}.")
        pixels = np.asarray(self.array("averages")[rows[0]], np.float32)
        return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))

    def __repr__(self) -> str:
        rows = {name: facts.rows for name, facts in self.manifest.tables.items()}
        return f"Study({self.name}: {rows['classes']} classes, {rows['rules']} rules, {rows['patches']} patches)"

    def _of_class(self, table: pd.DataFrame, label: Label | None) -> pd.DataFrame:
        """The rows of one class, or all, with the class by name."""
        if label is not None:
            table = table[table["label"] == class_from(self, label)]
        return table.assign(**{"class": [self.labels[index] for index in table["label"]]})


def open_study(path: str | os.PathLike[str]) -> Study:
    """A study by the path of its folder, or your own or a bundled one by its name.

    Raises `VitrineError` if there is none, or if it is damaged.

    >>> import vitrine as vt
    >>> study = vt.open_study("flowers-double-12c")
    >>> study.rules("red-petals")["class"].unique().tolist()
    ['red-petals']
    """
    return Study(find_study(expanded(Path(path))).path)


def _tuples(lists: pd.Series) -> list[tuple[int | float, ...]]:
    return [tuple(np.asarray(one).tolist()) for one in lists]
