"""The frame of every page: navigation, the header with images, model and predictions, and the cache below."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core.errors import VitrineError
from core.figures import encoding
from core.images import Picture
from core.models import description
from core.models.model import Model
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui import components
from pages.ui.explore import uploads
from pages.ui.session import builds, location, parameters, state, url, visitors
from pages.ui.shell import tour
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
    tour.tour(current.url_path)
    _memory()
    _paths()
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
    sizes = [len(data) for data in pictures]
    components.blobs(
        "thumbnails", {"thumbnails": ({"sizes": sizes, "ids": [item["id"] for item in items]}, b"".join(pictures))}
    )
    shown = session.comparison if exports else None
    ready = bool(shown and shown.answered())
    components.image_strip(
        {
            "items": items,
            "current": here.image,
            "exports": downloads.WHOLE if ready else [],
            "exporting": exports,
            "command": shown.command(location.true_class(shown.bench, shown.picture)) if shown else "",
            "present": here.present,
            "query": url.query(),
            "private": urlencode(visitors.private()),
            "frame": [*url.OWN, visitors.KEY],
        },
        {
            "pick": _picked_image,
            "export": lambda: downloads.whole(st.session_state["image_strip"].get("export") or {}),
            "share": _shared_image,
            "remove": _removed_image,
            "present": lambda: location.go(present=bool(st.session_state["image_strip"].get("present"))),
        },
    )
    downloads.hand_over("header")


def _models(workbench: Workbench) -> None:
    st.session_state["model"] = workbench.model.name
    st.selectbox(
        "Model",
        tuple(dict.fromkeys((*state.models(), workbench.model.name))),  # a study may be of another one
        key="model",
        format_func=lambda name: parsed(name).display,
        on_change=_picked_model,
        label_visibility="collapsed",
        required=True,
    )
    if unusual := _unusual(workbench.model):
        st.caption(plain(unusual))


def _unusual(model: Model) -> str:
    """What differs from a softmax of images prepared as the model's source says, as a sentence."""
    parts = []
    if model.output != "softmax":
        parts.append(description.output(model))
    if model.options.prepares:
        parts.append(f"prepared: {description.prepared(model)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _chips(workbench: Workbench, picture: Picture) -> None:
    model, chances = workbench.model, workbench.probabilities(picture)
    chosen = list(location.targets(workbench, picture))
    true = location.true_class(workbench, picture)
    known = [] if true is None else [true]
    indices = dict.fromkeys([*(index for index, _, _ in workbench.top(picture)), *chosen, *known])
    marks = _marks(workbench, picture, true)
    classes = [
        {"index": i, "label": model.labels[i], "chance": chance(model, chances[i]), "mark": marks.get(i, "")}
        for i in indices
    ]
    components.class_chips({"classes": classes, "chosen": chosen}, _picked_class)


def _marks(workbench: Workbench, picture: Picture, true: int | None) -> dict[int, str]:
    """The classes to mark if the true one is known: the predicted ones are right or wrong, the true one is true.

    Of several labels at once the image may have others than the known one, so none of them is wrong.
    """
    if true is None:
        return {}
    model = workbench.model
    predicted = model.asserted(workbench.logits(picture))
    wrong = {} if model.output == "multilabel" else dict.fromkeys(predicted, "wrong")
    return {**wrong, true: "right" if true in predicted else "true"}


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
    if (name := st.session_state["model"]) in state.models():  # a browser can send any text
        location.choose(name)


def _picked_image() -> None:
    picked = st.session_state["image_strip"].get("pick")
    if picked in state.samples() or picked in state.session().uploads():
        location.go(image=picked)


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
