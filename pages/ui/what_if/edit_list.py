"""The edits of the image of a page, in its address and in the session, with undo and redo."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from reprlib import repr as short
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.edits.edit import Edit, Segments, read
from core.errors import BadParameter, VitrineError
from pages.ui.session import parameters, state

KEY = "edit"  # in the address, once for each
MOST = 20
LONGEST = 3000  # characters of all edits together: browsers and mail programs cut long links

Edits = tuple[Edit, ...]


@dataclass
class EditList:
    """The edits of an image, those before them to undo to, and those to redo."""

    about: str  # the key of the picture
    edits: Edits = ()
    past: list[Edits] = field(default_factory=list)
    future: list[Edits] = field(default_factory=list)
    handled: int = 0  # the number of the last action of the browser
    problem: str = ""  # why the last action did nothing
    count: int = 0  # how many superpixels are offered; 0 for none

    @property
    def undoable(self) -> bool:
        """Whether there is anything to undo; of edits that a link brought, each is undone by itself."""
        return bool(self.past or self.edits)

    def change(self, edits: Sequence[Edit]) -> None:
        """Replace the edits. Raises BadParameter if they are too many for a link."""
        if tuple(edits) == self.edits:
            return
        if len(edits) > MOST or sum(len(str(one)) for one in edits) > LONGEST:
            raise BadParameter("These are more edits than fit into a link.", "Undo some, or clear them.")
        self.past.append(self.edits)
        self.future.clear()
        self.edits = tuple(edits)

    def joins(self, count: int, fill: str) -> bool:
        """Whether the last edit is of superpixels cut and filled like this, so that another one joins it."""
        last = self.edits[-1] if self.edits else None
        return isinstance(last, Segments) and (last.count, last.fill) == (count, fill)

    def toggle(self, edit: Segments) -> None:
        """Add superpixels to the last edit if they join it, or take them out of it again."""
        last = self.edits[-1] if self.joins(edit.count, edit.fill) else None
        if not isinstance(last, Segments):
            self.change((*self.edits, edit))
            return
        chosen = tuple(sorted(set(last.chosen) ^ set(edit.chosen)))
        self.change((*self.edits[:-1], *([replace(last, chosen=chosen)] if chosen else [])))

    def put(self, edit: Edit | None, same: Callable[[Edit], bool]) -> None:
        """Put an edit in place of the first that is the `same`, or at the end; None takes that away."""
        at = next((number for number, one in enumerate(self.edits) if same(one)), len(self.edits))
        self.change((*self.edits[:at], *([edit] if edit else []), *self.edits[at + 1 :]))

    def undo(self) -> None:
        """Go back to the edits before the last change."""
        if self.undoable:
            self.future.append(self.edits)
            self.edits = self.past.pop() if self.past else self.edits[:-1]

    def redo(self) -> None:
        """Take back an undo."""
        if self.future:
            self.past.append(self.edits)
            self.edits = self.future.pop()


def current(about: str) -> EditList:
    """The edits of a picture on this page: of the address at the first visit and after Back, else of the session."""
    place, context = parameters.widget_key("edits"), get_script_run_ctx()
    known: EditList | None = st.session_state.get(place)
    returned = context is not None and context.is_history_navigation and not context.fragment_ids_this_run
    if known is None:
        known = EditList(about, _linked())
    elif returned:
        known = replace(known, about=about, edits=_linked(), past=[], future=[])
    elif known.about != about:
        known = EditList(about, handled=known.handled, count=known.count)
    st.session_state[place] = known
    return known


def stored() -> EditList:
    """The edits of this page, in a callback."""
    found: EditList = st.session_state[parameters.widget_key("edits")]
    return found


def write(edits: Edits) -> None:
    """Write edits to the address, or take them from it if there are none."""
    texts = [str(one) for one in edits]
    if not texts:
        st.query_params.pop(KEY, None)
    elif st.query_params.get_all(KEY) != texts:
        st.query_params[KEY] = texts


def act(actions: object, cells: Callable[[int], NDArray[np.integer]]) -> None:
    """Do what the browser asks for: those of its numbered actions that were not handled before.

    `cells` gives the superpixel of each pixel of the image, cut into about so many.
    """
    if not isinstance(actions, list):
        return
    shown = stored()
    for action in actions:
        if isinstance(action, dict) and isinstance(action.get("number"), int) and action["number"] > shown.handled:
            shown.handled = action["number"]
            attempt(partial(_do, shown, action, cells))


def attempt(change: Callable[[], None]) -> None:
    """Change the edits in a callback; if it cannot be done, the panel says why."""
    shown = stored()
    shown.problem = ""
    try:
        change()
    except VitrineError as error:
        shown.problem = str(error)


def _do(shown: EditList, action: dict[str, Any], cells: Callable[[int], NDArray[np.integer]]) -> None:
    kind = action.get("kind")
    if kind == "add":
        shown.change((*shown.edits, read(str(action.get("text", "")))))
    elif kind == "segment":
        wanted, (x, y) = Segments(action["count"], (0,), str(action["fill"])), map(int, action["at"])
        found = cells(wanted.count)
        row, column = min(y, found.shape[0] - 1), min(x, found.shape[1] - 1)
        shown.toggle(replace(wanted, chosen=(int(found[row, column]),)))
    elif kind == "undo":
        shown.undo()
    elif kind == "redo":
        shown.redo()
    elif kind == "clear":
        shown.change(())
    elif kind == "count":
        shown.count = action["count"] and Segments(action["count"], (0,)).count  # one that can be cut


def _linked() -> Edits:
    """The edits of the address; a problem names each that is none, and says if there are too many."""
    edits: list[Edit] = []
    texts = st.query_params.get_all(KEY)
    for text in texts[:MOST]:
        try:
            if len(text) > LONGEST:
                raise BadParameter(f"The edit cannot be {short(text)}.", "It is too long.")
            edits.append(read(text))
        except VitrineError as error:
            state.add_problem(f"This link: {error} The other settings are kept.")
    if len(texts) > MOST:
        state.add_problem(f"This link: {MOST} edits are made at a time. The others are left out.")
    return tuple(edits)
