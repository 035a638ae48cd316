"""The page of failures, without a browser."""

import html
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.data.flowers import write
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.review.reviews import Review, Reviews
from pages.ui.failures import overview, verdict
from pages.ui.session import parameters, state
from tests.app.failures.predicted import predicted
from tests.packets import packets
from tests.pages_list import FILES, SCRIPT
from tests.waiting import until

MODEL = "flowers-single-6c"


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two flowers of each of six colours; one blue and one red flower lie in the folder of orange ones."""
    root = tmp_path_factory.mktemp("flowers")
    write("single-6c", root / "all", per_class=2, seed=11)
    images = root / "all" / "images"
    for colour in ("blue", "red"):
        first = sorted((images / colour).iterdir())[0]
        shutil.move(first, images / "orange" / f"{colour}.png")
    return images


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def page(folder: Path | str, **query: str) -> AppTest:
    """The page with the predictions of a folder."""
    return predicted({"model": MODEL, **query}, {"of": "folder", "folder": str(folder), **query})


def said(app: AppTest) -> str:
    texts = [*app.markdown, *app.caption, *app.info, *app.success, *app.header, *app.warning, *app.error]
    return html.unescape(" | ".join(str(one.value) for one in texts))


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def at(app: AppTest) -> str:
    """The image of the case that is looked at."""
    return html.unescape(next(one.value for one in app.caption if one.value.endswith("png")))


def test_errors_are_counted_and_the_surest_is_shown_first(flowers: Path, session: state.Session) -> None:
    app = page(flowers)
    text = said(app)
    assert "**83.3%** of 12 images are right (55.2% to 95.3%)." in text
    assert "**case 1 of 2** · 0 of 2 reviewed" in text
    assert "but it is orange" in text
    (pairs,) = [box for box in app.selectbox if box.label == "Confusion"]
    assert sorted(pairs.options) == ["all", "orange as blue (1)", "orange as red (1)"]
    assert len(app.get("plotly_chart")) == 1
    shown = session.comparison
    assert shown is not None
    label = shown.bench.model.labels.index("orange")
    assert [str(tile.request.target).endswith(str(label)) for tile in shown.tiles] == [False, True, True]
    shown.cancel()


def test_a_verdict_leads_on_and_is_taken_back(flowers: Path, session: state.Session) -> None:
    app = page(flowers)
    first = at(app)
    app = press(app, "Label wrong")
    second = at(app)
    assert second != first
    assert "**case 2 of 2** · 1 of 2 reviewed" in said(app)
    app = press(app, "Previous")
    assert at(app) == first
    assert "Changed last by" in said(app)
    app = press(app, "Undo")
    assert "**case 1 of 2** · 0 of 2 reviewed" in said(app)
    app = press(app, "Undo")
    assert "There is nothing to take back." in said(app)


def test_words_are_kept_and_another_reviewer_is_told(flowers: Path, session: state.Session) -> None:
    app = page(flowers)
    app.text_input(key=next(one.key for one in app.text_input if one.label == "Reviewer")).set_value("Ada").run()
    inputs = {one.label: one for one in app.text_input}
    inputs["Tags"].set_value("brass, pot, brass")
    inputs["Note"].set_value("why <b>")
    app = press(app, "Save")
    (path,) = (session_home() / "reviews").glob("*.db")
    stored = reviews(path)
    (one,) = stored.all().values()
    assert (one.reviewer, one.tags, one.note) == ("Ada", ("brass", "pot"), "why <b>")
    stored.set(Review(one.image, "unclear", revision=one.revision), "Grace")  # on another page meanwhile
    app = press(app, "Model wrong")
    assert f"Grace has changed {one.image} meanwhile: unclear." in said(app)
    assert stored.get(one.image).verdict == "unclear"


def session_home() -> Path:
    from core.environment import home

    return home()


def reviews(path: Path) -> Reviews:
    """The reviews in a file, of the only model in it."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        ((model,),) = connection.execute("SELECT DISTINCT model FROM cases").fetchall()
    return Reviews(path.stem, model, path.parent)


