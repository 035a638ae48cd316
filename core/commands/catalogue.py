"""The commands `vitrine models` and `vitrine methods`."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from core.commands import say, say_json


def models(parser: ArgumentParser) -> None:
    """Declare `vitrine models`."""
    parser.add_argument("--json", action="store_true", help="print as JSON with all details")
    parser.set_defaults(run=_models)


def methods(parser: ArgumentParser) -> None:
    """Declare `vitrine methods`."""
    parser.add_argument("--json", action="store_true", help="print as JSON with all details")
    parser.set_defaults(run=_methods)


def _models(args: Namespace) -> int:
    from core.models import MODELS

    if args.json:
        return _json([{k: v for k, v in vars(card).items() if k != "load"} for card in MODELS.values()])
    for card in MODELS.values():
        size = f"{card.classes:5} classes {card.size:4} px {card.megabytes:7.1f} MB"
        say(f"{card.name:24} {card.source:11} {size}  {card.title}")
    return 0


def _methods(args: Namespace) -> int:
    from core.explain import EXPLAINERS

    if args.json:
        hidden = ("run", "cost", "layers_read", "validate")  # functions
        return _json([{k: v for k, v in vars(card).items() if k not in hidden} for card in EXPLAINERS.values()])
    for method in EXPLAINERS.values():
        say(f"{method.name:24} {method.summary}")
        for param in method.params:
            say(f"{'':24} --set {method.name}.{param.name}={param.default}: {param.knob.help}")
    return 0


def _json(cards: list[dict[str, Any]]) -> int:
    say_json(cards, default=asdict)
    return 0
