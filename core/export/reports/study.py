"""The report of a study: its model and images, accuracy, filters, rules, patches, averages and settings."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.explain import EXPLAINERS
from core.export.averages import average_picture
from core.export.reports.report import Card, Figure, Gallery, Report, Section, Table, data_uri, rows_of, svg_uri
from core.export.review import spelled
from core.figures.rule_graph import rule_graph_svg
from core.images import Pixels
from core.mining.graph import nodes_of
from core.mining.overview import legible, strongest
from core.mining.rules import with_names
from core.models.name import parsed
from core.serialization import dump, flattened
from core.study import Study
from core.study.browse import right_share
from core.units.ablation import Ablation

_FILTERS, _RULES, _AVERAGES = 20, 60, 48  # in a report
_NODES = 200  # of the graph in a report
_PATCHES, _OF_CLASS = 120, 6  # in a report, and of a class


def study_report(study: Study, ablation: Ablation | None = None, *, folder: str = "") -> Report:
    """Everything a study says of its model, with the strongest of its filters, rules, patches and averages.

    An `ablation` of the filters of its rules is told class by class; `folder` contains its images, if these are not the
    study's own.
    """
    manifest, images = study.manifest, study.table("images")
    model, data, method = manifest.model, manifest.data, str(manifest.config["explainer"])
    title = EXPLAINERS[method].title if method in EXPLAINERS else method
    display = parsed(model.name).display
    share = right_share(study, images)
    rows = {name: facts.rows for name, facts in manifest.tables.items()}
    facts = (
        ("Model", f"{display}, weights {model.sha[:12]}"),
        ("Layer", f"{model.layer}, {model.filters:,} filters"),
        ("Images", f"{data.images:,}, {data.labelled:,} with a class of the model, {data.skipped:,} left out"),
        ("Patches", f"{rows['patches']:,} of {manifest.window} px, selected by {title}"),
        ("Rules", f"{rows['rules']:,}"),
        *([("Accuracy", spelled(share))] if share else []),
    )
    sections: tuple[Section, ...] = (_classes(study), _filters(study), _rules(study))
    ablated = [_ablation(ablation, Path(folder).name)] if ablation else []
    sections = (*sections, *_graph(study), *ablated, _patches(study), _averages(study))
    settings = flattened(dump(dict(study.config))) | {"model": display, "data": Path(data.folder).name}
    table = Table("Settings", ("setting", "value"), tuple(sorted(settings.items())))
    command = ["vitrine", "study", "report", study.name, "--out", f"{study.name}.html"]
    if ablation:
        command += ["--ablate", *(["--data", Path(folder).name] if folder else [])]
    return Report(f"Study {study.name}", facts, (*sections, table), command=shlex.join(command))


def _classes(study: Study) -> Table:
    """The classes that are shown or predicted; how many are right, where that is known."""
    table = study.table("classes").assign(name=study.labels)
    table = table[(table["images"] > 0) | (table["predicted"] > 0) | (table["patches"] > 0)]
    if not (table["images"] > 0).any():
        columns = ["name", "predicted", "patches"]
        note = "The classes of the images are unknown, so nothing is right or wrong."
        return Table("Classes", ("class", "predicted", "patches"), rows_of(table[columns]), note)
    shares = (table["correct"] / table["images"].where(table["images"] > 0)).astype(float)
    columns = ["name", "images", "predicted", "correct", "right", "patches"]
    return Table(
        "Accuracy by class",
        ("class", "images", "predicted", "right", "share right", "patches"),
        rows_of(table.assign(right=shares)[columns]),
    )


def _filters(study: Study) -> Table:
    table = study.table("filters").sort_values(["rules", "patches"], ascending=False, kind="stable").head(_FILTERS)
    table = table.assign(filter=[f"{study.manifest.model.layer} · F{number}" for number in table["filter"]])
    return Table(
        "Filters",
        ("filter", "rules", "classes", "patches", "mean response", "largest"),
        rows_of(table[["filter", "rules", "classes", "patches", "mean", "largest"]]),
        f"Those in most rules, at most {_FILTERS}; patches are those in which a filter is among the strongest.",
    )


def _rules(study: Study) -> Table:
    rules = study.table("rules").sort_values("score", ascending=False, kind="stable")
    table = with_names(rules.head(_RULES), study.labels)
    table = table.assign(filters=[" + ".join(f"F{number}" for number in one) for one in table["filters"]])
    note = f"The {_RULES} of the highest score." if len(rules) > _RULES else "" if len(rules) else "There are none."
    return Table(
        "Rules",
        ("class", "filters", "support", "confidence", "lift", "score", "patches of the class"),
        rows_of(table[["name", "filters", "support", "confidence", "lift", "score", "n_both"]]),
        note,
    )


def _graph(study: Study) -> tuple[Figure, ...]:
    """The graph of filters and classes, as the page about rules shows it at first; none without rules."""
    every = study.table("edges")
    if not len(every):
        return ()
    first = legible(every)
    edges = strongest(first.edges, _NODES)
    nodes = nodes_of(edges, study.labels, study.manifest.seed)
    pictures = {number: average for number, average in _faces(study).items() if f"f{number}" in {*nodes["node"]}}
    drawing = svg_uri(rule_graph_svg(nodes, edges, pictures))
    counts = f"{edges['filter'].nunique():,} filters and {edges['label'].nunique():,} classes"
    note = "A line joins a filter and a class with rules that have it, the thicker the higher the best score of these."
    if len(edges) < len(every):
        which = "only filters that classes share, the strongest first" if first.shared else "the strongest"
        note += f" Of {len(every):,} lines {len(edges):,} are shown: {which}."
    words = f"Graph of {counts} whose rules have them: circles are filters with their average patch, boxes are classes"
    return (Figure("Filters and classes", drawing, words, note),)


def _ablation(ablation: Ablation, folder: str) -> Table:
    """Accuracy by class without the filters of its rules, and without as many by other criteria."""
    table, others = ablation.per_class, [name for name in ablation.ablated if name != "mined"]
    titles = {
        "name": "class",
        "images": "images",
        "filters": "filters",
        "baseline": "all filters",
        "mined": "without rule filters",
        **{name: f"without {name} filters" for name in others},
        "random_mean": "without random filters",
        "random_std": "standard deviation",
    }
    shown = [name for name in titles if name in table and (table[name].notna().any() or not len(table))]
    mean = ablation.summary()
    note = f"Mean over classes: {mean['baseline']:.1%} with all filters"
    if mean["mined"] is not None:
        note += f", {mean['mined']:.1%} without the filters of each class's rules"
    if mean["random_mean"] is not None:
        draws = ablation.draws.shape[1]
        note += f", {mean['random_mean']:.1%} without {mean['random_filters']:.1f} random filters ({draws} draws)"
    note += f". Images of {folder}." if folder else ". The study's own images."
    if ablation.skipped:
        note += f" {len(ablation.skipped):,} were skipped."
    return Table("Accuracy with filters ablated", tuple(titles[name] for name in shown), rows_of(table[shown]), note)


def _faces(study: Study) -> dict[int, Pixels]:
    """The average patch of each filter in the class where it has most weight."""
    averages = study.table("averages").sort_values(["weight", "average"], ascending=[False, True])
    best, pictures = averages.drop_duplicates("filter"), study.array("averages")
    rows = best[["average", "filter"]].itertuples(index=False)
    return {int(number): average_picture(np.asarray(pictures[row], np.float64)) for row, number in rows}


def _patches(study: Study) -> Gallery:
    """The patches of each class with the highest sum of the heatmap."""
    patches, crops = study.table("patches"), study.array("crops")
    ordered = patches.assign(patch=range(len(patches))).sort_values("score", ascending=False, kind="stable")
    each = max(1, min(_OF_CLASS, _PATCHES // max(1, patches["label"].nunique())))
    strongest = ordered.groupby("label", sort=True).head(each).sort_values("label", kind="stable").head(_PATCHES)
    cards = [
        Card(study.labels[label], (("drop", f"{drop:.2f}"),), data_uri(np.asarray(crops[patch]), exact=True))
        for patch, label, drop in strongest[["patch", "label", "drop"]].itertuples(index=False)
    ]
    note = f"Of each class at most {each}, strongest first. Drop: how much masking a patch lowers the probability."
    return Gallery("Patches", cards, note, tiles=True)


def _averages(study: Study) -> Gallery:
    """The averages of the filters of rules, those of most weight first."""
    table = study.table("averages").sort_values("weight", ascending=False, kind="stable").head(_AVERAGES)
    pictures: NDArray[Any] = study.array("averages")
    cards = [
        Card(
            f"F{number} → {study.labels[label]}",
            (("patches", f"{count:,}"),),
            data_uri(average_picture(np.asarray(pictures[row], np.float64)), exact=True),
        )
        for row, number, label, count in table[["average", "filter", "label", "patches"]].itertuples(index=False)
    ]
    return Gallery("Average patches", cards, "Of the filters of rules, weighted by response.", tiles=True)
