"""Uploaded images: the uploader, and the page of a link whose image is not available here."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import streamlit as st

from core.data.labels import folder_classes
from core.data.listing import LeftOut
from core.data.uploaded import images_of
from core.environment import limit
from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.images import FORMATS, Picture
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui import components
from pages.ui.explore import folders
from pages.ui.session import location, networks, state
from pages.ui.widgets.text import plain

_TOLD = 3  # unreadable files with a sentence each


def uploader() -> None:
    """Take images of the user, which become the current ones; they can also be pasted anywhere on the page."""
    kinds = ", ".join(FORMATS[:-1])
    st.file_uploader(
        f"Drag, paste or browse: {kinds} or {FORMATS[-1]}, or zip archives of them",
        accept_multiple_files=True,
        key=_key(),
        on_change=_store,
        max_upload_size=limit("image") // 10**6,
    )
    st.caption("Images are held in this server's memory and deleted when the tab closes. Nothing is sent elsewhere.")
    components.paste()


def missing(workbench: Workbench) -> None:
    """Say that the image of the link is not available here, and ask for it; everything else of the link is kept."""
    here = location.current()
    st.error(plain(
        f"The image of this link, {location.named(here.image)}, isn't available here: uploaded images stay in the tab "
        "that they were opened in. Upload it to see what the link shows, or choose an example."
    ))  # fmt: skip
    labels = ", ".join(target.title(workbench.model.labels) for target in location.selected(workbench))
    methods = ", ".join(EXPLAINERS[name].title for name in here.methods)
    kept = {"model": parsed(workbench.model.name).display, "classes": labels, "methods": methods}
    st.markdown("Kept from the link: " + plain(" · ".join(f"{what} {text}" for what, text in kept.items() if text)))
    left, _ = st.columns([1, 1])
    with left:
        uploader()


def _store() -> None:
    """Store the uploaded files and make one the current image; unreadable ones add a notice."""
    here = location.current()
    wanted = here.image if location.picture() is None else ""
    pictures, failed = [], []
    left_out = LeftOut()
    files = state.received(st.session_state.get(_key()) or [])
    for name, data in images_of(files, left_out, state.session().files.budget):
        try:
            picture = state.session().add(data, name)
        except VitrineError as error:
            failed.append(str(error))
            continue
        pictures.append(picture)
        if picture.note:
            state.add_notice("info", f"{picture.name}: {picture.note}")
    _report(len(pictures), failed, left_out)
    _label(pictures)
    if len(pictures) > 1:
        folders.show_group("uploads")
    st.session_state["uploads"] = st.session_state.get("uploads", 0) + 1
    if wanted and wanted in [picture.sha for picture in pictures]:
        location.go(image=wanted)
    elif pictures:
        if wanted:
            state.add_notice(
                "warning",
                f"{pictures[-1].name} is not the image of the link. It is shown with the link's classes and methods.",
            )
        location.go(image=pictures[-1].sha, **({"targets": here.targets} if wanted else {}))


def _label(pictures: Sequence[Picture]) -> None:
    """Store the true classes of images from an archive whose class folders are named after classes of the model."""
    model = networks.loaded(location.current().model)
    if model is None or model.output == "regression":
        return
    folders = {one.sha: PurePosixPath(one.name).parent.name for one in pictures}
    classes, _ = folder_classes(sorted({*folders.values()} - {""}), model.labels)
    labelled = {sha: classes[folder] for sha, folder in folders.items() if folder in classes}
    for sha, index in labelled.items():
        state.session().label(sha, (model.labels[index], index))
    if labelled:
        state.add_notice("info", f"The class folders give the true classes of {len(labelled):,} images.")


def _report(count: int, failed: Sequence[str], left_out: LeftOut) -> None:
    """Add notices about files that are left out: a few with a sentence each, many counted."""
    for sentence in failed[:_TOLD]:
        state.add_notice("error", sentence)
    if len(failed) > _TOLD:
        more = len(failed) - _TOLD
        state.add_notice("error", f"{more:,} more file{'s' * (more != 1)} cannot be read either.")
    if reasons := left_out.reasons():
        total = sum(reasons.values())
        listing = "; ".join(f"{reason}: {number:,}" for reason, number in reasons.items())
        added = f"{count:,} image{'s' * (count != 1)} added"
        state.add_notice("warning", f"{added}, {total:,} file{'s' * (total != 1)} left out: {listing}.")


def _key() -> str:
    """The key of the uploader; it changes after each upload, so that the uploader is empty again."""
    return f"upload-{st.session_state.get('uploads', 0)}"
