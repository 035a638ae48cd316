"""The dialog that opens a model: one of a list, the user's own weights, or one by its name."""

import shlex
from functools import partial
from pathlib import Path

import streamlit as st

from core.data.model_options import ModelOptions
from core.environment import limit
from core.errors import VitrineError
from core.export import model_words
from core.jobs import Job
from core.models import SOURCES, Model, architectures, fitting, listed, weight_sets
from core.models.matching import TOP
from core.models.name import EXPORTED, SUFFIXES, parsed
from core.params import params_of
from pages.ui.session import jobs, location, networks, opened_models, state, visitors
from pages.ui.session.opened_models import OpenedModel
from pages.ui.widgets import forms, messages
from pages.ui.widgets.text import plain, size

SETTINGS = "open-model"  # the owner of the options in the form
LIST, WEIGHTS, NAME = "From a list", "Your own weights", "By its name"
_LISTS = {"": "Bundled and torchvision", "timm": "timm", "hf": "Hugging Face, on this machine"}
_OTHERS = "Write others as hf:ORG/NAME under *By its name*, or start the app with `vitrine app --model hf:FOLDER`."


def button() -> None:
    """The button beside the models of the header, and the dialog while it is open."""
    st.button(
        "Open a model",
        key="open-model",
        icon=":material/add:",
        on_click=_show,
        help="Open a model: another one, or your own",
    )
    if st.session_state.get("open-model-shown"):
        _dialog()


def _show() -> None:
    st.session_state["open-model-shown"] = True
    st.session_state["open-model-kind"] = LIST
    for key in ("source", "search", "name"):
        st.session_state[f"open-model-{key}"] = ""


def _dismissed() -> None:
    """Forget what was entered; a model that is being loaded is given up."""
    _stop()
    for path in state.session().dropped.values():
        opened_models.discard(path)
    state.session().dropped.clear()
    location.settings(SETTINGS).clear()
    st.session_state["open-model-shown"] = False
    st.session_state["open-model-problem"] = ""


@st.dialog("Open a model", width="large", on_dismiss=_dismissed)
def _dialog() -> None:
    _progress()
    if problem := st.session_state.get("open-model-problem"):
        st.error(plain(problem))
    kinds = [LIST, WEIGHTS] if visitors.shared() else [LIST, WEIGHTS, NAME]
    kind = st.segmented_control("Models", kinds, key="open-model-kind", required=True, label_visibility="collapsed")
    shown = {LIST: _from_a_list, WEIGHTS: _own_weights, NAME: _by_name}
    with messages.refused():
        shown[kind if kind in kinds else LIST]()  # a browser can send any text
    _opened_here()


def _progress() -> None:
    """The progress of the model that is being loaded, with a button that stops it."""
    opening: tuple[OpenedModel, Job[Model]] | None = st.session_state.get("opening")
    if opening is None:
        return
    model, job = opening
    job.wait(0.3)  # most are loaded by then

    @st.fragment(run_every=0.5)
    def live() -> None:
        if job.running:
            with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
                jobs.progress(job, _stop, "stop-opening")
        else:
            _ended(model, job)
            st.rerun()

    live()


def _ended(model: OpenedModel, job: Job[Model]) -> None:
    """Show the page of a model that is loaded; the dialog says why another is not."""
    st.session_state["opening"] = None
    if job.state == "done":
        networks.adopt(model)
        location.choose(model.name)
        _dismissed()
    elif job.error:
        networks.give_up(model)
        st.session_state["open-model-problem"] = str(job.error)


def _stop() -> None:
    """Load no further."""
    if opening := st.session_state.get("opening"):
        networks.give_up(opening[0])
    st.session_state["opening"] = None


def _start(name: str, loads: str, options: ModelOptions) -> None:
    model = OpenedModel(name, loads, options)
    st.session_state["opening"] = model, networks.begin(model)
    st.session_state["open-model-problem"] = ""


def _open_button(model: OpenedModel | None) -> None:
    """The button that opens a model, and the command line that does the same."""
    busy = st.session_state.get("opening") is not None
    st.button(
        f"Open {plain(parsed(model.name).display)}" if model else "Open", key="open-chosen", type="primary",
        disabled=model is None or busy, on_click=_start,
        args=(model.name, model.loads, model.options) if model else (),
    )  # fmt: skip
    if model:
        _command(model)


def _command(model: OpenedModel) -> None:
    """The command line that opens a model, for the folder in which its files are."""
    words = ["vitrine", "app", *model_words(model.name, model.shown_options)]
    st.code(visitors.public(shlex.join(words)), language="sh")


