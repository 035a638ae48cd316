"""How fast the pages of a study answer, in a browser, on the bundled study and on large parts."""

import statistics
import time
from typing import Any

import pytest

from tests.e2e.conftest import browser, server, tab, tabs  # noqa: F401 - fixtures
from tests.e2e.test_mine import large  # noqa: F401 - a fixture

pytestmark = [pytest.mark.bench, pytest.mark.e2e]


def test_rules_slider_to_new_table(server: Any, tab: Any) -> None:  # noqa: F811
    tab.open(f"{server.url}/rules?study=flowers-double-12c&support=0.9")
    took = []
    for _ in range(21):
        url = tab.page.url
        tab.page.get_by_role("slider", name="Support").focus()
        start = time.perf_counter()
        tab.page.keyboard.press("ArrowLeft")
        tab.page.wait_for_function("url => location.href !== url", arg=url)
        tab.settle()
        took.append(time.perf_counter() - start)
    print(f"\nslider to new table: median {statistics.median(took):.2f} s, highest {max(took):.2f} s")
    assert statistics.median(took) < 1


SCROLLED = """async (scroller) => {
  const frame = scroller.closest('[data-paint]'), painted = [];
  for (let step = 0; step < 60; step++) {
    scroller.scrollTop = scroller.scrollHeight * ((step * 37) % 60) / 60;
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    painted.push(Number(frame.dataset.paint));
  }
  return painted;
}"""


def test_scrolling_ten_thousand_patches(large: str, tab: Any) -> None:  # noqa: F811
    start = time.perf_counter()
    tab.open(large)
    box = tab.page.get_by_role("listbox", name="Large gallery")
    box.get_by_role("option").first.wait_for()
    first = time.perf_counter() - start
    tab.page.wait_for_timeout(1000)
    painted = box.evaluate(SCROLLED)
    print(f"\n10,000 patches: first seen after {first:.1f} s, {tab.got / 1e6:.1f} MB; "
          f"a jump paints in {statistics.median(painted):.1f} ms, at most {max(painted):.1f} ms")  # fmt: skip
    assert statistics.median(painted) < 16


def test_threshold_of_a_large_graph(large: str, tab: Any) -> None:  # noqa: F811
    tab.open(f"{large}?graph=1")
    tab.page.get_by_text("2000 edges shown").wait_for()
    tab.page.wait_for_timeout(1000)
    before, steps = (tab.sent, tab.got), []
    for step in range(20):
        tab.page.get_by_role("slider", name="Minimum weight").fill(f"{step / 20:.2f}")
        steps.append(float(tab.page.locator("[data-step]").get_attribute("data-step")))
    print(f"\n500 nodes, 2,000 edges: a threshold step takes {statistics.median(steps):.1f} ms, "
          f"{tab.sent - before[0]} bytes sent, {tab.got - before[1]} received")  # fmt: skip
    assert (tab.sent, tab.got) == before
    assert statistics.median(steps) < 100
