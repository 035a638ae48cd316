"""A server: what its first visitor sees, and what it tells browsers and others: headers, trusted hosts, metrics."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
EXPECTED = {
    "content-security-policy": "frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@pytest.mark.parametrize("path", ["", "compare", "_stcore/health", "_stcore/host-config", "no/such/file.js"])
def test_every_response_has_the_headers(server: Any, path: str) -> None:
    try:
        with urllib.request.urlopen(f"{server.url}/{path}", timeout=20) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    assert {name: headers.get_all(name) for name in EXPECTED} == {name: [value] for name, value in EXPECTED.items()}


def test_no_other_host_may_control_the_app(server: Any) -> None:
    with urllib.request.urlopen(f"{server.url}/_stcore/host-config", timeout=20) as response:
        assert json.load(response)["allowedOrigins"] == []


def test_the_server_gives_no_metrics(server: Any) -> None:
    for path in ("_stcore/metrics", "_stcore/metrics/", "compare/_stcore/metrics"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{server.url}/{path}", timeout=20)
        assert error.value.code == 404


def test_another_page_cannot_frame_the_app(server: Any, tab: Any) -> None:
    tab.page.goto("data:text/html,<title>other</title>")
    tab.page.set_content(f"<iframe src='{server.url}/'></iframe>")
    assert tab.until(lambda: any("chrome-error" in frame.url for frame in tab.page.frames), 20)


def test_the_first_visitor_sees_a_stored_result_while_pytorch_is_imported(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, tabs: Callable[..., Any]
) -> None:
    held = tmp_path / "held"
    held.touch()
    monkeypatch.setenv("VITRINE_TEST_IMPORT", str(held))  # the server does not import PyTorch while it is there
    server = Server(tmp_path, model="")
    try:
        tab = tabs()
        tab.page.goto(server.ready().url)
        tab.page.get_by_text("Starting: loading PyTorch").wait_for()
        tab.page.get_by_alt_text("A cup of coffee, classified as espresso").wait_for()
        held.unlink()
        tab.settle()
        expect(tab.page.get_by_text("Starting: loading PyTorch")).to_have_count(0)
        expect(tab.page.locator("figure.tile")).to_have_count(3)
    finally:
        server.stop()
