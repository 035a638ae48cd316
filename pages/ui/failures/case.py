"""One case: its image with maps for the true and the predicted class, and what else tells why it was decided so."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison import Comparison, about
from core.errors import BadImage, Unsupported
from core.explain.target_name import TargetName
from core.images import Picture, read_picture
from core.review.evidence import Evidence, fired
from core.review.neighbours import nearest, ordinary
from core.review.predictions import Predictions
from core.study import Study
from core.workbench import Request
from pages.ui.explore import comparison
from pages.ui.failures.opened import Opened
from pages.ui.session import location, navigation, parameters, state
from pages.ui.study import open_study, patch_items
from pages.ui.study.rule_views import Rule
from pages.ui.what_if import edit_list
from pages.ui.what_if.outcome import Subject
from pages.ui.what_if.panel import panel
from pages.ui.widgets import comparison_grid, messages
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_NEIGHBOURS, _RULES = 6, 3
_USUAL = "grad_cam"  # the method until another one is chosen


def case(opened: Opened, row: int, evidence: Evidence | None) -> None:
    """The maps, and below them the facts and alike images."""
    found = opened.predictions
    image = found.images.iloc[row]
    true, predicted = int(image["label"]), int(image["predicted"])
    words = f"{found.labels[predicted]} {image['confidence']:.1%}"
    if true >= 0 and true != predicted:
        words += f", but it is {found.labels[true]} ({image['truth']:.1%})"
    st.header(plain(words), anchor=False)
    st.caption(plain(str(image["path"])))
    try:
        picture = picture_of(found, row)
    except BadImage as error:
        st.image(np.asarray(found.array("thumbnails")[row]), width=160, alt=str(image["path"]))
        st.info(plain(f"{error.message} Without it there are no maps, only what was stored of it."))
        picture = None
    if picture is not None:
        changing = parameters.switch("What if", "what-if").draw(
            st.toggle, help="Change the image or filters, and see what changes the answer."
        )
        if changing:
            _what_if(opened, picture, true, predicted)
        else:
            edit_list.write(())
            with messages.refused():
                _maps(opened, picture, true, predicted)
    left, right = st.columns([1, 2.2], gap="medium")
    with left:
        if evidence:
            st.markdown(plain(str(evidence)))
        _facts(opened, row, true, predicted)
        if picture and st.button("Open in Compare", key="failures-compare", icon=":material/grid_view:"):
            _compare(opened, row, true, predicted)
    with right:
        for label in dict.fromkeys(one for one in (true, predicted) if one >= 0):
            _alike(found, row, label)


def picture_of(found: Predictions, row: int) -> Picture:
    """The picture of a case. Raises BadImage if its file has vanished or changed meanwhile."""
    source = found.source
    picture = read_picture(source.root, source.paths[row], source.window)
    if source.shas[row] and not picture.sha.startswith(source.shas[row]):
        message = f"{source.paths[row]} is not the image any more that was predicted."
        raise BadImage(message, "Put the former file back, or predict the folder again.")
    return picture


def _targets(true: int, predicted: int) -> list[TargetName]:
    """The classes to explain, and their difference."""
    if true < 0 or true == predicted:
        return [TargetName((predicted,))]
    return [TargetName((predicted,)), TargetName((true,)), TargetName((predicted,), (true,))]


def _maps(opened: Opened, picture: Picture, true: int, predicted: int) -> None:
    """The maps of one method for both classes and their difference, on one scale."""
    usable = [name for name, reason in opened.bench.usable().items() if not reason]
    method = parameters.choice("Method", usable, "method", default=_USUAL if _USUAL in usable else usable[0]).draw(
        st.selectbox, width=240, format_func=comparison_grid.title
    )
    targets = _targets(true, predicted)
    tiles = about(picture, [Request(method, target) for target in targets])

    def grid(shown: Comparison) -> None:
        bench = shown.bench
        photo = comparison_grid.photo_id(bench, picture)
        names = [comparison_grid.tile_id(shown, one) for one in shown.tiles]
        told = {name: _titled(comparison_grid.tile(shown, one)) for name, one in zip(names, shown.tiles, strict=True)}
        heads = [
            comparison_grid.column(method) | {"title": one.request.target.title(bench.model.labels)}
            for one in shown.tiles
        ]
        row = comparison_grid.row(bench, picture, targets[0])
        comparison_grid.grid(
            {photo: ({}, comparison_grid.photo_of(bench, picture)), **told}, [row], heads, [names], "failures-maps"
        )

    comparison.drawn(comparison.current(opened.bench, tiles), "failures-maps", grid)


def _what_if(opened: Opened, picture: Picture, true: int, predicted: int) -> None:
    """The panel in which the case is changed, about the class that was predicted."""
    known = true if true >= 0 else None
    subject = Subject(opened.bench, picture, TargetName((predicted,)), known)
    panel(lambda: subject, opened.study)


def _titled(message: comparison_grid.Message) -> comparison_grid.Message:
    """A tile called by its target, as all are of one method."""
    header, payload = message
    return {**header, "title": header["label"]}, payload


def _facts(opened: Opened, row: int, true: int, predicted: int) -> None:
    """The first classes, how ordinary the decision is, and the rules that fired."""
    found = opened.predictions
    top = found.top(row)
    names = [f"{name} ✓" if true >= 0 and name == found.labels[true] else name for name, _ in top]
    st.table(
        pd.DataFrame({"Class": names, "Probability": [f"{value:.1%}" for _, value in top]}).set_index("Class"),
    )
    lines = []
    try:
        one = state.session().cache.get(("ordinary", str(found.path), row), lambda: ordinary(found, row))
    except Unsupported as error:
        lines.append(str(error))
    else:
        if one.share is None:
            lines.append(one.reason)
        else:
            lines.append(
                f"{one.share:.0%} of {one.images:,} right images of {found.labels[predicted]} are less ordinary for "
                "the class than this one."
            )
    st.caption("  \n".join(plain(line) for line in lines))
    if opened.study is not None:
        _class_links(opened.study, predicted, true)
        _rules(opened.study, found.source.rows[row], [one for one in (predicted, true) if one >= 0])


def _class_links(study: Study, *labels: int) -> None:
    """Links to the pages about classes; none for a study that this visitor is invited to, and cannot open."""
    if name := parameters.shown("of"):
        with st.container(horizontal=True):
            for label in dict.fromkeys(labels):
                open_study.about_class(study, label, study=name)


def _rules(study: Study, image: int, labels: Sequence[int]) -> None:
    """The rules of these classes that fire in the image, the best first."""
    rules = open_study.table(study, "rules")
    active = state.session().cache.get(("fired", open_study.key(study)), lambda: fired(study))
    active = active[active["image"] == image]
    for label in dict.fromkeys(labels):
        found = active.loc[active["label"] == label, "rule"].unique()
        name = open_study.label(study, label)
        st.caption(plain(f"{len(found):,} rules of {name} fire." if len(found) else f"No rule of {name} fires."))
        best = rules[rules["rule"].isin(found)].sort_values("score", ascending=False).head(_RULES)
        for filters in best["filters"]:
            rule = Rule(tuple(map(int, filters)), label, 0)
            words = f"{patch_items.units(rule.filters, 4)} → {name}"
            if of := parameters.shown("of"):
                navigation.link("mine/rules", words, study=of, rule=rule.name)
            else:  # a study that this visitor is invited to, and cannot open
                st.caption(plain(words))


def _alike(found: Predictions, row: int, label: int) -> None:
    """The most similar images that are rightly of a class."""
    try:
        pairs = nearest(found, row, _NEIGHBOURS, label)
    except Unsupported:
        return
    if not pairs:
        st.caption(plain(f"No other image is rightly predicted as {found.labels[label]}."))
        return
    st.subheader(plain(f"Most similar right images of {found.labels[label]}"), anchor=False)
    rows = np.array([one for one, _ in pairs])
    gallery(
        lambda: Items(
            pixels=found.array("thumbnails")[rows],
            ids=rows.tolist(),
            titles=[str(path).rpartition("/")[2] for path in found.images["path"].iloc[rows]],
            notes=[f"similarity {value:.2f}" for _, value in pairs],
        ),
        ("alike", str(found.path), row, label), key=f"failures-alike-{label}", label=f"Similar images of class {label}",
        noun=("image", "images"), tile=76, height=None, panel=False,
    )  # fmt: skip


def _compare(opened: Opened, row: int, true: int, predicted: int) -> None:
    """Open the case in Compare, with both classes."""
    found = opened.predictions
    picture = picture_of(found, row)
    path = found.source.root / found.source.paths[row]
    label = (found.labels[true], true) if true >= 0 else None
    added = state.session().add(path.read_bytes(), picture.name, label)
    location.go(model=opened.bench.model.name)
    location.go(image=added.sha)
    location.go(targets=tuple(_targets(true, predicted)[:2]))
    navigation.go("explore/compare")
