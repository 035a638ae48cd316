"""The parameters of a page: widgets whose value is stored in the address and in the session.

A parameter belongs to its page: the class selected on one is independent of that on another, though both are called
"label" in the address. Only the parameters in `SHARED` are the same on all pages. Streamlit's own binding writes the
displayed text of an option into the address. Options here show counts, which change, so the address gets their name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any, Generic, TypeVar

import streamlit as st

from core.errors import BadParameter, VitrineError
from core.params import finite, whole
from core.registry import unknown
from pages.ui.session import state

T = TypeVar("T")
SHARED = ("study",)  # parameters common to all pages
SWITCHED = {
    "true": True,
    "1": True,
    "on": True,
    "false": False,
    "0": False,
    "off": False,
}  # in an address
_BEGINNING = {"multiselect": "default", "segmented_control": "default"}  # the argument of the first value, else "value"


def enter(page: str) -> None:
    """Set the current page, by its address: parameters refer to that page from now on."""
    if st.session_state.get("page") != page:
        state.forget_problems()
    st.session_state["page"] = page


def about_units() -> bool:
    """Whether the current page is about units of a layer, which its address names."""
    return "units" in st.session_state.get("headers", {}).get(st.session_state.get("page"), ())


def widget_key(key: str, page: str | None = None) -> str:
    """The key of a parameter's widget, on the current page or another one."""
    if key in SHARED:
        return key
    return f"{st.session_state.get('page', '') if page is None else page}.{key}"


@dataclass(frozen=True)
class Parameter(Generic[T]):
    """One parameter: its widget's label, its name in the address, its default, and how its text is read and written."""

    label: str
    key: str
    default: T
    read: Callable[[str], T]  # raises a VitrineError for an invalid text
    written: Callable[[T], str] = str
    valid: Callable[[T], T] = lambda value: value  # the nearest value that is valid now
    given: Mapping[str, Any] = field(default_factory=dict)  # arguments of the widget about valid values

    def value(self) -> T:
        """The current value: of the widget, else of the address, else the last one on this page, else the default."""
        key = widget_key(self.key)
        current = self.valid(st.session_state[key] if key in st.session_state else self._first())
        if key not in st.session_state or st.session_state[key] != current:  # drawn widgets may not be written to
            st.session_state[key] = current
        return current

    def draw(self, make: Callable[..., T], **look: Any) -> T:
        """Draw its widget and return its value."""
        arguments = {**self.given, **look}
        first = self._beginning(make.__name__, arguments.get("options", ()))
        value = make(self.label, key=widget_key(self.key), **first, **arguments)
        keep(self.key, value, self.default, self.written)
        return value

    def _beginning(self, widget: str, options: Sequence[T]) -> dict[str, Any]:
        """What a widget shows where the browser has no value of it yet, as its argument.

        The session's state is not enough: what a run has sent of it is lost if the next run overtakes it.
        """
        value = self.value()
        if widget in ("selectbox", "radio"):
            # Where nothing is an option, a selection that is cleared would begin again with this one.
            return {} if None in options else {"index": options.index(value)}
        return {_BEGINNING.get(widget, "value"): value}

    def _first(self) -> T:
        text = st.query_params.get(self.key)
        if text is not None:
            try:
                return self.read(text)
            except VitrineError as error:
                used = self.written(self.valid(self._last()))
                state.add_problem(f"This link: {error} Shown instead: {used or 'the default'}.")
        return self._last()

    def _last(self) -> T:
        last: T = _remembered().get(widget_key(self.key), self.default)
        return last


def choice(
    label: str, options: Sequence[T], key: str, *, default: T | None = None, named: Callable[[T], str] = str
) -> Parameter[T]:
    """One of `options`, the first by default; `named` gives the name of an option in the address."""
    first = options[0] if default is None else default
    by_name = {named(option): option for option in options}

    def read(text: str) -> T:
        if text not in by_name:
            raise unknown(label.lower(), text, by_name)
        return by_name[text]

    def valid(value: T) -> T:
        return value if value in options else first

    return Parameter(label, key, first, read, named, valid, {"options": list(options)})


