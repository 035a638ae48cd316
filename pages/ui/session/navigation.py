"""Navigation between the pages of the app, with the parameters of the target page."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.resources import ROOT
from pages.ui.session import parameters

DEMANDS = ("label", "filters", "strongest", "outcome", "drop", "image", "tag")  # parameters of the Patches page


Entry = tuple[str, str, str, str]  # file, title, icon, and the parts of the header, separated by spaces


def pages(sections: Mapping[str, Sequence[Entry]]) -> dict[str, list[Any]]:
    """The pages listed in `pages/ui/main.py`, by section, for `st.navigation`."""
    first = next(iter(sections.values()))[0][0]
    registered = {
        name: st.Page(
            ROOT / "pages" / f"{name}.py",
            title=title,
            icon=f":material/{icon}:",
            url_path="" if name == first else name.rpartition("/")[2],
            default=name == first,
        )
        for entries in sections.values()
        for name, title, icon, _ in entries
    }
    st.session_state["pages"] = registered
    st.session_state["headers"] = {
        registered[name].url_path: frozenset(parts.split())
        for entries in sections.values()
        for name, *_, parts in entries
    }
    return {section: [registered[name] for name, *_ in entries] for section, entries in sections.items()}


def header(page: Any) -> frozenset[str]:
    """The parts of a page's header."""
    parts: frozenset[str] = st.session_state["headers"][page.url_path]
    return parts


def page_of(name: str) -> Any | None:
    """The page of a file such as "explore/compare", for links and `st.switch_page`; None if it is not listed."""
    return st.session_state.get("pages", {}).get(name)


def go(page: str, /, **query: Any) -> None:
    """Show another page with these parameters, and the open study; None resets a parameter to its default."""
    target = page_of(page)
    if target is not None:
        parameters.forget(query, target.url_path)
        st.switch_page(target, query_params=_written(query))


def patches_of(**demands: Any) -> None:
    """Open the Patches page with exactly these conditions."""
    go("mine/patches", **{**dict.fromkeys(DEMANDS), **demands})


def link(page: str, label: str, /, **query: Any) -> None:
    """A link to another page, with these parameters and the open study."""
    target = page_of(page)
    if target is not None:
        st.page_link(target, label=label, query_params=_written(query))


def _written(query: Mapping[str, Any]) -> dict[str, str]:
    query = {"study": st.session_state.get("study"), **query}
    return {name: str(value) for name, value in query.items() if value is not None}
