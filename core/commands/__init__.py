"""The commands of the command line: one function per command that declares its arguments and what runs."""

import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from typing import Any

from core.params import checked, params_of


def options(parser: ArgumentParser, source: Callable[..., object], prefix: str = "") -> None:
    """An option for each setting that a function declares in its signature."""
    for param in params_of(source):
        option, text = f"--{prefix}{param.name}".replace("_", "-"), param.knob.help.replace("%", "%%")
        if param.kind == "bool":
            parser.add_argument(option, action=BooleanOptionalAction, default=param.default, help=text)
        else:
            choices = f" {', '.join(param.choices)}" if param.choices else ""
            parser.add_argument(
                option,
                default=param.default,
                metavar=param.kind.upper(),
                help=f"{text}{choices} (default: %(default)s)",
            )


def chosen(args: Namespace, source: Callable[..., object], owner: str, prefix: str = "") -> dict[str, Any]:
    """What `options` read, as the checked settings of the function; `owner` is its name in messages."""
    params = params_of(source)
    return checked(params, {param.name: getattr(args, f"{prefix}{param.name}") for param in params}, owner)


def say(text: str) -> None:
    """A line on stdout, in place of a line of progress that may stand on the terminal."""
    _clear()
    print(text)


def complain(problem: str) -> None:
    """One sentence on stderr, in place of a line of progress that may stand there."""
    _clear()
    print(f"vitrine: {' '.join(problem.split())}", file=sys.stderr)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
