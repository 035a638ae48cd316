"""`vitrine storage`: the list of what lies on disk, and its deletion."""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.commands import say, say_json
from core.environment import home
from core.errors import BadParameter, brief
from core.store.storage import KINDS, Entry, delete, listed, studies_of, totals

_SHOWN = 20  # of each kind


def storage(parser: ArgumentParser) -> None:
    """Declare `vitrine storage`."""
    parser.add_argument("--json", action="store_true", help="print as JSON, with everything of every kind")
    parser.set_defaults(run=_list)
    below = parser.add_subparsers(metavar="COMMAND")
    one = below.add_parser("delete", help="delete one thing", description="Delete one thing that is listed.")
    one.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    one.add_argument("name", metavar="NAME", help="as it is listed")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.set_defaults(run=_delete)


def _list(args: Namespace) -> int:
    entries = listed(home())
    if args.json:
        say_json([_facts(entry) for entry in entries])
        return 0
    for kind, (count, size, complete) in totals(entries).items():
        say(f"{KINDS[kind].title}: {count:,}, {_size(size, complete)}")
        of_kind = [entry for entry in entries if entry.kind == kind]
        for entry in of_kind[:_SHOWN]:
            state = "".join(f"  {brief(words, 60)}" for words in (entry.state, entry.of, entry.model) if words)
            say(
                f"  {kind:12} {brief(entry.name, 60):40} {_size(entry.bytes, entry.complete):>18}  {_day(entry)}{state}"
            )
        if count > _SHOWN:
            say(f"  and {count - _SHOWN:,} smaller ones; --json lists all")
    if not entries:
        say(f"Nothing is stored in {home()}.")
    return 0


def _delete(args: Namespace) -> int:
    found = [entry for entry in listed(home()) if (entry.kind, entry.name) == (args.kind, args.name)]
    if found and not args.yes:
        _ask(found[0])
    gone = delete(home(), args.kind, args.name)
    say(f"Deleted: {KINDS[gone.kind].title.lower()} {brief(gone.name, 60)}, {_size(gone.bytes, gone.complete)}.")
    return 0


def _ask(entry: Entry) -> None:
    """Ask on the terminal. Raises BadParameter if there is none, and unless the answer is yes."""
    users = studies_of(home(), entry)
    lost = f" The images of {', '.join(users)} are in it." if users else ""
    if not sys.stdin.isatty():
        raise BadParameter(f"{brief(entry.name, 60)} is deleted only when asked for.", f"Add --yes.{lost}")
    question = f"Delete {brief(entry.name, 60)}, {_size(entry.bytes, entry.complete)}?{lost} [y/N] "
    if input(question).strip().lower() not in ("y", "yes"):
        raise BadParameter("Nothing was deleted.", "")


def _size(count: int, complete: bool) -> str:
    return f"{'' if complete else 'at least '}{count / 1e6:,.1f} MB"


def _day(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d")


def _facts(entry: Entry) -> dict[str, Any]:
    plain = replace(entry, name=_valid(entry.name), of=_valid(entry.of), model=_valid(entry.model))
    return {**vars(plain), "path": _valid(str(entry.path)), "kept": entry.kept}


def _valid(text: str) -> str:
    """A name of a file as text: its bytes that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
