"""The mask of the object in the current image: what it marks, and how another one is given, drawn or taken away."""

from pathlib import PurePosixPath

import numpy as np
import streamlit as st

from core.comparison import Comparison
from core.data.masks import ObjectMask
from core.data.masks.uploaded import KINDS
from core.environment import limit
from core.errors import VitrineError
from core.figures.sheet import overlay
from core.figures.style import Span
from core.images import Picture
from core.workbench import Workbench
from pages.ui.measure import mask_drawing
from pages.ui.session import masks, state
from pages.ui.widgets.text import plain

_EXAMPLE = "The part of the flower that decides its class, as it was drawn."
UPLOADED = "Uploaded."


def controls(shown: Comparison) -> None:
    """A button that opens the mask of the only image: drawing, an uploader for another one, download, removal."""
    bench, (picture,) = shown.bench, shown.pictures
    mask, own = masks.mask(bench, picture, masks.explained(shown, picture)), masks.given(picture)
    with st.popover("Mask" if isinstance(mask, ObjectMask) else "Mask: none", icon=":material/ink_selection:"):
        if isinstance(mask, ObjectMask):
            view, values = bench.view(picture), mask.mask.astype(np.float32)
            st.image(overlay(view, values, Span(0, 1)), alt=f"The mask over {picture.name}", width=280)
            st.caption(plain(" ".join((_origin(picture), *mask.notes))))
        elif mask:
            st.error(plain(f"The mask is not used: {mask}"))
        else:
            st.markdown("There is no mask of the object in this image, so measures of localisation have no number.")
        with st.container(horizontal=True, gap="small"):
            drawn = bool(own and own.outlines)
            label = "Change the drawing" if drawn else "Draw a mask"
            st.button(label, key="draw-mask", icon=":material/draw:", on_click=mask_drawing.open_for, args=(picture,))
            if own:
                _download(picture, own)
                st.button("Remove this mask", icon=":material/delete:", on_click=masks.remove, args=(picture,))
        st.file_uploader(
            "Mask of the object: a picture, white on black, COCO JSON or XML", type=list(KINDS), key=_key(picture),
            on_change=_store, args=(bench, picture), max_upload_size=limit("image") // 10**6,
        )  # fmt: skip


def said(shown: Comparison) -> str:
    """Where the command line expects the masks, as a sentence."""
    (picture, *others) = shown.pictures
    own = masks.given(picture)
    if others or own is None:
        return "MASKS is a folder with the masks, each named as its image is."
    return f"MASKS is a folder with the mask, {file_name(picture, own)}, which can be downloaded under Mask."


def file_name(picture: Picture, own: masks.Given) -> str:
    """The name under which `vitrine measure --masks` finds a mask of an image."""
    ending = PurePosixPath(own.file).suffix.lower()
    return own.file if ending == ".json" else f"{PurePosixPath(picture.name.replace(chr(92), '/')).stem}{ending}"


def _origin(picture: Picture) -> str:
    if own := masks.given(picture):
        return own.origin
    many = masks.files()
    if many and (source := masks.matched([picture.name]).sources.get(picture.name)):
        return f"From {source.file}, one of the masks for many images."
    return _EXAMPLE


def _download(picture: Picture, own: masks.Given) -> None:
    name = file_name(picture, own)
    st.download_button(
        f"Download {PurePosixPath(name).suffix[1:].upper()}", own.content, name, on_click="ignore", key="mask-file",
        icon=":material/download:", help="In a folder, `vitrine measure --masks` takes it for this image.",
    )  # fmt: skip


def _store(bench: Workbench, picture: Picture) -> None:
    """Keep the uploaded mask if it fits; if not, a notice says why."""
    for name, content in state.received([st.session_state.get(_key(picture))]):
        try:
            masks.give(bench, picture, masks.Given(name, content, UPLOADED))
        except VitrineError as error:
            state.add_notice("error", f"The mask is not used: {error}")
    st.session_state["mask-uploads"] = st.session_state.get("mask-uploads", 0) + 1


def _key(picture: Picture) -> str:
    """The key of the uploader; it changes after each upload, so that the uploader is empty again."""
    return f"mask-{picture.key[:16]}-{st.session_state.get('mask-uploads', 0)}"
