"""Filter: what one filter responds to, in which classes and rules, and on the current image."""

from reprlib import repr as short

import numpy as np
import streamlit as st

from core.errors import UnknownName
from core.figures import charts
from core.figures.encoding import described
from core.figures.sheet import overlay
from core.figures.style import Span
from core.images import resized
from core.mining.averages import weighted
from core.mining.overview import overview, telling
from core.params import whole
from core.study import Study
from core.study.browse import PatchFilter
from pages.ui.session import location, navigation, parameters, state
from pages.ui.study import ablation, open_study, patch_items, rule_views
from pages.ui.widgets import messages
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain


def filter_parameter(study: Study) -> parameters.Parameter[int]:
    """The parameter for the filter; invalid numbers in the address give the nearest valid one."""
    count = study.manifest.model.filters
    facts = open_study.table(study, "filters")
    rules = overview(open_study.table(study, "rules"), open_study.folder_classes(study)).rules
    first = telling(rules, open_study.table(study, "edges"))
    if first is None:
        first = int(facts["patches"].to_numpy().argmax())

    def read(text: str) -> int:
        number = whole(text.lstrip("Ff"))
        if number is None:
            raise UnknownName(f"There is no filter called {short(text)}.", f"Filters are F0 to F{count - 1}.")
        if number >= count:
            layer = study.manifest.model.layer
            state.add_notice(
                "warning", f"{layer} has no F{number}: its filters are F0 to F{count - 1}. Showing the last one."
            )
        return min(number, count - 1)

    return parameters.Parameter("Filter", "unit", first, read, given={"options": list(range(count))},
                   valid=lambda number: min(max(number, 0), count - 1))  # fmt: skip


def titled(study: Study) -> int:
    """The filter's name, navigation to other filters, and its key facts."""
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    parameter = filter_parameter(study)
    with right.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
        number = parameter.draw(
            st.selectbox, format_func=patch_items.unit, width=140, help="Type a number to find a filter."
        )
        for text, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            st.button(text, shortcut=shortcut, on_click=parameters.put, args=("unit", number + step),
                      disabled=not 0 <= number + step < study.manifest.model.filters)  # fmt: skip
    held = int(open_study.table(study, "filters")["patches"].iloc[number])
    total = study.manifest.tables["patches"].rows
    edges = open_study.table(study, "edges")
    classes = [open_study.label(study, k) for k in edges.loc[edges["filter"] == number, "label"]]
    used = f"used by the rules of {', '.join(classes)}" if classes else "in no rule"
    left.title(plain(f"{study.manifest.model.layer} · {patch_items.unit(number)}"), anchor=False)
    left.markdown(plain(
        f"Among the strongest filters in {held:,} of {total:,} patches ({held / max(total, 1):.1%}), {used}."
    ))  # fmt: skip
    return number


def current_image(study: Study, number: int) -> None:
    """The filter's activation map for the current image."""
    st.header("On the current image", anchor=False)
    if not ablation.fits_current_image(study, "unit"):
        return
    with messages.refused():
        bench, picture = ablation.bench(study, "unit-map"), location.subject()
        activation = bench.activations(picture, study.manifest.model.layer)[number]
        view = bench.view(picture)
        values = resized(activation[None].float(), view.shape[:2])[0].numpy()
        high, usual = float(activation.max()), strongest(study, number)
        note = "" if high > 0 else f"{patch_items.unit(number)} is not active in this image."
        shaded = view if note else overlay(view, np.maximum(values, 0), Span(0, max(high, usual)))
        words = described(patch_items.unit(number), picture.name, values, note)
        st.image(shaded, caption=plain(words), alt=words, width="stretch")
        if not note:
            st.caption(f"Maximum {high:.3g} in this image; the highest mean over a patch in this study is {usual:.3g}.")


def strongest(study: Study, number: int) -> float:
    """The highest mean response within a patch of the study: the upper end of the map's colours."""
    return float(open_study.table(study, "filters")["largest"].iloc[number]) / study.manifest.window**2


