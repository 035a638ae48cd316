"""Dials: of the picture as a whole, and of filters of a layer or of a rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from core.edits.edit import Brightness, Edit, Filters, Jpeg, Noise, Rotation
from core.study import Study
from core.workbench import Workbench
from pages.ui.session import parameters
from pages.ui.study import open_study, patch_items
from pages.ui.what_if import edit_list
from pages.ui.what_if.edit_list import EditList
from pages.ui.widgets import forms
from pages.ui.widgets.text import plain

_MOST = 8  # filters with a dial of their own
_RULES = 200  # offered


@dataclass(frozen=True)
class _Dial:
    """A slider that stands for one edit of the picture; its neutral value stands for none."""

    kind: type[Edit]
    name: str  # of its field
    title: str
    low: float
    high: float
    step: float
    neutral: float
    help: str = ""


_DIALS = (
    _Dial(Brightness, "factor", "Brightness", 0.0, 3.0, 0.05, 1.0, "All values are multiplied by it; 1 changes none."),
    _Dial(Rotation, "degrees", "Rotation in degrees", -180.0, 180.0, 1.0, 0.0, "Counter-clockwise."),
    _Dial(Noise, "deviation", "Noise", 0.0, 0.5, 0.01, 0.0, "Standard deviation; black to white is 1."),
    _Dial(Jpeg, "quality", "JPEG quality", 1, 100, 1, 100, "Compressed and decoded again; 100 leaves it out."),
)


def of_picture(shown: EditList) -> None:
    """A slider for each edit of the picture as a whole."""
    for dial, place in zip(_DIALS, st.columns(len(_DIALS), gap="medium"), strict=True):
        known = next((one for one in shown.edits if isinstance(one, dial.kind)), None)
        value = getattr(known, dial.name) if known else dial.neutral
        _slider(place, f"dial.{dial.name}", dial, type(dial.low)(value))


def of_filters(bench: Workbench, shown: EditList, study: Study | None) -> str:
    """The choice of filters of a layer, with a slider from 0 to 3 for each, and of a rule, with one for all of its.

    Returns the layer.
    """
    usable = {layer.name: layer for layer in bench.model.survey.usable}
    default = (
        study.manifest.model.layer if study and study.manifest.model.layer in usable else bench.model.survey.default
    )
    left, right = st.columns([1, 2], gap="medium")
    with left:
        layer = parameters.choice("Layer", list(usable), "dials", default=default or None).draw(
            st.selectbox, format_func=lambda name: forms.layer_title(usable[name])
        )
    with right:
        chosen = parameters.several("Filters", range(usable[layer].units), "turned").draw(
            st.multiselect, format_func=lambda unit: f"F{unit}", max_selections=_MOST, placeholder="Choose filters",
        )  # fmt: skip
    sets: list[tuple[str, tuple[int, ...]]] = [(layer, (unit,)) for unit in chosen]
    titles = [f"{layer} · F{unit}" for unit in chosen]
    if study and (rule := _rule(study)):
        sets.append((study.manifest.model.layer, rule))
        titles.append(f"The rule's filters {patch_items.units(rule, 4)}")
    columns = st.columns(4, gap="medium")
    for number, (one, title) in enumerate(zip(sets, titles, strict=True)):
        _factor(columns[number % 4], shown, *one, title)
    return layer


def _rule(study: Study) -> tuple[int, ...]:
    """The choice of a rule of the study, the best of each class first; empty for none."""
    rules = open_study.table(study, "rules").head(_RULES)
    names = {"": ()} | {
        f"{'+'.join(map(str, filters))}>{label}": tuple(map(int, filters))
        for filters, label in open_study.columns(rules, "filters", "label")
    }

    def titled(name: str) -> str:
        if not name:
            return "none"
        return f"{patch_items.units(names[name], 4)} → {open_study.label(study, int(name.rpartition('>')[2]))}"

    chosen = parameters.choice("Rule", list(names), "rule").draw(st.selectbox, format_func=titled, width=420)
    return names[chosen]


def _factor(
    place: st.delta_generator.DeltaGenerator, shown: EditList, layer: str, units: Sequence[int], title: str
) -> None:
    """The slider of some filters: the factor by which they are multiplied."""
    key = parameters.widget_key(f"dial.{layer}.{'+'.join(map(str, units))}")

    def same(one: Edit) -> bool:
        return isinstance(one, Filters) and (one.layer, one.units) == (layer, tuple(units))

    known = next((one for one in shown.edits if same(one)), None)
    st.session_state[key] = float(known.factor) if isinstance(known, Filters) else 1.0

    def turned() -> None:
        factor = st.session_state[key]
        edit = Filters(layer, tuple(units), factor) if factor != 1 else None
        edit_list.attempt(lambda: edit_list.stored().put(edit, same))

    place.slider(plain(title), 0.0, 3.0, step=0.1, key=key, on_change=turned, help="0 turns off, 1 changes nothing.")


def _slider(place: st.delta_generator.DeltaGenerator, name: str, dial: _Dial, value: float) -> None:
    key = parameters.widget_key(name)
    st.session_state[key] = min(max(value, dial.low), dial.high)

    def same(one: Edit) -> bool:
        return isinstance(one, dial.kind)

    def turned() -> None:
        edit_list.attempt(lambda: _turn(edit_list.stored(), dial, st.session_state[key], same))

    place.slider(dial.title, dial.low, dial.high, step=dial.step, key=key, on_change=turned, help=dial.help)


def _turn(shown: EditList, dial: _Dial, value: float, same: Callable[[Edit], bool]) -> None:
    """Put the edit of a dial into the list, with what it had beside its value."""
    known = next((one for one in shown.edits if same(one)), None)
    if value == dial.neutral:
        shown.put(None, same)
    elif known:
        shown.put(replace(known, **{dial.name: value}), same)
    else:
        shown.put(dial.kind(**{dial.name: value}), same)
