"""The concepts of a study with its patches and rules, and as tables for files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.progress import Report, silent
from core.study import Study
from core.units.concepts.factorisation import Concepts, factorised, responses
from core.units.concepts.importance import Importance
from core.units.concepts.rules import Matches, matched


@dataclass(frozen=True)
class StudyConcepts:
    """Concepts beside the patches and the rules of the study they were found in."""

    concepts: Concepts
    complete: bool  # the study stores the responses of all filters, not only of the strongest of each patch
    matches: Matches
    rules: pd.DataFrame  # of the study, at its own settings
    patches: pd.DataFrame  # of the study, with the path of their image
    names: Sequence[str]  # of the classes


def study_concepts(study: Study, count: int = 10, seed: int = 0, report: Report = silent) -> StudyConcepts:
    """The concepts in the patches of a study, and the rules that match them. Raises as `factorised` and `responses`."""
    values = responses(study)
    concepts = factorised(values.values, count, seed=seed, report=report)
    patches = study.table("patches").merge(study.table("images")[["image", "path"]], on="image", how="left")
    rules, items = study.table("rules"), np.asarray(study.array("items"))
    items = items[:, : study.manifest.settings.mining.filters]
    matches = matched(concepts, rules, items, patches["label"].to_numpy(np.int64))
    return StudyConcepts(concepts, values.complete, matches, rules, patches, study.labels)


def tables(found: StudyConcepts, measured: Importance | None = None) -> Mapping[str, pd.DataFrame]:
    """The tables `concepts`, `filters`, `patches`, `rules`, and `importance` where it was measured.

    `concepts` has the mean strength in the patches of each class, in a column of its own.
    """
    concepts, rules = found.concepts, found.rules
    count, labels = len(concepts.directions), found.patches["label"].to_numpy(np.int64)
    whole = pd.DataFrame({
        "concept": range(count),
        "strength": concepts.strengths.mean(0),
        "patches": [int((concepts.owners == k).sum()) for k in range(count)],
        "filters": [_units(concepts.filters(k)) for k in range(count)],
    })  # fmt: skip
    whole = whole.merge(_rules_of(found), on="concept", how="left")
    if measured is not None:
        drops = (
            measured.drops()
            .drop(columns="label")
            .rename(columns={"name": "drop_class", "mean": "drop_mean", "mean_random": "drop_mean_random"})
        )
        whole = whole.merge(drops, on="concept", how="left")
    by_class = concepts.by_class(labels, len(found.names))
    for label in np.unique(labels).tolist():
        whole[f"in {found.names[label]}"] = by_class[label]
    best = found.matches.by_rule.rename(columns={"filters": "shared_filters", "patches": "shared_patches"})
    mined = pd.DataFrame({
        "rule": rules["rule"],
        "class": [found.names[k] for k in rules["label"]],
        "filters": [_units(filters) for filters in rules["filters"]],
    })  # fmt: skip
    result = {
        "concepts": whole,
        "filters": _long(concepts.directions, "filter", "weight"),
        "patches": _patches_of(found),
        "rules": mined.merge(best, on="rule", how="left").astype({"concept": "Int64"}),
    }
    return result if measured is None else {**result, "importance": measured.per_class}


def _rules_of(found: StudyConcepts) -> pd.DataFrame:
    """The best rule of each concept that has one, with its class and filters."""
    best = found.matches.by_concept
    own = found.rules.set_index("rule").loc[best["rule"]]
    return pd.DataFrame({
        "concept": best["concept"],
        "rule": best["rule"].astype("Int64"),
        "rule_class": [found.names[k] for k in own["label"]],
        "rule_filters": [_units(filters) for filters in own["filters"]],
        "shared_filters": best["filters"],
        "shared_patches": best["patches"],
    })  # fmt: skip


def _patches_of(found: StudyConcepts) -> pd.DataFrame:
    """The patches of each concept with their strengths, strongest first."""
    long = _long(found.concepts.strengths.T, "patch", "strength")
    own = found.patches.iloc[long["patch"]].reset_index(drop=True)
    long["class"] = [found.names[k] for k in own["label"]]
    for name in ("image", "path", "x", "y"):
        long[name] = own[name]
    return long


def _long(values: NDArray[np.float64], column: str, name: str) -> pd.DataFrame:
    """Positive values (K, N) as rows: concept, number in the second axis, value; the largest of a concept first."""
    rows, places = np.nonzero(values > 0)
    table = pd.DataFrame({"concept": rows, column: places, name: values[rows, places]})
    return table.sort_values(["concept", name, column], ascending=[True, False, True]).reset_index(drop=True)


def _units(numbers: Sequence[int] | NDArray[np.int64]) -> str:
    return " ".join(f"F{int(number)}" for number in numbers)
