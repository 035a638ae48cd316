"""The frame of every page: navigation, the header with images, model and predictions, and the cache below."""

from typing import Any

import streamlit as st

from core.figures import encoding
from core.images import Picture
from core.models.name import parsed
from core.resources import ASSETS, ROOT
from core.workbench import Workbench
from pages.ui import components
from pages.ui.session import builds, location, parameters, state, url
from pages.ui.shell.glossary import glossary
from pages.ui.widgets import downloads, messages
from pages.ui.widgets.text import size


def settle() -> None:
    """Page settings, which Streamlit requires first."""
    st.set_page_config("Vitrine", page_icon=str(ASSETS / "icon.png"), layout="wide", initial_sidebar_state=236)
    st.html(ROOT / "pages" / "ui" / "shell" / "frame.css")


def around(current: Any) -> None:
    """Run a page in its frame; a VitrineError becomes a message, and the frame stays."""
    parameters.enter(current.url_path)
    state.forget_notices()
    with messages.error_boundary(current.title):
        url.adopt()
        workbench, picture = location.bench(), location.subject()
        _header(workbench, picture)
        builds.bar()
        messages.notices()
        st.html(f'<h1 class="vitrine-unseen">{current.title}</h1>')
        current.run()
    messages.notices()
    glossary()
    _memory()
    url.write()


def _header(workbench: Workbench, picture: Picture) -> None:
    with st.container(key="vitrine-header", gap="small"):
        _image_strip()
        left, right = st.columns([1.25, 3.8], vertical_alignment="center", gap="medium")
        with left:
            _models(workbench)
        with right:
            _chips(workbench, picture)


def _image_strip() -> None:
    uploads = state.session().uploads()
    examples = location.examples()
    items = [{"id": name, "name": one.alt, "own": False} for name, one in examples.items()]
    items += [{"id": sha, "name": name, "own": True} for sha, name in uploads.items()]
    pictures = [thumb(name) for name in examples] + [_upload_thumb(sha) for sha in uploads]
    sizes = [len(data) for data in pictures]
    components.blobs(
        "thumbnails", {"thumbnails": ({"sizes": sizes, "ids": [item["id"] for item in items]}, b"".join(pictures))}
    )
    shown = state.session().comparison
    ready = bool(shown and shown.answered())
    components.image_strip(
        {
            "items": items,
            "current": location.current().image,
            "exports": downloads.WHOLE if ready else [],
            "command": shown.command() if shown else "",
            "query": url.query(),
            "frame": list(url.OWN),
        },
        _picked_image,
        lambda: downloads.whole(st.session_state["image_strip"].get("export") or {}),
    )
    downloads.hand_over("header")


def _models(workbench: Workbench) -> None:
    st.session_state["model"] = workbench.model.name
    st.selectbox(
        "Model",
        state.models(),
        key="model",
        format_func=lambda name: parsed(name).display,
        on_change=lambda: location.choose(st.session_state["model"]),
        label_visibility="collapsed",
        required=True,
    )


def _chips(workbench: Workbench, picture: Picture) -> None:
    top = [{"index": i, "label": label, "chance": p} for i, label, p in workbench.top(picture)]
    chosen = list(location.targets(workbench, picture))
    extra = [{"index": i, "label": workbench.model.labels[i], "chance": float(workbench.probabilities(picture)[i])}
             for i in chosen if i not in {entry["index"] for entry in top}]  # fmt: skip
    components.class_chips({"classes": top + extra, "chosen": chosen}, _picked_class)


def _memory() -> None:
    session = state.session()
    used, budget = session.cache.used + session.files.used, session.cache.budget + session.files.budget
    with st.sidebar.container(key="vitrine-memory", gap="small"):
        images = len(session.uploads())
        uploads = f" · {images} uploaded image{'s' * (images != 1)}" if images else ""
        st.caption(f"Cached results: {size(used)} of {size(budget)}{uploads}")
        st.button(
            "Clear cached results",
            on_click=_freed,
            help="Deletes this tab's cached results. Uploaded images are kept.",
            width="stretch",
        )


def _freed() -> None:
    state.session().free()


@st.cache_data(show_spinner=False)
def thumb(name: str) -> bytes:
    """A bundled example as a small square JPEG."""
    return encoding.thumbnail(state.sample(state.samples()[name].path).pixels)


def _upload_thumb(sha: str) -> bytes:
    def make() -> bytes:
        picture = state.session().upload(sha)
        return encoding.thumbnail(picture.pixels) if picture else b""

    return state.session().cache.get(("thumbnail", sha), make)


def _picked_image() -> None:
    picked = st.session_state["image_strip"].get("pick")
    if picked in state.samples() or picked in state.session().uploads():
        location.go(image=picked)


def _picked_class() -> None:
    picked = st.session_state["class_chips"].get("pick") or {}
    index, joins = picked.get("index"), picked.get("joins")
    if not isinstance(index, int) or index < 0:
        return
    chosen = tuple(picked.get("chosen", ()))
    if not joins:
        location.go(targets=(index,))
    elif index in chosen and len(chosen) > 1:
        location.go(targets=tuple(i for i in chosen if i != index))
    elif index not in chosen:
        location.go(targets=(*chosen, index)[-url.MOST :])