def _from_a_list() -> None:
    """A table of models with what is known of them, narrowed by words."""
    left, right = st.columns([1, 2])
    source = left.selectbox("Source", list(_LISTS), format_func=_LISTS.__getitem__, key="open-model-source")
    words = right.text_input("Search", key="open-model-search", placeholder="Name, family, license or input size")
    if source not in _LISTS:
        source = ""
    if source:
        visitors.check_hub(SOURCES[source].title)
    wanted = words.casefold().split()
    found = [
        one
        for one in listed(source)
        if all(word in f"{one.name} {one.family} {one.source} {one.license} {one.size}".casefold() for word in wanted)
    ]
    if not found and source == "hf" and not wanted:
        st.info(f"The cache of the Hugging Face hub on this machine holds no image classifier. {_OTHERS}")
        return
    if not found:
        st.info(plain(f"No model matches {words!r}. Search for a part of the name, such as resnet."))
        return
    chosen = st.dataframe(
        {
            "Name": [one.name for one in found],
            "Family": [one.family for one in found],
            "Source": [one.source for one in found],
            "Parameters (M)": [one.parameters and round(one.parameters / 1e6, 1) for one in found],
            "MB": [one.megabytes and round(one.megabytes, 1) for one in found],
            "Input (px)": [one.size for one in found],
            "Classes": [one.classes for one in found],
            "Accuracy (%)": [one.accuracy and round(one.accuracy, 1) for one in found],
            "License": [one.license for one in found],
        },
        hide_index=True, height=320, on_select="rerun", selection_mode="single-row", alt="Models to open",
        key=f"open-model-list-{source}-{words}",
    )  # fmt: skip
    where = _OTHERS if source == "hf" else "All but bundled weights are downloaded at the first use."
    st.caption(f"{len(found):,} models. Select one; a heading sorts. {where}")
    rows = [row for row in chosen["selection"]["rows"] if row < len(found)]
    if rows and source and found[rows[0]].parameters is None:
        _parameters(source, found[rows[0]].name)
    name = found[rows[0]].name if rows else ""
    _open_button(OpenedModel(name, name, networks.options_of(name)) if name else None)


def _parameters(source: str, name: str) -> None:
    """The number of parameters of a model whose list does not say it."""
    count = state.session().cache.get(("parameters", name), lambda: SOURCES[source].parameters(name))
    if count:
        st.caption(plain(f"{name} has {count / 1e6:,.1f} million parameters."))


def _own_weights() -> None:
    """Files of weights or of an exported network, and of labels; the architecture, and the options of the model."""
    exported = "" if visitors.shared() else f", or an exported network ({EXPORTED})"
    weights = _file("weights", f"Weights ({', '.join(SUFFIXES[:2])} …){exported}", limit("upload"))
    labels = _file("labels", "Labels (optional), one class per line", limit("text"))
    kept = ", until you close the model or do not use it for a week" if visitors.shared() else ""
    st.caption(f"Files are stored in your folder on this server{kept}. Nothing in them is run.")
    if weights and _is_exported(weights.name):
        options = _options(labels=str(labels or ""), weight_set="", revision="")
        _open_button(opened_models.exported(weights, options))
        return
    known = architectures()
    fits = _fitting(weights) if weights else ()
    architecture = st.selectbox(
        "Architecture", [*fits, *(name for name in known if name not in fits)], index=0 if fits else None,
        key=f"open-model-architecture-{weights.parent.name if weights else ''}",
        accept_new_options=not visitors.shared(),
        format_func=lambda name: f"{name} (its tensors fit)" if name in fits else name,
        placeholder="Choose one" if visitors.shared() else "Choose one, or write timm:NAME",
    )  # fmt: skip
    if weights and not fits:
        known_of = "torchvision" if visitors.shared() else "torchvision or timm"
        st.info(f"The tensors fit no architecture of {known_of} as they are: choose the one that they are for.")
    if architecture:
        opened_models.check_architecture(architecture, known)
    chosen = _weight_set(architecture, weights)
    options = _options(labels=str(labels or ""), weight_set=chosen, revision="")
    _open_button(opened_models.own(architecture, weights, options) if weights and architecture else None)


def _is_exported(name: str) -> bool:
    return name.lower().endswith(EXPORTED)


