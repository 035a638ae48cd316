"""The page of the three cases, without a browser."""

from streamlit.testing.v1 import AppTest

from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from pages.ui.session import state
from tests.pages_list import FILES, SCRIPT


def page(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES["Three cases"]).run()
    assert not app.exception
    return app


def test_every_method_is_asked_about_every_case(session: state.Session) -> None:
    page(flowers="3")
    shown = session.comparison
    assert shown is not None
    assert [picture.name for picture in shown.pictures] == ["several-2.png", "single-2.png", "mixed-2.png"]
    assert len(shown.tiles) == 3 * 8
    assert {tile.request.target.index for tile in shown.tiles} == {2}
    shown.cancel()


def test_questions_have_answers_and_methods_their_scores(session: state.Session) -> None:
    app = page()
    questions = [box.label for box in app.expander]
    assert sum(label.startswith("Why") for label in questions) == 4
    assert "Which methods suit which pictures?" in questions
    (scores,) = app.dataframe
    assert list(scores.value["Method"])[:2] == ["Saliency", "Deconvnet"]
    assert not [box.value for box in app.error]


def test_a_case_opens_in_compare_with_its_classes(session: state.Session) -> None:
    app = page()
    next(box for box in app.button if "different classes" in box.label).click().run()
    assert not app.exception
    shown = session.comparison
    assert shown is not None
    shown.cancel()
    assert [picture.name for picture in shown.pictures] == ["mixed-0.png"]
    assert len({tile.request.target for tile in shown.tiles}) == 2
    assert shown.bench.model.name == "flowers-single-6c"
