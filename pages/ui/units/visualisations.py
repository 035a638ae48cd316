"""Images that units of a layer respond to most, made by optimisation on demand: of one unit or several."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.errors import Cancelled, VitrineError
from core.export import npz
from core.export.command import visualise_command
from core.images import Pixels, eight_bits
from core.progress import Report, item
from core.units.visualisation import MAXIMISATIONS, Running, Visualisation, channel, maximise
from core.units.visualisation.cards import MAXIMISATION
from pages.ui.session import visitors
from pages.ui.study import patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import downloads
from pages.ui.widgets.on_demand import again, done, keep, on_demand, takes
from pages.ui.widgets.text import plain

_NAMES: dict[str, str] = {
    "fourier": "Fourier (Olah et al. 2017)",
    "l2": "L2 penalty (Simonyan et al. 2014)",
    **{f"yosinski-{number}": f"Yosinski et al. 2015, {number} of 4" for number in range(1, 5)},
}
_ONE, _SEVERAL = "visualised", "visualised-several"  # parts of pages
_SIDES = {_ONE: 240, _SEVERAL: 170}  # pixels of a picture on the page

Made = Visualisation | str  # or why there is none


class PicturesSoFar:
    """The pictures of work that goes on, by name; those of other work of the same part are dropped."""

    def __init__(self, part: str, key: Hashable) -> None:
        kept = st.session_state.setdefault("pictures so far", {})
        self._all: dict[Hashable, dict[str, NDArray[np.float32]]] = kept.setdefault(part, {})
        self._key = key

    def add(self, name: str, picture: NDArray[np.float32]) -> None:
        """Add or replace a picture (H, W, 3) in [0, 1]; called by the work."""
        if self._key not in self._all:
            self._all.clear()
        self._all.setdefault(self._key, {})[name] = picture

    def draw(self, width: int) -> None:
        """Show what there is."""
        found = dict(self._all.get(self._key, {}))  # the work adds to it meanwhile
        side_by_side(
            [eight_bits(one) for one in found.values()], [f"{name}, so far" for name in found], list(found), width
        )


def side_by_side(pictures: Sequence[Pixels], alts: Sequence[str], captions: Sequence[str], width: int) -> None:
    """Pictures in a row, each with its caption; a single one needs none."""
    with st.container(horizontal=True):
        for picture, alt, caption in zip(pictures, alts, captions, strict=True):
            st.image(picture, caption=plain(caption) if len(pictures) > 1 else None, alt=alt, width=width)


@dataclass(frozen=True)
class _Asked:
    """Some units of a layer, the preset of their images, and the part of the page that shows them."""

    inspected: Inspected
    numbers: Sequence[int]
    part: str
    preset: str = "fourier"

    @property
    def keys(self) -> dict[int, Hashable]:
        """What each image depends on, by unit."""
        return {one: (self.inspected.bench.model.key, self.inspected.layer, one, self.preset) for one in self.numbers}

    @property
    def key(self) -> Hashable:
        """What all of them depend on."""
        return tuple(self.keys.values())


def visualised(inspected: Inspected, number: int) -> None:
    """The image of one unit."""
    st.header("Feature visualisation", anchor=False)
    if inspected.problem:
        st.caption("It needs the model, which cannot be opened.")
        return
    _on_demand(_Asked(inspected, [number], _ONE, _preset(_ONE)), "Visualise")


def several(inspected: Inspected, numbers: Sequence[int]) -> None:
    """The images of several units; those that exist already are not made again."""
    st.subheader("Feature visualisations", anchor=False)
    if inspected.problem:
        st.caption("They need the model, which cannot be opened.")
        _command(_Asked(inspected, numbers, _SEVERAL))
        return
    count = "" if len(numbers) == 1 else f" {len(numbers)} units"
    _on_demand(_Asked(inspected, numbers, _SEVERAL, _preset(_SEVERAL)), f"Visualise{count}")


def _preset(part: str) -> str:
    return st.selectbox("Preset", _NAMES, format_func=lambda name: _NAMES[name], key=f"{part}-preset") or "fourier"


def _on_demand(asked: _Asked, button: str) -> None:
    """The images, or the button that makes them."""
    bench, layer, preset, part = asked.inspected.bench, asked.inspected.layer, asked.preset, asked.part
    alone = {number: done(_ONE, (key,)) for number, key in asked.keys.items()} if part != _ONE else {}
    known: dict[int, Made] = {n: one[n] for n, one in alone.items() if one and _complete(one[n])}
    so_far = PicturesSoFar(part, asked.key)

    def make(number: int, report: Report) -> Visualisation:
        def seen(running: Running) -> bool:
            so_far.add(patch_items.unit(number), running.pictures[0])
            return False

        return maximise(bench.model, channel(layer, number), **MAXIMISATIONS[preset], report=report, watch=seen)

    settings = MAXIMISATION.chosen(MAXIMISATIONS[preset], bench.model)
    cost = MAXIMISATION.passes(settings, min(bench.model.preprocess.size)) * (len(asked.numbers) - len(known))
    found: dict[int, Made] | None = on_demand(
        part, asked.key, "Feature visualisation", partial(_each, asked.numbers, known, make), button=button,
        meanwhile=partial(so_far.draw, _SIDES[part]), note=takes(bench, cost.weight),
    )  # fmt: skip
    if found:
        for number, one in found.items():
            if part != _ONE and _complete(one):
                keep(_ONE, (asked.keys[number],), {number: one})
        _shown(asked, found)
    elif part != _ONE:
        _command(asked)


def _each(
    numbers: Sequence[int],
    known: Mapping[int, Made],
    make: Callable[[int, Report], Visualisation],
    report: Report,
) -> dict[int, Made]:
    """The image of every unit, or why there is none; those so far if it is stopped."""
    found: dict[int, Made] = {}
    for place, number in enumerate(numbers):
        try:
            one = known.get(number) or make(number, item(report, place, len(numbers), "unit"))
        except VitrineError as error:  # of this unit: the others may have an image
            one = str(error)
        except Cancelled:
            if not found:
                raise
            break
        found[number] = one
        if not _complete(one):
            break
    return found


def _complete(one: Made) -> bool:
    return isinstance(one, str) or one.finished


def _shown(asked: _Asked, found: Mapping[int, Made]) -> None:
    """The images with what the units make of them, and their downloads."""
    layer, part = asked.inspected.layer, asked.part
    images = {number: one for number, one in found.items() if not isinstance(one, str)}
    pictures = [eight_bits(one.picture) for one in images.values()]
    names = [f"{layer} · {patch_items.unit(number)}" for number in images]
    states = [_state(one) for one in images.values()]
    side_by_side(
        pictures,
        [f"An image made by optimisation that {name} responds to strongly" for name in names],
        [f"{patch_items.unit(number)}: {state}" for number, state in zip(images, states, strict=True)],
        _SIDES[part],
    )
    for number, one in found.items():
        if isinstance(one, str):
            st.info(plain(f"{patch_items.unit(number)}: {one}"))
    said = f"{states[0]}. {MAXIMISATION.caution}" if len(images) == 1 else MAXIMISATION.caution
    if pictures:
        st.caption(plain(said))
    complete = len(found) == len(asked.numbers) and all(map(_complete, found.values()))
    stem = f"{layer}-{'-'.join(map(patch_items.unit, images))}-{asked.preset}"
    with st.container(horizontal=True):
        if pictures:
            downloads.of_pictures(stem, pictures, lambda: npz(_arrays(images)), part)
        _command(asked)
        if part == _ONE or not complete:
            text = "Again" if complete else "Start again" if part == _ONE else "Visualise the rest"
            st.button(text, key=f"{part}-again", on_click=again, args=(part, asked.key), type="tertiary")


def _state(one: Visualisation) -> str:
    """How far the work went, and what it reached."""
    steps, wanted = len(one.objective), one.settings["steps"]
    state = f"{steps:,} steps" if one.finished else f"Stopped after {steps:,} of {wanted:,} steps"
    return f"{state}; mean activation {one.responses[0]:.3g}" + (f". {one.note.rstrip('.')}" if one.note else "")


def _arrays(images: Mapping[int, Visualisation]) -> dict[str, NDArray[Any]]:
    """The images (H, W, 3) in [0, 1] and their objectives by step."""
    return {
        name: values
        for number, one in images.items()
        for name, values in (
            (patch_items.unit(number), one.picture),
            (f"{patch_items.unit(number)}-objective", one.objective[:, 0]),
        )
    }


def _command(asked: _Asked) -> None:
    """The command lines that make the same images."""
    name, options, layer = asked.inspected.name, asked.inspected.options, asked.inspected.layer
    lines = [visualise_command(name, options, layer, number, asked.preset) for number in asked.numbers]
    with st.popover("Command" if len(lines) == 1 else "Commands", icon=":material/terminal:"):
        st.code(visitors.public("\n".join(lines)), language="sh", wrap_lines=True)
