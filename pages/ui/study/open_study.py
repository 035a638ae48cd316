"""The open study of a session: its choice, its tables in memory, and links to pages about it."""

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.environment import app_model, device, home
from core.errors import StudyError, Unavailable, VitrineError, printable
from core.explain import EXPLAINERS
from core.images import window_text
from core.mining import graph
from core.mining.averages import contributing, weighted
from core.mining.rules import Mined, mine, stored
from core.mining.transactions import Transactions
from core.models import Model
from core.models.name import parsed
from core.models.sources import efficientnet_lite
from core.progress import Report
from core.study import BUNDLED, Study, StudyEntry, list_studies
from core.study.browse import Catalogue, Rows, right_share
from core.study.build import config_of
from core.study.config import MiningConfig
from core.study.tags import Tags
from core.workbench import study_model, study_options, study_source
from pages.ui.session import location, navigation, networks, parameters, state, visitors
from pages.ui.session.jobs import once, working
from pages.ui.session.opened_models import OpenedModel
from pages.ui.widgets.text import plain

ALONE = "none"  # in addresses: the current model without a study, on pages that need none


def folder() -> Path:
    """The folder of this user's own studies, or of this visitor's."""
    return visitors.own_home() / "studies"


def listed() -> dict[str, StudyEntry]:
    """All studies by the name used in pages and addresses: bundled, of the server's user, of a visitor."""
    entries: dict[str, StudyEntry] = {}
    folders = dict.fromkeys((BUNDLED, home() / "studies", folder()))
    for entry in [entry for folder in folders for entry in list_studies(folder)]:
        name = printable(entry.path.name)  # names of files need not be texts
        while name in entries:
            name = f"{name} (yours)"
        entries[name] = entry
    return entries


def bar(*, alone: bool = False) -> AbstractContextManager[object]:
    """The open study in the header: its choice, its model and data; the place right of it, empty without a study."""
    entries, alone_name = _sound(), f"{parsed(location.current().model).display}, without a study"
    left, right = st.columns([1, 2.6], vertical_alignment="center", gap="medium")
    with left:
        name = _choice(entries, alone=alone).draw(
            st.selectbox, label_visibility="collapsed", help="The study shown on this page.",
            format_func=lambda name: alone_name if name == ALONE else name,
        )  # fmt: skip
    if name in entries:
        with right.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(plain(summary(entries[name])))
            if share := right_share(entries[name], table(entries[name], "images")):
                navigation.link("explore/failures", f"{share.mean:.1%} of {share.n:,} right", of=name)
        if entries[name].path.parent == BUNDLED:
            unstudied(entries.values())
    return right


def selected(*, alone: bool = False) -> Study | None:
    """The open study, None if there is none; `alone` also where the current model was chosen without one."""
    entries = _sound()
    return entries.get(_choice(entries, alone=alone).value()) if entries else None


def study() -> Study:
    """The open study; if there is none, a link to build one, and the page ends."""
    entries = _sound()
    if not entries:
        st.info("There is no study yet. A study is built once from a model and a folder of images, then explored here.")
        navigation.link("mine/studies", "Build a study")
        st.stop()
    name = str(parameters.shown("study"))  # set by the bar
    if st.session_state.setdefault("shelf", name) != name:
        st.session_state["shelf"] = name
        parameters.forget_everywhere(("image", "average"))  # these indices differ between studies
    return entries[name]


def _sound() -> dict[str, Study]:
    return {name: entry.study for name, entry in listed().items() if entry.study}


def _choice(entries: dict[str, Study], *, alone: bool = False) -> parameters.Parameter[str]:
    """The parameter for the study, by default one of the current model; `alone` adds the choice of none."""
    fitting = [name for name, entry in entries.items() if entry.manifest.model.name == location.current().model]
    names = [*entries, *([ALONE] if alone else [])]
    default = [*fitting, *([ALONE] if alone else []), *entries][0]
    chosen = parameters.choice("Study", names, "study", default=default)

    def read(text: str) -> str:
        if text == ALONE:
            return ALONE if alone else default
        entry = listed().get(text)
        if entry and entry.problem:
            raise StudyError(entry.problem)
        return chosen.read(text)

    return replace(chosen, read=read)


