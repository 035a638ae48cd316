"""Vitrine's server: `vitrine app`, or `streamlit run app.py`. The pages start in pages/ui/main.py."""

import asyncio
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st

from core.environment import silence_warnings

silence_warnings()


@asynccontextmanager
async def opening(_server: st.App) -> AsyncIterator[None]:
    """Show the app in the user's browser a moment after the server has started, unless it is to run headless."""
    if not st.get_option("server.headless"):
        address = f"http://{st.get_option('server.address') or 'localhost'}:{st.get_option('server.port')}"
        asyncio.get_running_loop().call_later(1, webbrowser.open, address)
    yield


# The script is not next to `pages`: with a folder of that name beside it, Streamlit shows "Page not found" to the first
# visitor of a deep link.
app = st.App("pages/ui/main.py", lifespan=opening)
