"""`vitrine tables train` and `vitrine tables importance`: a network, and three views of what it depends on."""

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from core.commands import chosen, options
from core.commands.tables.requests import STOPPED, Modelled, finish, model_options, modelled, reported
from core.errors import Cancelled
from core.progress import subrange
from core.tables.importance import VIEWS

if TYPE_CHECKING:
    import pandas as pd

    from core.figures.sheet import Kind
    from core.tables.importance import Views

_DRAWN = 30  # features in the figure
_PRINTED = 10
_KINDS: tuple["Kind", ...] = ("png", "svg")


def train(parser: ArgumentParser) -> None:
    """Declare `vitrine tables train`."""
    model_options(parser)
    parser.set_defaults(run=_train)


def importance(parser: ArgumentParser) -> None:
    """Declare `vitrine tables importance`."""
    model_options(parser)
    options(parser, VIEWS)
    again = "also train the regression and the tree again without each feature"
    parser.add_argument("--retrain", action="store_true", help=again)
    parser.set_defaults(run=_importance)


def _train(args: Namespace) -> int:
    from core.export.files import npz
    from core.export.spreadsheet import as_csv

    with reported() as report:
        try:
            found = modelled(args, report)
        except Cancelled:
            return STOPPED
    facts, files = dict(found.facts), {"predictions.csv": as_csv(_predictions(found)).encode()}
    if found.trained:
        one = found.trained
        facts |= {
            "measure": one.measure, "score": one.score, "interval": one.interval, "chance": one.chance,
            "training_score": one.training_score, "losses": one.losses.tolist(),
        }  # fmt: skip
        weights = {name: value.numpy() for name, value in one.network.net.state_dict().items()}
        files["network.npz"] = npz({**weights, "mean": one.network.mean, "scale": one.network.scale})
    finish(args, facts, files, [])
    return 0


def _importance(args: Namespace) -> int:
    from core.tables.importance import dropped, views

    settings = chosen(args, VIEWS, "importance")
    with reported() as report:
        try:
            found = modelled(args, subrange(report, 0, 0.5))
            seen = views(
                found.predict, found.training, found.held_out, **settings, seed=found.settings["seed"],
                report=subrange(report, 0.5, 0.8),
            )  # fmt: skip
            table = _table(seen)
            if args.retrain:
                label, how = settings["label"], {"depth": settings["depth"], "least": settings["least"]}
                both = found.training, found.held_out
                table["regression retrained"] = dropped("linear", *both, label=label, report=subrange(report, 0.8, 0.9))
                table["tree retrained"] = dropped("tree", *both, **how, report=subrange(report, 0.9, 1))
        except Cancelled:
            return STOPPED
    facts = {
        **found.facts,
        "notes": [*found.facts["notes"], *seen.notes],
        "score": found.score,
        "agreement": seen.agreement.sentence,
        "importances": _records(table),
        "ranks": _records(seen.agreement.ranks),
        "correlations": _records(seen.agreement.correlations),
        "regression": _records(seen.linear.coefficients) if seen.linear else None,
        "outcome": seen.linear.outcome if seen.linear else None,  # of the regression
        "tree": _records(_nodes(seen)),
    }
    best = table.sort_values("network", ascending=False).head(_PRINTED)
    shown = best.round(4).to_string(index=False).splitlines()
    finish(args, facts, _files(seen, table, found) if args.out else {}, [seen.agreement.sentence, *shown])
    return 0


def _predictions(found: Modelled) -> "pd.DataFrame":
    """The rows held out with what is predicted for them."""
    import pandas as pd

    outputs, names = found.predict(found.held_out.values), found.held_out.classes
    predicted: dict[str, Any] = {"predicted": outputs[:, 0]}
    if names:
        predicted = {"predicted": [names[number] for number in outputs.argmax(1)]}
        predicted |= {f"probability of {name}": outputs[:, number] for number, name in enumerate(names)}
    return pd.concat([found.held_out.frame, pd.DataFrame(predicted)], axis=1)


def _table(seen: "Views") -> "pd.DataFrame":
    """The importances of every feature, with the interval of the network's, and those by its mean."""
    ends = [(None, None) if one is None else (one.low, one.high) for one in seen.intervals.values()]
    low, high = zip(*ends, strict=True)
    return seen.agreement.importances.assign(low=low, high=high, **{"mean imputed": seen.imputed})


def _nodes(seen: "Views") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame([
        {"node": node.number, "question": node.question, "rows": node.n, "class": node.value,
         "impurity": node.impurity, "yes": node.children[0].number if node.children else None,
         "no": node.children[1].number if node.children else None}
        for node in seen.tree.root
    ]).astype({"yes": "Int64", "no": "Int64"})  # fmt: skip


def _records(table: "pd.DataFrame") -> Any:
    return json.loads(table.to_json(orient="records", double_precision=15))


def _files(seen: "Views", table: "pd.DataFrame", found: Modelled) -> dict[str, bytes]:
    """Tables as CSV, shuffles as NPZ, and the three importances as pictures."""
    from core.export.files import npz
    from core.export.spreadsheet import as_csv

    tables = {"importances": table, "ranks": seen.agreement.ranks, "correlations": seen.agreement.correlations,
              "tree": _nodes(seen)}  # fmt: skip
    if seen.linear:
        tables["regression"] = seen.linear.coefficients
    files = {f"{name}.csv": as_csv(one).encode() for name, one in tables.items()}
    files["shuffles.npz"] = npz({"shuffled": seen.shuffled, "imputed": seen.imputed})
    return files | {f"importances.{kind}": _picture(seen, table, found, kind) for kind in _KINDS}


def _picture(seen: "Views", table: "pd.DataFrame", found: Modelled, kind: "Kind") -> bytes:
    from core.figures.means import means_file
    from core.measure.intervals import Interval
    from core.tables.importance import LINEAR, NETWORK, TREE

    shown = table.sort_values(NETWORK, ascending=False, kind="stable").head(_DRAWN)
    titles = {LINEAR: "Linear regression: |t|", TREE: "Tree: Gini", NETWORK: "Network: loss if shuffled"}
    panels: dict[str, list[Interval | None]] = {
        title: [Interval(1, value, None, None) for value in shown[name]]
        for name, title in titles.items()
        if name in shown
    }
    panels[titles[NETWORK]] = [seen.intervals[name] for name in shown["feature"]]
    return means_file(
        list(shown["feature"]), panels, title=f"{found.training.name}: importances of features", kind=kind
    )
