"""Studies: a list of all, and a form that builds one from a model and a folder in the background."""

from pathlib import Path

import streamlit as st

from core.export.reports.report import as_html
from core.export.reports.study import study_report
from core.models.name import parsed
from core.store.reader import removable
from core.study import BUNDLED, Study, StudyEntry
from core.study.schema import STUDY
from pages.ui.session import navigation, visitors
from pages.ui.study import ablation, build_form, build_list, open_study, study_facts
from pages.ui.widgets import deletion
from pages.ui.widgets.text import plain, size

_FACTS = {
    "Study": lambda e, s: e,
    "Model": lambda e, s: parsed(s.manifest.model.name).display,
    "Layer": lambda e, s: s.manifest.model.layer,
    "Images": lambda e, s: s.manifest.data.images,
    "Patches": lambda e, s: s.manifest.tables["patches"].rows,
    "Rules": lambda e, s: s.manifest.tables["rules"].rows,
    "Size": lambda e, s: size(sum(file.bytes for file in s.manifest.files.values())),
    "Finished": lambda e, s: s.log.get("finished", ""),
}


def shelves(entries: dict[str, StudyEntry]) -> dict[str, Study]:
    """Show all studies in a table; returns the selected ones by name."""
    sound = {name: entry.study for name, entry in entries.items() if entry.study}
    event = st.dataframe(
        {fact: [read(name, study) for name, study in sound.items()] for fact, read in _FACTS.items()},
        key="studies", hide_index=True, on_select="rerun", selection_mode="multi-row", alt="Available studies",
        column_config={"Study": st.column_config.TextColumn(width="medium"), "Finished": st.column_config.TextColumn()},
    )  # fmt: skip
    for name, entry in entries.items():
        if entry.problem:
            st.warning(plain(f"{name}: {entry.problem}"))
            if (
                removable(STUDY, entry.path)
                and not _kept(entry.path)
                and st.button(plain(f"Delete {name}"), key=f"delete-{name}", icon=":material/delete:")
            ):
                deletion.confirm(STUDY, name, entry.path)
    names = list(sound)
    return {names[row]: sound[names[row]] for row in event["selection"]["rows"] if row < len(names)}


def _kept(path: Path) -> str:
    """Why a study cannot be deleted here; "" if it can."""
    if path.is_relative_to(BUNDLED):
        return "Bundled studies cannot be deleted."
    return "" if visitors.owns(path) else "Only whoever built a study can delete it."


def opened(name: str, study: Study) -> None:
    """Actions on one study."""
    st.caption(plain(open_study.summary(study)))
    with st.container(horizontal=True):
        for page, text in (("mine/patches", "Patches"), ("mine/rules", "Rules"), ("mine/averages", "Averages")):
            if st.button(text, key=f"to-{page}"):
                navigation.go(page, study=name)
        result, folder = ablation.shown_last(study)
        words = "With the ablation" if result else "An ablation run on Rules, with the study's own settings, is added"
        st.download_button(
            "Report", lambda: as_html(study_report(study, result, folder=folder)), f"{name}.html", "text/html",
            key="study-report", on_click="ignore", icon=":material/download:",
            help=f"One HTML file with its pictures inside. {words}.",
        )  # fmt: skip
        kept = _kept(study.path)
        if st.button("Delete", key="delete", icon=":material/delete:", disabled=bool(kept), help=kept):
            deletion.confirm(STUDY, name, study.path)
    study_facts.lost(study)
    study_facts.left_out(study)
    study_facts.endings(study)


entries = open_study.listed()
build_list.watched()
build_list.waiting()
if entries:
    chosen = shelves(entries)
    if len(chosen) == 1:
        opened(*chosen.popitem())
    elif chosen:
        study_facts.compared(chosen)
    else:
        st.caption("Select one study to open or delete it, several to compare their settings.")
open_study.unstudied(entry.study for entry in entries.values() if entry.study)
build_form.form()
