"""The process's environment: the user's folder, the device, limits and warnings; the only reader of VITRINE_*."""

import json
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, Literal, get_args

from core.errors import BadParameter, Unavailable
from core.params import expanded, whole

if TYPE_CHECKING:
    import torch

# Of methods that combine many scores: full, half where they need no gradients, or half for all of them.
Precision = Literal["full", "scores", "half"]
MOST_SEED = 999_999_999

# The most megabytes that a file of each kind may have; VITRINE_<KIND>_MB changes one.
LIMITS = {
    "image": 50,
    "weights": 8_000,
    "upload": 1_000,  # of weights, as a browser sends them
    "text": 20,  # labels, cards, notes: JSON and plain text beside images and weights
    "csv": 100,  # a table that a network is trained on
    "manifest": 200,  # descriptions of stored results
    "table": 1_000,  # of a stored result, on disk and unpacked
    "tags": 1_000,  # the database of tags
    "unpacked": 40_000,  # not one file: all unpacked archives of images together
}


def home() -> Path:
    """The user's own folder for studies and downloads: VITRINE_HOME, or ~/.vitrine.

    Raises Unavailable where ~ stands for the home folder of a user who has none.
    """
    folder = expanded(os.environ.get("VITRINE_HOME") or "~/.vitrine")
    first = folder.parts[0] if folder.parts else ""
    if first.startswith("~"):
        whose = f"of a user named {short(first[1:])}" if first[1:] else "of this user"
        raise Unavailable(f"The home folder {whose} cannot be found.", "Set VITRINE_HOME to a writable folder.")
    return folder


def device() -> "torch.device":
    """The device of models: VITRINE_DEVICE, else CUDA if available, else the CPU."""
    import torch

    name = os.environ.get("VITRINE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros(1, device=name)
        float(probe)  # "meta" stores no values
        return probe.device
    except (RuntimeError, AssertionError):
        raise BadParameter(
            f"VITRINE_DEVICE is {name!r}, which is not available on this machine.", "Use cpu, cuda or mps."
        ) from None


def exact(device: "torch.device") -> "torch.device":
    """Where sums of what is computed on a device are taken in float64: there, or on the CPU for Apple's MPS.

    That has no float64, and refuses tensors of it.
    """
    import torch

    return torch.device("cpu") if device.type == "mps" else device


def seed(value: str | int) -> int:
    """A seed from a form, address or command line; BadParameter if it is not valid."""
    number = whole(str(value))
    if number is None or number > MOST_SEED:
        raise BadParameter(f"The seed cannot be {short(value)}.", f"Give a whole number from 0 to {MOST_SEED:,}.")
    return number


def precision() -> Precision | Literal[""]:
    """The precision of methods that combine many scores: VITRINE_PRECISION, "" to let device and model decide."""
    name = os.environ.get("VITRINE_PRECISION", "")
    if not name:
        return ""
    for known in get_args(Precision):
        if name == known:
            return known
    raise BadParameter(f"VITRINE_PRECISION is {name!r}.", "Use full, scores or half.")


def budget() -> int:
    """The byte budget of one session's cache: VITRINE_CACHE_MB, or 512 MB (2,048 on a GPU)."""
    return _megabytes("VITRINE_CACHE_MB", 2048 if device().type == "cuda" else 512) << 20


def app_model() -> str:
    """The model that the app was started with, in addition to the registry: VITRINE_MODEL, "" for none."""
    return os.environ.get("VITRINE_MODEL", "")


def app_options() -> dict[str, Any]:
    """The options of `app_model` that differ from the defaults: VITRINE_MODEL_OPTIONS, a JSON object."""
    text = os.environ.get("VITRINE_MODEL_OPTIONS") or "{}"
    try:
        options = json.loads(text)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        message = f"VITRINE_MODEL_OPTIONS is {short(text)}."
        raise BadParameter(message, 'Give a JSON object of model options, such as {"size": 128}.')
    return options


def app_table_model() -> str:
    """The user's own model of tables, `FILE.py:FUNCTION`, that the app offers: VITRINE_TABLE_MODEL, "" for none."""
    return os.environ.get("VITRINE_TABLE_MODEL", "")


def app_folders() -> tuple[str, ...]:
    """The folders of images that the app offers to visitors: VITRINE_DATA, separated as in PATH."""
    return tuple(filter(None, os.environ.get("VITRINE_DATA", "").split(os.pathsep)))


def app_shared() -> bool:
    """Whether the app treats everybody as a stranger even on this machine, as behind a proxy: VITRINE_SHARED."""
    return os.environ.get("VITRINE_SHARED", "") not in ("", "0")


def silence_warnings() -> None:
    """Silence warnings of other packages in this process, unless Python was started with -W or PYTHONWARNINGS.

    They refer to code that a user has not written, and what a user can act on is reported as an error. Done once at the
    start: filters set around a call would affect other threads, too.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def keep_freed_memory() -> None:
    """Let this process use the memory of freed maps again, up to 256 MB, instead of returning it after every pass.

    How much glibc returns depends on the sizes of what was freed before; where it is much, its pages take up to a third
    of a pass to come back. Nothing changes with other libraries, and where the MALLOC_ variables of glibc are set.
    """
    import ctypes

    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        with suppress(AttributeError, OSError):
            library = ctypes.CDLL(None)
            library.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: larger maps are always returned; glibc allows no more
            library.mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD


def let_idle_threads_sleep() -> None:
    """Let the threads of OpenBLAS, in which NumPy and SciPy multiply, sleep once they are idle.

    By default they wait in a loop for up to 0.1 s, and take a core from torch: a pass after a small regression took up
    to half as long again. It holds where it is called before NumPy is imported, unless the variable is set already.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")  # 2 to the power of it are the turns of the loop


def limit(kind: str) -> int:
    """The most bytes that a file of a kind of LIMITS may have: VITRINE_<KIND>_MB, or the table's."""
    return _megabytes(f"VITRINE_{kind.upper()}_MB", LIMITS[kind]) * 1_000_000


def _megabytes(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    megabytes = whole(text)
    if megabytes is None or megabytes >= 10**9:
        raise BadParameter(f"{variable} is {short(text)}.", "Give a whole number of megabytes.")
    return megabytes
