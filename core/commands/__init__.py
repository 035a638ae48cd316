"""The commands of the command line: one function each, which declares its arguments and sets the function to run."""

import json
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.card import Card
from core.data.model_options import ModelOptions
from core.errors import VitrineError, printable
from core.params import Param, checked, expanded, params_of, spelled


def options(parser: ArgumentParser, source: Card | Callable[..., object], prefix: str = "") -> None:
    """An option for each setting of a card, or of a function that declares it in its signature."""
    for param in _params(source):
        option, text = _option(f"{prefix}{param.name}"), param.knob.help.replace("%", "%%")
        if param.kind == "bool":
            parser.add_argument(option, action=BooleanOptionalAction, default=param.default, help=text)
        elif param.kind == "path":  # argparse would read a default as it reads a path, and refuse an empty one
            parser.add_argument(option, type=path_argument, default=SUPPRESS, metavar="FILE", help=text)
        else:
            choices = f" {', '.join(param.choices)}" if param.choices else ""
            default = " (default: %(default)s)" if spelled(param.default) else ""
            parser.add_argument(
                option,
                default=spelled(param.default),
                metavar=param.kind.upper(),
                help=f"{text}{choices}{default}",
            )


def chosen(args: Namespace, source: Card | Callable[..., object], owner: str, prefix: str = "") -> dict[str, Any]:
    """The values of `options` as checked settings; messages name the options."""
    params = _params(source)
    values = {param.name: getattr(args, f"{prefix}{param.name}", param.default) for param in params}
    settings = checked(params, values, owner, lambda name: _option(f"{prefix}{name}"))
    if isinstance(source, Card):
        source.validate(settings)
    return settings


def chosen_model(args: Namespace) -> ModelOptions:
    """The options of the model, from the options of a command that declares `ModelOptions`."""
    return ModelOptions(**chosen(args, ModelOptions, "model"))


def named_model(args: Namespace) -> str:
    """The model that --model names; if that is code of the user, it may run in this process."""
    from core.models.sources.trust import trust

    return trust(args.model)


def path_argument(text: str) -> Path:
    """The path that an option names; if it is empty, argparse adds the option's name to the message."""
    if not text:
        raise ArgumentTypeError("a path cannot be empty")
    return expanded(text)


def say(*lines: str) -> None:
    """Print lines on stdout, replacing a progress line on the terminal; control characters in them are escaped."""
    _clear()
    for line in lines:
        print(printable(line))


def say_json(content: Any, **options: Any) -> None:
    """Print content as JSON on stdout, with control characters escaped.

    `options` are those of `json.dumps`.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, **options)
    print("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text))


def write_text(path: Path, text: str, what: str) -> None:
    """Write a text file and print its path with what it holds; one sentence if it cannot be written."""
    try:
        path.write_text(text, "utf-8", newline="")
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None
    say(f"{path}: {what}")


def unwritable(path: Path, error: Exception) -> VitrineError:
    """The error for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or "it cannot be a path"
    return VitrineError(f"{path} cannot be written ({reason}).", "Choose another file.")


def complain(problem: str) -> None:
    """Print one sentence on stderr, replacing a progress line."""
    _clear()
    print(f"vitrine: {printable(' '.join(problem.split()))}", file=sys.stderr)


def _params(source: Card | Callable[..., object]) -> Sequence[Param]:
    return source.params if isinstance(source, Card) else params_of(source)


def _option(name: str) -> str:
    return f"--{name}".replace("_", "-")


def _escaped(character: str) -> str:
    """The JSON escape of a character; `json.dumps` itself leaves 0x7f unescaped."""
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
