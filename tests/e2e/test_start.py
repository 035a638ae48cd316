"""The first visit of a new server: what is happening is said at once."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e


def test_the_first_visitor_sees_a_stored_result_while_pytorch_is_imported(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, tabs: Callable[..., Any]
) -> None:
    monkeypatch.setenv("VITRINE_TEST_IMPORT", "3")  # the server waits so long before it imports PyTorch
    server = Server(tmp_path, model="")
    try:
        tab = tabs()
        tab.page.goto(server.ready().url)
        tab.page.get_by_text("Starting: loading PyTorch").wait_for()
        tab.page.get_by_alt_text("A cup of coffee, classified as espresso").wait_for()
        tab.settle()
        assert tab.page.get_by_text("Starting: loading PyTorch").count() == 0
        assert tab.page.locator("figure.tile").count() == 3
    finally:
        server.stop()