def unstudied(studies: Iterable[Study]) -> None:
    """Explain why the bundled photo classifier has no study, and how to build one, until there is one."""
    studied = {study.manifest.model.name for study in studies}
    if location.current().model == efficientnet_lite.NAME and efficientnet_lite.NAME not in studied:
        build = f"vitrine study build --model {efficientnet_lite.NAME} --data PHOTOS --out STUDY"
        st.caption(
            f"No study of {plain(efficientnet_lite.NAME)} is bundled, since few photos may be redistributed: "
            f"build one from your own images on the Studies page, or with `{build}`."
        )


def summary(study: Study) -> str:
    """A study in a line."""
    manifest = study.manifest
    model, data, method = manifest.model, manifest.data, manifest.config["explainer"]
    title = EXPLAINERS[method].title if method in EXPLAINERS else method
    patches = manifest.tables["patches"].rows
    window = manifest.settings.value_window()
    return (
        f"{parsed(model.name).display}, layer {model.layer} with {model.filters:,} filters · "
        f"{data.images:,} images · {patches:,} patches of {manifest.window} px selected by {title}"
        f"{f' · {window_text(window)}' if window else ''}"
    )


def catalogue(study: Study) -> Catalogue:
    """The study's patches in memory, shared by all sessions."""
    return _catalogue(key(study), study)


def table(study: Study, name: str) -> pd.DataFrame:
    """A table of the study, read once; must not be modified."""
    return _table((key(study), name), study)


def folder_classes(study: Study) -> frozenset[int]:
    """The classes of the study's images by their folders; empty if none is known."""
    classes = table(study, "classes")
    return frozenset(classes.loc[classes["images"] > 0, "label"].tolist())


def config(study: Study) -> MiningConfig:
    """The settings with which the study's own rules were mined."""
    return config_of(study).mining


def mined(study: Study, config: MiningConfig) -> Mined:
    """The result of mining the study's transactions with these settings, cached for recent settings.

    The study's own settings give its stored rules. Raises TooLarge if there are too many sets.
    """

    config = replace(config, per_rule=config_of(study).mining.per_rule)  # says nothing about rules

    def work(report: Report) -> Mined:
        if _effective(study, config) == _effective(study, config_of(study).mining):
            return stored(study, config)
        return mine(study, config, seed=study.manifest.seed, report=report)

    return once(_mined, (key(study), config), "Mining rules", work)


def nodes_of(study: Study, edges: pd.DataFrame) -> pd.DataFrame:
    """The nodes of these edges with their positions, cached."""
    return _nodes((key(study), tuple(columns(edges, "filter", "label", "weight"))), study, edges)


def _effective(study: Study, config: MiningConfig) -> MiningConfig:
    """The same settings, with at most as many filters per patch as the study stores."""
    return replace(config, filters=min(config.filters, study.manifest.arrays["items"].shape[1]))


def model(study: Study) -> Model:
    """The study's model, shared by all sessions. Raises what `study_model` raises.

    One of the list is shared with other pages, as are the app's own and those that the session opened, if they are the
    same; other weights are found by the study. Code of one's own is run only as the app's own.
    """
    facts = study.manifest.model
    name = parsed(facts.name)
    if not name.path and name.source != "python":
        network = networks.of(facts.name, study_options(study))
        if network.sha != facts.sha:
            st.warning(plain(f"The weights of {facts.name} have changed since this study was built."))
        return network
    opened = [one for one in state.session().models if parsed(one).display == name.display]
    for other in dict.fromkeys(filter(None, (app_model(), *opened))):
        if replace(networks.options_of(other), labels="") == study_options(study):
            own = networks.of(other)
            if own.sha == facts.sha:
                return own if own.labels == study.labels else replace(own, labels=study.labels)
    title = f"Opening {name.display}"
    return networks.shared(("study", key(study)), title, lambda report: study_model(study, device(), report))


def openable(study: Study) -> bool:
    """Whether this session may explore images with the study's model: own weights only on the user's machine."""
    name = parsed(study.manifest.model.name)
    return networks.known(str(name)) or bool(not visitors.shared() and name.path and name.source != "python")


