"""Views of the concepts of a study: a row for each, the rules they match, and their files."""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.export.command import concepts_command
from core.export.concepts import concept_files
from core.figures.encoding import described
from core.figures.sheet import overlay
from core.figures.style import Span
from core.study import Study
from core.units.concepts import Importance, StudyConcepts, concept_maps
from pages.ui.session import location, navigation, visitors
from pages.ui.study import ablation, concept_importance, open_study, patch_items
from pages.ui.study.rule_views import Rule
from pages.ui.widgets.gallery import gallery
from pages.ui.widgets.text import plain

_PATCHES = 12  # of a concept
_WEAK = 0.05  # of the highest strength, below which a map looks empty
_FILTERS = 6  # links to filters of a concept
_TYPES = {"csv": "text/csv", "npz": "application/octet-stream", "png": "image/png", "svg": "image/svg+xml"}
_FILES = ("concepts.csv", "filters.csv", "patches.csv", "rules.csv", "result.npz", "concepts.png", "concepts.svg")


def summary(found: StudyConcepts) -> str:
    """How close sums of the concepts come to the responses, as text."""
    concepts = found.concepts
    text = (
        f"Sums of {len(concepts.directions)} concepts differ from the responses by {concepts.error:.1%} of their norm."
    )
    if not found.complete:
        text += " This study stores only the strongest filters of each patch; the others count as zero."
    if not concepts.converged:
        text += " The search was ended before it converged."
    return text


def downloads(study: Study, found: StudyConcepts, measured: Importance | None, count: int) -> None:
    """The files of the concepts, made on a click, and the command that makes them."""
    with st.popover("Export", icon=":material/download:", key="concepts-export"):
        with st.container(horizontal=True, gap="small"):
            for name in (*_FILES, *(["importance.csv"] if measured else [])):
                st.download_button(
                    name, partial(_file, study, found, measured, name), f"{study.name}-{name}",
                    _TYPES[name.rpartition(".")[2]], key=f"concepts-{name}", on_click="ignore",
                )  # fmt: skip
        st.caption("This command makes the same files:")
        command = concepts_command(study.name, count, folder=concept_importance.folder() if measured else "")
        st.code(visitors.public(command), language="sh", wrap_lines=True)


def _file(study: Study, found: StudyConcepts, measured: Importance | None, name: str) -> bytes:
    return concept_files(study, found, measured)[name]


def rows(study: Study, found: StudyConcepts, measured: Importance | None) -> None:
    """A row for each concept: what it is made of, its strongest patches, and its map on the current image."""
    maps, view = None, None
    if ablation.fits_current_image(study, "concepts"):
        bench, picture = ablation.bench(study, "concepts-map"), location.subject()
        maps = concept_maps(bench.activations(picture, study.manifest.model.layer), found.concepts.directions)
        view = bench.view(picture)
    for concept in range(len(found.concepts.directions)):
        with st.container(key=f"vitrine-concept-{concept}"):
            columns = st.columns([1.1, 2.4] + [0.8] * (maps is not None), gap="medium")
            with columns[0]:
                _described(study, found, concept, measured)
            with columns[1]:
                _patches(study, found, concept)
            if maps is not None and view is not None:
                with columns[2]:
                    _map(found, concept, maps[concept], view)


