"""Invitations on a server for others: a link with which somebody else reads and judges the same cases."""

from pathlib import Path

import streamlit as st

from core.errors import VitrineError
from core.review.invitations import Invitation, given, invite, invited, withdraw
from core.review.predictions import Predictions
from pages.ui.session import networks, parameters, state, visitors
from pages.ui.widgets.text import plain

_PARAMETER = "invite"  # of the address
_LINK = "failures-invitation"  # the link that was made last, and what for


def accepted() -> Invitation | None:
    """The invitation in the address, None without one. Raises Unavailable for one that does not hold."""
    word = parameters.text(_PARAMETER)
    parameters.keep(_PARAMETER, word)
    return invited(word) if word and visitors.shared() else None


def home() -> Path:
    """The folder of the predictions and reviews that are looked at: one's own, or that of who invites."""
    found = accepted()
    return Path(found.home) if found else visitors.own_home()


def offer(found: Predictions) -> None:
    """A menu that makes a link, or withdraws all; nothing where everybody is the same user, or to who is invited."""
    if not visitors.shared() or accepted():
        return
    about = _about(found)
    with st.popover("Invite", icon=":material/person_add:", key="failures-invite"):
        if reason := _unshared(about):
            st.caption(reason)
            return
        st.caption("Whoever has the link sees these cases, and judges them with you. It is not shown again.")
        with st.container(horizontal=True, gap="small"):
            st.button("Make a link", key="invite-make", on_click=_make, args=(about,), icon=":material/link:")
            if count := given(about):
                name = "Withdraw the link" if count == 1 else f"Withdraw {count} links"
                st.button(name, key="invite-withdraw", on_click=_withdraw, args=(about,))
        made_for, link = st.session_state.get(_LINK, (None, ""))
        if made_for == about:
            st.code(link, language=None, wrap_lines=True)


def _about(found: Predictions) -> Invitation:
    """An invitation to the review of these predictions."""
    source, own = found.source, str(visitors.own_home())
    if source.study:
        return Invitation(own, study=str(source.study.path.absolute()))
    return Invitation(own, folder=str(source.root), model=found.manifest.model.name)


def _unshared(about: Invitation) -> str:
    """Why others cannot open a review; "" if they can."""
    if about.study:
        return ""
    if about.model not in networks.listed():
        return "Only you have this model here, so others cannot open the review. That of a study of it they can."
    if not visitors.may_read(Path(about.folder)):
        return "Others cannot read these images here, so there is no invitation to this review."
    return ""


def _make(about: Invitation) -> None:
    try:
        word = invite(about)
    except VitrineError as error:
        state.add_notice("error", plain(str(error)))
        return
    address = (st.context.url or "failures").partition("?")[0]
    st.session_state[_LINK] = (about, f"{address}?{_PARAMETER}={word}")


def _withdraw(about: Invitation) -> None:
    withdraw(about)
    st.session_state.pop(_LINK, None)
    state.add_notice("info", "The links hold no longer.")
