"""One method at several layers, without a browser: the choice, its link, and what cannot be shown."""

import pytest
from streamlit.testing.v1 import AppTest

from core.comparison import Comparison
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui.session import state
from tests.app.gallery.test_gallery import compare
from tests.waiting import until

FLOWERS = "flowers-single-6c"


def shown(session: state.Session) -> Comparison:
    until(lambda: session.comparison and not session.comparison.running)
    return session.comparison


def labels(app: AppTest, kind: str) -> list[str]:
    return [one.label for one in getattr(app, kind)]


def test_a_method_is_read_at_the_last_layer_of_each_resolution(session: state.Session) -> None:
    app = compare(model=FLOWERS, by="layers")
    found = shown(session)
    assert [tile.request.layer for tile in found.tiles] == ["relu1", "relu2", "relu3", "relu4"]
    assert {tile.request.name for tile in found.tiles} == {"grad_cam"}
    assert [answer.layer for _, answer in found.answered()] == ["relu1", "relu2", "relu3", "relu4"]
    assert found.command().count("--layer relu1,relu2,relu3,relu4") == 1
    (choice,) = (box for box in app.selectbox if box.label == "Method")
    assert "Saliency" not in choice.options
    assert "Grad-CAM++" in choice.options


def test_a_link_names_method_and_layers(session: state.Session) -> None:
    app = compare(model=FLOWERS, by="layers", method="layer_cam", layers="relu4,conv2")
    found = shown(session)
    assert [(tile.request.name, tile.request.layer) for tile in found.tiles] == [
        ("layer_cam", "conv2"),
        ("layer_cam", "relu4"),
    ]
    (choice,) = (box for box in app.multiselect if box.label == "Layers")
    choice.set_value(["relu2"]).run()
    assert [tile.request.layer for tile in shown(session).tiles] == ["relu2"]
    assert app.query_params["layers"] == "relu2"


def test_an_unknown_layer_in_a_link_is_said(session: state.Session) -> None:
    app = compare(model=FLOWERS, by="layers", layers="relu9")
    assert any("relu9" in box.value and "Shown instead" in box.value for box in (*app.warning, *app.error, *app.info))
    assert len(shown(session).tiles) == 4


@pytest.mark.parametrize("name", ["saliency", "rise"])
def test_a_method_that_does_not_depend_on_the_layer_is_replaced(session: state.Session, name: str) -> None:
    compare(model=FLOWERS, by="layers", m=name)
    assert {tile.request.name for tile in shown(session).tiles} == {"grad_cam"}