def switch_model(study: Study) -> None:
    """Explore the current image with the study's model. Raises what loading it raises."""
    name = parsed(study.manifest.model.name)
    if networks.known(str(name)):
        location.choose(str(name))
        return
    if not networks.known(name.display) or networks.of(name.display).sha != study.manifest.model.sha:
        title = f"Opening {name.display}"
        loads, options = working(title, lambda report: study_source(study, device(), report))
        networks.adopt(OpenedModel(name.display, loads, options))
    location.choose(name.display)


def key(study: Study) -> str:
    """The cache key of a study's content."""
    return f"{study.manifest.digest} {study.path}"


def averaged(
    study: Study, uniform: bool, top: int, per_rule: bool | None = None
) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    """For each row of table `averages` its picture in [0, 1], its patches and their responses, heaviest first.

    `uniform` ignores the responses, `top` (0 for all) uses only that many of the heaviest, `per_rule` counts a patch
    once for each rule; by default as the study does.
    """
    rules = mined(study, config(study))
    per_rule = rules.config.per_rule if per_rule is None else per_rule
    rules = replace(rules, config=replace(rules.config, per_rule=per_rule))
    return _averaged((key(study), uniform, top, per_rule), study, rules)


# The first argument of each is its cache key; the others are not part of it.
@st.cache_resource(max_entries=4, show_spinner=False)
def _catalogue(key: str, _study: Study) -> Catalogue:  # noqa: ARG001
    return Catalogue(_study)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(key: tuple[str, str], _study: Study) -> pd.DataFrame:
    return _study.table(key[1])


@st.cache_resource(max_entries=16, show_spinner=False)
def _nodes(key: tuple[str, Any], _study: Study, _edges: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    return graph.nodes_of(_edges, _study.labels, _study.manifest.seed)


@st.cache_resource(max_entries=64, show_spinner=False)
def _mined(key: tuple[str, MiningConfig], _found: Mined | None) -> Mined:
    if _found is None:
        raise LookupError(key)
    return _found


@st.cache_resource(max_entries=16, show_spinner=False)
def _averaged(
    key: tuple[str, bool, int, bool], _study: Study, _found: Mined
) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    _, uniform, top, _ = key
    patches, crops = catalogue(_study), _study.array("crops")
    transactions = Transactions(patches.items, patches.patches["label"].to_numpy(np.int64))
    pictures, rows, responses = [], [], []
    for label, number in columns(table(_study, "averages"), "label", "filter"):
        own_rows, strengths, counts = contributing(_found, transactions, patches.responses, label, number)
        weights = counts.astype(np.float64) if uniform else strengths * counts
        kept = slice(top or None)
        pictures.append(weighted(crops[own_rows[kept]], weights[kept]).astype(np.float32))
        rows.append(own_rows[kept])
        responses.append(strengths[kept])
    return np.stack(pictures), rows, responses


def tags(study: Study) -> dict[int, tuple[str, ...]]:
    """This user's tags by patch; none, with a warning on the page, if they cannot be read."""
    try:
        return Tags(visitors.own_home(), study.manifest.digest).all()
    except Unavailable as error:
        st.warning(plain(f"Tags are not available. {error}"))
        return {}


def change_tags(study: Study, patches: Iterable[int], tag: str, on: bool) -> None:
    """Add a tag to these patches, or remove it; the page says why it cannot be done."""
    try:
        Tags(visitors.own_home(), study.manifest.digest).change(patches, tag, on)
    except VitrineError as error:
        state.add_notice("error", str(error))


def class_texts(study: Study) -> list[str]:
    """The classes in addresses of the page *Class*: their names, with their number where several have the same."""
    counts = Counter(study.labels)
    return [f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(study.labels)]


def about_class(study: Study, number: int, /, **query: str) -> None:
    """A link to the page about a class, of the open study unless the query names another one; nothing for none."""
    if 0 <= number < len(study.labels):
        text = plain(f"About {study.labels[number]}")
        navigation.link("mine/classes", text, **{"class": class_texts(study)[number], **query})


def label(study: Study, number: int) -> str:
    """A class by name."""
    return study.labels[number] if 0 <= number < len(study.labels) else "unknown"


def columns(frame: pd.DataFrame, *names: str) -> Any:
    """The rows of some columns as tuples of plain values."""
    return zip(*(frame[name].tolist() for name in names), strict=True)
