"""Building studies in the app, without a browser: the folder, the check, running builds, and unfinished ones."""

import html
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import BadImage, Cancelled
from core.progress import Report
from core.study import Study
from core.study.build import build_study
from core.study.config import PatchConfig, StudyConfig
from core.study.unfinished import unfinished
from pages.ui.session import builds
from tests import small_study
from tests.pages_list import FILES, SCRIPT
from tests.tiny_build import deep

MODEL = "flowers-double-12c"


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study.images(tmp_path_factory.mktemp("data") / "flowers")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who may browse below `tmp_path`."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "vitrine"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    return tmp_path


@pytest.fixture
def app(home: Path) -> Iterator[AppTest]:
    one = AppTest.from_file(str(SCRIPT), default_timeout=120)
    yield one
    for build in builds.builds():
        build.job.cancel()
        build.job.wait(60)
        builds.dismiss(build.path)
    assert [fault.value for fault in one.exception] == []


def visit(app: AppTest, title: str) -> AppTest:
    app.run()
    return app.switch_page(FILES[title]).run()


def said(app: AppTest) -> str:
    kinds = (app.error, app.warning, app.info, app.success, app.caption, app.markdown)
    return html.unescape(" ".join(str(box.value) for boxes in kinds for box in boxes))


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if html.unescape(button.label) == label).click().run()


def labels(app: AppTest) -> list[str]:
    return [html.unescape(button.label) for button in app.button]


def progress(app: AppTest) -> list[str]:
    return [bar.proto.text for bar in app.get("progress")]


def test_a_folder_is_chosen_without_typing(app: AppTest, home: Path, flowers: Path) -> None:
    (home / "many" / "photos").mkdir(parents=True)
    visit(app, "Studies")
    press(app, "Home")
    assert {"here", "many"} <= set(labels(app))
    press(app, "many")
    press(app, "photos")
    press(app, "Use this folder")
    assert app.text_input(key="new-folder").value == str(home / "many" / "photos")
    press(app, "Up")
    press(app, "Up")
    assert app.button(key="new-folder-up").disabled, "not above the home folder"
    app.text_input(key="new-folder-search").set_value("PHOT").run()
    press(app, "Home / many / photos")
    press(app, "Use this folder")
    assert app.text_input(key="new-folder").value == str(home / "many" / "photos")
    app.text_input(key="new-folder-search").set_value("no such folder").run()
    assert "No folder has this in its name." in said(app)


def test_the_check_matches_folders_with_classes(app: AppTest, home: Path, flowers: Path) -> None:
    shutil.copytree(flowers, home / "set")
    (home / "set" / "red-petals").rename(home / "set" / "zebra")
    visit(app, "Studies")
    app.text_input(key="new-folder").set_value(str(home / "set")).run()
    press(app, "Check")
    table = next(frame.value for frame in app.dataframe if "Folder" in frame.value)
    assert table.iloc[0].tolist() == ["zebra", "The model has no class zebra.", 5]
    assert (table["Folder"][1:] == table["Class"][1:]).all()
    assert table["Images"].tolist() == [5] * 12
    assert "1 of 12 sub-folders match no class of the model" in said(app)
    assert "60 images (55 of them in a folder named after a class of the model)" in said(app)
    assert "Building takes about" in said(app)


def test_the_layers_of_the_model_are_listed_with_their_sizes(app: AppTest) -> None:
    visit(app, "Studies")
    options = app.selectbox(key="new-layer").options
    assert options[0] == "Default: relu4 · 128 × 16 × 16"
    assert "relu4 · 128 × 16 × 16" in options
    app.selectbox(key="new-model").set_value("flowers-single-6c").run()
    if not any(box.key == "new-layer" for box in app.selectbox):
        assert app.text_input(key="new-layer-name").placeholder == "default; Check lists all"


def test_the_window_is_given_in_pixels_and_as_a_share(app: AppTest) -> None:
    visit(app, "Studies")
    assert "Windows of 37 × 37 px: 8% of the image that the model sees (128 × 128 px)." in said(app)
    app.number_input(key="set.study.patches.window").set_value(64).run()
    assert "Windows of 64 × 64 px: 25% of the image" in said(app)
    app.number_input(key="set.study.patches.window").set_value(500).run()
    assert "A window of 500 pixels does not fit" in said(app)


def test_every_setting_is_explained_where_it_stands(app: AppTest) -> None:
    from core.params import params_of
    from core.study.config import MiningConfig, TransactionConfig

    visit(app, "Studies")
    words = said(app)
    for kind in (PatchConfig, TransactionConfig, MiningConfig):
        for param in params_of(kind):
            assert param.knob.help in words, param.name


