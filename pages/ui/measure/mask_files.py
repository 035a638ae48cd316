"""Masks of many images: files that are matched with them by name, and what is said about those that are not."""

from collections.abc import Sequence

import streamlit as st

from core.comparison import Comparison
from core.data.listing import LeftOut
from core.data.masks import ObjectMask
from core.data.masks.uploaded import KINDS, mask_files
from core.environment import limit
from core.errors import VitrineError
from pages.ui.session import masks, state
from pages.ui.widgets.text import plain

_NAMED = 3  # images and files that are named


def controls(shown: Comparison) -> None:
    """A button that opens the masks of the images that are measured, and an uploader for more."""
    pictures = shown.pictures
    names = [one.name for one in pictures]
    found = {one.key: masks.mask(shown.bench, one, masks.explained(shown, one), names) for one in pictures}
    have = sum(isinstance(one, ObjectMask) for one in found.values())
    with st.popover(f"Masks · {have} of {len(pictures)}", icon=":material/ink_selection:"):
        st.markdown(f"{have:,} of {len(pictures):,} images have a mask of their object.")
        refused = [str(one) for one in found.values() if isinstance(one, VitrineError)]
        _told("Without a mask", [one.name for one in pictures if found[one.key] is None])
        for sentence in refused[:_NAMED]:
            st.warning(plain(sentence))
        if len(refused) > _NAMED:
            st.warning(f"{len(refused) - _NAMED:,} more masks cannot be used either.")
        if known := masks.files():
            folder = masks.matched(names)
            many = f"{len(known.files):,} file{'s' * (len(known.files) != 1)}"
            st.caption(plain(" ".join((f"{many} given, for {len(folder.sources):,} of these images.", *folder.notes))))
            st.button("Remove these files", icon=":material/delete:", on_click=masks.remove_files)
        st.file_uploader(
            "Masks: pictures named as the images are, a zip archive of them, COCO JSON or XML",
            type=[*KINDS, "zip"], accept_multiple_files=True, key=_key(), on_change=_store,
            max_upload_size=limit("image") // 10**6,
        )  # fmt: skip


def _told(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        st.caption(plain(f"{what}: {', '.join(names[:_NAMED])}{more}."))


def _store() -> None:
    """Keep the uploaded files; notices say what is left out."""
    left_out, room = LeftOut(), state.session().files.budget // 2
    found = mask_files(state.received(st.session_state.get(_key()) or []), left_out, room)
    try:
        if found:
            masks.give_files(found)
    except VitrineError as error:
        state.add_notice("error", str(error))
    if reasons := left_out.reasons():
        listing = "; ".join(f"{reason}: {number:,}" for reason, number in reasons.items())
        state.add_notice("warning", f"{len(found):,} masks added. Left out: {listing}.")
    st.session_state["masks-uploads"] = st.session_state.get("masks-uploads", 0) + 1


def _key() -> str:
    """The key of the uploader; it changes after each upload, so that the uploader is empty again."""
    return f"masks-of-many-{st.session_state.get('masks-uploads', 0)}"
