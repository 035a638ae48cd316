"""Filter relevance computed below a comparison that lacks it, and the maps that follow."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data.flowers import write
from core.errors import Unsupported
from core.explain import Explanation
from core.explain.filter_relevance import StoredRelevance, stored_for
from core.models import load
from core.units import drawn_flowers
from pages.ui.session import builds, state
from pages.ui.session.open_folder import opened
from tests import small_study
from tests.mine_pages import said, visit
from tests.pages_list import SCRIPT
from tests.waiting import until

MODEL = "flowers-double-12c"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app of a user without stored relevance, who compares with VEBI."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr("core.explain.filter_relevance.BUNDLED", tmp_path / "none")
    monkeypatch.setitem(drawn_flowers.PER_CLASS, "double-12c", 2)
    for session in state.sessions():  # tests share one
        session.free()
        session.folder = None
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    assert [fault.value for fault in one.exception] == []


def compared(app: AppTest, **query: str) -> state.Session:
    """The session of the page Compare, once its maps are there."""
    visit(app, "Compare", **{"m": "grad_cam,vebi", "model": MODEL, **query})
    return finished(app)


def finished(app: AppTest) -> state.Session:
    """The session of the page once the maps are there."""
    (session,) = [one for one in state.sessions() if one.comparison]
    until(lambda: not session.comparison.running)
    app.run()
    return session


def answers(session: state.Session) -> list[object]:
    """What VEBI gave for each of the compared images."""
    shown = session.comparison
    return [shown.answers.get(tile.key) for tile in shown.tiles if tile.request.name == "vebi"]


def test_relevance_is_computed_on_drawn_flowers_and_the_tile_follows(app: AppTest, tmp_path: Path) -> None:
    session = compared(app)
    (failed,) = answers(session)
    assert isinstance(failed, Unsupported)
    assert "From 24 images of flowers, drawn for this" in said(app)
    drawn, built = next(code.value for code in app.code if "units relevance" in code.value).splitlines()
    assert drawn.startswith("vitrine flowers --variant double-12c --per-class 2 --seed 31 --out ")
    assert built.startswith(f"vitrine units relevance {MODEL} --data ")
    assert "--set mu=5.0" in built
    app.button(key="compute-relevance").click().run()
    (build,) = builds.builds("relevance")
    assert build.path.parent == tmp_path / "units"
    until(lambda: not build.job.running)
    assert build.job.error is None
    app.run()
    finished(app)
    (shown,) = answers(session)
    assert isinstance(shown, Explanation)
    assert shown.remarks["relevance"] == f"{build.path.name} (μ = 5, 24 images)"
    assert stored_for(load(MODEL)) == build.path
    assert not [one for one in app.button if one.key == "compute-relevance"]
    assert not builds.builds("relevance"), "it is told by the map"


def test_one_method_across_images_is_offered_it_too(app: AppTest) -> None:
    session = compared(app, by="images", of="examples", method="vebi")
    assert len(answers(session)) > 1
    assert all(isinstance(one, Unsupported) for one in answers(session))
    app.button(key="compute-relevance").click().run()
    (build,) = builds.builds("relevance")
    until(lambda: not build.job.running)
    app.run()
    session = finished(app)
    assert all(isinstance(one, Explanation) for one in answers(session))


def test_it_is_stopped_and_leaves_no_half_a_folder(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(drawn_flowers.PER_CLASS, "double-12c", 400)
    compared(app)
    app.button(key="compute-relevance").click().run()
    (build,) = builds.builds("relevance")
    until(lambda: build.job.note.startswith("flowers drawn"))
    assert build.job.note.endswith("of 4,800")
    app.run()
    next(one for one in app.button if str(one.key).startswith("stop-Building")).click().run()
    assert build.job.wait(60)
    assert build.job.state == "cancelled"
    app.run()
    assert "Stopped. What is done is kept" in said(app)
    assert list((tmp_path / "flowers").iterdir()) == []
    assert app.button(key="compute-relevance")
    builds.dismiss(build.path)


def test_labelled_images_of_the_open_folder_come_first(app: AppTest, tmp_path: Path) -> None:
    write("double-12c", tmp_path / "photos", per_class=1)
    session = compared(app)
    session.folder = opened(tmp_path / "photos", session.cache, lambda fraction, note: None)
    app.run()
    assert "From 12 images of photos" in said(app)
    app.button(key="compute-relevance").click().run()
    (build,) = builds.builds("relevance")
    until(lambda: not build.job.running)
    store = StoredRelevance(build.path)
    assert store.manifest.tables["images"].rows == 12
    assert store.manifest.config["settings"]["mu"] == 5, "as flowers have, wherever they lie"
    builds.dismiss(build.path)


def test_images_of_a_study_of_the_model_will_do(app: AppTest, tmp_path: Path) -> None:
    small_study.built(tmp_path)
    compared(app)
    assert f"From {12 * small_study.EACH} images of the study small" in said(app)
    (tmp_path / "flowers").rename(tmp_path / "elsewhere")
    app.run()
    assert "of flowers, drawn for this" in said(app), "the images of the study are gone"


def test_without_labelled_images_a_sentence_says_what_to_do(app: AppTest) -> None:
    visit(app, "Compare", m="vebi", model="efficientnet_lite0")
    app.run()
    assert not [one for one in app.button if one.key == "compute-relevance"]
    assert "open a folder with one sub-folder of images per class" in said(app)


def test_methods_that_need_no_relevance_are_offered_none(app: AppTest) -> None:
    compared(app, m="grad_cam")
    assert "needs the relevance" not in said(app)
    assert not [one for one in app.button if one.key == "compute-relevance"]


def test_a_server_for_others_keeps_the_sentence_alone(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.ui.session.visitors.shared", lambda: True)
    (failed,) = answers(compared(app))
    assert "Store it: vitrine units relevance" in str(failed)
    assert not [one for one in app.button if one.key == "compute-relevance"]
