"""The page about the selection of filters, without a browser."""

from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.units.resampling import METRICS, findings
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    app.switch_page(FILES["Filter selection"]).run()
    assert not app.exception
    return app


def test_metrics_epochs_and_claims_are_shown(session: state.Session) -> None:
    app = page(model="flowers-single-6c")
    (table,) = app.dataframe
    assert table.value["Metric"].tolist() == [metric.title for metric in METRICS.values()]
    assert table.value["Paper: on it, 5"].tolist().count("") == len(METRICS) - len(findings.PAPER)
    assert table.value["Paper: on it, 5"].iloc[-3] == "96%"  # activation precision
    (claims,) = app.table
    assert len(claims.value) == len(findings.claims())
    assert len(app.get("plotly_chart")) == 2
    assert not [box.value for box in app.error]


def test_filters_are_selected_for_the_current_image(session: state.Session) -> None:
    app = page(model="flowers-single-6c")
    next(button for button in app.button if button.label == "Select filters").click().run()

    def drawn() -> list[str]:
        return [str(image.proto) for image in app.run().get("image") if "conv" in str(image.proto)]

    until(lambda: len(drawn()) == 2)
    left, right = drawn()
    assert "Activation–output correlation" in left
    assert "Activation precision" in right
    assert not [box.value for box in app.error]
