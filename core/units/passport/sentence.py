"""The facts of a unit in one sentence."""

from collections.abc import Mapping

import pandas as pd

MOSTLY = 0.5  # share of the patches above which a class is named as theirs
LEAST = 0.5  # points of accuracy that are worth a word


def sentence(lead: str, count: int, total: int, classes: Mapping[str, int], effect: pd.DataFrame | None = None) -> str:
    """What a unit does: "Active in 53 of 536 patches, mostly blue; ablating it costs blue 12 points of accuracy."

    `lead` is what `count` of `total` patches have in common, `classes` the number of them by name, `effect` the table
    of its ablation (`passport.effect.Effect.per_class`) if that is known.
    """
    parts = [
        f"{lead} {count:,} of {total:,} patches{_mostly(classes)}" if count else f"{lead} none of {total:,} patches"
    ]
    if effect is not None and len(effect):
        parts.append(cost(effect))
    return f"{'; '.join(parts)}."


def cost(effect: pd.DataFrame) -> str:
    """The class that loses most accuracy without the unit, in words."""
    points = 100 * (effect["accuracy"] - effect["accuracy_without"]).to_numpy()
    most = int(points.argmax())
    if points[most] < LEAST:
        return "ablating it costs no class accuracy"
    return f"ablating it costs {effect['name'].iloc[most]} {points[most]:.0f} points of accuracy"


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
