"""`vitrine study`: build a study and read its content."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Annotated, Any, Literal

from core.card import Passes
from core.commands import chosen, complain, named_model, options, path_argument, say, say_json, write_text
from core.errors import BadParameter, StudyError
from core.params import Knob, params_of, whole
from core.progress import printed
from core.study.config import MiningConfig, PatchConfig, StudyConfig, TransactionConfig

if TYPE_CHECKING:
    import pandas as pd

    from core.mining.rules import Mined
    from core.study import Study
    from core.units.ablation import Ablation, Sets

AS_BUILT = "as built"
GROUPS: dict[str, tuple[Callable[..., object], str]] = {
    "patches": (PatchConfig, "patch-"),
    "transactions": (TransactionConfig, "transaction-"),
    "mining": (MiningConfig, "mining-"),
}


@dataclass(frozen=True)
class Sharing:
    """Which filter sets count as shared by classes."""

    sharing: Annotated[
        Literal["rules", "itemsets"],
        Knob("Sets in rules of several classes, as in the paper, or all sets that are frequent in several classes."),
    ] = "rules"


@dataclass(frozen=True)
class Chance:
    """The random sets that mined ones are compared with."""

    draws: Annotated[int, Knob("Number of random filter sets; 0 for none.", 0, 1000)] = 20
    random_filters: Annotated[
        int,
        Knob("Filters in each random set: 10 as in table 1 of the paper; 0 for as many as the rules have.", 0, 100_000),
    ] = 10
    seed: Annotated[int, Knob("Seed of the random sets.", 0, 2**31 - 1)] = 0


def study(parser: ArgumentParser) -> None:
    """Declare `vitrine study` and the commands below it."""
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    build = below.add_parser("build", help="build a study, or resume an interrupted build")
    build.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    build.add_argument("--data", required=True, metavar="DIR", help="images, one sub-folder per class")
    build.add_argument("--out", required=True, type=path_argument, metavar="STUDY", help="the study's folder")
    build.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="setting of the explainer")
    options(build, StudyConfig)
    for source, prefix in GROUPS.values():
        options(build, source, prefix)
    build.set_defaults(run=_build)
    info = _reader(below, "info", "show the contents of a study", _info)
    info.add_argument("--verify", action="store_true", help="also verify the checksum of every file")
    moved_images = "look for its images here, if they are no longer where it was built from"
    info.add_argument("--data", type=path_argument, metavar="DIR", help=moved_images)
    _mining(_reader(below, "rules", "association rules between filters and classes", _rules))
    shared = _reader(below, "shared", "filter sets shared by several classes", _shared)
    options(shared, Sharing)
    _mining(shared)
    patches = _reader(below, "patches", "the patches, strongest drop first", _patches)
    patches.add_argument(
        "--filters", default="", metavar="F,F", help="only patches in which all these filters are active"
    )
    ablate = _reader(below, "ablate", "accuracy with the filters of each class's rules ablated", _ablate)
    _ablated_images(ablate)
    options(ablate, Chance)
    _mining(ablate)
    words = "write a report of a study: one HTML file with its pictures inside"
    report = below.add_parser("report", help=words, description=f"{words[0].upper()}{words[1:]}.")
    report.add_argument("study", metavar="STUDY", help="folder of a study, or the name of one of your studies")
    report.add_argument("--out", required=True, type=path_argument, metavar="FILE", help="the file, such as study.html")
    words = "with the accuracy without the filters of each class's rules, which is computed first"
    report.add_argument("--ablate", action="store_true", help=words)
    _ablated_images(report)
    report.set_defaults(run=_report)


def _reader(below: Any, name: str, text: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    parser: ArgumentParser = below.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("study", metavar="STUDY", help="folder of a study, or the name of one of your studies")
    parser.add_argument("--class", dest="label", default="", metavar="CLASS", help="only this class: label or index")
    names = "other names of the classes, one per line"
    parser.add_argument("--labels", type=path_argument, metavar="FILE", help=names)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write the table as CSV")
    parser.set_defaults(run=run)
    return parser


def _mining(parser: ArgumentParser) -> None:
    """Add options that mine the stored transactions with other settings."""
    options(parser, MiningConfig)
    parser.set_defaults(**{param.name: AS_BUILT for param in params_of(MiningConfig)})


def _build(args: Namespace) -> int:
    from core.environment import device
    from core.explain import EXPLAINERS
    from core.params import checked
    from core.study.build import build_study, planned

    study_settings = chosen(args, StudyConfig, "study")
    parts: dict[str, Any] = {
        name: source(**chosen(args, source, name, prefix.replace("-", "_")))
        for name, (source, prefix) in GROUPS.items()
    }
    method = EXPLAINERS[study_settings["explainer"]]
    given = dict(_pair(text) for text in args.set)
    settings = {name: value for name, value in checked(method.params, given, method.name).items() if name in given}
    config = StudyConfig(named_model(args), args.data, settings=settings, **study_settings, **parts)
    plan = planned(config, device=device())
    say(*plan.model.notes, *plan.folder.notes)
    study = build_study(config, args.out, model=plan.model, device=device(), report=printed(sys.stderr))
    _summarise(study)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadParameter(f"--set {text!r} cannot be read.", "Write SETTING=VALUE.")
    return name, value


def _summarise(study: "Study", folder: Path | None = None) -> None:
    """Print a study in a few lines; `folder` is where its images are, if not where it finds them itself."""
    from core.images import window_text
    from core.mining.rules import shared_by_rules
    from core.study.browse import STOPS, patches_per_image

    manifest, images = study.manifest, study.table("images")
    data, model = manifest.data, manifest.model
    rows = {name: facts.rows for name, facts in manifest.tables.items()}
    say(f"{study.path}: {model.name}, layer {model.layer} ({model.filters} filters)")
    say(f"{data.images} images from {folder or study.folder}, {data.labelled} with a class of the model")
    for path, problem in images.loc[images["problem"] != "", ["path", "problem"]].itertuples(index=False):
        say(f"skipped {path}: {problem}")
    for reason, count in data.left_out.items():
        say(f"left out: {reason}: {count:,}")
    if data.unmatched:
        say(f"no class of the model: {', '.join(data.unmatched)}")
    if window := manifest.settings.value_window():
        say(window_text(window))
    say(f"{rows['patches']} patches of {manifest.window} px, {rows['rules']} rules")
    say(
        f"{len(shared_by_rules(study.table('rules')))} filter sets in rules of several classes, "
        f"{rows['shared']} frequent in several"
    )
    counts = patches_per_image(images)
    say("patches of an image: " + ", ".join(f"{count} in {of}" for count, of in counts.sum(axis=1).items()))
    say("no more, since " + "; ".join(f"{STOPS.get(str(why), why)}: {of}" for why, of in counts.sum().items()))
    made = Passes(manifest.passes.forwards, manifest.passes.backwards)
    say(f"{made}, {manifest.passes.perturbed:,} of the forward with patches masked")


def _info(args: Namespace) -> int:
    from core.store.manifest import dump
    from core.study.browse import patches_per_image

    study = _opened(args)
    classes = study.table("classes").assign(name=study.labels)
    if args.label:
        classes = classes[classes["label"] == study.target(args.label)]
    if args.json:
        class_facts = {"class": classes.to_dict("records")[0]} if args.label else {}
        counts = patches_per_image(study.table("images"))
        counted = {"kept": counts.sum(axis=1).to_dict(), "stop": counts.sum().to_dict()}
        say_json({**dump(study.manifest), **counted, "log": study.log, **class_facts})
    elif args.csv:
        _written(classes, args.csv)
    elif args.label:
        shown = classes[["name", "images", "predicted", "correct", "patches"]]
        for name, images, count, correct, patches in shown.itertuples(index=False):
            say(f"{name}: {images} images, {count} images predicted, {correct} of them correctly, {patches} patches")
    else:
        _summarise(study, args.data)
        for stage, seconds in study.log.get("seconds", {}).items():
            say(f"{seconds:9.1f} s  {stage}")
        if lost := study.lost(args.data):
            say(f"{len(lost)} of the images are missing, such as {lost[0]}; their thumbnails are kept.")
    if args.verify and (damaged := study.damaged()):
        raise StudyError(f"The study {study.name} is damaged: {', '.join(damaged)} changed.", "Build it again.")
    return 0


def _rules(args: Namespace) -> int:
    from core.mining.rules import with_names

    study = _opened(args)
    rules = _mined(args, study).rules
    if args.label:
        rules = rules[rules["label"] == study.target(args.label)]
    named = with_names(rules, study.labels)
    first = ["name", "filters", "support", "confidence", "score", "lift", "n_both", "n_class", "n_all"]
    return _output(args, named, first)


def _shared(args: Namespace) -> int:
    from core.mining.rules import with_names

    study = _opened(args)
    sharing = Sharing(**chosen(args, Sharing, "shared")).sharing
    mined = _mined(args, study)
    shared = mined.shared_by_rules if sharing == "rules" else mined.shared
    if args.label:
        label = study.target(args.label)
        shared = shared[shared["labels"].map(lambda labels: label in labels).astype(bool)]
    named = with_names(shared, study.labels)
    return _output(args, named, ["filters", "classes", "names", "n_all"])


def _patches(args: Namespace) -> int:
    import pandas as pd

    from core.mining.rules import transactions_of

    study = _opened(args)
    label = study.target(args.label) if args.label else None
    matching = transactions_of(study).holding(_filters(study, args.filters), label)
    patches, images = study.table("patches"), study.table("images")
    patches.insert(0, "patch", pd.RangeIndex(len(patches)))
    selected = patches.iloc[matching]
    named = selected.assign(
        path=images["path"].to_numpy()[selected["image"]], name=[study.labels[one] for one in selected["label"]]
    ).sort_values("drop", ascending=False, kind="stable")
    return _output(args, named, ["patch", "path", "name", "x", "y", "size", "score", "drop", "response"])


def _ablated_images(parser: ArgumentParser) -> None:
    """Add what an ablation reads, where that is not the study's own."""
    parser.add_argument("--data", default="", metavar="DIR", help="ablate on other images than the study's own")
    moved = "the model, if it is no longer where the study was built from: name, or ARCH@FILE"
    parser.add_argument("--model", default="", metavar="MODEL", help=moved)


