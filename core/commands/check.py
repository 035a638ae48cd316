"""`vitrine check`: the components of a model and the methods it supports, before anything runs."""

from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import TYPE_CHECKING, Any

from core.commands import chosen_model, named_model, options, say, say_json
from core.data.model_options import ModelOptions

if TYPE_CHECKING:
    from core.workbench import Workbench


def check(parser: ArgumentParser) -> None:
    """Declare `vitrine check`."""
    parser.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    parser.add_argument("--json", action="store_true", help="print as JSON with all layers")
    parser.set_defaults(run=_check)


def _check(args: Namespace) -> int:
    from core.environment import device
    from core.models import load
    from core.workbench import Workbench

    bench = Workbench(load(named_model(args), device=device(), options=chosen_model(args)))
    if args.json:
        say_json(_facts(bench))
    else:
        _say(bench)
    return 0


def _facts(bench: "Workbench") -> dict[str, Any]:
    """All facts of a model, for JSON."""
    from core.serialization import dump

    model, survey = bench.model, bench.model.survey
    return {
        "model": model.name,
        "classes": len(model.labels),
        "device": str(model.device),
        "input": vars(model.preprocess),
        "output": model.output,
        "threshold": model.threshold,
        "labels": model.labels,
        "options": model.options.changed(),
        "notes": model.notes,
        "default_layer": survey.default,
        "head": survey.head,
        "operations": survey.operations,
        "normalisation": Counter(layer.kind for layer in survey.norms),
        "folded": [layer.name for layer in survey.folded],
        "in_place": {"until_loaded": model.overwrote, "in_code": survey.overwrites},
        "reused": {layer.name: layer.calls for layer in survey.reused},
        "layers": [{**vars(layer), "units": layer.units, "cells": layer.cells} for layer in survey.layers],
        "methods": {name: dump(plan) for name, plan in bench.plans().items()},
    }


def _say(bench: "Workbench") -> None:
    from core.card import BUDGETS
    from core.models.description import described

    model = bench.model
    say(f"{model.name}: {len(model.labels)} classes, runs on {model.device}")
    for heading, text in described(model).items():
        say(f"{heading}: {text}")
    say("Layers with spatial positions (* default):")
    for layer in model.survey.usable:
        mark = "*" if layer.name == model.survey.default else " "
        say(f"{mark} {layer.name:40} {layer.kind:24} {layer.units} × {layer.cells[0]} × {layer.cells[1]}")
    say(f"Methods with their passes ({', '.join(BUDGETS)}) and the layers they read:")
    for name, plan in bench.plans().items():
        costs = [f"{passes} in {plan.seconds[budget]:,.1f} s" for budget, passes in plan.passes.items()]
        cost = " · ".join(costs if len(set(costs)) > 1 else costs[:1])
        say(f"  {name:24} {plan.reason or f'{cost}; {plan.layers_read}'.removesuffix('; ')}")
