"""Facts of a finished study: its settings beside others, and its missing and skipped images."""

import streamlit as st

from core.serialization import dump, flattened
from core.study import Study
from core.study.browse import STOPS, patches_per_image
from core.workbench import has_weights
from pages.ui.study import moved_files, open_study
from pages.ui.widgets.text import plain


def compared(studies: dict[str, Study]) -> None:
    """The settings of several studies side by side, those that differ first."""
    flat = {name: flattened(dump(dict(study.config))) for name, study in studies.items()}
    keys = sorted({key for settings in flat.values() for key in settings})
    rows = [{"Setting": key, **{name: flat[name].get(key, "") for name in flat}} for key in keys]
    different = [row for row in rows if len({row[name] for name in flat}) > 1]
    st.header("1 setting differs" if len(different) == 1 else f"{len(different)} settings differ", anchor=False)
    st.dataframe(different, hide_index=True, alt="Settings that differ")
    with st.expander(f"{len(rows) - len(different)} identical settings"):
        st.dataframe([row for row in rows if row not in different], hide_index=True, alt="Identical settings")


def lost(study: Study) -> None:
    """Show which images of the study, and whether its weights, are missing now, and ask where they are."""
    folder, data = study.folder, study.manifest.data
    gone, total = study.lost(), data.images - data.skipped
    if len(gone) == total:
        st.caption(plain(f"Its images are not in {folder}; the study's thumbnails are shown."))
    elif gone:
        some = ", ".join(gone[:3]) + (" …" if len(gone) > 3 else "")
        st.caption(plain(f"{len(gone)} of its {total} images are not in {folder}: {some}"))
    if gone:
        moved_files.images(study, "moved-images")
    if not has_weights(study):
        st.caption("Its weights cannot be found. Its results are shown; ablation and the current image need them.")
        moved_files.weights(study, "moved-weights")


def left_out(study: Study) -> None:
    """Show which files of the folder were skipped, and why."""
    images = open_study.table(study, "images")
    problems = images.loc[images["problem"] != "", ["path", "problem"]]
    if len(problems):
        with st.expander(f"Images that could not be read: {len(problems):,}"):
            st.dataframe(problems.rename(columns=str.capitalize), hide_index=True, alt="Images that could not be read")
    for reason, count in study.manifest.data.left_out.items():
        st.caption(plain(f"Left out: {reason}: {count:,}."))


def endings(study: Study) -> None:
    """A chart of patches per image, and the reasons for no more."""
    counts = patches_per_image(open_study.table(study, "images"))
    table = counts.rename(columns={why: words.capitalize() for why, words in STOPS.items()})
    table.insert(0, "Images", counts.sum(axis=1))
    with st.expander("Patches per image, and why others were dropped"):
        st.dataframe(table.reset_index(names="Patches"), hide_index=True,
                     alt="Images by their number of patches and by the reason why no more were kept")  # fmt: skip
