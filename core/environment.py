"""The process's environment: the user's folder, the device, limits and warnings; the only reader of VITRINE_*."""

import os
import sys
import warnings
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Literal, get_args

from core.errors import BadParameter, Unavailable
from core.params import expanded, whole

if TYPE_CHECKING:
    import torch

Precision = Literal["full", "half"]
MOST_SEED = 999_999_999


def home() -> Path:
    """The user's own folder for studies and downloads: VITRINE_HOME, or ~/.vitrine."""
    found = expanded(os.environ.get("VITRINE_HOME") or "~/.vitrine")
    if found.parts[:1] == ("~",):
        raise Unavailable("The home folder of this user cannot be found.", "Set VITRINE_HOME to a writable folder.")
    return found


def device() -> "torch.device":
    """Where models run: VITRINE_DEVICE, else CUDA where there is one, else the CPU."""
    import torch

    wanted = os.environ.get("VITRINE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.zeros(1, device=wanted)
        float(found)  # "meta" keeps no values
        return found.device
    except (RuntimeError, AssertionError):
        raise BadParameter(
            f"VITRINE_DEVICE is {wanted!r}, which is not available on this machine.", "Use cpu or cuda."
        ) from None


def seed(value: str | int) -> int:
    """A seed as forms, addresses and command lines give it; BadParameter for what is none."""
    number = whole(str(value))
    if number is None or number > MOST_SEED:
        raise BadParameter(f"The seed cannot be {short(value)}.", f"Give a whole number from 0 to {MOST_SEED:,}.")
    return number


def precision() -> Precision:
    """How methods compute that put many scores together: VITRINE_PRECISION, or half on a GPU and full elsewhere."""
    wanted = os.environ.get("VITRINE_PRECISION") or ("half" if device().type == "cuda" else "full")
    for known in get_args(Precision):
        if wanted == known:
            return known
    raise BadParameter(f"VITRINE_PRECISION is {wanted!r}.", "Use full or half.")


def budget() -> int:
    """Bytes that one session's cache may hold: VITRINE_CACHE_MB, or 512 MB (2,048 on a GPU)."""
    default = "2048" if device().type == "cuda" else "512"
    text = os.environ.get("VITRINE_CACHE_MB") or default
    megabytes = whole(text)
    if megabytes is None or megabytes >= 10**9:
        raise BadParameter(f"VITRINE_CACHE_MB is {short(text)}.", "Give a whole number of megabytes.")
    return megabytes << 20


def app_model() -> str:
    """The model that the app was started with beside those of the registry: VITRINE_MODEL, "" for none."""
    return os.environ.get("VITRINE_MODEL", "")


def app_labels() -> str:
    """The file of labels for `app_model`: VITRINE_LABELS, "" for none."""
    return os.environ.get("VITRINE_LABELS", "")


def silence_warnings() -> None:
    """End the warnings of other packages for this process, unless Python was started with -W or PYTHONWARNINGS.

    They name lines of code that a user has not written, and what a user can act on is told as an error. It is done once
    at the start: filters set around a call would hold for other threads, too.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
