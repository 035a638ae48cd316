"""The page of failures with the predictions of a folder."""

from streamlit.testing.v1 import AppTest

from tests.pages_list import FILES, SCRIPT
from tests.waiting import until


def predicted(begin: dict[str, str], query: dict[str, str]) -> AppTest:
    """A new session that begins with some parameters of the address and goes on to the page with others."""
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for name, value in begin.items():
        app.query_params[name] = value
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Failures"]).run()
    if starts := [button for button in app.button if button.label == "Predict"]:
        starts[0].click().run()
        until(lambda: not [button for button in app.run().button if button.label == "Stop"])
    assert not app.exception
    return app
