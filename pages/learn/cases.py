"""Three cases: methods on several objects of a class, on one, and on objects of different classes, with answers."""

import io

import pandas as pd
import streamlit as st
from PIL import Image

from core.comparison import Comparison, Tile
from core.data.flowers import class_names
from core.data.flowers.cases import KINDS, VARIANT, Case, Kind, case
from core.exam.three_cases import CHOICE, CONTROLS, EVIDENCE, METHODS, TITLES, Answer, answers, bundled, mean, suitable
from core.explain import EXPLAINERS
from core.explain.target_name import TargetName
from core.images import Picture, decode
from core.measure.intervals import Interval
from core.workbench import Request, Workbench
from pages.ui.explore import comparison
from pages.ui.session import location, navigation, networks, parameters, state
from pages.ui.widgets import comparison_grid, messages

MOST = 30  # flowers to choose from
SOON = 2.0  # seconds of maps that start without a click: the numbers below are there at once
SHOWN = [name for name in METHODS if name not in CONTROLS]
SIGNS = {True: "✓ as the text says", False: "✗ the opposite", None: "– undecided"}


@st.cache_data(max_entries=4 * MOST, show_spinner=False)
def file_of(kind: Kind, index: int) -> bytes:
    """The picture of a case as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(case(kind, index).image).save(stream, "PNG")
    return stream.getvalue()


def name_of(kind: Kind, index: int) -> str:
    """The name of the file of a case."""
    return f"{kind}-{index}.png"


def grid(shown: Comparison) -> None:
    """A row for each case, a column for each method."""
    messages_by_name: dict[str, comparison_grid.Message] = {}
    rows, cells = [], []
    for picture in shown.pictures:
        tiles = [tile for tile in shown.tiles if tile.picture.key == picture.key]
        row = comparison_grid.row(shown.bench, picture, tiles[0].request.target)
        messages_by_name[row["photo"]] = {}, comparison_grid.photo_of(shown.bench, picture)
        messages_by_name |= {comparison_grid.tile_id(shown, one): comparison_grid.tile(shown, one) for one in tiles}
        rows.append(row)
        cells.append([comparison_grid.tile_id(shown, one) for one in tiles])
    comparison_grid.grid(messages_by_name, rows, [comparison_grid.column(name) for name in SHOWN], cells, "cases")


def opened(kind: Kind, index: int) -> None:
    """Open a case in Compare."""
    one = case(kind, index)
    label = class_names(VARIANT)[one.label]
    picture = state.session().add(file_of(kind, index), name_of(kind, index), (label, one.label))
    labels = dict.fromkeys((one.label, one.other))
    location.go(model=f"flowers-{VARIANT}")
    location.go(image=picture.sha)
    location.go(targets=tuple(TargetName((label,)) for label in labels), methods=tuple(SHOWN))


def told(one: Interval | None) -> str:
    """A mean with its interval."""
    if one is None:
        return "–"
    return f"{one.mean:.2f}{one.bounds('.2f')}".replace("-", "−")


def table(scores: pd.DataFrame) -> pd.DataFrame:
    """The evidence on the objects of every method in every case."""
    columns = {TITLES[kind]: [told(mean(scores, kind, name, EVIDENCE)) for name in METHODS] for kind in KINDS}
    right = [told(mean(scores, "mixed", name, CHOICE)) for name in METHODS]
    titles = [EXPLAINERS[name].title for name in METHODS]
    return pd.DataFrame({"Method": titles, **columns, "… on the right one of the two": right})


def answered(one: Answer) -> None:
    """A question, the answer of the text, and what was measured."""
    with st.expander(one.question, expanded=True):
        st.markdown(f"**The text:** {one.claim}")
        st.table(
            pd.DataFrame({
                "Measured": [found.text for found in one.findings],
                "Mean difference and 95% interval": [told(found.interval) for found in one.findings],
                "Verdict": [SIGNS[found.holds] if found.expected else "" for found in one.findings],
            }).set_index("Measured")
        )  # fmt: skip


@st.cache_data(show_spinner=False)
def of_bundled() -> tuple[pd.DataFrame, int, list[Answer], dict[Kind, list[str]]]:
    """What the scores that come with Vitrine say: the table, of how many pictures each case, answers, suitable methods.

    Kept, as the intervals of several hundred differences take a third of a second.
    """
    scores = bundled()
    fitting = {kind: suitable(scores, kind) for kind in KINDS}
    return table(scores), int(scores["image"].nunique()), answers(scores), fitting


@messages.error_boundary("Three cases")
def page() -> None:
    """The pictures with their maps, the scores, and the questions."""
    st.header("Three cases", anchor=False)
    st.markdown(
        "A picture may show several objects of a class, one, or objects of different classes. Song and Zhang's review "
        "compares methods on a photo of each and asks why they differ (section 3.3). Here each case is made of flowers "
        "whose pixels are known, so that every answer can be measured."
    )
    index = parameters.number("Flowers", 1, MOST, "flowers", default=1, step=1).draw(st.number_input, width=160) - 1
    bench = Workbench(networks.of(f"flowers-{VARIANT}"), state.session().cache)
    cases: dict[Kind, Case] = {kind: case(kind, index) for kind in KINDS}
    pictures: dict[Kind, Picture] = {kind: decode(file_of(kind, index), name_of(kind, index)) for kind in KINDS}
    tiles = [
        Tile(pictures[kind], Request(name, TargetName((one.label,)), EXPLAINERS[name].budget("quick")))
        for kind, one in cases.items()
        for name in SHOWN
    ]
    comparison.drawn(comparison.current(bench, tiles, seconds=SOON), "cases", grid)
    with st.container(horizontal=True):
        for kind in KINDS:
            if st.button(f"Open in Compare: {TITLES[kind].lower()}", key=f"cases.{kind}"):
                opened(kind, index)
                navigation.go("explore/compare")
    evidence, count, found, fitting = of_bundled()
    st.subheader("Evidence on the objects", anchor=False)
    st.dataframe(evidence, hide_index=True, alt="Share of the positive evidence on the objects, by method and case")
    st.caption(
        f"Share of the positive evidence on the objects of the class: mean over {count} pictures of each case and its "
        "95% interval. Edge detector and Random do not depend on the network. `vitrine cases` measures it again."
    )
    st.subheader("The questions of the text", anchor=False)
    for one in found:
        answered(one)
    with st.expander("Which methods suit which pictures?", expanded=True):
        st.markdown(
            "**The text:** all but deconvnet for one object; excitation backprop, Grad-CAM and gradients for several; "
            "contrastive excitation backprop, extremal perturbation and Grad-CAM for different classes."
        )
        for kind in KINDS:
            names = ", ".join(EXPLAINERS[name].title for name in fitting[kind]) or "none"
            st.markdown(f"**{TITLES[kind]}:** {names}")
        st.caption(
            "Listed if there is more evidence on the objects than the edges of the image have there, in all of the "
            "interval; with two classes also more on the right object than on the other."
        )


page()
