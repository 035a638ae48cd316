"""The start of a visit: settings of every page, and what the first visitor sees while PyTorch is imported."""

import sys
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from core.environment import app_model
from core.resources import ASSETS, ROOT

MODEL = "efficientnet_lite0"
EXAMPLE = ASSETS / "images" / "coffee-maps.webp"  # as `vitrine explain` exports it with this model


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
