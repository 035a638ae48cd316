"""The commands `vitrine models` and `vitrine methods`."""

from argparse import ArgumentParser, Namespace
from typing import Any

from core.card import Card
from core.commands import say, say_json
from core.params import spelled
from core.store import lists


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
    cards = lists.cards("models", _all_models)
    if args.json:
        say_json(cards)
        return 0
    for card in cards:
        size = f"{card['classes']:5} classes {card['size']:4} px {card['megabytes']:7.1f} MB"
        say(f"{card['name']:24} {card['source']:11} {size}  {card['title']}")
    return 0


def _methods(args: Namespace) -> int:
    cards = lists.cards("measures", _all_measures) if args.measures else lists.cards("methods", _all_methods)
    if args.json:
        say_json(cards)
        return 0
    option = "" if args.measures else "--set "
    for card in cards:
        say(f"{card['name']:24} {card['summary']}")
        for param in card["params"]:
            setting = f"{option}{card['name']}.{param['name']}={spelled(param['default'])}"
            say(f"{'':24} {setting}: {param['knob']['help']}")
    return 0


def _all_models() -> list[dict[str, Any]]:
    from core.models import MODELS

    return [{name: value for name, value in vars(card).items() if name != "load"} for card in MODELS.values()]


def _all_methods() -> list[dict[str, Any]]:
    from core.explain import EXPLAINERS

    return [_facts(card) for card in EXPLAINERS.values()]


def _all_measures() -> list[dict[str, Any]]:
    from core.measure import MEASURES

    return [_facts(card) for card in MEASURES.values()]


def _facts(card: Card) -> dict[str, Any]:
    """All fields of a card except functions; `paper` repeats its source for existing scripts."""
    facts = {name: value for name, value in vars(card).items() if not callable(value)}
    if "needs" in facts:
        facts["needs"] = [need.name for need in facts["needs"]]
    return {**facts, "paper": card.source}
