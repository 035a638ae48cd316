"""The command line: the list of commands, the parser, exit codes and shell completion."""

import os
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import NoReturn

from core.commands import complain
from core.environment import keep_freed_memory, let_idle_threads_sleep, silence_warnings
from core.errors import BadParameter, VitrineError
from core.registry import unknown
from core.resources import version

# name -> (help, module, function that adds arguments and `run`). A module is imported only when its command is called
# or completion is requested, and imports torch only when the command runs, so help and usage errors are immediate.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "app": ("open the app in the browser", "core.commands.app", "app"),
    "bias": ("measure what a region of the images is worth to a model", "core.commands.review.bias", "bias"),
    "models": ("list the models that can be loaded by name", "core.commands.lists.catalogue", "models"),
    "methods": ("list the methods of explanation with their settings", "core.commands.lists.catalogue", "methods"),
    "cases": ("measure what a review says of methods on one and several objects", "core.commands.cases", "cases"),
    "check": ("say what a model is made of and what each method can do with it", "core.commands.check", "check"),
    "exam": ("compare methods on images whose objects are known", "core.commands.exam", "exam"),
    "explain": ("explain the predictions of a model for images", "core.commands.explain", "explain"),
    "failures": ("show which images a model gets wrong, and how", "core.commands.review.failures", "failures"),
    "flip": ("find the fewest superpixels or filters whose removal changes a prediction", "core.commands.flip", "flip"),
    "flowers": ("draw a data set of synthetic flowers", "core.commands.flowers", "flowers"),
    "measure": ("measure the quality of explanations of one image or many", "core.commands.measure", "measure"),
    "storage": ("list what lies on disk, and delete it", "core.commands.lists.storage", "storage"),
    "study": ("find patches and rules of a model's filters in a folder of images", "core.commands.study", "study"),
    "tables": ("open tables, train a network for one, and explain it", "core.commands.tables", "tables"),
    "train": ("train the small network on flowers", "core.commands.flowers", "train"),
    "units": ("find what the units of a model respond to", "core.commands.units", "units"),
}
SHELLS = ("bash", "zsh", "fish")
_FOLDERS = ("STUDY", "DIR", "STUDY|DIR")  # names of arguments


class Parser(ArgumentParser):
    """argparse with its errors as VitrineError, so that all bad input is handled in the same way."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse for invalid arguments."""
        raise BadParameter(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 after an internal error, 2 after a user error, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # called as the program, not from Python
        silence_warnings()
        keep_freed_memory()
        let_idle_threads_sleep()
    try:
        command = _command(words)
        if command and command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        args = parser(command).parse_args(words)
        code: int = args.run(args)
        sys.stdout.flush()
    except VitrineError as error:
        if "--traceback" in words and error.__cause__:  # of a user's own code, or of another package
            traceback.print_exc()
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        complain("stopped.")
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - unexpected errors also end in one sentence
        if "--traceback" in words:
            traceback.print_exc()
        complain(f"a defect in Vitrine ({type(error).__name__}: {error}). `vitrine --traceback …` shows where.")
        return 1
    return code


def parser(command: str = "", *, whole: bool = False) -> Parser:
    """The parser that can read `command`, or every command if `whole`."""
    top = Parser("vitrine", description="Look inside image classifiers.", epilog="More: `vitrine COMMAND --help`.")
    top.add_argument("--version", action="store_true", help="print the version")
    top.add_argument("--completion", metavar="SHELL", help=f"print the completion script for {', '.join(SHELLS)}")
    top.add_argument("--traceback", action="store_true", help="show where an error happened, as in your own code")
    top.set_defaults(run=_without_command)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    for name, (help_line, module, function) in COMMANDS.items():
        subparser = commands.add_parser(name, help=help_line, description=f"{help_line[0].upper()}{help_line[1:]}.")
        if whole or name == command:
            getattr(import_module(module), function)(subparser)
    return top


def _command(words: Sequence[str]) -> str:
    """The word that names the command: the first that is neither an option nor an option's value; "" without one."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--c") and "=" not in word:  # --completion or an abbreviation of it
            next(rest, "")
        elif not word.startswith("-"):
            return word
    return ""


def _without_command(args: Namespace) -> int:
    if args.version:
        print(f"vitrine {version()}")
    elif args.completion:
        print(_completion(args.completion))
    else:
        parser().print_help()
    return 0


def _completion(shell: str) -> str:
    """The completion script of a shell, with the names of models, methods, measures and variants in it."""
    import shtab

    from core.data.flowers import VARIANTS
    from core.explain import EXPLAINERS
    from core.measure import MEASURES
    from core.models import MODELS

    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    top = parser(whole=True)
    names: dict[str, Iterable[str]] = {
        "MODEL": MODELS, "METHOD": EXPLAINERS, "MEASURE": MEASURES, "VARIANT": VARIANTS, "SHELL": SHELLS
    }  # fmt: skip
    for subparser in (top, *_parsers(top)):
        for action in subparser._actions:  # argparse has no public attribute for them
            if action.metavar in names:
                action.choices = list(names[str(action.metavar)])
            elif action.metavar in ("IMAGE", "FILE", *_FOLDERS):
                action.complete = shtab.DIRECTORY if action.metavar in _FOLDERS else shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(top, shell))


def _parsers(top: ArgumentParser) -> list[ArgumentParser]:
    """The parsers of all commands below one, groups included."""
    parsers: list[ArgumentParser] = []
    for action in top._actions:
        for below in dict.fromkeys((getattr(action, "_name_parser_map", None) or {}).values()):
            parsers += [below, *_parsers(below)]
    return parsers
