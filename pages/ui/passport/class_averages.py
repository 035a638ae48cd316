"""Average visualisations of a unit, one for each class that it is relevant for, on demand."""

from collections.abc import Sequence

import streamlit as st

from core.export.averages import NPZ, average_files, average_key, average_picture
from core.export.command import averages_command
from core.progress import Report, subrange
from core.units.drawn_flowers import images_of
from core.units.folder_images import FolderImages
from core.units.relevance import Average, ClassUnit, average_visualisations
from core.units.store import UnitStore
from pages.ui.session import visitors
from pages.ui.study import patch_items
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import downloads
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_WIDTH = 150  # pixels of a picture


def class_averages(inspected: Inspected, store: UnitStore, of: Sequence[ClassUnit]) -> None:
    """The mean patch of a unit in the images of each class, or the button that computes them."""
    bench, settings = inspected.bench, store.manifest.settings
    stored = store.path / store.manifest.data.folder
    if stored.is_dir() and not visitors.may_read(stored):
        return  # its images are not for visitors

    def work(report: Report) -> tuple[Average, ...]:
        folder = images_of(store, bench.model, subrange(report, 0.0, 0.5))
        images = FolderImages(str(folder), bench.model, limit=settings.images, report=subrange(report, 0.5, 0.6))
        found = average_visualisations(
            bench.model, images, of, classes=settings.settings["classes"], report=subrange(report, 0.6, 1.0)
        )
        return tuple(found)

    key = (bench.model.key, store.manifest.digest, *of)
    passes = len(analyses.table(store, "images"))
    found: tuple[Average, ...] | None = on_demand(
        "averages", key, "Averaging images", work, button="Average by class",
        note=f"What does it respond to in the images of each class? {takes(bench, passes)}",
    )  # fmt: skip
    if found is None:
        return
    if not found:
        st.caption("It responds to no image of these classes.")
        return
    _shown(inspected, store, found)


def _shown(inspected: Inspected, store: UnitStore, found: Sequence[Average]) -> None:
    contrast = st.toggle("Stretch contrast", key="averages-contrast")
    pictures = [average_picture(one.picture, contrast=contrast) for one in found]
    labels, unit = inspected.bench.model.labels, f"{found[0].of.layer} · {patch_items.unit(found[0].of.unit)}"
    with st.container(horizontal=True):
        for one, picture in zip(found, pictures, strict=True):
            name = labels[one.of.label]
            alt = f"Mean of the patches of {name} that {unit} responds to most"
            st.image(picture, caption=plain(f"{name}, n = {one.images:,}"), alt=alt, width=_WIDTH)
    st.caption(
        "The receptive field of the strongest response in each image of the class, averaged with the responses as "
        "weights (Oramas et al. 2019)."
    )
    stem = average_key(found[0].of).partition("-")[2]
    with st.container(horizontal=True):
        downloads.of_pictures(f"{stem}-averages", pictures, lambda: average_files(found)[NPZ], "averages")
        with st.popover("Command", icon=":material/terminal:"):
            line = averages_command(str(store.path), found[0].of.layer, found[0].of.unit)
            st.code(visitors.public(line), language="sh", wrap_lines=True)
