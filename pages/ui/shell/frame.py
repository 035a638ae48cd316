"""The frame of every page: navigation, the header with images, model and predictions, and the cache below."""

from typing import Any

import streamlit as st

from core.errors import VitrineError
from core.figures import encoding
from core.images import Picture
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui import components
from pages.ui.explore import uploads
from pages.ui.session import builds, location, parameters, state, url
from pages.ui.shell.glossary import glossary
from pages.ui.study import open_study
from pages.ui.widgets import downloads, messages
from pages.ui.widgets.text import size


def around(current: Any, parts: frozenset[str], cover: Any) -> None:
    """Run a page below these parts of the header, in place of `cover`; a VitrineError becomes a message."""
    parameters.enter(current.url_path)
    state.forget_notices()
    with messages.error_boundary(current.title):
        url.adopt()
        workbench, picture = location.bench(), location.picture()
        cover.empty()
        _header(parts, workbench, picture)
        builds.bar()
        messages.notices()
        problems = st.container(key="vitrine-problems")
        st.html(f'<h1 class="vitrine-unseen">{current.title}</h1>')
        if "classes" in parts and picture is None:
            uploads.missing(workbench)
        else:
            current.run()
        with problems:
            messages.problems()
    cover.empty()
    messages.notices()
    glossary()
    _memory()
    url.write()


def _header(parts: frozenset[str], workbench: Workbench, picture: Picture | None) -> None:
    with st.container(key="vitrine-header", gap="small"):
        study = open_study.selected() if "study" in parts else None
        used = "image" in parts and (study is None or study.manifest.model.name == workbench.model.name)
        _image_strip(examples=used, exports="classes" in parts)
        if study:
            open_study.bar()
        elif "model" in parts:
            left, right = st.columns([1.25, 3.8], vertical_alignment="center", gap="medium")
            with left:
                _models(workbench)
            if "classes" in parts and picture:
                with right:
                    _chips(workbench, picture)


def _image_strip(*, examples: bool, exports: bool) -> None:
    """The images, if the page depends on the current one, and the actions."""
    session = state.session()
    uploaded, shared = session.uploads() if examples else {}, session.shared()
    bundled = location.examples() if examples else {}
    items = [{"id": name, "name": one.alt, "own": False, "shared": False} for name, one in bundled.items()]
    items += [{"id": sha, "name": name, "own": True, "shared": sha in shared} for sha, name in uploaded.items()]
    pictures = [thumb(name) for name in bundled] + [_upload_thumb(sha) for sha in uploaded]
    sizes = [len(data) for data in pictures]
    components.blobs(
        "thumbnails", {"thumbnails": ({"sizes": sizes, "ids": [item["id"] for item in items]}, b"".join(pictures))}
    )
    shown = session.comparison if exports else None
    ready = bool(shown and shown.answered())
    components.image_strip(
        {
            "items": items,
            "current": location.current().image,
            "exports": downloads.WHOLE if ready else [],
            "exporting": exports,
            "command": shown.command() if shown else "",
            "query": url.query(),
            "frame": list(url.OWN),
        },
        _picked_image,
        lambda: downloads.whole(st.session_state["image_strip"].get("export") or {}),
        _shared_image,
    )
    downloads.hand_over("header")


def _models(workbench: Workbench) -> None:
    st.session_state["model"] = workbench.model.name
    st.selectbox(
        "Model",
        tuple(dict.fromkeys((*state.models(), workbench.model.name))),  # a study may be of another one
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
        uploaded = f" · {images} uploaded image{'s' * (images != 1)}" if images else ""
        st.caption(f"Cached results: {size(used)} of {size(budget)}{uploaded}")
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


def _shared_image() -> None:
    wanted = st.session_state["image_strip"].get("share") or {}
    sha, session = str(wanted.get("id")), state.session()
    if sha not in session.uploads():
        return
    try:
        session.share(sha) if wanted.get("on") else session.withdraw(sha)
    except VitrineError as error:
        state.add_notice("error", str(error))


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
