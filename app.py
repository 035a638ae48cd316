"""Vitrine's server: `vitrine app`, or `streamlit run app.py`. The pages start in pages/ui/main.py."""

import asyncio
import importlib
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from core.environment import keep_freed_memory, let_idle_threads_sleep, silence_warnings
from pages.ui.shell import startup, unsent

silence_warnings()
keep_freed_memory()
let_idle_threads_sleep()
startup.keep_path()
unsent.keep()

# What takes seconds to import, PyTorch and pandas above all; the first visitor waits for what is left of it.
PAGES_NEED = ("core.workbench", "core.study.build", "core.comparison")
HEADERS = (
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """ASGI middleware: HEADERS in every response, and no metrics of the server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in HEADERS}
                others = [entry for entry in message.get("headers", ()) if entry[0].lower() not in names]
                message["headers"] = [*others, *HEADERS]
            await send(message)

        measured = scope["type"] == "http" and scope["path"].rstrip("/").endswith("/_stcore/metrics")
        app = PlainTextResponse("Not found", 404) if measured else self.app
        await app(scope, receive, with_headers if scope["type"] == "http" else send)


@asynccontextmanager
async def opening(_server: st.App) -> AsyncIterator[None]:
    """Begin the imports of the first page, and show the app in the user's browser, unless it is to run headless."""
    threading.Thread(target=lambda: list(map(importlib.import_module, PAGES_NEED)), daemon=True).start()
    if not st.get_option("server.headless"):
        address = f"http://{st.get_option('server.address') or 'localhost'}:{st.get_option('server.port')}"
        asyncio.get_running_loop().call_later(1, webbrowser.open, address)
    yield


# The script is not next to `pages`: with a folder of that name beside it, Streamlit shows "Page not found" to the first
# visitor of a deep link.
app = st.App("pages/ui/main.py", lifespan=opening, middleware=[Middleware(Guard)])
