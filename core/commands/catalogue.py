"""The commands `vitrine models` and `vitrine methods`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core.card import Card
from core.commands import say, say_json
from core.params import spelled


def models(parser: ArgumentParser) -> None:
    """Declare `vitrine models`."""
    parser.add_argument("--json", action="store_true", help="print as JSON with all details")
    parser.set_defaults(run=_models)


def methods(parser: ArgumentParser) -> None:
    """Declare `vitrine methods`."""
    parser.add_argument("--measures", action="store_true", help="list the measures of explanations instead")
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
    from core.measure import MEASURES

    cards: Sequence[Card] = list((MEASURES if args.measures else EXPLAINERS).values())
    if args.json:
        return _json([_facts(card) for card in cards])
    option = "" if args.measures else "--set "
    for card in cards:
        say(f"{card.name:24} {card.summary}")
        for param in card.params:
            say(f"{'':24} {option}{card.name}.{param.name}={spelled(param.default)}: {param.knob.help}")
    return 0


def _facts(card: Card) -> dict[str, Any]:
    """All fields of a card except functions; `paper` repeats its source for existing scripts."""
    facts = {name: value for name, value in vars(card).items() if not callable(value)}
    if "needs" in facts:
        facts["needs"] = [need.name for need in facts["needs"]]
    return {**facts, "paper": card.source}


def _json(cards: list[dict[str, Any]]) -> int:
    say_json(cards, default=asdict)
    return 0
