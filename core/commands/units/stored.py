"""`vitrine units activating`, `dissect`, `profiles`, `relevance`: stored analyses of the images of a folder."""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands import chosen, complain, named_model, options, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.commands.requests import names, pairs
from core.errors import BadParameter, Cancelled
from core.progress import printed
from core.units.config import UnitsConfig

if TYPE_CHECKING:
    import pandas as pd

    from core.units.store import UnitStore

# what people read
_TABLES = {"activating": "patches", "dissection": "units", "profiles": "units", "relevance": "weights"}
_SHOWN = 3  # units of a class
_LISTED = 20  # rows that are printed


def activating(parser: ArgumentParser) -> None:
    """Declare `vitrine units activating`."""
    _declare(parser, "activating")


def dissect(parser: ArgumentParser) -> None:
    """Declare `vitrine units dissect`."""
    data = "folder of images and masks of concepts: flowers, masks/CONCEPT or Broden"
    _declare(parser, "dissection", data=data)


def profiles(parser: ArgumentParser) -> None:
    """Declare `vitrine units profiles`."""
    _declare(parser, "profiles")


def relevance(parser: ArgumentParser) -> None:
    """Declare `vitrine units relevance`."""
    _declare(parser, "relevance", usual="all convolutions")


def _declare(
    parser: ArgumentParser,
    analysis: str,
    *,
    data: str = "folder of images (default: those of the study)",
    usual: str = "last spatial layer",
) -> None:
    """The arguments of a stored analysis; `usual` are the layers that it reads by default."""
    model = "name, ARCH@FILE for your own weights, or folder of a study; none to read what --out holds"
    parser.add_argument("model", nargs="?", default="", metavar="MODEL", help=model)
    parser.add_argument("--data", default="", metavar="DIR", help=data)
    layers = f"layers, separated by commas (default: {usual})"
    parser.add_argument("--layers", default="", metavar="NAMES", help=layers)
    setting = "change a setting of the analysis; README.md lists them"
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help=setting)
    options(parser, UnitsConfig)
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the results")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the results as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write the table as CSV")
    parser.set_defaults(run=_units, analysis=analysis)


def _units(args: Namespace) -> int:
    from core.units.store import UnitStore

    found = _built(args) if args.model else UnitStore(args.out)
    if found is None:
        complain("stopped. The same command continues the analysis.")
        return 130
    if found.analysis.name != args.analysis:
        message = f"{args.out} holds {found.analysis.title.lower()}."
        raise BadParameter(message, "Use the command that made it, or name another folder.")
    table = _named(found)
    if args.json:
        say_json({
            "analysis": found.analysis.name,
            "folder": str(found.path),
            "config": found.manifest.config,
            "notes": found.manifest.notes,
            "left_out": found.manifest.data.left_out,
            **{name: json.loads(one.to_json(orient="records")) for name, one in _reports(found, table).items()},
        })  # fmt: skip
        return 0
    _summarise(found, table)
    if args.csv:
        write_text(args.csv, table.to_csv(index=False), "table")
    return 0


def _built(args: Namespace) -> "UnitStore | None":
    """The analysis of the options, built or continued; None if it was interrupted."""
    from core.environment import device
    from core.units.build import build_analysis, planned

    config = UnitsConfig(analysis=args.analysis, data=args.data, **chosen(args, UnitsConfig, "units"))
    config = _of_study(args, config)
    if not config.data:
        raise BadParameter("The analysis needs images.", "Name their folder with --data.")
    layers = names(args.layers) or config.layers
    config = replace(config, model=named_model(args), layers=layers, settings=pairs(args.set))
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            plan = planned(config, device=device(), report=interruption.report)
            for sentence in (*plan.subject.model.notes, *plan.images.notes):
                (complain if args.json else say)(sentence)
            return build_analysis(config, args.out, plan=plan, report=interruption.report)
        except Cancelled:
            return None


def _of_study(args: Namespace, config: UnitsConfig) -> UnitsConfig:
    """The configuration with model, layer and images of a study, where MODEL is its folder and no others are named."""
    if not (Path(args.model) / "study.json").is_file():
        return config
    from core.data.model_options import options_of
    from core.study import Study

    study = Study(args.model)
    own = study.manifest.settings
    args.model = own.model
    changed: dict[str, Any] = {**options_of(own).changed(), **config.changed()}
    return replace(config, data=config.data or own.data, layers=(study.manifest.model.layer,), **changed)


