"""`vitrine check`: what a model is made of, and what every method can do with it, before anything runs."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path


def check(parser: ArgumentParser) -> None:
    """Declare `vitrine check`."""
    parser.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH:FILE for your own weights")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names of your own weights, one per line")
    parser.add_argument("--json", action="store_true", help="as JSON, with all layers")
    parser.set_defaults(run=_check)


def _check(args: Namespace) -> int:
    from core.explain import EXPLAINERS
    from core.models import load
    from core.workbench import device

    model = load(args.model, device=device(), labels=args.labels)
    found = model.survey
    reasons = {name: method.unmet(model) for name, method in EXPLAINERS.items()}
    if args.json:
        layers = [{**vars(layer), "units": layer.units, "cells": layer.cells} for layer in found.layers]
        facts = {"model": model.name, "classes": len(model.labels), "default_layer": found.default, "head": found.head}
        facts |= {"operations": found.operations, "reused": found.reused, "layers": layers, "methods": reasons}
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return 0
    print(f"{model.name}: {len(model.labels)} classes, input {model.preprocess.crop} px, runs on {model.device}")
    print(f"operations: {', '.join(found.operations)}")
    print(f"modules called more than once: {', '.join(found.reused) or 'none'}")
    print(f"pooled into one linear layer: {found.head or 'no'}")
    print("layers that maps can be read from (* the default):")
    for layer in found.usable:
        mark = "*" if layer.name == found.default else " "
        print(f"{mark} {layer.name:40} {layer.kind:24} {layer.units} × {layer.cells[0]} × {layer.cells[1]}")
    print("methods:")
    for name, reason in reasons.items():
        print(f"  {name:24} {reason or 'works'}")
    return 0