def spread(study: Study, number: int) -> None:
    """Its responses by class."""
    st.header("Responses by class", anchor=False)
    if "pooled" in study.manifest.arrays:
        images = open_study.table(study, "images")
        read = images["problem"].to_numpy() == ""
        values, labels = np.asarray(study.array("pooled")[read, number]), images["predicted"][read]
        what, kind = "Mean activation", "images"
    else:
        patches = open_study.catalogue(study)
        values, labels = patches.response(np.arange(len(patches.patches)), (number,)), patches.patches["label"]
        values = values / study.manifest.window**2
        what, kind = "Mean response", "patches"
    active = values > 0
    if not active.any():
        st.caption(f"Inactive in all {len(values):,} {kind}.")
        return
    title = f"{what}, in the {active.sum():,} of {len(values):,} {kind} where it is active"
    st.plotly_chart(charts.responses(values[active], labels.to_numpy()[active], study.labels), key="answers",
                    config={"displayModeBar": False})  # fmt: skip
    st.caption(title)


def averages(study: Study, number: int) -> None:
    """Its average patch over all classes, and in each class whose rules use it."""
    st.header("Average patches", anchor=False)
    catalogue = open_study.catalogue(study)
    rows = catalogue.matching(PatchFilter(filters=(number,)))
    if not len(rows):
        st.caption("It is among the strongest filters of no patch.")
        return
    table = open_study.table(study, "averages")
    table = table[table["filter"] == number].sort_values("weight", ascending=False)

    def make() -> Items:
        every = weighted(study.array("crops")[rows], catalogue.response(rows, (number,)))
        return Items(
            pixels=patch_items.as_pixels(
                np.concatenate([every[None], study.array("averages")[table.index.to_numpy()]])
            ),
            ids=[-1, *table["label"].tolist()],
            titles=["all patches", *(open_study.label(study, k) for k in table["label"])],
            notes=[f"n = {count}" for count in (len(rows), *table["patches"])],
            actions=[("rules", ["Rules of this class"] * (1 + len(table)))],
        )

    picks = gallery(
        make,
        (open_study.key(study), "unit", number),
        key="unit-averages",
        label="Average patches by class",
        noun=("average", "averages"),
        tile=120,
        height=340,
        panel=False,
    )
    if picks.action == "rules":
        navigation.go("mine/rules", label=open_study.label(study, picks.opened) if picks.opened >= 0 else "all")


def patches(study: Study, number: int) -> None:
    """The patches with its highest responses, of all classes."""
    catalogue = open_study.catalogue(study)
    conditions = PatchFilter(filters=(number,))
    rows = catalogue.ordered(catalogue.matching(conditions), "response", conditions.filters)
    st.header("Patches, strongest first", anchor=False)
    if len(rows):
        picks = gallery(
            patch_items.patches(study, rows, noted="response", filters=conditions.filters),
            (open_study.key(study), "of", number),
            key="unit-patches",
            label=f"Patches of {patch_items.unit(number)}",
            height=430,
        )
        patch_items.follow(study, picks)


def rules(study: Study, number: int) -> None:
    """The rules with it, with an ablation of the selected one."""
    mined = open_study.mined(study, open_study.config(study))
    own_rules = mined.rules[[number in filters for filters in mined.rules["filters"]]]
    st.header("Rules", anchor=False)
    if not len(own_rules):
        st.caption("None at this study's support. Other settings can be tried on the Rules page.")
        return
    if chosen := rule_views.picked(study, own_rules, mined.config.filters, "unit-rules", 8):
        ablation.switch(study, chosen.filters, "unit")


@st.fragment
@messages.error_boundary("Filter")
def profile(study: Study) -> None:
    """Everything about one filter."""
    number = titled(study)
    facts = open_study.table(study, "filters").iloc[number]
    if not facts["largest"] > 0 and not facts["patches"]:
        data = study.manifest.data
        read = data.images - data.skipped
        st.info(f"{patch_items.unit(number)} was never active in a patch of the {read:,} images of this study.")
    grid = st.grid(3, min_column_width=270, gap="medium")
    for part in (averages, current_image, spread):
        with grid.cell():
            part(study, number)
    left, right = rule_views.sides(1.6)
    with left:
        patches(study, number)
    with right:
        rules(study, number)


profile(open_study.study())
