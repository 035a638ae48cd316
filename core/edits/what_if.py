"""The prediction before and after edits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.edits.apply import edited, scaled
from core.edits.edit import Box, Edit
from core.edits.regions import Images, no_images
from core.explain.forward_backward import ForwardBackward
from core.explain.target_name import TargetName
from core.images import Picture
from core.models.model import Model
from core.network.incremental import CleanPass
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.study import Study

_SMALL = 0.5  # of the input: a larger change is computed by a whole pass


@dataclass(frozen=True)
class Change:
    """One class before and after the edits: its probability, of a regression its value."""

    index: int
    label: str
    before: float
    after: float


@dataclass(frozen=True)
class WhatIf:
    """A picture and a model after edits, and what the model predicts before and after them."""

    picture: Picture
    model: Model
    before: Tensor  # (C,) probabilities, of a regression the values
    after: Tensor  # (C,)
    top_before: tuple[int, ...]  # classes in the order in which they are predicted
    top_after: tuple[int, ...]
    rules_before: tuple[int, ...] | None = None  # that fire, of a study if one was given
    rules_after: tuple[int, ...] | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The classes predicted first after the edits, then those predicted first before them."""
        classes = dict.fromkeys((*self.top_after, *self.top_before))
        return tuple(
            Change(index, self.model.labels[index], float(self.before[index]), float(self.after[index]))
            for index in classes
        )


def what_if(
    bench: Workbench | Model,
    picture: Picture,
    edits: Sequence[Edit],
    images: Images = no_images,
    *,
    count: int = 5,
    study: "Study | None" = None,
) -> WhatIf:
    """What a model predicts for a picture before and after edits, with the `count` classes predicted first.

    With a `study` of the model, also which of its rules fire. A small change of the image is computed only where it
    has an influence, exact to rounding; the activations of the unedited image are cached for the next edit. Raises as
    `edited`, `scaled` and `rules_fired`.
    """
    before = bench if isinstance(bench, Workbench) else Workbench(bench)
    model, other = scaled(before.model, edits), edited(picture, edits, images)
    after = Workbench(model, before.cache)
    _predict(after, picture, other)
    return WhatIf(
        picture=other,
        model=model,
        before=before.probabilities(picture),
        after=after.probabilities(other),
        top_before=tuple(index for index, _, _ in before.top(picture, count)),
        top_after=tuple(index for index, _, _ in after.top(other, count)),
        rules_before=_fired(study, before, picture),
        rules_after=_fired(study, after, other),
    )


def prepare(bench: Workbench, picture: Picture) -> None:
    """Compute what the first edit of a picture needs, so that it takes no longer than the next; done once.

    These are the activations of the unedited image, if its middle is no single colour, and what a blur imports.
    """

    def once() -> bool:
        height, width = picture.pixels.shape[:2]
        middle = Box(width * 3 // 8, height * 3 // 8, max(1, width // 4), max(1, height // 4), "blur")
        _predict(bench, picture, edited(picture, [middle]))
        return True

    bench.cache.get((bench.model.key, picture.key, "prepared for edits"), once)


def _fired(study: "Study | None", bench: Workbench, picture: Picture) -> tuple[int, ...] | None:
    """The rules that fire, cached."""
    if study is None:
        return None
    from core.edits.fired import rules_fired  # here, as studies import pandas, which takes long

    key = (bench.model.key, picture.key, "fired", study.manifest.digest)
    return bench.cache.get(key, lambda: rules_fired(study, bench, picture))


@torch.no_grad()
def _predict(bench: Workbench, picture: Picture, other: Picture) -> None:
    """Cache what the model predicts for another picture that differs little from a picture, where that is cheaper."""
    query, clean = (bench.query(one, TargetName((0,)), batch=1) for one in (other, picture))
    changed = (query.images != clean.images).any(1)[0]
    if query.images.device.type != "cpu" or not bool(changed.any()):
        return
    (top, bottom), (left, right) = (_ends(changed.any(axis)) for axis in (1, 0))
    if (bottom - top) * (right - left) > _SMALL * changed.numel():
        return
    key = (bench.model.key, picture.key, "clean pass")
    clean_pass = bench.cache.peek(key)
    if not isinstance(clean_pass, CleanPass):
        clean_pass = CleanPass(clean.images, bench.model.order)
    patched = clean_pass.changed(query.images[..., top:bottom, left:right], [top], [left])
    logits = query.logits(patched, watched=False)
    bench.cache.put(key, clean_pass)  # again: it may have grown
    query.remember(ForwardBackward(logits, {}, {}))


def _ends(flags: Tensor) -> tuple[int, int]:
    """The first true one, and the one after the last."""
    numbers = flags.nonzero()[:, 0]
    return int(numbers[0]), int(numbers[-1]) + 1
