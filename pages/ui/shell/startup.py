"""The start of a visit: settings of every page, and what the first visitor sees while PyTorch is imported."""

import importlib
import sys
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from core.environment import app_model
from core.resources import ASSETS, ROOT

MODEL = "efficientnet_lite0"
EXAMPLE = ASSETS / "images" / "coffee-maps.webp"  # as `vitrine explain` exports it with this model

# What takes seconds to import, PyTorch and pandas above all; the first visitor waits for what is left of it.
NEEDED = ("core.workbench", "core.study.build", "core.comparison")
# What functions of some pages import at their first call: charts, linear models and mixtures, and what PyTorch itself
# imports at its first operation on tensors of another class, as in occlusion.
LATER = ("plotly.graph_objects", "sklearn.linear_model", "sklearn.mixture", "torch.distributed.tensor")
complete = threading.Event()  # set once a page was shown to its end, with no map being computed


def imports() -> None:
    """Import what every page needs and, once the first one is complete, what some pages need, one after the other."""
    for name in NEEDED:
        importlib.import_module(name)
    complete.wait()
    for name in LATER:
        with suppress(ImportError):  # of a part that a build of PyTorch may lack
            importlib.import_module(name)


def keep_path() -> None:
    """Add the folder of the script to sys.path for good, before the first run.

    Streamlit does so for each run and removes it afterwards: another thread that imports a package just then can skip a
    folder, and finds none.
    """
    sys.path.append(str(ROOT / "pages" / "ui"))


def settle() -> None:
    """Page settings, which Streamlit requires first."""
    st.set_page_config("Vitrine", page_icon=str(ASSETS / "icon.png"), layout="wide", initial_sidebar_state=236)
    st.html(ROOT / "pages" / "ui" / "shell" / "frame.css")


def cover() -> Any:
    """A place that says what is happening until its `empty` is called; nothing once the server has imported PyTorch."""
    place = st.empty()
    if not hasattr(sys.modules.get("core.workbench"), "Workbench"):  # a module being imported is listed, but incomplete
        with place.container():
            st.info("Starting: loading PyTorch and the pages. This takes a few seconds, on a busy machine up to 30.")
            if app_model() in ("", MODEL) and urlsplit(st.context.url or "").path in ("", "/"):
                st.image(
                    str(EXAMPLE),
                    alt="A cup of coffee, classified as espresso, with its Grad-CAM and saliency maps",
                    caption="A stored result, shown until the page has computed its own.",
                    width=840,
                )
    return place