def _filters(study: "Study", text: str) -> list[int]:
    """The filters in a comma-separated text."""
    count, filters = study.manifest.model.filters, []
    for word in text.split(",") if text else []:
        number = whole(word.strip().removeprefix("F"))
        if number is None:
            raise BadParameter(
                f"--filters {short(text)} cannot be read.", "Write numbers between commas, such as 3,17."
            )
        if number >= count:
            raise BadParameter(f"There is no filter {number}.", f"The filters of this layer are 0 to {count - 1}.")
        filters.append(number)
    return filters


def _ablated(args: Namespace, study: "Study", mined: "Mined", chance: Chance) -> tuple["Ablation", str]:
    """The ablation of the filters of each class's rules; why relevant ones are not compared, "" if they are."""
    from core.environment import device
    from core.units.ablation_study import compared_sets, run_ablation
    from core.workbench import study_model

    model = study_model(study, device(), model=named_model(args))
    own: Sets = {label: mined.filters_of(label) for label in range(len(study.labels))}
    sets, missing = compared_sets(model, study.manifest.model.layer, own)
    result = run_ablation(
        study, sets, model, folder=args.data, draws=chance.draws, random_filters=chance.random_filters,
        seed=chance.seed, report=printed(sys.stderr),
    )  # fmt: skip
    return result, missing


