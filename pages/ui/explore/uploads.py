"""Uploaded images: the uploader, and the page of a link whose image is not available here."""

import streamlit as st

from core.environment import limit
from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.images import FORMATS
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui import components
from pages.ui.session import location, state
from pages.ui.widgets.text import plain


def uploader() -> None:
    """Take images of the user, which become the current ones; they can also be pasted anywhere on the page."""
    kinds = ", ".join(FORMATS[:-1])
    st.file_uploader(
        f"Drag, paste or browse: {kinds} or {FORMATS[-1]}",
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
    labels = ", ".join(workbench.model.labels[index] for index in location.selected(workbench))
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
    pictures = []
    for file in st.session_state.get(_key()) or []:
        try:
            picture = state.session().add(state.received(file), file.name)
        except VitrineError as error:
            state.add_notice("error", str(error))
            continue
        pictures.append(picture)
        if picture.note:
            state.add_notice("info", f"{picture.name}: {picture.note}")
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


def _key() -> str:
    """The key of the uploader; it changes after each upload, so that the uploader is empty again."""
    return f"upload-{st.session_state.get('uploads', 0)}"
