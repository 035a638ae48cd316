"""A server that other machines can open: what a stranger may read, and what belongs to whom."""

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import TooLarge, Unavailable, UnknownName, VitrineError
from core.explain import EXPLAINERS  # noqa: F401 - here, so that no page's time limit pays for importing torch
from core.study import BUNDLED
from core.study.config import StudyConfig
from pages.ui.session import networks, state, visitors
from pages.ui.study import build_form
from tests.pages_list import FILES, SCRIPT

ANNE, BERT = "a" * 32, "b" * 32
STUDY = "flowers-double-12c"


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINE_SHARED", "1")
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VITRINE_DATA", str(tmp_path / "offered"))
    (tmp_path / "offered").mkdir()


def visit(title: str, key: str = "", **query: str) -> AppTest:
    """A new session on a page."""
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    if key:
        app.query_params["key"] = key
    app.run()
    for name, value in query.items():
        app.query_params[name] = value
    app.switch_page(FILES[title]).run()
    assert [fault.value for fault in app.exception] == []
    assert "defect" not in said(app)
    return app


def said(app: AppTest) -> str:
    boxes = [*app.error, *app.warning, *app.info, *app.caption, *app.markdown, *app.success]
    return html.unescape(" ".join(box.value for box in boxes))


def studies(app: AppTest) -> list[str]:
    return app.dataframe[0].value["Study"].tolist()


@pytest.fixture
def of_anne(tmp_path: Path) -> str:
    """A study that belongs to Anne, beside one of the server's user."""
    home = tmp_path / "home"
    shutil.copytree(BUNDLED / STUDY, visitors._home_of(ANNE) / "studies" / "hers")
    shutil.copytree(BUNDLED / STUDY, home / "studies" / "theirs")
    return "hers"


def test_everybody_has_a_key_which_no_copied_link_holds() -> None:
    keys = set()
    for _ in range(2):
        app = visit("Start")
        told = next(one.proto.json for one in app.get("bidi_component") if "image_strip" in one.proto.component_name)
        data = json.loads(told)
        key = data["private"].removeprefix("key=")
        assert len(key) == 32
        assert key not in data["query"]
        assert "key" in data["frame"]
        keys.add(key)
    assert len(keys) == 2
    assert ANNE in json.dumps(dict(visit("Studies", ANNE).query_params))


def test_a_study_is_its_visitors_own(of_anne: str) -> None:
    assert {"hers", "theirs"} <= set(studies(visit("Studies", ANNE)))
    for other in (BERT, "", ANNE[:-1], "../" + ANNE):
        assert "hers" not in studies(visit("Studies", other))
        assert "theirs" in studies(visit("Studies", other))
    assert of_anne not in said(visit("Patches", BERT, study=of_anne)).replace(f"'{of_anne}'", "")


@pytest.mark.parametrize(("name", "key", "may"), [("hers", ANNE, True), ("theirs", ANNE, False), (STUDY, ANNE, False)])
def test_only_their_own_studies_can_be_deleted(of_anne: str, name: str, key: str, may: bool) -> None:
    app = visit("Studies", key)
    app.session_state["studies"] = {"selection": {"rows": [studies(app).index(name)]}}
    app.run()
    assert app.button(key="delete").disabled is not may


def test_the_server_checks_whose_study_is_deleted(of_anne: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.query_params", {"key": BERT}, raising=False)
    path = visitors._home_of(ANNE) / "studies" / of_anne
    assert not visitors.owns(path)
    with pytest.raises(Exception, match="is not yours"):
        visitors.check_own(path)


@pytest.mark.parametrize("model", ["resnet18@/etc/passwd", "resnet18@/no/such", "x.py:build", "../secret"])
def test_models_are_those_of_the_list(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.models.weights.read", lambda *_: pytest.fail("a file was opened"), raising=False)
    monkeypatch.setattr("core.models.checkpoint.opened", lambda *_: pytest.fail("a file was opened"))
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    app.query_params["model"] = model
    app.run()
    assert "There is no model called" in said(app)
    assert app.session_state["location"].model == "flowers-double-12c"
    one = state.Session()
    monkeypatch.setattr(networks, "session", lambda: one)
    with pytest.raises(UnknownName):
        networks.of(model)


def test_uploads_are_limited_in_all(photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "UPLOADS", 0)
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    app.file_uploader[0].set_value([("mine.png", photo, "image/png")]).run()
    assert "This server holds no more than 0 MB of uploaded images." in said(app)


def test_no_path_of_the_server_is_shown(of_anne: str, tmp_path: Path) -> None:
    for title in ("Studies", "Patches", "Rules", "Averages", "Concepts", "Filter", "Start"):
        app = visit(title, ANNE, study=of_anne)
        assert str(tmp_path) not in said(app), title
        assert visitors.SHOW_PATHS not in [toggle.key for toggle in app.toggle]


@pytest.mark.parametrize("folder", ["/etc", "/no/such/folder", "offered/../secret", "offered/link", "~", "\0"])
def test_images_are_read_below_the_offered_folders_only(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "offered" / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr("core.study.build.image_folder", lambda *_: pytest.fail("a folder was opened"))
    typed = str(tmp_path / folder) if folder.startswith("offered") else folder
    app = visit("Studies", ANNE)
    app.text_input(key="new-folder").set_value(typed).run()
    if "\0" not in folder:
        next(one for one in app.button if one.label == "Check").click().run()
        assert "This server does not offer that folder. Choose one inside offered." in said(app)
    else:
        assert "contains a zero byte" in said(app)
    assert not [one for one in app.button if one.label == "Build"]


@pytest.mark.parametrize(("key", "value"), [("new-model", "resnet18@/etc/passwd"), ("study.labels", "/etc/passwd")])
def test_a_build_takes_neither_weights_nor_labels_of_the_server(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.study.build.image_folder", lambda *_: pytest.fail("a folder was opened"))
    one = state.Session()
    monkeypatch.setattr(networks, "session", lambda: one)
    config = StudyConfig("flowers-double-12c", str(tmp_path / "offered"))
    config = replace(config, **{"model" if key == "new-model" else "labels": value})
    with pytest.raises(VitrineError, match=r"There is no model called|does not read files of labels") as error:
        build_form._network(config)
    assert "/etc" not in str(error.value)


def test_builds_and_studies_of_a_visitor_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "key", lambda: ANNE)
    own, other = visitors.own_home() / "studies", visitors._home_of(BERT) / "studies"
    visitors.check_builds([other / "a"], own)
    with pytest.raises(Unavailable, match="A study or exam of yours is being built"):
        visitors.check_builds([own / "a"], own)
    with pytest.raises(Unavailable, match="This server builds 2 studies or exams at a time"):
        visitors.check_builds([other / "a", other / "b"], own)
    for number in range(visitors.STUDIES):
        (own / f"{number}").mkdir(parents=True)
    with pytest.raises(Unavailable, match="keeps 10 studies of each visitor"):
        visitors.check_builds([], own)
    with pytest.raises(TooLarge, match="may have 5,000"):
        visitors.check_images(5001)
