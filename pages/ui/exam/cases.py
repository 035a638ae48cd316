"""The worst and best cases of a method in an exam: image and mask, the map beside it, its value, and the way on."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core.card import Passes
from core.data.masks.pictures import mask_file
from core.errors import VitrineError, printable
from core.exam import Exam
from core.exam.cases import Case, case, whole_mask
from core.exam.images import Mask
from core.exam.league import cases
from core.exam.review import settings_of
from core.explain import Explanation
from core.explain.target_name import TargetName
from core.export.files import drawn as map_of
from core.figures.outline import outlined
from core.figures.sheet import overlay, png
from core.figures.style import span
from core.images import Picture
from core.progress import Report, subrange
from core.workbench import Request, Workbench
from pages.ui.exam import league_table, open_exam
from pages.ui.session import location, masks, navigation, parameters, state
from pages.ui.session.jobs import working
from pages.ui.widgets import messages
from pages.ui.widgets.text import cost_text, plain

_COUNT = 3  # cases at a time
_MOST = 12
_AT_ONCE = 5.0  # seconds of work that start without a click
_COMPARED = 6  # methods that are opened in Compare at most
_ENDS = {"worst": "Worst cases", "best": "Best cases"}


@dataclass(frozen=True)
class _Subject:
    """A method under a measure in an exam, and what its maps need."""

    exam: Exam
    measure: str
    method: str
    bench: Workbench


def drawn(exam: Exam, measure: str, chosen: Sequence[str]) -> None:
    """The cases of one of the chosen methods, worst first or best first, under a measure."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        end = parameters.choice("Cases", tuple(_ENDS), "cases").draw(
            st.segmented_control, required=True, format_func=_ENDS.get, label_visibility="collapsed"
        )
        method = parameters.choice("Method", chosen, "of").draw(
            st.selectbox, format_func=lambda name: league_table.title(exam, name), width=280,
            label_visibility="collapsed",
        )  # fmt: skip
    more = st.session_state.setdefault("exam-cases", {})
    place = f"{open_exam.key(exam)} {method} {measure} {end}"
    count = more.get(place, _COUNT)
    found = cases(exam, method, measure, count, worst=end == "worst")
    if not len(found):
        st.caption("This method has no number under this measure.")
        return
    with messages.refused():
        bench = open_exam.bench(exam)
        subject = _Subject(exam, measure, method, bench)
        region = str(exam.measures["region"].iloc[exam.measure(measure)])
        requests = [_request(exam, method, target) for target in found["target"].tolist()]
        images = [case(exam, row, bench.model, region) for row in found["image"].tolist()]
        maps = _maps(exam, bench, [(one.picture, request) for one, request in zip(images, requests, strict=True)])
        grid = st.grid(_COUNT, min_column_width=330)
        for facts, one, shown in zip(found.to_dict("records"), images, maps, strict=True):
            with grid.container(border=True):
                _case(subject, facts, one, shown)
                if st.button("Open in Compare", key=f"compare-{facts['image']}", icon=":material/grid_view:"):
                    methods = [method, *(other for other in chosen if other != method)][:_COMPARED]
                    mask = whole_mask(exam, facts["image"], bench.model, one, region) if one.mask is not None else None
                    _compare(subject, one, methods, mask)
        further = len(found) == count < min(len(exam.images), _MOST)
        if further and st.button(f"{_COUNT} more", key="more-cases", icon=":material/add:"):
            more[place] = count + _COUNT
            st.rerun()


def _request(exam: Exam, method: str, target: int) -> Request:
    return Request(method, TargetName((target,)), settings_of(exam, method))


def _maps(
    exam: Exam, bench: Workbench, asked: Sequence[tuple[Picture, Request]]
) -> list[Explanation | VitrineError | None]:
    """The maps of these requests: from the cache, computed at once if that is cheap, else after a click."""
    seed = exam.config.seed
    missing = [one for one in asked if not bench.cached(*one, seed)]
    failed: dict[str, VitrineError] = {}

    def work(report: Report) -> None:
        for number, (picture, request) in enumerate(missing):
            part = subrange(report, number / len(missing), (number + 1) / len(missing))
            try:
                bench.explain(picture, request, seed=seed, report=part)
            except VitrineError as error:
                failed[picture.key] = error

    if missing:
        requests = [request for _, request in missing]
        seconds = sum(bench.estimate([one]) for one in requests)
        passes = sum((bench.passes([one]) for one in requests), Passes())
        text = f"Compute {len(missing)} map{'s' * (len(missing) != 1)} · about {cost_text(seconds, passes)}"
        if seconds <= _AT_ONCE or st.button(text, key="compute-cases", type="primary"):
            working("Computing maps", work)
    return [bench.cached(picture, request, seed) or failed.get(picture.key) for picture, request in asked]


def _case(
    subject: _Subject, facts: Mapping[Hashable, Any], case: Case, shown: Explanation | VitrineError | None
) -> None:
    """One image with its mask, the map beside it, and its value."""
    exam, bench, measure = subject.exam, subject.bench, subject.measure
    predicted, view, mask = facts["predicted"], bench.view(case.picture), case.mask
    title, name = league_table.title(exam, subject.method), exam.labels[case.target]
    left, right = st.columns(2, gap="small")
    left.image(
        png(view if mask is None else outlined(view, mask)), width="stretch",
        alt=facts["name"] + ("" if mask is None else ", with the outline of its mask"),
    )  # fmt: skip
    if isinstance(shown, Explanation):
        one = map_of(shown)
        right.image(
            png(overlay(view, one.values, span(one))), width="stretch", alt=f"{title} for {name}, image {facts['name']}"
        )
    elif shown is not None:
        right.caption(plain(shown.message))
    else:
        right.caption("Not computed yet.")
    value = league_table.number(exam, measure, facts["value"])
    st.markdown(f"**{plain(value)}** {plain(str(exam.measures['title'].iloc[exam.measure(measure)]))}")
    verdict = "" if case.target == predicted else f", predicted {exam.labels[predicted]}"
    st.caption(plain(f"{facts['name']} · explained: {name}{verdict}"))


def _compare(subject: _Subject, case: Case, methods: Sequence[str], mask: Mask | None) -> None:
    """Open an image of the exam in Compare: as an upload with its mask, and the settings of the exam."""
    exam, picture, target = subject.exam, case.picture, case.target
    name = f"{Path(picture.name).with_suffix('').as_posix().replace('/', '-')}.png"
    own = state.session().add(png(picture.pixels), name, (exam.labels[target], target))
    if mask is not None:
        origin = f"The mask of the exam {printable(exam.path.name)}."
        masks.give(subject.bench, own, masks.Given(own.name, mask_file(mask), origin))
    for method in methods:
        location.settings(method).clear()
        location.settings(method).update(settings_of(exam, method))
    location.go(model=subject.bench.model.name)
    location.go(image=own.sha)
    location.go(targets=(TargetName((target,)),), methods=tuple(methods), seed=exam.config.seed, settle=False)
    navigation.go("explore/compare", by=None)
