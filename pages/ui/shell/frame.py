"""The frame of every page: navigation, the header with images, model and predictions, and the cache below."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.errors import VitrineError
from core.explain.target_name import TargetName, linked_target
from core.figures import encoding
from core.images import Picture
from core.models import description
from core.models.model import Model
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui import components
from pages.ui.explore import class_choice, folders, gallery, trust, uploads
from pages.ui.session import builds, location, networks, parameters, state, url, visitors
from pages.ui.shell import open_model, tour
from pages.ui.shell.glossary import glossary
from pages.ui.study import open_study
from pages.ui.widgets import downloads, messages
from pages.ui.widgets.text import chance, plain, size


def around(current: Any, parts: frozenset[str], cover: Any) -> None:
    """Run a page below these parts of the header, in place of `cover`; a VitrineError becomes a message."""
    parameters.enter(current.url_path)
    tour.arrive(current.url_path)
    state.forget_notices()
    with messages.error_boundary(current.title):
        with st.container(key="vitrine-opening"):  # of progress bars; also without one, as all places below
            url.adopt()
            workbench, picture = location.bench(), location.picture()
        cover.empty()
        _header(parts, workbench, picture)
        builds.bar()
        with st.container(key="vitrine-notices"):  # also without any, so that what follows, as an open popover, stays
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
    tour.tour(current.url_path)
    _memory()
    _paths()
    url.write()


def _header(parts: frozenset[str], workbench: Workbench, picture: Picture | None) -> None:
    with st.container(key="vitrine-header", gap="small"):
        alone = "units" in parts
        study = open_study.selected(alone=alone) if "study" in parts else None
        used = "image" in parts and (study is None or study.manifest.model.sha == workbench.model.sha)
        _image_strip(examples=used, exports="classes" in parts)
        if study:
            open_study.bar(alone=alone)
        elif alone:
            with open_study.bar(alone=True):
                _models(workbench)
        elif "model" in parts:
            with st.container(key="vitrine-asked"):
                left, right = st.columns([1.25, 3.8], vertical_alignment="center", gap="medium")
            with left:
                _models(workbench)
            if "classes" in parts and picture and not gallery.active():
                with right:
                    _chips(workbench, picture)


def _image_strip(*, examples: bool, exports: bool) -> None:
    """The images, if the page depends on the current one, and the actions."""
    session = state.session()
    uploaded, shared = session.uploads() if examples else {}, session.shared()
    bundled = location.examples() if examples else {}
    here = location.current()
    items = [
        {
            "id": name, "name": one.alt, "own": False, "shared": False,
            "other": not state.suits(one, here.model) and name != here.image,
        }
        for name, one in bundled.items()
    ]  # fmt: skip
    items += [{"id": sha, "name": name, "own": True, "shared": sha in shared, "other": False}
              for sha, name in uploaded.items()]  # fmt: skip
    pictures = [thumb(name) for name in bundled] + [_upload_thumb(sha) for sha in uploaded]
    items_of_folder = folders.items() if examples else []
    sizes = [len(data) for data in pictures]
    components.blobs(
        "thumbnails", {"thumbnails": ({"sizes": sizes, "ids": [item["id"] for item in items]}, b"".join(pictures))}
    )
    shown = session.comparison if exports else None
    ready = bool(shown and shown.answered())
    components.image_strip(
        {
            "items": items + items_of_folder,
            "folder": folders.facts() if examples else None,
            "current": folders.current(here.image),
            "exports": downloads.WHOLE if ready else [],
            "exporting": exports,
            "command": visitors.public(shown.command(location.true_classes(shown.bench, shown.pictures)))
            if shown
            else "",
            "present": here.present,
            "query": url.query(),
            "private": urlencode(visitors.private()),
            "leafing": gallery.active(),
            "frame": [*url.own(), visitors.KEY],
        },
        {
            "pick": _picked_image,
            "export": lambda: downloads.whole(st.session_state["image_strip"].get("export") or {}, trust.numbers),
            "share": _shared_image,
            "remove": _removed_image,
            "turn": lambda: folders.turned(st.session_state["image_strip"].get("turn")),
            "present": lambda: location.go(present=bool(st.session_state["image_strip"].get("present"))),
            "leaf": lambda: gallery.leafed(st.session_state["image_strip"].get("leaf")),
        },
    )
    if examples:
        folders.thumbnails()
    downloads.hand_over("header")


def _models(workbench: Workbench) -> None:
    st.session_state["model"] = workbench.model.name
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="vitrine-model"):
        st.selectbox(
            "Model",
            tuple(dict.fromkeys((*networks.selectable(), workbench.model.name))),  # a study may be of another one
            key="model",
            format_func=lambda name: parsed(name).display,
            on_change=_picked_model,
            label_visibility="collapsed",
            required=True,
        )
        open_model.button()
    if unusual := _unusual(workbench.model):
        st.caption(plain(unusual))


def _unusual(model: Model) -> str:
    """What differs from a softmax of images prepared as the model's source says, and what was assumed, as sentences."""
    parts = []
    if model.output != "softmax":
        parts.append(description.output(model))
    if model.options.prepares:
        parts.append(f"prepared: {description.prepared(model)}")
    text = "; ".join(parts)
    return " ".join(filter(None, (f"{text[:1].upper()}{text[1:]}." if text else "", *model.notes)))