def test_deep_images_are_shown_by_the_range_that_was_given(app: AppTest, home: Path) -> None:
    visit(app, "Studies")
    app.text_input(key="new-folder").set_value(str(deep(home / "deep", 0, 4095, 12))).run()
    app.text_input(key="set.study.window").set_value("2000,1000").run()
    press(app, "Check")
    assert "The window cannot be '2000.0,1000.0'." in said(app)
    app.text_input(key="set.study.window").set_value("1000,2000").run()
    press(app, "Check")
    press(app, "Build")
    (build,) = builds.builds()
    assert build.job.wait(120)
    assert Study(build.path).config["window"] == [1000.0, 2000.0]
    app.query_params["study"] = build.path.name
    assert "values 1,000 to 2,000 shown as black to white" in said(app.switch_page(FILES["Patches"]).run())


def begin(work: Callable[[Report], Any], path: Path) -> threading.Event:
    """A build that waits at 30% until the event is set."""
    go_on = threading.Event()

    def waiting(report: Report) -> Any:
        while not go_on.wait(0.01):
            report(0.3, "heatmaps")
        return work(report)

    builds.start(path, waiting)
    return go_on


def test_a_running_build_is_visible_on_every_page_and_in_every_session(app: AppTest, home: Path) -> None:
    go_on = begin(lambda report: None, home / "vitrine" / "studies" / "mine")
    visit(app, "Methods")
    assert any(text.startswith("Building mine") for text in progress(app))
    again = AppTest.from_file(str(SCRIPT), default_timeout=120)  # as after a reload of the page
    visit(again, "Studies")
    assert any(text.startswith("Building mine") for text in progress(again))
    assert "Builds run on the server: you can leave, reload or close this page." in said(again)
    assert len(builds.running()) == 1
    press(again, "Stop")
    assert builds.builds()[0].job.wait(60)
    go_on.set()
    assert "Stopped. No image was processed yet." in said(again.run())
    assert not progress(again)


@pytest.mark.parametrize("failing", [False, True])
def test_the_end_of_a_build_is_told_once_on_other_pages(app: AppTest, home: Path, failing: bool) -> None:
    def work(report: Report) -> None:
        if failing:
            raise BadImage("The file is empty.", "Take another.")

    go_on = begin(work, home / "vitrine" / "studies" / "mine")
    visit(app, "Methods")
    go_on.set()
    assert builds.builds()[0].job.wait(60)
    sentence = "Building mine: The file is empty." if failing else "The study mine is finished. Open it on the page"
    app.run()
    assert sentence in said(app)
    assert sentence not in said(app.run())


@pytest.fixture
def stopped(home: Path, flowers: Path) -> Path:
    """An interrupted build among the user's studies."""
    config = StudyConfig(MODEL, str(flowers), patches=PatchConfig(count=1, draws=50), limit=12)
    path = home / "vitrine" / "studies" / "half"

    def report(fraction: float, note: str) -> None:
        if note.startswith("heatmaps"):
            raise Cancelled

    with pytest.raises(Cancelled):
        build_study(config, path, report=report)
    return path


def test_an_unfinished_build_is_continued(app: AppTest, stopped: Path) -> None:
    visit(app, "Studies")
    assert f"half: stopped, 0% of 12 images done, {MODEL} on " in said(app)
    app.button(key="continue-half").click().run()
    (build,) = builds.builds()
    assert build.job.wait(120)
    app.run()
    assert "half finished in" in said(app)
    assert "stopped, 0%" not in said(app)
    assert Study(stopped).manifest.data.images == 12
    app.button(key="close-half").click().run()
    assert "half finished in" not in said(app)


def test_an_unfinished_build_is_deleted_after_asking(app: AppTest, stopped: Path) -> None:
    visit(app, "Studies")
    app.button(key="delete-half").click().run()
    assert len(unfinished(stopped.parent)) == 1, "it is asked first"
    app.button(key="delete-half").click()  # a dialog is open only in a run of its button here
    app.button(key="delete-now").click().run()
    assert unfinished(stopped.parent) == []
    assert "half was deleted" in said(app)


def test_a_build_whose_model_is_gone_is_a_sentence(app: AppTest, stopped: Path) -> None:
    file = stopped.parent / ".half.draft" / "request.json"
    file.write_text(file.read_text().replace(MODEL, "flowers@/no/where.safetensors"))
    visit(app, "Studies")
    app.button(key="continue-half").click().run()
    assert "/no/where.safetensors" in " ".join(html.unescape(box.value) for box in app.error)
    assert not builds.running()
