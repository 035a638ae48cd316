"""The words of a reviewer about a case: a verdict by button or key, tags, a note and an assignee, with undo."""

import getpass
from dataclasses import replace

import streamlit as st

from core.errors import VitrineError
from core.review.predictions import Predictions
from core.review.queue import Rows
from core.review.reviews import VERDICTS, Review, Reviews, Verdict, progress
from pages.ui.failures import invitation
from pages.ui.session import parameters, state, visitors
from pages.ui.widgets.text import plain

_REVIEWER = "reviewer"  # of this session


def reviews_of(found: Predictions) -> Reviews:
    """The reviews of these images and this model."""
    source = found.source
    return Reviews(source.key, found.manifest.model.sha, invitation.home() / "reviews", name=source.name)


def reviewer() -> str:
    """The name under which verdicts are stored."""
    return str(st.session_state.setdefault(_REVIEWER, _name()))


def name_field() -> None:
    """The name under which this session's reviewer writes."""
    st.text_input(
        "Reviewer", reviewer(), key="failures-reviewer", width=180, on_change=_renamed,
        help="What you say is stored under this name.",
    )  # fmt: skip


def steps(found: Predictions, rows: Rows, row: int, known: dict[str, Review]) -> None:
    """Where one is in the queue: previous, next, how many are reviewed, and who reviews."""
    place = {one: number for number, one in enumerate(rows.tolist())}
    number = place.get(row)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for text, step, key, last in (("Previous", -1, "k", 0), ("Next", 1, "j", len(rows) - 1)):
            at_end = number is not None and number == last
            st.button(
                text, shortcut=key, key=f"failures-{text}", disabled=at_end, on_click=_step,
                args=(found, rows, number, step),
            )  # fmt: skip
        paths = found.images["path"].iloc[rows].tolist()
        where = f"case {number + 1:,} of {len(rows):,}" if number is not None else "a case outside this queue"
        st.markdown(f"**{where}** · {progress(known, paths)} reviewed")
        st.space("stretch")
        name_field()


def verdict(found: Predictions, rows: Rows, row: int, review: Review) -> None:
    """The buttons of the verdicts and undo, and a form for the rest."""
    with st.container(horizontal=True, gap="small"):
        for number, name in enumerate(VERDICTS, 1):
            st.button(
                name.capitalize(), shortcut=str(number), key=f"verdict-{name}", on_click=_judge,
                args=(found, rows, row, review, name), type="primary" if review.verdict == name else "secondary",
            )  # fmt: skip
        st.button("Undo", shortcut="u", key="verdict-undo", on_click=_undo, args=(found,), type="tertiary",
                  help="Take back your last change")  # fmt: skip
    if review.reviewer:
        st.caption(plain(f"Changed last by {review.reviewer}."))
    with (
        st.form(f"failures-words-{row}-{review.revision}", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        tags = st.text_input("Tags", ", ".join(review.tags), width=220, placeholder="tag, another")
        note = st.text_input("Note", review.note, width=340, placeholder="why")
        assignee = st.text_input("Assignee", review.assignee, width=160)
        if st.form_submit_button("Save"):
            words = tuple(dict.fromkeys(filter(None, (one.strip() for one in tags.split(",")))))
            _store(found, replace(review, tags=words, note=note.strip(), assignee=assignee.strip()))
            st.rerun()


def _renamed() -> None:
    st.session_state[_REVIEWER] = st.session_state["failures-reviewer"].strip()


def _judge(found: Predictions, rows: Rows, row: int, review: Review, name: Verdict) -> None:
    """Store a verdict and go on to the next case; the same verdict again takes it away."""
    again = review.verdict == name
    if _store(found, replace(review, verdict="" if again else name)) and not again:
        order = rows.tolist()
        _step(found, rows, order.index(row) if row in order else None, 1)


def _undo(found: Predictions) -> None:
    try:
        before = reviews_of(found).undo(reviewer())
    except VitrineError as error:
        state.add_notice("error", str(error))
        return
    if before is None:
        state.add_notice("info", "There is nothing to take back.")
        return
    paths = found.images["path"].tolist()
    if before.image in paths:
        _look_at(found, paths.index(before.image))


def _store(found: Predictions, review: Review) -> bool:
    try:
        reviews_of(found).set(review, reviewer())
    except VitrineError as error:
        state.add_notice("error", str(error))
        return False
    return True


def _step(found: Predictions, rows: Rows, number: int | None, step: int) -> None:
    place = min(max((number if number is not None else -1) + step, 0), len(rows) - 1)
    _look_at(found, int(rows[place]))


def _look_at(found: Predictions, row: int) -> None:
    """Go to a case, and remember it as the one where the reviewer stopped."""
    parameters.keep("case", row)
    try:
        reviews_of(found).stop_at(found.images["path"].iloc[row], reviewer())
    except VitrineError as error:
        state.add_notice("error", str(error))


def _name() -> str:
    """The user's name on this machine; on a server for others everyone enters their own."""
    if visitors.shared():
        return "visitor"
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user is known
        return "reviewer"