def _named(found: "UnitStore") -> "pd.DataFrame":
    """The table that people read, with the names of layers, images, concepts and classes."""
    tables = found.tables
    table = tables[_TABLES[found.analysis.name]].copy()
    if found.analysis.name == "profiles":
        table = _profiled(found, table)
    if "label" in table:
        table.insert(1, "class", table["label"].map(tables["classes"]["name"]))
    table["layer"] = table["layer"].map(tables["layers"]["name"])
    if "image" in table:
        table["image"] = table["image"].map(tables["images"]["name"])
    if "concept" in table:
        concepts = tables["concepts"]
        table.insert(list(table).index("concept") + 1, "category", table["concept"].map(concepts["category"]))
        table["concept"] = table["concept"].map(concepts["name"])
        table[["concept", "category"]] = table[["concept", "category"]].fillna("")
    return table


def _profiled(found: "UnitStore", table: "pd.DataFrame") -> "pd.DataFrame":
    """The units with their best class and their mean response to every class."""
    import pandas as pd

    from core.units.overview import Profiles

    classes = found.tables["classes"]
    named = [f"{label} {name}" for label, name in zip(classes["label"], classes["name"], strict=True)]
    parts = []
    for layer in found.tables["layers"]["name"]:
        own = Profiles.of_store(found, layer)
        if own:
            facts: dict[str, Any] = {"class": [own.classes[one] for one in own.best]}
            if own.selectivity is not None:
                facts["selectivity"] = own.selectivity
            parts.append(pd.concat([pd.DataFrame(facts), pd.DataFrame(own.means, columns=named)], axis=1))
    return pd.concat([table, pd.concat(parts, ignore_index=True)], axis=1)


def _reports(found: "UnitStore", table: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    if found.analysis.name == "activating":
        return {"patches": table, "units": found.tables["units"]}
    if found.analysis.name == "profiles":
        return {"units": table, "classes": found.tables["classes"]}
    if found.analysis.name == "relevance":
        return {"weights": table, **{name: found.tables[name] for name in ("classes", "path", "units")}}
    from core.units.dissection import categories, summary

    layers = summary(found.tables, found.known_array("draws"))
    return {"units": table, "layers": layers, "categories": categories(found.tables), "concepts": _concepts(found)}


def _concepts(found: "UnitStore") -> "pd.DataFrame":
    return found.tables["concepts"].merge(found.tables["counts"], on="concept")


def _summarise(found: "UnitStore", table: "pd.DataFrame") -> None:
    """Print what was found in a few lines."""
    tables, manifest = found.tables, found.manifest
    say(f"{found.path}: {found.analysis.title}, {manifest.model.name}, {len(tables['images']):,} images")
    for layer in tables["layers"].itertuples():
        field = f"field {layer.field_height} × {layer.field_width} px"
        say(f"{layer.name}: {layer.units:,} units, maps of {layer.height} × {layer.width}, {field}")
    for reason, count in manifest.data.left_out.items():
        say(f"left out: {reason}: {count:,}")
    say(*manifest.notes)
    if found.analysis.name == "activating":
        best = table[table["rank"] == 0]
        lines = [
            f"{one.layer}:{one.unit}  {one.value:.4g} in {one.image} at {one.top}, {one.left}"
            for one in best.head(_LISTED).itertuples()
        ]
    elif found.analysis.name == "profiles":
        best, order = table[~table["dead"]], "selectivity" if "selectivity" in table else "highest"
        best = best.sort_values([order, "layer", "unit"], ascending=[False, True, True])
        rows = best.head(_LISTED)[["layer", "unit", "class", order]].itertuples(index=False, name=None)
        lines = [f"{layer}:{unit}  {name}, {order} {value:.3g}" for layer, unit, name, value in rows]
    elif found.analysis.name == "relevance":
        best = tables["classes"][tables["classes"]["images"] > 0]
        lines = [
            f"{one.name}  {one.units:,} units, "
            + ", ".join(
                f"{unit.layer}:{unit.unit} {unit.weight:.3g}"
                for unit in table[(table["label"] == one.label) & (table["weight"] > 0)].head(_SHOWN).itertuples()
            )
            for one in best.head(_LISTED).itertuples()
        ]
    else:
        from core.measure.intervals import bracketed
        from core.units.dissection import categories, detectors, summary

        best = detectors(tables)
        units = tables["units"]
        say(f"{len(best):,} of {len(units):,} units are detectors, of {best['concept'].nunique():,} concepts")
        for row in summary(tables, found.known_array("draws")).to_dict("records"):
            bounds = bracketed(row["share_low"], row["share_high"])
            share = f"{row['share']:.1%}{bounds} of {row['live']:,} live units"
            say(f"{row['layer']}: {row['detectors']:,} detectors, {share}, of {row['unique']:,} concepts")
        for one in categories(tables).itertuples():
            say(f"{one.layer}, {one.category}: {one.detectors:,} detectors of {one.unique:,} concepts")
        lines = [
            f"{one.layer}:{one.unit}  {one.concept} ({one.category}), IoU {one.iou:.3f}"
            for one in best.head(_LISTED).itertuples()
        ]
    say(*lines, *([f"… and {len(best) - _LISTED:,} more"] if len(best) > _LISTED else []))
