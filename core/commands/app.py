"""The command `vitrine app`."""

import errno
import json
import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from core.commands import chosen_model, named_model, options, path_argument
from core.data.model_options import ModelOptions
from core.environment import limit
from core.errors import BadParameter, Unavailable
from core.resources import ROOT
from core.tables.own_model import code_name

SCRIPT = ROOT / "app.py"


def app(parser: ArgumentParser) -> None:
    """Declare `vitrine app`."""
    parser.add_argument("--port", type=int, default=8501, help="port to listen on (default: %(default)s)")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--model", metavar="MODEL", help="model shown first, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    own = "your own model, which the page Tables offers beside its network: a function that returns it"
    parser.add_argument("--table-model", metavar="FILE.py:FUNCTION", help=own)
    parser.add_argument(
        "--data",
        type=path_argument,
        action="append",
        default=[],
        metavar="DIR",
        help="folder of images to offer for studies, repeatable; visitors from other machines can read no others",
    )
    parser.add_argument(
        "--shared",
        action="store_true",
        help="treat all visitors as strangers, for a server behind a proxy; implied by --address beyond this machine",
    )
    parser.set_defaults(run=_app)


def _app(args: Namespace) -> int:
    if not 0 < args.port < 1 << 16:
        raise BadParameter(f"--port cannot be {args.port}.", "Give a number between 1 and 65535.")
    if not SCRIPT.is_file():
        raise Unavailable("The app is not part of this installation.", "Install from a checkout: `make app`.")
    if not args.address:
        raise BadParameter(
            "--address is empty.", "Omit it to accept connections from this machine only; 0.0.0.0 accepts others."
        )
    given = chosen_model(args)
    if given.labels and not args.model:
        raise BadParameter("--labels is for your own weights.", "Give --model ARCH@FILE with it.")
    if given.changed() and not args.model:
        message = f"{' and '.join(f'--{name}' for name in given.changed())} cannot be used without --model."
        raise BadParameter(message, "Name the model that it is for.")
    _free(args.address, args.port)
    environment = dict(os.environ)
    if given.labels:
        given = replace(given, labels=str(Path(given.labels).resolve()))
    if args.model:
        environment["VITRINE_MODEL"] = _model(named_model(args), given)
        environment["VITRINE_MODEL_OPTIONS"] = json.dumps(given.changed())
    if args.table_model:
        environment["VITRINE_TABLE_MODEL"] = str(code_name(args.table_model).absolute)
    if args.model or args.table_model:
        # A module of the user's is found from the folder where it was named.
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(Path.cwd()))))
    if args.data:
        environment["VITRINE_DATA"] = os.pathsep.join(str(_offered(folder)) for folder in args.data)
    if args.shared:
        environment["VITRINE_SHARED"] = "1"
    words = [sys.executable, "-m", "streamlit", "run", str(SCRIPT)]
    # Above the limits of images and weights: the sentence for larger files comes from the app.
    words += ["--server.maxUploadSize", str(max(limit("image"), limit("upload")) // 1_000_000 + 10)]
    words += ["--server.port", str(args.port), "--server.address", args.address]
    # Streamlit reads its settings from the folder where it starts.
    os.chdir(SCRIPT.parent)
    os.execve(sys.executable, words, environment)
    return 0


def _free(address: str, port: int) -> None:
    """Raise Unavailable if the app cannot listen on this port; the server's own error is no plain sentence."""
    if address.startswith("unix:"):
        return
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise Unavailable(f"Port {port} is in use.", "Choose another one with --port.") from None
        if getattr(error, "errno", None) == errno.EACCES:
            raise Unavailable(f"Port {port} is reserved.", "Choose one from 1024 with --port.") from None
        hint = "Give an address of this machine, such as 127.0.0.1."
        raise Unavailable(f"The app cannot listen on {address!r}.", hint) from None


def _offered(folder: Path) -> Path:
    """A folder of images for visitors, as an absolute path. Raises BadParameter if it is none."""
    if not folder.is_dir() or os.pathsep in str(folder.resolve()):
        raise BadParameter(f"--data {str(folder)!r} is not a folder that can be offered.", "Check its path.")
    return folder.resolve()


def _model(name: str, given: ModelOptions) -> str:
    """The model's name with paths valid in the app's folder; raises if the model cannot be loaded."""
    from core.models import MODELS, load
    from core.models.name import parsed

    parts = parsed(name)
    if parts.source == "list" and not given.changed():
        return MODELS[name].name
    return load(str(parts.absolute), options=given).name
