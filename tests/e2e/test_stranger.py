"""A stranger who speaks to the server without a browser: widgets take values that no page offers."""

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that treats everybody as a stranger."""
    (tmp_path / "offered").mkdir()
    monkeypatch.setenv("VITRINE_SHARED", "1")
    monkeypatch.setenv("VITRINE_DATA", str(tmp_path / "offered"))
    server = Server(tmp_path)
    yield server.ready()
    server.stop()


class Stranger:
    """One connection to the server, and what it was told last."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.elements: list[Any] = []

    async def run(self, query: str = "", page: str = "", **values: str) -> None:
        """Run a page with these values of widgets by label, and collect what it shows."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        for label, value in values.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id = self.widget(label.replace("_", " "))
            state.string_value = value
        message.rerun_script.context_info.url = "http://stranger.invalid/"
        self.elements = []
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), 60))
            if answer.WhichOneof("type") == "delta" and answer.delta.WhichOneof("type") == "new_element":
                self.elements.append(answer.delta.new_element)
            if answer.WhichOneof("type") == "script_finished" and answer.script_finished == 0:
                return

    def widget(self, label: str) -> str:
        """The id of the widget with this label."""
        kinds = ("selectbox", "text_input", "button")
        found = [getattr(one, kind) for one in self.elements for kind in kinds if one.WhichOneof("type") == kind]
        return str(next(one.id for one in found if one.label.casefold() == label.casefold()))

    def said(self) -> str:
        """All sentences of the page."""
        alerts = [one.alert.body for one in self.elements if one.WhichOneof("type") == "alert"]
        return " ".join(
            [*alerts, *(one.markdown.body for one in self.elements if one.WhichOneof("type") == "markdown")]
        )


def connected(server: Server) -> Any:
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
    return websockets.connect(address, subprotocols=["streamlit", uuid.uuid4().hex], origin=server.url, max_size=None)


def test_a_model_that_the_list_does_not_offer_is_not_opened(shared: Server) -> None:
    async def visit() -> None:
        async with connected(shared) as socket:
            one = Stranger(socket)
            await one.run()
            await one.run(model="resnet18@/etc/passwd")
            box = next(e.selectbox for e in one.elements if e.WhichOneof("type") == "selectbox")
            assert box.raw_value in {"", "flowers-double-12c"}
            assert "passwd" not in one.said()
            await one.run("model=resnet18@/etc/passwd")
            assert "There is no model called" in one.said()

    with ThreadPoolExecutor(1) as pool:  # Playwright has an event loop in this thread
        pool.submit(asyncio.run, visit()).result()