def several(label: str, options: Sequence[int], key: str) -> Parameter[list[int]]:
    """Any number of `options`; the address lists them with commas."""

    def read(text: str) -> list[int]:
        indices: dict[int, None] = {}
        for item in filter(None, text.split(",")):
            number = whole(item.strip().lstrip("Ff"))
            if number is None or number not in options:
                raise unknown(label.lower(), item.strip(), [str(option) for option in options])
            indices[number] = None
        return list(indices)

    def written(values: list[int]) -> str:
        return ",".join(map(str, values))

    def valid(values: list[int]) -> list[int]:
        return [value for value in values if value in options]

    return Parameter(label, key, [], read, written, valid, {"options": list(options)})


def number(label: str, low: T, high: T, key: str, *, default: T, step: T) -> Parameter[T]:
    """A number within a range; one in the address outside it is clipped."""
    kind: Any = type(default)

    def read(text: str) -> T:
        value: Any = finite(text)
        if value is None or value != kind(value):
            raise BadParameter(f"{label} cannot be {short(text)}.", f"Give {low} to {high}.")
        return valid(value)

    def valid(value: T) -> T:
        return min(max(kind(value), low), high)

    arguments = {"min_value": low, "max_value": high, "step": step}
    return Parameter(label, key, default, read, lambda value: f"{value:g}", valid, arguments)


def switch(label: str, key: str, *, default: bool = False) -> Parameter[bool]:
    """On or off; written as 1 or 0 in the address if it is not the default."""

    def read(text: str) -> bool:
        if text not in SWITCHED:
            raise BadParameter(f"{label} cannot be {short(text)}.", "Use 1 or 0.")
        return SWITCHED[text]

    return Parameter(label, key, default, read, lambda on: str(int(on)))


def words(label: str, key: str) -> Parameter[str]:
    """A text, without blanks at its ends."""
    return Parameter(label, key, "", str.strip, valid=str.strip)


def text(key: str, default: str = "") -> str:
    """A parameter without a widget: the value in the address, else the last one on this page."""
    value = st.query_params.get(key)
    return value if value is not None else _remembered().get(widget_key(key), default)


def index(label: str, key: str, count: int) -> int | None:
    """A parameter without a widget, an index below `count`; None if missing or invalid."""
    value = text(key)
    number = whole(value)
    if number is not None and number < count:
        return number
    if key in st.query_params:
        state.add_problem(f"This link: {unknown(label, value, ())} The other settings are kept.")
        keep(key, "")
    return None


def keep(key: str, value: Any, default: Any = "", written: Callable[[Any], str] = str) -> None:
    """Store a parameter of this page in the session, and in the address if it is not the default."""
    _remembered()[widget_key(key)] = value
    if value is None or value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != written(value):
        st.query_params[key] = written(value)


def put(key: str, value: Any) -> None:
    """Set a parameter of this page in a callback, before its widget is drawn again."""
    st.session_state[widget_key(key)] = value


def shown(key: str, default: Any = None) -> Any:
    """The value of the widget of a parameter of this page, which may not have been drawn."""
    return st.session_state.get(widget_key(key), default)


def forget(keys: Iterable[str], page: str) -> None:
    """Forget these parameters of a page, so that the address it is opened with next sets them."""
    for key in keys:
        st.session_state.pop(widget_key(key, page), None)
        _remembered().pop(widget_key(key, page), None)


def forget_everywhere(keys: Iterable[str]) -> None:
    """Forget these parameters of all pages, also in the address."""
    for key in keys:
        st.query_params.pop(key, None)
        for remembered in [name for name in _remembered() if name.rpartition(".")[2] == key]:
            del _remembered()[remembered]


def _remembered() -> dict[str, Any]:
    """The last value of every parameter, by the key of its widget."""
    values: dict[str, Any] = st.session_state.setdefault("parameters", {})
    return values