def test_a_click_on_the_chart_chooses_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, object] = {}
    monkeypatch.setattr(parameters, "put", written.__setitem__)
    monkeypatch.setattr(parameters, "keep", written.__setitem__)
    event = {"selection": {"points": [{"customdata": [1, 0]}]}}
    monkeypatch.setattr(overview.st, "session_state", {"failures-confusions": event})
    overview._clicked()
    assert written == {"pair": "1-0", "which": "wrong", "case": ""}
    event["selection"]["points"] = [{"customdata": [2, 2]}]
    overview._clicked()
    assert written == {"pair": "2-2", "which": "right", "case": ""}
    event["selection"]["points"] = []
    overview._clicked()
    assert written == {"pair": "", "which": "wrong", "case": ""}


def test_a_link_opens_a_pair_and_a_case(flowers: Path, session: state.Session) -> None:
    app = page(flowers)
    labels = session.comparison.bench.model.labels if session.comparison else ()
    pair = f"{labels.index('orange')}-{labels.index('red')}"
    app = page(flowers, pair=pair)
    assert "**case 1 of 1** · 0 of 1 reviewed" in said(app)
    assert at(app) == "orange/red.png"
    app = page(flowers, which="all", case="0")
    assert "of 12** · 0 of 12 reviewed" in said(app)


def test_calibration_and_the_roc_of_a_class_are_shown_on_request(flowers: Path, session: state.Session) -> None:
    app = page(flowers, reliability="1")
    assert len(app.get("plotly_chart")) == 3
    labels = session.comparison.bench.model.labels if session.comparison else ()
    orange = labels.index("orange")
    app = page(flowers, reliability="1", roc=str(orange), threshold="1")
    assert "Above 1: true positive rate 0.0% (0 of 4 of orange), false positive rate 0.0% (0 of 8 others)" in said(app)
    assert "without any positive decision" in said(app)
    (slider,) = [one for one in app.slider if one.label == "Threshold"]
    app = slider.set_value(0.4).run()
    assert app.query_params["threshold"] == "0.4"
    assert "Above 0.4: true positive rate 50.0% (2 of 4 of orange), false positive rate 0.0%" in said(app)
    assert "precision 100.0%." in said(app)
    kinds = [one.label for one in app.get("download_button") if one.key and one.key.startswith(("roc", "calibration"))]
    assert sorted(kinds) == ["CSV", "CSV", "PNG", "PNG", "SVG", "SVG"]


def test_the_same_picture_under_two_labels_is_listed(flowers: Path, session: state.Session, tmp_path: Path) -> None:
    app = page(flowers, alike="1")
    assert "No two images look the same and have different labels." in said(app)
    shutil.copytree(flowers, tmp_path / "twice")
    copied = next((tmp_path / "twice" / "blue").iterdir())
    shutil.copy(copied, tmp_path / "twice" / "red" / "same.png")
    app = page(tmp_path / "twice", alike="1")
    assert "Pairs by the correlation of their thumbnails" in said(app)
    shown = next(one for one in packets(app, "patch_gallery") if one["label"].startswith("Near-duplicates"))
    assert (sorted(shown["titles"]), len(shown["ids"])) == (["blue", "red"], 2)
    assert shown["groups"] == [["correlation 1.000", 2]]


def test_without_classes_there_are_predictions_and_no_errors(
    flowers: Path, session: state.Session, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(flowers.rglob("*.png"))[:3]):
        shutil.copy(path, tmp_path / f"{number}.png")
    app = page(tmp_path)
    assert "No image has a class that the model predicts, so nothing is right or wrong." in said(app)
    assert "**case 1 of 3** · 0 of 3 reviewed" in said(app)
    assert not app.get("plotly_chart")
    assert "Calibration and ROC" not in [one.label for one in app.toggle]


def test_all_right_is_said(flowers: Path, session: state.Session, tmp_path: Path) -> None:
    shutil.copytree(flowers / "blue", tmp_path / "one" / "blue")
    app = page(tmp_path / "one")
    assert "All images are right." in said(app)
    assert "**case 1 of 1**" in said(app)