def _chips(workbench: Workbench, picture: Picture) -> None:
    chosen = location.targets(workbench, picture)
    marks = {TargetName((index,)): mark for index, mark in class_choice.marks(workbench, picture).items()}
    top = [TargetName((index,)) for index, _, _ in workbench.top(picture)]
    entries = [
        {
            "target": str(target),
            "label": target.title(workbench.model.labels),
            "chance": chance(workbench, picture, target),
            "mark": marks.get(target, ""),
        }
        for target in dict.fromkeys([*top, *chosen, *marks])
    ]
    components.class_chips({"classes": entries, "chosen": list(map(str, chosen))}, _picked_target)


def _memory() -> None:
    """Buttons that free memory; each says what goes, and nothing else does."""
    session = state.session()
    with st.sidebar.container(key="vitrine-memory", gap="small"):
        cached = f"{size(session.cache.used).removesuffix(' MB')} of {size(session.cache.budget)}"
        st.button(
            f"Clear cached results ({cached})",
            key="clear-results",
            on_click=_freed,
            help="Deletes this tab's cached results. Uploaded images are kept.",
            width="stretch",
        )
        count, memory = networks.others_in_memory(location.current().model)
        if count:
            st.button(
                f"Free {count} other model{'s' * (count != 1)} ({size(memory)})",
                key="free-models",
                on_click=networks.release_others,
                args=(location.current().model,),
                help="Frees the memory of the models that this tab holds besides the current one, unless another tab "
                "uses them. They are loaded again when needed.",
                width="stretch",
            )
        if count := len(session.uploads()):
            st.button(
                f"Remove {count} uploaded image{'s' * (count != 1)} ({size(session.files.used)})",
                key="remove-uploads",
                on_click=_removed_images,
                help="Deletes them with their true classes, and stops sharing them. Cached results are kept.",
                width="stretch",
            )


def _paths() -> None:
    """A switch for the user of this machine: full paths in sentences."""
    if not visitors.shared():
        with st.sidebar.container(key="vitrine-paths"):
            st.toggle("Show full paths", key=visitors.SHOW_PATHS, help="In messages; otherwise only the last part.")


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


def _picked_model() -> None:
    if networks.known(name := st.session_state["model"]):  # a browser can send any text
        location.choose(name)


def _picked_image() -> None:
    picked = st.session_state["image_strip"].get("pick")
    if picked in state.samples() or picked in state.session().uploads():
        location.go(image=picked)
    elif isinstance(picked, str):
        folders.picked(picked)


def _removed_image() -> None:
    _remove([str(st.session_state["image_strip"].get("remove"))])


def _removed_images() -> None:
    _remove(list(state.session().uploads()))


def _remove(uploads: Sequence[str]) -> None:
    """Delete uploads by their hashes; if the current image is one of them, an example follows."""
    for sha in uploads:
        state.session().remove(sha)
    if location.current().image in uploads:
        location.go(image="")


def _shared_image() -> None:
    wanted = st.session_state["image_strip"].get("share") or {}
    sha, session = str(wanted.get("id")), state.session()
    if sha not in session.uploads():
        return
    try:
        session.share(sha) if wanted.get("on") else session.withdraw(sha)
    except VitrineError as error:
        state.add_notice("error", str(error))


def _picked_target() -> None:
    picked = st.session_state["class_chips"].get("pick") or {}
    workbench = location.bench()
    try:  # a browser can send any text
        target = linked_target(str(picked.get("target")), workbench.model)
        chosen = tuple(linked_target(str(text), workbench.model) for text in picked.get("chosen", ()))
    except VitrineError:
        return
    if not picked.get("joins"):
        location.go(targets=(target,))
    elif target in chosen and len(chosen) > 1:
        location.go(targets=tuple(one for one in chosen if one != target))
    elif target not in chosen:
        location.go(targets=(*chosen, target)[-url.MOST :])
