"""The head of the page: layer and unit with their choice, the units before and after, and the facts in a sentence."""

from reprlib import repr as short

import pandas as pd
import streamlit as st

from core.errors import UnknownName
from core.mining.overview import overview, telling
from core.params import whole
from core.study import Study
from core.units.passport.sentence import sentence
from pages.ui.passport import classes, strongest
from pages.ui.session import navigation, parameters, state
from pages.ui.study import open_study, patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets.forms import layer_title
from pages.ui.widgets.text import plain


def unit_parameter(inspected: Inspected) -> parameters.Parameter[int]:
    """The parameter for the unit; invalid numbers in the address give the nearest valid one."""
    count, layer = inspected.units, inspected.layer
    first = _first(inspected.study) if inspected.study and inspected.of_study else 0

    def read(text: str) -> int:
        number = whole(text.lstrip("Ff"))
        if number is None:
            raise UnknownName(f"There is no filter called {short(text)}.", f"Filters are F0 to F{count - 1}.")
        if number >= count:
            state.add_notice(
                "warning", f"{layer} has no F{number}: its filters are F0 to F{count - 1}. Showing the last one."
            )
        return min(number, count - 1)

    return parameters.Parameter("Filter", "unit", first, read, given={"options": list(range(count))},
                   valid=lambda number: min(max(number, 0), count - 1))  # fmt: skip


def heading(inspected: Inspected) -> int:
    """Draw the head of the page and return the number of the unit."""
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    parameter = unit_parameter(inspected)
    with right.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
        if inspected.layers:
            _layers(inspected)
        number = parameter.draw(
            st.selectbox, format_func=patch_items.unit, width=100, help="Type a number to find a filter."
        )
        for text, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            st.button(text, shortcut=shortcut, on_click=parameters.put, args=("unit", number + step),
                      disabled=not 0 <= number + step < inspected.units)  # fmt: skip
    left.title(plain(f"{inspected.layer} · {patch_items.unit(number)}"), anchor=False)
    st.markdown(plain(facts(inspected, number)))
    navigation.link("units/units", "All units of this layer", layer=inspected.layer)
    return number


def facts(inspected: Inspected, number: int) -> str:
    """What is known of the unit, as text: of the study's layer from its patches, else from the strongest patches."""
    effect = classes.known_effect(inspected, number)
    table = effect.per_class if effect else None
    if inspected.study and inspected.of_study:
        return _of_study(inspected.study, number, table)
    return strongest.facts(inspected, number, table)


def _of_study(study: Study, number: int, effect: pd.DataFrame | None) -> str:
    catalogue = open_study.catalogue(study)
    held = int(open_study.table(study, "filters")["patches"].iloc[number])
    total = study.manifest.tables["patches"].rows
    rows = (catalogue.items == number).any(1)
    counts = catalogue.patches["label"][rows].value_counts()
    by_class = {open_study.label(study, int(label)): int(count) for label, count in counts.items()}
    edges = open_study.table(study, "edges")
    users = [open_study.label(study, k) for k in edges.loc[edges["filter"] == number, "label"]]
    used = f"Used by the rules of {', '.join(users)}." if users else "In no rule."
    first = f"Among the strongest filters in {held:,} of {total:,} patches ({held / max(total, 1):.1%})"
    return f"{sentence(first, by_class, effect)} {used}"


def _layers(inspected: Inspected) -> None:
    titles = {layer.name: layer_title(layer) for layer in inspected.layers}
    default = inspected.study.manifest.model.layer if inspected.study else inspected.layer
    parameters.choice("Layer", list(titles), "layer", default=default).draw(
        st.selectbox, format_func=titles.get, width=240, help="Size of its output: units × height × width."
    )


def _first(study: Study) -> int:
    """The unit that is shown first: one of the best rule, else the one of most patches."""
    rules = overview(open_study.table(study, "rules"), open_study.folder_classes(study)).rules
    found = telling(rules, open_study.table(study, "edges"))
    return int(open_study.table(study, "filters")["patches"].to_numpy().argmax()) if found is None else found
