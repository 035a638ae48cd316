"""What a rerun of a page does not do again."""

import pytest
from streamlit.testing.v1 import AppTest

from core.comparison import Comparison
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from tests.pages_list import FILES, SCRIPT


def test_a_rerun_builds_no_other_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Comparison] = []
    begin = Comparison.__init__

    def counted(self: Comparison, *args: object, **options: object) -> None:
        built.append(self)
        begin(self, *args, **options)

    monkeypatch.setattr(Comparison, "__init__", counted)
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params["m"] = "saliency"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    first = len(built)
    assert first
    for _ in range(3):
        app.run()
    assert len(built) == first
    app.number_input(key="seed").set_value(7).run()
    assert len(built) == first + 1
    assert not app.exception


def test_pages_are_compiled_without_parsing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python 3.11, `ast.parse` fails in one of two threads that call it at a time, as work of a page may do."""

    def refused(*args: object) -> str:
        raise AssertionError("parsed")

    monkeypatch.setattr("streamlit.runtime.scriptrunner.magic.add_magic", refused)
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.switch_page(FILES["Methods"]).run()
    assert not app.exception
    assert app.main.children