def test_an_image_that_has_vanished_is_told_and_keeps_its_facts(
    flowers: Path, session: state.Session, tmp_path: Path
) -> None:
    shutil.copytree(flowers, tmp_path / "some")
    app = page(tmp_path / "some")
    (tmp_path / "some" / at(app)).unlink()
    app = press(press(app, "Next"), "Previous")
    assert "cannot be read: No such file or directory. Without it there are no maps" in said(app)
    assert "of 2** · 0 of 2 reviewed" in said(app)


def test_the_example_shows_that_a_network_reads_the_tag(session: state.Session) -> None:
    for _ in range(2):  # drawn, and opened again
        app = AppTest.from_file(str(SCRIPT), default_timeout=120)
        app.run()
        app.switch_page(FILES["Failures"]).run()
        assert not app.exception
        assert "of 60 images are right" in said(app)
        wrong = int(next(box for box in app.selectbox if box.label == "Cases").options[0].removeprefix("wrong (")[:-1])
        assert 15 <= wrong <= 30  # of those whose tag is another class's
    assert [path.name for path in (session_home() / "flowers").iterdir()] == ["misleading-tags"]


def test_a_study_whose_images_are_elsewhere_shows_what_it_stored(session: state.Session) -> None:
    app = page("", of="flowers-double-12c")
    assert "All images are right." in said(app)
    assert "Without it there are no maps, only what was stored of it." in said(app)
    places = next(box for box in app.selectbox if box.label == "Evidence")
    assert places.options[0] == "anywhere"
    app = places.set_value("rule").run()
    assert "Most of the evidence lies in patches in which the filters of a rule are active." in said(app)
    assert not app.error


def located(app: AppTest) -> AppTest:
    """The page once the evidence is located."""
    press(app, "Locate the evidence")
    until(lambda: [box for box in app.run().selectbox if box.label == "Evidence"])
    return app


def kinds(app: AppTest) -> set[str]:
    """The places of evidence that are offered, without their counts."""
    return {option.rpartition(" (")[0] for option in next(b for b in app.selectbox if b.label == "Evidence").options}


def test_the_evidence_of_a_folder_is_located_when_asked_and_stays_known(flowers: Path, session: state.Session) -> None:
    app = page(flowers)
    assert "Evidence" not in [box.label for box in app.selectbox]
    assert "2 of 12 images have no mask, such as: There is no mask for orange/" in said(app)
    app = located(app)
    assert "on the object" in kinds(app)
    assert "in a rule's patches" not in kinds(app)
    orders = next(box for box in app.selectbox if box.label == "Order")
    assert "evidence" in orders.set_value("evidence").run().query_params["order"]
    assert "--masks …/masks --report" in " ".join(code.value for code in app.code)
    app = page(flowers)  # the heatmaps lie on disk
    assert "on the object" in kinds(app)
    assert "Locate the evidence" not in [button.label for button in app.button]


def test_masks_are_named_and_wrong_ones_are_told(flowers: Path, session: state.Session, tmp_path: Path) -> None:
    shutil.copytree(flowers, tmp_path / "photos")
    app = located(page(tmp_path / "photos"))
    assert "on the object" not in kinds(app)
    field = next(one for one in app.text_input if one.label == "Masks")
    app = field.set_value(str(flowers.parent / "masks")).run()
    assert app.query_params["masks"] == str(flowers.parent / "masks")
    assert "on the object" in kinds(app), "without another pass over the images"
    app = next(one for one in app.text_input if one.label == "Masks").set_value(str(tmp_path / "nowhere")).run()
    assert "There is no folder or file of masks" in said(app)
    assert kinds(app)


def test_no_folder_and_a_wrong_one_are_told(session: state.Session, tmp_path: Path) -> None:
    assert "Name a folder." in said(page(""))
    app = page(tmp_path / "nowhere")
    assert "nowhere" in said(app)
    assert "Traceback" not in said(app)


def test_the_name_of_the_user_is_the_reviewer_but_on_a_server_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict.getpass, "getuser", lambda: "ada")
    assert verdict._name() == "ada"

    def unknown() -> str:
        raise KeyError("uid")

    monkeypatch.setattr(verdict.getpass, "getuser", unknown)
    assert verdict._name() == "reviewer"
    monkeypatch.setattr(verdict, "visitors", SimpleNamespace(shared=lambda: True))
    assert verdict._name() == "visitor"