def _by_name() -> None:
    """A name in any spelling of the command line; code of the user is not run."""
    name = st.text_input("Name", key="open-model-name", placeholder="hf:google/vit-base-patch16-224").strip()
    st.caption(
        "`timm:NAME`, `hf:ORG/NAME` or `hf:FOLDER`, `ARCH@FILE` or `timm:NAME@FILE` with the path of a file on this "
        "machine. Own code, `FILE.py:FUNCTION`, is opened by the command line alone: `vitrine app --model`."
    )
    options = _options(labels="")
    if name:
        name = str(parsed(name).absolute)
    _open_button(OpenedModel(name, name, options) if name else None)


def _options(**given: str) -> ModelOptions:
    """The options of a model as the form says, apart from those that are given."""
    with st.expander("Outputs and preparation of images"):
        forms.settings([param for param in params_of(ModelOptions) if param.name not in given], SETTINGS)
    return ModelOptions.checked(**{**location.settings(SETTINGS), **given})


def _weight_set(architecture: str | None, weights: Path | None) -> str:
    """The choice of a set of weights, if a file holds several for an architecture; "" for the default."""
    if not (architecture and weights):
        return ""
    key = ("weight sets", weights.parent.name, architecture)
    try:
        sets: tuple[str, ...] = state.session().cache.get(key, lambda: weight_sets(architecture, weights))
    except VitrineError:  # it does not fit, which is said when it is opened
        return ""
    if len(sets) < 2:
        return ""
    chosen = st.selectbox(
        "Set of weights", sets, key=f"open-model-set-{weights.parent.name}-{architecture}",
        format_func=lambda name: "without a prefix" if name == TOP else name,
        help="The file holds several that fit. The first is taken by default: averaged weights, if there are any.",
    )  # fmt: skip
    return "" if chosen == sets[0] or chosen not in sets else chosen


def _file(kind: str, label: str, most: int) -> Path | None:
    """An uploader for a file that is stored when it is dropped; where it is stored."""
    key = f"open-model-{kind}-{st.session_state.get(f'open-model-{kind}-count', 0)}"
    st.file_uploader(label, key=key, max_upload_size=max(1, most // 10**6), on_change=partial(_dropped, kind, key))
    path = state.session().dropped.get(kind)
    if path:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(plain(f"{path.name}, {size(path.stat().st_size)}"))
            st.button("Remove", key=f"open-model-remove-{kind}", on_click=_remove, args=(kind,), type="tertiary")
    return path


def _dropped(kind: str, key: str) -> None:
    """Store a file that was dropped, in place of an earlier one."""
    for name, content in state.received([st.session_state.get(key)]):
        st.session_state["open-model-problem"] = ""
        try:
            if kind == "weights" and _is_exported(name):
                visitors.check_exported()
            path = opened_models.store(content, name, "upload" if kind == "weights" else "text")
        except VitrineError as error:
            st.session_state["open-model-problem"] = str(error)
        else:
            if path != state.session().dropped.get(kind):
                _remove(kind)
            state.session().dropped[kind] = path
        st.session_state[f"open-model-{kind}-count"] = st.session_state.get(f"open-model-{kind}-count", 0) + 1


def _remove(kind: str) -> None:
    if path := state.session().dropped.pop(kind, None):
        opened_models.discard(path)


def _fitting(weights: Path) -> tuple[str, ...]:
    """The architectures whose tensors a file has. Raises BadModel for a file that is no weights."""
    timm = not visitors.shared()  # who may not open its networks
    with st.spinner("Comparing the tensors with those of known architectures."):
        return state.session().cache.get(("fitting", weights.parent.name), lambda: fitting(weights, timm=timm))


def _opened_here() -> None:
    """The models that this tab opened: memory, what was assumed, the command line, and a button that closes each."""
    models = state.session().models
    if not models:
        return
    st.subheader("Opened in this tab", anchor=False)
    for model in list(models.values()):
        network = networks.loaded(model.name)
        with st.container(horizontal=True, vertical_alignment="center"):
            memory = f"{size(network.memory)} in memory" if network else "not in memory"
            st.markdown(plain(f"{parsed(model.name).display}: {memory}"))
            if st.button("Close", key=f"close-{model.name}", type="tertiary",
                         help="Frees it and deletes uploaded files that no study of yours needs."):  # fmt: skip
                _close(model.name)
        if network and network.notes:
            st.caption(plain(" ".join(network.notes)))
        _command(model)


def _close(name: str) -> None:
    networks.close(name)
    if location.current().model == name:
        location.choose(location.first_model())
    st.rerun()  # the page, too: a click in a dialog runs the dialog alone
