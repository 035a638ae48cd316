"""The patches of selected filters as boxes on their image."""

from collections.abc import Sequence

from core.figures.boxes import Boxed, boxes_file
from core.figures.sheet import Kind
from core.images import Pixels
from core.units.resampling.patches import Patch
from core.units.resampling.resampled import Resampled

_MOST = 40  # boxes on an image


def picture(found: Resampled, view: Pixels, patches: Sequence[Patch], *, title: str, kind: Kind = "png") -> bytes:
    """The file of an image with the patches as boxes, coloured by depth: figure 4 of Lengerich et al. 2017."""
    groups = []
    for group in range(1 + max(layer.group for layer in found.layers)):
        same = [layer for layer in found.layers if layer.group == group]
        names = f"{same[0].name} to {same[-1].name}" if len(same) > 1 else same[0].name
        groups.append(f"{names}: maps of {same[0].shape[1]} × {same[0].shape[2]}")
    shown = drawn(patches)
    boxes = [Boxed(patch.name, patch.group, patch.box) for patch in shown if patch.box]
    notes = [f"no patch: {patch.name}" for patch in shown if not patch.box]
    if len(shown) < len(patches):
        notes.append("of each layer only the best")
    return boxes_file(view, boxes, groups, title=title, notes=notes, kind=kind)


def drawn(patches: Sequence[Patch]) -> list[Patch]:
    """The patches in the picture: of many layers only the best filters of each."""
    each: dict[str, list[Patch]] = {}
    for patch in patches:
        each.setdefault(patch.layer, []).append(patch)
    most = max(1, _MOST // max(len(each), 1))
    return [patch for some in each.values() for patch in some[:most]]
