"""Every page for everybody: axe-core finds nothing of ours, in both themes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pages_list import PAGES, QUICK

pytestmark = pytest.mark.e2e
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Streamlit's own, which no page can mend: the rule, and the part of the page it is about.
THEIRS = [
    ["presentation-role-conflict", '[data-testid="stFileUploader"]'],
    ["list", '[data-testid="stSidebarNav"]'],
    ["listitem", '[data-testid="stSidebarNav"]'],
    ["empty-table-header", '[data-testid="stDataFrame"]'],  # of the column that selects rows
]
RUN = """async ([rules, theirs]) => {
  const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ['violations'] });
  const known = (rule, target) => theirs.some(([id, place]) =>
    id === rule && target.length === 1 && document.querySelector(target[0])?.closest(place));
  const said = (id, { html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`;
  return violations.flatMap(({ id, nodes }) =>
    nodes.filter(({ target }) => !known(id, target)).map((node) => said(id, node)));
}"""


def found(page: Any) -> str:
    page.evaluate(AXE)
    return "\n".join(page.evaluate(RUN, [RULES, THEIRS]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing_of_ours(server: Any, tabs: Callable[..., Any], address: str, scheme: str) -> None:
    tab = tabs(color_scheme=scheme).open(f"{server.url}/{QUICK[address]}")
    assert found(tab.page) == ""


def test_axe_finds_nothing_in_an_open_tile_or_menu(server: Any, tab: Any) -> None:
    tab.open(f"{server.url}/compare?cls=0&cls=1&m=grad_cam,saliency")
    tab.page.get_by_role("button", name="Export").click()
    assert found(tab.page) == ""
    tab.page.keyboard.press("Escape")
    tab.tile("Grad-CAM").get_by_role("button").click()
    assert found(tab.page) == ""
