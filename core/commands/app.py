"""`vitrine app`."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from core.errors import BadParameter, Unavailable

SCRIPT = Path(__file__).resolve().parents[2] / "app.py"


def app(parser: ArgumentParser) -> None:
    """Declare `vitrine app`."""
    parser.add_argument("--port", type=int, default=8501, help="port to listen on (default: %(default)s)")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--model", metavar="MODEL", help="model shown first, or ARCH:FILE for your own weights")
    parser.set_defaults(run=_app)


def _app(args: Namespace) -> int:
    if not 0 < args.port < 1 << 16:
        raise BadParameter(f"--port cannot be {args.port}.", "Give a number between 1 and 65535.")
    if not SCRIPT.is_file():
        raise Unavailable("The app is not part of this installation.", "Install from a checkout: `make app`.")
    environment = {**os.environ, **({"VITRINE_MODEL": _model(args.model)} if args.model else {})}
    words = [sys.executable, "-m", "streamlit", "run", str(SCRIPT)]
    words += ["--server.port", str(args.port), "--server.address", args.address]
    # Streamlit looks for its settings in the folder where it starts.
    os.chdir(SCRIPT.parent)
    os.execve(sys.executable, words, environment)
    return 0


def _model(name: str) -> str:
    """The model's name as the app will find it from its own folder; what cannot be loaded is told before the start."""
    from core.models import MODELS, load

    architecture, colon, file = name.partition(":")
    if not colon:
        return MODELS[name].name
    return load(f"{architecture}:{Path(file).expanduser().resolve()}" if file else name).name
