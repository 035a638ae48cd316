"""A folder of images on the server: opening and closing it, and its part of the image strip."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.params import expanded
from core.stored_maps.reader import StoredMaps, is_maps
from pages.ui import components
from pages.ui.session import jobs, location, open_folder, state, visitors
from pages.ui.widgets import messages
from pages.ui.widgets.folder_browser import browser

KEY = "open-folder"  # of the text input


def chooser() -> None:
    """Open a folder by its path or with the browser; its images then stand in the strip."""
    if visitors.shared() and not visitors.folders():
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        path = st.text_input("Folder or zip archive of images", key=KEY, placeholder="/home/you/photos")
        browser(KEY)
        if st.button("Open folder", disabled=not path):
            try:
                _open(path)
            except VitrineError as error:
                state.add_notice("error", str(error))
            st.rerun()


def _open(path: str) -> None:
    """Open a folder of images, or the images of a folder of maps with the maps."""
    session = state.session()
    maps = StoredMaps(folder) if is_maps(folder := visitors.permitted(path)) else None
    images = _images_of(maps) if maps else expanded(path)
    session.maps = maps or session.maps  # opened images may be those of the maps, which are found by their hashes
    if images is None:
        return
    found = jobs.working("Listing images", lambda report: open_folder.opened(images, session.cache, report))
    session.folder = found
    show_group("folder")
    skipped = "".join(f" Left out: {reason}: {count:,}." for reason, count in found.folder.skipped.items())
    more = f" Of {found.total:,} images in it." if found.total > len(found) else ""
    state.add_notice("info", f"{found.name} is open: {_images(len(found))}.{more}{skipped}")
    for number in found.numbers():
        try:
            location.go(image=found.picture(number).sha)
        except VitrineError:
            continue
        return


def _images_of(maps: StoredMaps) -> Path | None:
    """The folder of the images that maps are of, with a notice about the maps; None if it is not here."""
    methods = ", ".join(EXPLAINERS[name].title for name in maps.settings.methods if name in EXPLAINERS)
    about = f"{maps.name} holds maps of {_images(maps.finished)} by {methods}, shown as read from {maps.name}."
    if not maps.is_of(location.bench().model):
        model = visitors.public(maps.settings.model)
        about += f" They are of another model than the current one: open {model} with its options to see them."
    images = Path(maps.settings.source)
    if images.exists():
        state.add_notice("info", about)
        return images
    away = f"The images are not in {images.name} any more: open their folder, or upload them."
    state.add_notice("warning", f"{about} {away}")
    return None


def show_group(name: str) -> None:
    """Let the gallery show a group of images the next time it is drawn."""
    st.session_state["gallery.next"] = name


def items() -> list[dict[str, Any]]:
    """The images on the folder's page of the strip."""
    folder = state.session().folder
    if folder is None:
        return []
    return [
        {"id": folder.item(number), "name": folder.path(number), "own": False, "shared": False, "other": False}
        for number in folder.numbers()
    ]


def facts() -> dict[str, Any] | None:
    """The open folder and its page, for the strip."""
    folder = state.session().folder
    if folder is None:
        return None
    shown = folder.numbers()
    span = f"{shown.start + 1:,}–{shown.stop:,} of {len(folder):,}" if folder.pages > 1 else _images(len(folder))
    return {"name": folder.name, "span": span, "pages": folder.pages}


def current(image: str) -> str:
    """The name in the strip of the current image."""
    session = state.session()
    if session.folder is None or image in session.uploads():
        return image
    number = session.folder.number_of(image)
    return image if number is None else session.folder.item(number)


def picked(item: str) -> None:
    """Make an image of the folder the current one; one that cannot be read adds a notice."""
    folder = state.session().folder
    if folder is None or (number := folder.number(item)) is None:
        return
    try:
        location.go(image=folder.picture(number).sha)
    except VitrineError as error:
        state.add_notice("error", str(error))


def turned(pages: object) -> None:
    """Show another page of the folder in the strip; 0 closes it."""
    session = state.session()
    if session.folder is None or not isinstance(pages, int):
        return
    if pages:
        session.folder.turn(pages)
        return
    if session.folder.number_of(location.current().image) is not None:
        location.go(image="")
    session.folder = None


def thumbnails() -> None:
    """Send the thumbnails of the folder's page, which are made in the background."""
    folder, session = state.session().folder, state.session()
    if folder is None:
        return
    job = st.session_state.get("thumbnails")
    if len(folder.thumbnails()) < len(folder.numbers()) and (job is None or not job.running):
        job = st.session_state["thumbnails"] = session.start(folder.draw, "thumbnails")

    @st.fragment(run_every=0.6 if job and job.running else None)
    @messages.error_boundary("Folder")
    def live() -> None:
        folder, job = state.session().folder, st.session_state.get("thumbnails")
        if folder is None:
            return
        before, busy = st.session_state.get("drawing"), bool(job and job.running)
        st.session_state["drawing"] = busy
        ready = folder.thumbnails()
        header = {"sizes": list(map(len, ready.values())), "ids": [folder.item(number) for number in ready]}
        components.blobs("folder", {"thumbnails-folder": (header, b"".join(ready.values()))})
        if before and not busy:
            state.repeat_notices()
            st.rerun()

    live()


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
