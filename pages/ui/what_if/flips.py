"""The smallest change that flips the answer: superpixels or filters, removed one by one from the image as edited."""

from collections.abc import Hashable
from functools import partial

import pandas as pd
import streamlit as st

from core.edits.apply import edited
from core.edits.edit import Edit, Filters, Segments
from core.edits.flip import Flip, flip_by_filters, flip_by_segments
from core.errors import brief
from core.figures.encoding import reduced
from core.progress import Report
from pages.ui.session import parameters
from pages.ui.what_if import edit_list
from pages.ui.what_if.edit_list import Edits
from pages.ui.what_if.outcome import Subject, outcome
from pages.ui.widgets.on_demand import again, on_demand, takes
from pages.ui.widgets.text import plain

_PART, _TITLE = "what-if-flip", "Searching the smallest change"
_USED = "what-if-flip-used"  # the picture of the last change that was used, the edits before and with it
_WAYS = {"superpixels": "Superpixels", "filters": "Filters"}
_FILL = "blur"
_EXPECTED = 4  # steps, for the estimate
_ACROSS = 6  # pictures in a row
_SIDE = 160  # pixels of a picture
_LONGEST = 48  # characters of an edit in a sentence


def smallest(subject: Subject, edits: Edits, count: int, layer: str) -> None:
    """The search by superpixels, about `count`, or by filters of a layer, on demand, and its steps to apply.

    It starts from the picture with its edits; once a change is used, the steps remain that led to it.
    """
    st.header("Smallest change that flips the answer", anchor=False)
    start = _start(subject, edits)
    asked = outcome(subject, start).after
    bench, picture = asked.bench, asked.picture
    way = parameters.choice("Remove", list(_WAYS), "flip").draw(
        st.segmented_control, required=True, format_func=_WAYS.get
    )

    def work(report: Report) -> Flip:
        if way == "filters":
            return flip_by_filters(bench, picture, layer, report=report)
        return flip_by_segments(bench, picture, count=count, fill=_FILL, report=report)

    by_filters = way == "filters"
    facts = bench.model.survey.layer(layer)
    total = facts.units if by_filters and facts else count
    what = f"{total:,} filters of {layer}" if by_filters else f"about {total} superpixels, each replaced by blur"
    note = f"Among {what}; a small set, found greedily {_from(start)}. {takes(bench, total * _EXPECTED)}"
    key = (bench.model.key, picture.key, way, layer if by_filters else count)
    found = on_demand(_PART, key, _TITLE, work, button="Find the smallest change", note=note)
    if found:
        use = partial(_use, subject.picture.key, start)
        _shown(asked, found, key, partial(_edit, by_filters=by_filters, layer=layer, count=count), use)
        if start:
            st.caption(plain(f"The search started {_from(start)}."))
        if start != edits:
            st.button("Search on from here", key="what-if-flip-on", on_click=_go_on)


def _start(subject: Subject, edits: Edits) -> Edits:
    """The edits that the search starts from: all of them, but a change that it found itself."""
    about, before, after = st.session_state.get(_USED, ("", (), ()))
    return before if (about, after) == (subject.picture.key, edits) else edits


def _from(start: Edits) -> str:
    """The image that a search starts from, in words."""
    if not start:
        return "from the image without edits"
    told = ", ".join(brief(str(edit), _LONGEST) for edit in start)
    return f"from the image with {'this edit' if len(start) == 1 else 'these edits'}: {told}"


def _shown(asked: Subject, found: Flip, key: Hashable, edit_of: "partial[Edit]", use: "partial[None]") -> None:
    """What was found in a sentence, and each step with a button that makes it the edits."""
    labels = asked.bench.model.labels
    name = labels[found.label]
    if found.flipped and found.edit:
        count = len(found.steps) - len(found.dropped)
        kept = f"{count} {found.kind if count != 1 else found.kind[:-1]}"
        text = f"Without {kept} the answer is {labels[found.first]}: {name} {found.before:.1%} → {found.after:.1%}."
    else:
        text = f"The answer stays {name}: {found.before:.1%} → {found.after:.1%}. {found.why}"
    st.markdown(plain(text))
    with st.container(horizontal=True, gap="small"):
        if found.edit:
            st.button("Use this change", key="what-if-flip-use", type="primary", on_click=use, args=(found.edit,))
        st.button("Search again", key="what-if-flip-again", type="tertiary", on_click=again, args=(_PART, key))
    removed = tuple(step.removed for step in found.steps)
    edits = [edit_of(removed[: number + 1]) for number in range(len(removed))]
    if edits and isinstance(edits[0], Segments):
        _pictures(asked, found, edits, use)
    elif edits:
        _table(asked, found)


def _pictures(asked: Subject, found: Flip, edits: list[Edit], use: "partial[None]") -> None:
    """The image after each step."""
    labels, places = asked.bench.model.labels, st.columns(_ACROSS)
    for number, (step, edit) in enumerate(zip(found.steps, edits, strict=True)):
        with places[number % _ACROSS]:
            small = _small(asked, edit)
            dropped = ", not needed in the end" if step.removed in found.dropped else ""
            caption = f"{step.probability:.1%}, first {labels[step.first]} {step.first_probability:.1%}{dropped}"
            st.image(small, caption=plain(caption), width="stretch", alt=f"The image after step {number + 1}")
            st.button(f"Use step {number + 1}", key=f"what-if-step-{number}", on_click=use, args=(edit,))


def _small(asked: Subject, edit: Edit) -> bytes:
    """The image with an edit, small."""
    return asked.bench.cache.get(
        (asked.picture.key, "flip", str(edit)), lambda: reduced(edited(asked.picture, [edit]).pixels, _SIDE)
    )


def _table(asked: Subject, found: Flip) -> None:
    """The filter of each step, with what is predicted without those so far."""
    labels = asked.bench.model.labels
    steps = {
        "Filter": [f"F{one.removed}" for one in found.steps],
        f"Probability of {labels[found.label]}": [f"{one.probability:.1%}" for one in found.steps],
        "First": [f"{labels[one.first]} {one.first_probability:.1%}" for one in found.steps],
        "Needed": ["no" if one.removed in found.dropped else "yes" for one in found.steps],
    }
    st.table(pd.DataFrame(steps, index=pd.RangeIndex(1, len(found.steps) + 1, name="Step")))


def _edit(removed: tuple[int, ...], *, by_filters: bool, layer: str, count: int) -> Edit:
    """The edit of a step."""
    return Filters(layer, removed) if by_filters else Segments(count, tuple(sorted(removed)), _FILL)


def _use(about: str, start: Edits, edit: Edit) -> None:
    """Add a change to the edits that the search started from; in a callback."""
    edit_list.attempt(lambda: edit_list.stored().change((*start, edit)))
    st.session_state[_USED] = about, start, (*start, edit)


def _go_on() -> None:
    """Let the next search start from the change that was used; in a callback."""
    st.session_state.pop(_USED, None)