def _described(study: Study, found: StudyConcepts, concept: int, measured: Importance | None) -> None:
    """Its filters, the classes of its patches, its rule, and what is lost without it."""
    concepts = found.concepts
    st.header(f"Concept {concept}", anchor=False)
    filters = concepts.filters(concept)
    with st.container(horizontal=True, gap="small"):
        for number in filters[:_FILTERS].tolist():
            navigation.link("units/unit", patch_items.unit(number), unit=number)
    more = len(filters) - _FILTERS
    labels = found.patches["label"].to_numpy(np.int64)
    own = labels[concepts.owners == concept]
    lines = [f"and {more} more filters"] if more > 0 else []
    lines.append(f"Strongest concept of {len(own):,} patches{_classes(study, own)}.")
    match = found.matches.rule(concept)
    if match is None:
        lines.append("No rule has these filters.")
    else:
        own_rule = found.rules[found.rules["rule"] == match["rule"]]
        rule = Rule(tuple(map(int, own_rule["filters"].iloc[0])), int(own_rule["label"].iloc[0]), 0)
        which = "Rule" if match["patches"] > 0 else "No rule has patches in common; closest in filters is"
        lines.append(
            f"{which} {patch_items.units(rule.filters, 4)} → {open_study.label(study, rule.label)}: "
            f"{match['filters']:.0%} of filters and {match['patches']:.0%} of patches in common."
        )
    if measured is not None:
        loss = measured.drops().set_index("concept").loc[concept]
        lines.append(
            f"Without it the probability of {loss['name']} falls by {100 * loss['drop']:.0f} points; without a random "
            f"direction by {100 * loss['drop_random']:.0f}."
        )
    st.caption("  \n".join(plain(line) for line in lines))  # two spaces end a line
    if match is not None:
        navigation.link("mine/rules", "Open this rule", rule=rule.name)


def _classes(study: Study, labels: np.ndarray) -> str:
    """The most frequent classes among patches, in parentheses."""
    counts = Counter(labels.tolist()).most_common(2)
    named = [f"{open_study.label(study, k)} {count / len(labels):.0%}" for k, count in counts]
    return f" ({', '.join(named)})" if named else ""


def _patches(study: Study, found: StudyConcepts, concept: int) -> None:
    """Its strongest patches."""
    shown = found.concepts.patches(concept)[:_PATCHES]
    items = patch_items.patches(study, shown)
    notes = [f"strength {patch_items.amount(value)}" for value in found.concepts.strengths[shown, concept].tolist()]
    picks = gallery(
        lambda: replace(items(), notes=notes),
        (open_study.key(study), "concept", len(found.concepts.directions), concept),
        key=f"concept-{concept}", label=f"Strongest patches of concept {concept}", tile=72, height=None, panel=False,
    )  # fmt: skip
    patch_items.follow(study, picks)


def _map(found: StudyConcepts, concept: int, values: np.ndarray, view: np.ndarray) -> None:
    """Where it is active in the current image; the colours end at its highest strength in a patch of the study."""
    picture = location.subject()
    high, usual = float(values.max()), float(found.concepts.strengths[:, concept].max())
    note = "" if high > 0 else f"Concept {concept} is not active in this image."
    shaded = view if note else overlay(view, values, Span(0, max(high, usual)))
    words = described(f"Concept {concept}", picture.name, values, note)
    share = f"{high / usual:.0%} of its highest strength in a patch"
    if not note and high < _WEAK * usual:
        share = f"Hardly active: less than {_WEAK:.0%} of its highest strength in a patch"
    st.image(shaded, caption=plain(note or share), alt=words, width="stretch")


def rules(study: Study, found: StudyConcepts) -> None:
    """Every rule of the study with the concept that has most of its filters."""
    if not len(found.rules):
        st.caption("This study has no rules.")
        return
    best = found.matches.by_rule.set_index("rule")
    frame = pd.DataFrame({
        "Rule": [patch_items.units(filters, 6) for filters in found.rules["filters"]],
        "Class": [open_study.label(study, k) for k in found.rules["label"]],
        "Concept": [f"Concept {best['concept'][k]}" if k in best.index else "none" for k in found.rules["rule"]],
        "Filters in common": best["filters"].reindex(found.rules["rule"]).fillna(0).to_numpy(),
        "Patches in common": best["patches"].reindex(found.rules["rule"]).fillna(0).to_numpy(),
    })  # fmt: skip
    share = st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.2f")
    with st.expander("Which concept each rule is", icon=":material/rule:"):
        st.caption("In common: the number that both have, as a share of those that either has (Jaccard index).")
        st.dataframe(
            frame, hide_index=True, alt="The rules of the study and their concepts",
            column_config={"Filters in common": share, "Patches in common": share},
        )  # fmt: skip