def _ablate(args: Namespace) -> int:
    study = _opened(args)
    chance = Chance(**chosen(args, Chance, "ablate"))
    label = study.target(args.label) if args.label else None
    result, missing = _ablated(args, study, _mined(args, study), chance)
    table = result.per_class
    if label is not None:
        table = table[table["label"] == label]
    if args.json:
        per_class = json.loads(table.to_json(orient="records"))
        summary = {**result.summary(), "per_class": per_class, "notes": [missing] if missing else []}
        say_json(summary, allow_nan=False)
        return 0
    for path, problem in result.skipped.items():
        say(f"skipped {path}: {problem}")
    if missing:
        say(f"without relevant filters: {missing}")
    if not args.csv:
        _averaged(result.summary())
    return _output(args, table, [str(name) for name in table if table[name].notna().any()])


def _averaged(summary: Mapping[str, Any]) -> None:
    """Print an ablation in two lines; relevant and random filters only if there were any."""

    def percent(name: str) -> str:
        return "–" if summary[name] is None else f"{summary[name]:.1%}"

    relevant, chance = "relevant" in summary, summary["random_mean"] is not None
    rules = f"{percent('mined')} without {summary['filters_per_class']:.1f} rule filters"
    means = [f"{percent('baseline')} unchanged", rules]
    if relevant:
        means.append(f"{percent('relevant')} without {summary['relevant_per_class']:.1f} relevant filters")
    if chance:
        drawn = f"{percent('random_mean')} ± {percent('random_std')}"
        means.append(f"{drawn} without {summary['random_filters']:.1f} random filters")
    shown = ["mined", *(["relevant"] if relevant else []), *(["random"] if chance else [])]
    spread = [f"{percent(f'{name}_std_over_classes')}" for name in ("baseline", *shown)]
    titles = {
        "mined": "removing one rule filter costs",
        "relevant": "removing a relevant one",
        "random": "removing a random one",
    }
    prices = [f"{titles[name]} {percent(f'{name}_drop_per_filter')}" for name in shown]
    say(f"{summary['images']} images, accuracy averaged over classes: {', '.join(means)}")
    say(f"deviation over classes: {', '.join(spread)}; on average {', '.join(prices)}")


