"""Studies: those there are, side by side, and a new one from a model and a folder, built in the background."""

import streamlit as st

from core.study import BUNDLED, Listed, Study
from core.study.manifest import remains
from pages.ui import building, shelf, show

_FACTS = {
    "Study": lambda e, s: e,
    "Model": lambda e, s: shelf.short(s.manifest["model"]["name"]),
    "Layer": lambda e, s: s.manifest["model"]["layer"],
    "Images": lambda e, s: s.manifest["data"]["images"],
    "Patches": lambda e, s: s.manifest["tables"]["patches"]["rows"],
    "Rules": lambda e, s: s.manifest["tables"]["rules"]["rows"],
    "Size": lambda e, s: show.size(sum(file["bytes"] for file in s.manifest["files"].values())),
    "Finished": lambda e, s: s.log.get("finished", ""),
}


def shelves(entries: dict[str, Listed]) -> dict[str, Study]:
    """All studies in a table; the chosen ones by name."""
    sound = {name: entry.study for name, entry in entries.items() if entry.study}
    event = st.dataframe(
        {fact: [read(name, study) for name, study in sound.items()] for fact, read in _FACTS.items()},
        key="studies", hide_index=True, on_select="rerun", selection_mode="multi-row", alt="The studies there are",
        column_config={"Study": st.column_config.TextColumn(width="medium"), "Finished": st.column_config.TextColumn()},
    )  # fmt: skip
    for name, entry in entries.items():
        if entry.problem:
            st.warning(show.plain(f"{name}: {entry.problem}"))
            own = remains(entry.path) and not entry.path.is_relative_to(BUNDLED)
            if own and st.button(show.plain(f"Delete {name}"), key=f"delete-{name}", icon=":material/delete:"):
                building.deleted(name, entry.path)
    names = list(sound)
    return {names[row]: sound[names[row]] for row in event["selection"]["rows"] if row < len(names)}


def opened(name: str, study: Study) -> None:
    """What can be done with one study."""
    st.caption(show.plain(shelf.summary(study)))
    with st.container(horizontal=True):
        for page, text in (("mine/patches", "Patches"), ("mine/rules", "Rules"), ("mine/averages", "Averages")):
            if st.button(text, key=f"to-{page}"):
                shelf.go(page, study=name)
        own = not study.path.is_relative_to(BUNDLED)
        if st.button("Delete", key="delete", icon=":material/delete:", disabled=not own,
                     help="" if own else "Studies that come with Vitrine stay."):  # fmt: skip
            building.deleted(name, study.path)
    building.lost(study)
    building.left_out(study)
    building.endings(study)


entries = shelf.listed()
building.watched()
if entries:
    chosen = shelves(entries)
    if len(chosen) == 1:
        opened(*chosen.popitem())
    elif chosen:
        building.compared(chosen)
    else:
        st.caption("Choose a study to open or delete it, several to compare their settings.")
shelf.unstudied(entry.study for entry in entries.values() if entry.study)
building.form()
