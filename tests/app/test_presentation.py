"""The presentation as the server sees it: part of the address, six maps at most, all of them computed."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui.explore import comparison
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until


@pytest.mark.parametrize("present", [False, True])
def test_a_presentation_computes_its_maps_without_a_click(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    session = state.Session()
    monkeypatch.setattr(state, "session", lambda: session)
    monkeypatch.setattr(comparison, "AT_ONCE", -1.0)
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params.update({"m": "saliency,grad_cam,random,edge_detector", "cls": ["0", "1"]})
    if present:
        app.query_params["present"] = "1"
    app.run()
    app.switch_page(FILES["Compare"]).run()
    shown = session.comparison
    assert shown
    if present:
        until(lambda: not shown.running)
    assert len(shown.tiles) == (6 if present else 8)
    assert len(shown.answers) == (6 if present else 0)
    app.run()
    assert ("present" in app.query_params) == present
    strip = next(part for part in app.get("bidi_component") if part.proto.component_name == "vitrine_image_strip")
    assert json.loads(strip.proto.json)["present"] is present
