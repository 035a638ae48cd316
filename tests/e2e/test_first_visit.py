"""The very first visitor of a server, by the address of each page."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.pages_list import PAGES, QUICK

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("address", PAGES)
def test_a_deep_link_is_the_first_visit(fresh_server: Any, tab: Any, address: str) -> None:
    tab.open(f"{fresh_server.url}/{QUICK[address]}")
    page = tab.page
    assert page.get_by_text("Page not found").count() == 0
    assert page.locator("h1").first.inner_text() == PAGES[address]
    expect(page.get_by_role("group", name="Images").get_by_role("button")).not_to_have_count(0, timeout=60_000)
    chosen = page.get_by_role("group", name="Most probable classes").get_by_role("button", pressed=True)
    expect(chosen).to_have_count(1, timeout=60_000)
    assert page.get_by_test_id("stSidebarNav").get_by_role("link").count() == len(PAGES)
    assert page.get_by_role("alert").count() == 0
