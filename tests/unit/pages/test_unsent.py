"""Messages that wait when a fragment runs again, against the rule by which the browser places elements."""

from collections.abc import Iterable, Iterator, Sequence

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.ui.shell import unsent

Drawn = tuple[Sequence[int], str]  # a path and the fragment
PAGE: list[Drawn] = [((0,), ""), ((1,), "F"), ((1, 0), "F"), ((1, 1), "F"), ((1, 2), "F"), ((2,), "")]
FRAGMENT = [one for one in PAGE if one[1]]


def message(path: Sequence[int], fragment: str, *, cached: bool = False) -> ForwardMsg:
    """A block or element; one that the browser has cached is a reference, without its fragment."""
    one = ForwardMsg()
    one.metadata.delta_path.extend(path)
    if cached:
        one.ref_hash = f"{path}"
        return one
    one.delta.fragment_id = fragment
    if tuple(path) == (1,):
        one.delta.add_block.allow_empty = True
    else:
        one.delta.new_element.text.body = f"{path}"
    return one


def placed(messages: Iterable[ForwardMsg]) -> list[tuple[int, ...]]:
    """The paths of the elements of a new page; as in the browser, one beyond a gap raises IndexError."""
    tree: dict = {}
    for one in messages:
        *above, last = one.metadata.delta_path
        children = tree
        for index in above:
            if index not in children:
                raise IndexError(f"{above} is not there for {last}")
            children = children[index]
        if last > len(children):
            raise IndexError(f"Bad delta path index {last} (should be between [0, {len(children)}])")
        children.setdefault(last, {})

    def paths(children: dict, above: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for index, below in children.items():
            yield (*above, index)
            yield from paths(below, (*above, index))

    return list(paths(tree, ()))


def sent(cached: Sequence[Sequence[int]] = ()) -> list[ForwardMsg]:
    """What is sent of a page whose fragment runs again at once."""
    queue = ForwardMsgQueue()
    for path, fragment in PAGE:
        queue.enqueue(message(path, fragment, cached=path in cached))
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["F"])
    for path, fragment in FRAGMENT:
        queue.enqueue(message(path, fragment, cached=path in cached))
    return queue.flush()


@pytest.mark.parametrize("cached", [(), [(1, 1)], [(1, 0), (1, 2)]])
def test_a_fragment_that_runs_again_leaves_no_gap(cached: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForwardMsgQueue, "clear", ForwardMsgQueue.clear)
    with pytest.raises(IndexError):  # once Streamlit leaves none either, `unsent` can go
        placed(sent(cached))
    unsent.keep()
    assert placed(sent(cached)) == [tuple(path) for path, _ in PAGE]


def test_a_run_of_the_page_replaces_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForwardMsgQueue, "clear", ForwardMsgQueue.clear)
    unsent.keep()
    queue = ForwardMsgQueue()
    queue.enqueue(message((0,), ""))
    queue.clear(retain_lifecycle_msgs=True)
    assert queue.is_empty()
