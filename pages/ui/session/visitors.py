"""Visitors of a server that other machines can open: what each may read, and what belongs to whom.

On a server for this machine only, the user may read every folder and owns every study. Beyond it, a visitor reads only
the folders named by `vitrine app --data`, opens only the models of the list, and owns only what a session with the same
key has made. The key stands in the visitor's own address, never in a copied link.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import streamlit as st

from core import environment
from core.errors import BadParameter, TooLarge, Unavailable
from core.params import expanded

KEY = "key"  # the parameter of the address
# Limits of a server that other machines can open.
UPLOADS = 2_000  # megabytes of uploaded images in all
BUILDS = 2  # running builds in all; one for each visitor
STUDIES = 10  # of each visitor, and as many exams
IMAGES = 5_000  # of a study
WEIGHTS = 2_000  # megabytes of weights files of each visitor
ALL_WEIGHTS = 20_000  # and of all together
SHOW_PATHS = "show-paths"  # the key of the switch


def shared() -> bool:
    """Whether other machines can open the app."""
    address = st.get_option("server.address") or ""
    try:
        return environment.app_shared() or not ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:  # a host name, none, or a socket behind a proxy
        return address != "localhost"


def key() -> str:
    """The secret of this visitor, from the address or new; "" on a server for this machine only."""
    if not shared():
        return ""
    given = st.query_params.get(KEY, "")
    if "visitor" not in st.session_state:
        st.session_state["visitor"] = (
            given if re.fullmatch(r"[\w-]{32}", given, re.ASCII) else secrets.token_urlsafe(24)
        )
    return str(st.session_state["visitor"])


def private() -> dict[str, str]:
    """The parameters of this visitor's own address that a copied link does not have."""
    return {KEY: key()} if shared() else {}


def own_home() -> Path:
    """The folder of this visitor's studies, exams and tags; it may not exist yet."""
    return _home_of(key())


def _home_of(key: str) -> Path:
    home = environment.home()
    return home / "visitors" / hashlib.sha256(key.encode()).hexdigest()[:32] if key else home


def owns(path: Path) -> bool:
    """Whether a study or exam belongs to this visitor."""
    return not shared() or path.resolve().is_relative_to(own_home().resolve())


def check_own(path: Path) -> None:
    """Raise Unavailable for a study or exam that this visitor did not make."""
    if not owns(path):
        one = {"exams": "exam", "units": "analysis"}.get(path.parent.name, "study")
        raise Unavailable(f"The {one} {path.name} is not yours.", "Only whoever built it can delete or stop it.")


def check_builds(running: Sequence[Path], folder: Path) -> None:
    """Raise Unavailable if no further build into a folder may start while those at these paths run.

    Only a shared server has limits.
    """
    if not shared():
        return
    if any(owns(path) for path in running):
        raise Unavailable("A study or exam of yours is being built.", "Wait for it, or stop it.")
    if len(running) >= BUILDS:
        raise Unavailable(f"This server builds {BUILDS} studies or exams at a time.", "Try again later.")
    if folder.is_dir() and sum(not path.name.startswith(".") for path in folder.iterdir()) >= STUDIES:
        raise Unavailable(f"This server keeps {STUDIES} {folder.name} of each visitor.", "Delete one.")


def check_images(count: int) -> None:
    """Raise TooLarge for a study of more images than a shared server allows."""
    if shared() and count > IMAGES:
        message = f"The folder has {count:,} images; a study on this server may have {IMAGES:,}."
        raise TooLarge(message, "Set a limit under More.")


def check_weights(size: int) -> None:
    """Raise TooLarge if a shared server stores too many weights files for `size` bytes more."""
    if not shared():
        return
    everybody = environment.home() / "visitors"
    for place, pattern, limit, of in (
        (own_home(), "weights/*/*", WEIGHTS, "of each visitor"),
        (everybody, "*/weights/*/*", ALL_WEIGHTS, "in all"),
    ):
        if sum(file.stat().st_size for file in place.glob(pattern)) + size > limit << 20:
            message = f"This server stores no more than {limit:,} MB of weights {of}."
            raise TooLarge(message, "Close models of yours, or try again later.")


def check_hub(title: str) -> None:
    """Raise Unavailable on a shared server, where visitors cannot make it download from timm or another hub."""
    if shared():
        message = f"This server downloads no models of {title} for visitors."
        raise Unavailable(message, "Whoever runs it can offer one with `vitrine app --model`.")


def check_exported() -> None:
    """Raise Unavailable on a shared server, where visitors cannot have it run an exported network of theirs."""
    if shared():
        message = (
            "Visitors cannot open .onnx files, as no limit of time or memory holds for onnxruntime in this server."
        )
        raise Unavailable(message, "Whoever runs it can offer one with `vitrine app --model FILE.onnx`.")


def folders() -> tuple[Path, ...]:
    """The folders below which images may be read: those of `vitrine app --data`; none means all, or none if shared."""
    return tuple(expanded(folder) for folder in environment.app_folders())


def permitted(folder: str) -> Path:
    """A folder of images that this visitor may read.

    Raises Unavailable for any other, with the same sentence whether or not it exists.
    """
    path = expanded(folder)
    if may_read(path):
        return path
    roots = folders()
    if not roots:
        message = "This server offers no folders of images."
        raise Unavailable(message, "Whoever runs it can name some with `vitrine app --data FOLDER`.")
    names = ", ".join(root.name for root in roots)
    raise BadParameter("This server does not offer that folder.", f"Choose one inside {names}.")


def may_read(folder: Path) -> bool:
    """Whether this visitor may read a folder of images; links count as what they lead to."""
    if not shared():
        return True
    try:
        resolved = folder.resolve()
        return any(resolved.is_relative_to(root.resolve()) for root in folders())
    except (OSError, ValueError, RuntimeError):  # a loop of links
        return False


def public(text: str) -> str:
    """A sentence with the folders in its absolute paths left out, unless the user of this machine asked for them."""
    if st.session_state.get(SHOW_PATHS) and not shared():
        return text
    return _FOLDERS.sub(lambda match: "…/" if _is_root(match[1]) else match[0], text)


# The folders of an absolute path, without its last part; the first is a group. A label may look alike ("/m/01g317").
_FOLDERS = re.compile(r"""(?<![\w.:/\\])(/[^/\s"'`]+/|[A-Za-z]:[\\/])(?:[^/\\\s"'`]+[/\\])*""")


@cache
def _is_root(name: str) -> bool:
    """Whether a path that begins like this can exist on this machine."""
    return not name.startswith("/") or Path(name).is_dir()
