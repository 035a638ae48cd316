"""A job on a page: its line while it runs, what the page says at its end, and its end with the session."""

import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import BadImage, Cancelled
from core.jobs import Job
from core.progress import Report
from pages.ui.session.state import Session


def page() -> None:
    import streamlit as st

    from pages.ui.session.jobs import watch
    from pages.ui.widgets import messages

    with messages.refused():
        watch(st.session_state["job"], lambda job: st.success(f"It is {job.result}."), "Stopped here.")
    st.write("the rest of the page")


def watched(work: Any) -> tuple[AppTest, Job[Any], threading.Event]:
    go_on = threading.Event()

    def waiting(report: Report) -> object:
        report(0.25, "half of the half")
        go_on.wait(60)
        return work(report)

    app = AppTest.from_function(page, default_timeout=60)
    app.session_state["job"] = job = Job(waiting, "Counting")
    return app.run(), job, go_on


def refuse(report: Report) -> None:
    raise BadImage("The file is *empty*.", "Take another.")


def cancelled(report: Report) -> None:
    raise Cancelled


@pytest.mark.parametrize(
    ("work", "kind", "sentence"),
    [
        (lambda report: 42, "success", "It is 42."),
        (refuse, "error", "The file is &#42;empty&#42;&#46; Take another&#46;"),
        (cancelled, "info", "Stopped here."),
    ],
)
def test_what_a_page_says_at_the_end_of_a_job(work: Any, kind: str, sentence: str) -> None:
    app, job, go_on = watched(work)
    assert [button.label for button in app.button] == ["Stop"]
    assert not app.get(kind)
    go_on.set()
    assert job.wait(60)
    for _ in range(2):  # and at every rerun from now on
        app.run()
        assert [box.value for box in app.get(kind)] == [sentence]
        assert not app.button
        assert app.markdown[0].value == "the rest of the page"
    assert job.error is None or job.error.__traceback__ is None, "it would keep the variables of the page"


def test_stop_is_pressed_once() -> None:
    app, job, go_on = watched(lambda report: report(0.5, "never seen"))
    app.button[0].click().run()
    assert job.stopping
    assert job.running
    assert app.button[0].disabled
    go_on.set()
    assert job.wait(60)
    assert [box.value for box in app.run().info] == ["Stopped here."]


def test_jobs_end_with_their_session() -> None:
    session, go_on = Session(), threading.Event()

    def work(report: Report) -> int:
        go_on.wait(60)
        report(0.5, "never seen")
        return 1

    quick = session.start(lambda report: 1, "quick")
    assert quick.wait(60)
    slow = session.start(work, "slow")
    assert session.jobs == [slow], "what has ended needs no end"
    session.close()
    go_on.set()
    assert slow.wait(60)
    assert (slow.state, slow.result, session.jobs) == ("cancelled", None, [])


def speaking() -> None:
    import streamlit as st

    from pages.ui.session import state
    from pages.ui.widgets import messages

    first = "begun" not in st.session_state
    state.forget_notices()
    if first:
        st.session_state["begun"] = True
        state.add_notice("warning", "Said once")
    messages.notices()
    if first:
        state.repeat_notices()
        st.rerun()


def test_a_run_that_begins_by_itself_repeats_what_was_said() -> None:
    app = AppTest.from_function(speaking, default_timeout=60).run()
    assert [box.value for box in app.warning] == ["Said once"]
    assert not app.run().warning
