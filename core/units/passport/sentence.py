"""The facts of a unit in one sentence."""

from collections.abc import Mapping

import pandas as pd

MOSTLY = 0.5  # share of the patches above which a class is named as theirs
LEAST = 0.5  # points of accuracy or probability that are worth a word


def sentence(first: str, classes: Mapping[str, int], effect: pd.DataFrame | None = None) -> str:
    """What is known: "Active in 53 of 536 patches, mostly blue; ablating it costs blue 12 points of accuracy."

    `first` says of how many patches, `classes` the number of them by name of their class, `effect` is the table of the
    unit's ablation (`passport.effect.Effect.per_class`) where that is known.
    """
    costs = f"; {cost(effect)}" if effect is not None and len(effect) else ""
    return f"{first}{_mostly(classes)}{costs}."


def cost(effect: pd.DataFrame) -> str:
    """The class that loses most accuracy without the unit, else most probability, in words."""
    for what in ("accuracy", "probability"):
        points = 100 * (effect[what] - effect[f"{what}_without"]).to_numpy()
        most = int(points.argmax())
        if points[most] >= LEAST:
            return f"ablating it costs {effect['name'].iloc[most]} {points[most]:.0f} points of {what}"
    return "ablating it costs no class half a point"


def _mostly(classes: Mapping[str, int]) -> str:
    """The classes that most patches are of: one or two, or how many there are."""
    total = sum(classes.values())
    ordered = sorted((name for name in classes if classes[name]), key=lambda name: (-classes[name], name))
    if not ordered:
        return ""
    if len(ordered) == 1:
        return f", all {ordered[0]}"
    for few in (ordered[:1], ordered[:2]):
        if sum(classes[name] for name in few) > MOSTLY * total:
            return f", mostly {' and '.join(few)}"
    return f", of {len(ordered)} classes"