def _report(args: Namespace) -> int:
    from core.export.reports.report import as_html
    from core.export.reports.study import study_report
    from core.mining.rules import stored
    from core.study.build import config_of
    from core.workbench import find_study

    study = find_study(args.study)
    if not args.ablate and (args.data or args.model):
        raise BadParameter("--data and --model are of an ablation.", "Add --ablate, or leave them out.")
    result = _ablated(args, study, stored(study, config_of(study).mining), Chance())[0] if args.ablate else None
    write_text(args.out, as_html(study_report(study, result, folder=args.data)), f"report of {study.name}")
    return 0


def _opened(args: Namespace) -> "Study":
    """The study of a command with its names of classes, after a sentence about a class that its text could mean too."""
    from core.data.labels import class_note, labels_file
    from core.workbench import find_study

    study = find_study(args.study)
    if args.labels:
        study.labels = labels_file(args.labels, len(study.labels))[0]
    if note := class_note(args.label, study.labels):
        complain(note)
    return study


def _mined(args: Namespace, study: "Study") -> "Mined":
    """The study's rules mined with the given settings, or the stored ones if there are none."""
    from dataclasses import asdict

    from core.mining.rules import mine, stored
    from core.params import checked
    from core.study.build import config_of

    built_with = config_of(study).mining
    given = {name: getattr(args, name) for name in asdict(built_with) if getattr(args, name) != AS_BUILT}
    settings = checked(params_of(MiningConfig), {**asdict(built_with), **given}, "mining")
    if not given:
        mined = stored(study, built_with)
        _say_skipped(mined, study)
        return mined
    most = study.manifest.arrays["items"].shape[1]
    if "filters" in given and settings["filters"] > most:
        message = f"mining.filters cannot be {settings['filters']}. The study keeps {most} filters of each patch."
        raise BadParameter(message, f"Use 1 to {most}.")
    mined = mine(study, MiningConfig(**settings), seed=study.manifest.seed)
    _say_skipped(mined, study)
    return mined


def _say_skipped(mined: "Mined", study: "Study") -> None:
    """Name the classes that were skipped because of too many itemsets."""
    if mined.skipped:
        names = ", ".join(study.labels[label] for label in mined.skipped)
        complain(f"Skipped, as they have more than {mined.config.limit:,} frequent filter sets: {names}.")


def _output(args: Namespace, table: "pd.DataFrame", first: list[str]) -> int:
    """Output a table as JSON, as CSV file, or as text with its main columns."""
    from core.export.spreadsheet import joined

    if args.json:
        say_json(json.loads(table.to_json(orient="records")))
    elif args.csv:
        _written(table, args.csv)
    elif len(table):
        say(*joined(table[first]).to_string(index=False, float_format=lambda number: f"{number:.3f}").split("\n"))
    else:
        say("No results with these settings.")
    return 0


def _written(table: "pd.DataFrame", path: Path) -> None:
    from core.export.spreadsheet import as_csv, joined

    write_text(path, as_csv(joined(table)), f"{len(table)} rows")
