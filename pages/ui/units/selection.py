"""The selected units of a layer: one selection for all views of *Units*, kept in the session and in the address.

The widget of each view has a selection of its own, which the browser forgets when another view is shown. So a view
begins with the selection there is, and its widget changes the selection only when it tells something new.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from core.errors import VitrineError
from pages.ui.session import parameters, state
from pages.ui.units.inspected import Inspected

MOST = 100  # units in an address
_ADDRESS = "picked"  # the parameter
_SELECTION, _VIEW, _CLEARED = "selected-units", "view-of-units", "selected-units-cleared"  # in the session


@dataclass(frozen=True)
class _Selection:
    """Units of a layer."""

    layer: Hashable
    units: tuple[int, ...]

    @property
    def text(self) -> str:
        """Their numbers, as many as an address takes."""
        return ",".join(map(str, self.units[:MOST]))


@dataclass(frozen=True)
class _View:
    """The widget of a view, since it was drawn first."""

    widget: str
    begun: tuple[int, ...]  # selected then
    told: tuple[int, ...] | None = None  # by the widget, the last time


def units() -> list[int]:
    """The selected units."""
    return list(st.session_state[_SELECTION].units)


def adopt(inspected: Inspected, shown: Sequence[int]) -> None:
    """Select the units of the address, else the last ones of this layer; those that are not shown are deselected."""
    layer, text = (inspected.sha, inspected.layer), st.query_params.get(_ADDRESS)
    last: _Selection | None = st.session_state.get(_SELECTION)
    if last and text in {None, last.text}:
        found = list(last.units) if last.layer == layer else []
    else:
        found = _read(text or "", inspected.units)
    there = set(shown)
    _keep(_Selection(layer, tuple(unit for unit in found if unit in there)))


def widget(name: str) -> str:
    """The key of a view's widget, another one whenever the selection was cleared."""
    cleared = st.session_state.get(_CLEARED, 0)
    return f"{name}-{cleared}" if cleared else name


def begun(widget: str) -> list[int]:
    """The units that a widget shows as selected when the browser draws it first; to be called before it is drawn."""
    view: _View | None = st.session_state.get(_VIEW)
    if view is None or view.widget != widget or widget not in st.session_state:
        view = st.session_state[_VIEW] = _View(widget, st.session_state[_SELECTION].units)
    return list(view.begun)


def tell(told: Sequence[int]) -> None:
    """Select what the widget of the view has selected, unless it says the same as at first, or as the last time."""
    view, selection = st.session_state[_VIEW], st.session_state[_SELECTION]
    st.session_state[_VIEW] = replace(view, told=tuple(told))
    if view.told not in {None, tuple(told)}:
        _keep(replace(selection, units=tuple(told)))


def clear() -> None:
    """Deselect all units, in a callback."""
    _keep(replace(st.session_state[_SELECTION], units=()))
    st.session_state[_CLEARED] = st.session_state.get(_CLEARED, 0) + 1


def _keep(selection: _Selection) -> None:
    st.session_state[_SELECTION] = selection
    parameters.keep(_ADDRESS, selection.text)


def _read(text: str, count: int) -> list[int]:
    """The units that an address names; none, with a problem, if it names others."""
    try:
        return parameters.several("Unit", range(count), _ADDRESS).read(text)
    except VitrineError as error:
        state.add_problem(f"This link: {error} Shown instead: no selection.")
        return []
