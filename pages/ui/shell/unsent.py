"""Elements that are drawn and not yet sent when a fragment runs again.

When a fragment starts, Streamlit removes its elements from those that wait to be sent, as it will draw them anew: then
they come after the elements that follow the fragment. Elements that the browser has cached wait as references, which
name no fragment, and are not removed. The browser refuses an element without those before it ("Bad delta path index")
and draws nothing more. It happens where a fragment is due as a run of the page ends and the server is slow.
"""

from streamlit.runtime.forward_msg_queue import ForwardMsgQueue


def keep() -> None:
    """Let every element be sent, in the order of drawing; to be called once, before the server starts."""
    clear = ForwardMsgQueue.clear

    def clear_without_gaps(
        queue: ForwardMsgQueue, retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None
    ) -> None:
        # A run of the page, which has no fragments listed, draws everything anew, and what waits may go.
        clear(queue, retain_lifecycle_msgs, None if fragment_ids_this_run is None else [])

    ForwardMsgQueue.clear = clear_without_gaps  # type: ignore[method-assign, assignment]
