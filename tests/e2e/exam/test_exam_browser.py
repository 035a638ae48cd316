"""The page Exam in a browser: a method is chosen in the table, its worst case appears, and opens in Compare."""

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from core.exam import Exam
from core.exam.league import cases
from tests import small_exam
from tests.e2e.conftest import Server
from tests.e2e.test_mine import choose

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    return small_exam.built(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def examined(exam: Exam, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app of a user with one small exam."""
    before = os.environ.get("VITRINE_HOME")
    os.environ["VITRINE_HOME"] = str(exam.path.parents[1])
    one = Server(tmp_path_factory.mktemp("server"))
    if before is None:
        del os.environ["VITRINE_HOME"]
    else:
        os.environ["VITRINE_HOME"] = before
    yield one.ready()
    one.stop()


def test_a_worst_case_is_one_click_away_and_opens_in_compare(examined: Server, exam: Exam, tab: Any) -> None:
    tab.open(f"{examined.url}/exam?exam=small&measure=auc_iou")
    page = tab.page
    choose(tab, page.locator('[data-testid="stDataFrame"]').first, "Saliency")
    tab.settle()
    expect(page).to_have_url(re.compile("methods=saliency"))
    worst = cases(exam, "saliency", "auc_iou", 1).iloc[0]
    name = str(worst["name"])
    expect(page.get_by_text(name)).to_be_visible()
    expect(page.get_by_alt_text(f"{name}, with the outline of its mask")).to_be_visible()
    expect(page.get_by_alt_text(f"Saliency for {exam.labels[worst['target']]}, image {name}")).to_be_visible()
    page.get_by_role("button", name="Open in Compare").first.click()
    expect(page).to_have_url(re.compile("/compare.*m=saliency"))
    page.locator("figure.mapped").first.wait_for()
    expect(tab.tile("Saliency")).to_have_count(1)
