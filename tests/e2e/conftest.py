"""A server of the real app, a real browser, and a page that fails its test on whatever must never happen."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60_000  # milliseconds; generous, as machines of tests are slow
playwright.expect.set_options(timeout=PATIENCE)
# To find tests that rely on speed: how many times slower each page is. VITRINE_TEST_LATE (server.py) delays messages.
SLOWER = float(os.environ.get("VITRINE_TEST_SLOWER", "1"))


class Server:
    """The app on a port of its own, which begins at a network of flowers as that answers at once; "" is the default.

    The system chooses the port, so `url` and `port` are known once it is ready. It has one thread, as where two workers
    share the processor: what is too long to start by itself depends on the time of a pass.
    """

    url: str
    port: int

    def __init__(self, folder: Path, model: str = "flowers-double-12c", script: str = "app.py") -> None:
        self.file = folder / "census.json"
        self.log = folder / "server.log"
        settings = {"VITRINE_CENSUS": str(self.file), "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "full",
                    "VITRINE_MODEL": model, "OMP_NUM_THREADS": "1"}  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/e2e/server.py"), str(ROOT / script)],
                cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log,
            )  # fmt: skip

    def ready(self) -> "Server":
        """Wait until it answers."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if said := re.search(r"(http://127\.0\.0\.1:(\d+))\s", self.log.read_text("utf-8", "replace")):
                self.url, self.port = said[1], int(said[2])
                with suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return self
            time.sleep(0.1)
        pytest.fail(f"the server did not start:\n{self.log.read_text()}")

    def census(self) -> dict[str, int]:
        """What it holds and has done."""
        self.file.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.file.exists():
                return json.loads(self.file.read_text())
            time.sleep(0.05)
        pytest.fail(f"no census:\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that most tests share."""
    one = Server(tmp_path_factory.mktemp("server"))
    yield one.ready()
    one.stop()


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has visited."""
    one = Server(tmp_path)
    yield one.ready()
    one.stop()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    with playwright.sync_playwright() as play:
        one = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield one
        one.close()


@dataclass
class Tab:
    """A page of the browser, and what passed between it and the server."""

    page: Any
    faults: list[str] = field(default_factory=list)
    sent: int = 0  # bytes over the websocket, to the server
    got: int = 0
    asked: int = 0  # requests to the server beside the websocket
    answered: bool = False  # whether a run of the script has begun and ended since one was last asked for
    talk: deque[str] = field(default_factory=lambda: deque(maxlen=250))  # what was said last, to find out about faults
    _begun: bool = False

    def watch(self) -> None:
        """Note every request that leaves the machine, every error of the page, and all traffic."""
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}, after {list(self.talk)}"))
        self.page.on("websocket", self._socket)

    def open(self, url: str) -> "Tab":
        """Go to an address and wait until the page has settled."""
        self.page.goto(url)
        return self.settle()

    def settle(self) -> "Tab":
        """Wait until the server has handled all requests, everything is drawn and no tile is being computed."""
        end = time.monotonic() + PATIENCE / 1000
        while not (self.answered and self.page.evaluate(SETTLED) and self.answered):
            if time.monotonic() > end:
                pytest.fail(f"{self.page.url} does not settle; answered: {self.answered}")
            self.page.wait_for_timeout(50)
        return self.drawn()

    def drawn(self) -> "Tab":
        """Wait until what was asked of the browser so far is painted: it paints at most once a frame."""
        self.page.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
        return self

    def slide(self, slider: Any, key: str) -> None:
        """Press a key on one of Streamlit's sliders once the page has settled.

        The key is held until the slider has moved: it reports the value that it had drawn when the key was released.
        """
        self.settle()
        before = slider.get_attribute("aria-valuetext")
        slider.focus()
        self.page.keyboard.down(key)
        playwright.expect(slider).not_to_have_attribute("aria-valuetext", before)
        self.drawn()
        self.page.keyboard.up(key)

    def until(self, true: Callable[[], bool], seconds: float = PATIENCE / 1000) -> bool:
        """Whether something becomes true in time."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            self.page.wait_for_timeout(50)
        return True

    def tile(self, title: str, row: int = 0) -> Any:
        """The tile of a method."""
        named = self.page.locator(".title", has_text=title)
        return self.page.locator("figure.tile:not(.lead)").filter(has=named).nth(row)

    def _request(self, url: str) -> None:
        self.asked += url.startswith("http")
        if not url.startswith(("http://127.0.0.1", "blob:", "data:", "ws://127.0.0.1")):
            self.faults.append(f"left the machine: {url}")

    def _socket(self, socket: Any) -> None:
        self.answered = False
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._got)

    def _sent(self, data: bytes) -> None:
        self.sent += len(data)
        message = BackMsg.FromString(data)
        kind = message.WhichOneof("type")
        self.talk.append(f"> {kind} {message.rerun_script.fragment_id}")
        if kind == "rerun_script":
            self.answered = self._begun = False

    def _got(self, data: bytes) -> None:
        self.got += len(data)
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        what = message.delta.WhichOneof("type") if kind == "delta" else message.script_finished
        self.talk.append(f"{kind} {what} {list(message.metadata.delta_path)} {message.delta.fragment_id}")
        self._begun |= kind == "new_session"
        # A run that stops for another one is not the answer.
        self.answered |= self._begun and kind == "script_finished" and what != message.FINISHED_EARLY_FOR_RERUN


# The script has ended, what it sent is drawn (parts of Streamlit load late), all maps are there and painted, and the
# page knows, as there is nothing to stop: it runs once more when it finds out.
SETTLED = """() => {
  const state = document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState;
  const places = [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')];
  const parts = places.map((place) => place.shadowRoot);
  if (state !== 'notRunning' || !parts.every((part) => part?.childElementCount)) return false;
  if (document.querySelector('[data-testid="stSkeleton"], .st-key-stop-comparison')) return false;
  const framed = document.querySelector('.st-key-vitrine-header');
  if (framed && !parts.some((part) => part.querySelector('.image-strip'))) return false;
  const tiles = parts.flatMap((part) => [...part.querySelectorAll('figure.tile')]);
  return tiles.every((tile) => !['running', 'queued'].includes(tile.dataset.phase));
}"""


# The browser of a visitor who has seen the tour: it would stand beside what other tests look for.
TOUR_SEEN = "if (location.protocol === 'http:') localStorage.setItem('vitrine-tour', 'seen')"


@pytest.fixture
def tabs(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Open as many tabs as a test needs, each a visitor of its own; afterwards none may have met a fault.

    One with `tour` shows it at the first visit.
    """
    contexts, opened = [], []

    def make(*, tour: bool = False, **options: Any) -> Tab:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", **options)
        if not tour:
            context.add_init_script(TOUR_SEEN)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        one = Tab(context.new_page())
        if SLOWER > 1:
            context.new_cdp_session(one.page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        one.watch()
        opened.append(one)
        return one

    yield make
    for one in opened:
        if not one.page.is_closed():
            one.faults += one.page.locator('[data-testid="stException"]').all_inner_texts()
            one.faults += one.page.get_by_text("failed because of a defect").all_inner_texts()
    for context in contexts:
        context.close()
    assert [fault for one in opened for fault in one.faults] == []


@pytest.fixture
def tab(tabs: Callable[..., Tab]) -> Tab:
    """One visitor's tab."""
    return tabs()
