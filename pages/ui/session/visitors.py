"""Visitors of a server that other machines can open: what each may read, and what belongs to whom.

On a server for this machine only, the user may read every folder and owns every study. Beyond it, a visitor reads only
the folders named by `vitrine app --data`, opens only the models of the list, and owns only what a session with the same
key has made. The key stands in the visitor's own address, never in a copied link.
"""

import hashlib
import ipaddress
import re
import secrets
from functools import cache
from pathlib import Path

import streamlit as st

from core import environment
from core.errors import BadParameter, Unavailable
from core.params import expanded

KEY = "key"  # the parameter of the address
# Limits of a server that other machines can open.
UPLOADS = 2_000  # megabytes of uploaded images in all
BUILDS = 2  # running builds in all; one for each visitor
STUDIES = 10  # of each visitor
IMAGES = 5_000  # of a study
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
    """The folder of this visitor's studies and tags; it may not exist yet."""
    return _home_of(key())


def _home_of(key: str) -> Path:
    home = environment.home()
    return home / "visitors" / hashlib.sha256(key.encode()).hexdigest()[:32] if key else home


def owns(path: Path) -> bool:
    """Whether a study belongs to this visitor."""
    return not shared() or path.resolve().is_relative_to(own_home().resolve())


def check_own(path: Path) -> None:
    """Raise Unavailable for a study that this visitor did not make."""
    if not owns(path):
        raise Unavailable(f"The study {path.name} is not yours.", "Only whoever built a study can delete or stop it.")


def folders() -> tuple[Path, ...]:
    """The folders below which images may be read: those of `vitrine app --data`; none means all, or none if shared."""
    return tuple(expanded(folder) for folder in environment.app_folders())


def permitted(folder: str) -> Path:
    """A folder of images that this visitor may read.

    Raises Unavailable for any other, with the same sentence whether or not it exists.
    """
    path = expanded(folder)
    if not shared():
        return path
    roots = [root.resolve() for root in folders()]
    if not roots:
        message = "This server offers no folders of images."
        raise Unavailable(message, "Whoever runs it can name some with `vitrine app --data FOLDER`.")
    try:
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte
        resolved = None
    if resolved is None or not any(resolved.is_relative_to(root) for root in roots):
        names = ", ".join(root.name for root in roots)
        raise BadParameter("This server does not offer that folder.", f"Choose one inside {names}.")
    return path


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
