"""What an installation gives: `vitrine` and `core`, the app with its assets, from whatever folder it is started."""

import os
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.request
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BUILD = ("core", "pages", "assets", ".streamlit", "app.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index"]


def test_every_folder_of_the_core_is_installed():
    folders = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "core").rglob("*.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders | {"vitrine", "core.shipped"}


def test_vitrine_is_the_door_and_never_the_core():
    """Two names for one folder of the core would be two registries."""
    assert PROJECT["tool"]["setuptools"]["package-dir"] == {"vitrine": "core/door", "core.shipped": "."}
    assert (ROOT / "core" / "door" / "py.typed").is_file()


def run(*words, cwd, **environment):
    """A command that must succeed, with nothing of the checkout on its path; returns what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VITRINE"))}
    settings = {**clean, "VITRINE_HOME": str(cwd / "home"), **environment}
    ended = subprocess.run(
        list(map(str, words)), cwd=cwd, env=settings, capture_output=True, text=True, check=False, timeout=280
    )
    assert ended.returncode == 0, f"{words}: {ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout to build from: setuptools writes into the folder that it builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in BUILD:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "pages" / "ui" / "__pycache__").mkdir(exist_ok=True)
    (folder / "pages" / "ui" / "__pycache__" / "old.pyc").touch()
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """A wheel of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", *OFFLINE, "--wheel-dir", folder, source, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module", params=["wheel", "editable"])
def bin(request, source, tmp_path_factory):
    """The programs of an environment of its own with this Vitrine, which borrows all other packages."""
    folder = tmp_path_factory.mktemp(request.param)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(str(Path(pytest.__file__).resolve().parents[1]))
    what = ["--editable", source] if request.param == "editable" else [request.getfixturevalue("wheel")]
    run(*PIP, "--python", programs / "python", "install", *OFFLINE, *what, cwd=folder)
    return programs


@pytest.mark.slow
def test_the_wheel_carries_the_app_and_nothing_beside_it(wheel):
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert {name.partition("/")[0] for name in names} == {"core", "vitrine", "vitrine-0.1.0.dist-info"}
    for folder in ("pages", "assets", ".streamlit"):
        files = [file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        wanted = {f"core/shipped/{file.relative_to(ROOT).as_posix()}" for file in files}
        carried = {name for name in names if name.startswith(f"core/shipped/{folder}/")}
        assert carried == {name for name in wanted if not name.startswith("core/shipped/assets/pictures/")}
    assert {name for name in names if name.endswith(("LICENSE", "NOTICE", "py.typed", "app.py"))} >= {
        "core/shipped/app.py",
        "core/py.typed",
        "vitrine/py.typed",
        "vitrine-0.1.0.dist-info/licenses/LICENSE",
        "vitrine-0.1.0.dist-info/licenses/NOTICE",
    }


@pytest.mark.slow
def test_an_installation_works_from_anywhere(bin, tmp_path):
    code = """
import core.door, core.explain, core.models, vitrine
assert vitrine is not core.door
assert [getattr(vitrine, name) for name in vitrine.__all__] == [getattr(core.door, name) for name in vitrine.__all__]
assert list(vitrine.methods().index) == list(core.explain.EXPLAINERS)
model = vitrine.load("flowers-single-6c")
photo = vitrine.examples()["single-violet"]
assert vitrine.compare(model, photo, ["cam"])["cam"].label == "violet"
print(vitrine.__file__, core.__file__, vitrine.__version__)
"""
    *files, version = run(bin / "python", "-c", code, cwd=tmp_path).split()
    assert not any(Path(file).is_relative_to(ROOT) for file in files)
    assert version == PROJECT["project"]["version"]
    assert run(bin / "vitrine", "--version", cwd=tmp_path) == f"vitrine {version}\n"
    assert "28 rules" in run(bin / "vitrine", "study", "info", "flowers-double-12c", cwd=tmp_path)


@pytest.mark.slow
def test_an_installed_app_answers_from_anywhere(bin, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environment = {"VITRINE_HOME": str(tmp_path), "STREAMLIT_SERVER_HEADLESS": "true", "PATH": os.environ["PATH"]}
    server = subprocess.Popen([bin / "vitrine", "app", "--port", str(port)], cwd=tmp_path, env=environment)
    try:
        assert fetched(f"http://127.0.0.1:{port}/_stcore/health", server) == "ok"
        assert "<title>Streamlit</title>" in fetched(f"http://127.0.0.1:{port}/", server)
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_an_installed_page_runs(bin, tmp_path):
    """What the server does for a visitor, with the folder of app.py on the path as Streamlit puts it."""
    code = """
import sys
from core.resources import ROOT
from streamlit.testing.v1 import AppTest
sys.path.insert(0, str(ROOT))
page = AppTest.from_file(str(ROOT / "pages/ui/main.py"), default_timeout=120).run()
assert not page.exception, page.exception
assert not page.error, page.error
print(sys.modules["pages.ui.components"].__file__)
"""
    file = run(bin / "python", "-c", code, cwd=tmp_path).split()[-1]
    assert not Path(file).is_relative_to(ROOT)


@pytest.mark.slow
def test_the_installed_names_are_typed(wheel, tmp_path):
    with ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    (tmp_path / "mine.py").write_text(
        "import vitrine as vt\n"
        'maps = vt.compare(vt.load("resnet18"), "photo.jpg", ["rise"], target="tabby", rise={"masks": 500})\n'
        'reveal_type(maps["rise"].values)\n'
        'reveal_type(vt.open_study("out/study").rules("tabby"))\n'
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    words += ["--config-file", ROOT / "pyproject.toml"]
    said = run(*words, "--cache-dir", tmp_path / "cache", "mine.py", cwd=tmp_path, MYPYPATH=str(tmp_path / "site"))
    assert "_32Bit" in said
    assert "DataFrame" in said


def fetched(address, server):
    """What an address answers, once the server listens."""
    end = monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode()
        except (URLError, ConnectionError):
            assert server.poll() is None, "the server ended"
            assert monotonic() < end, "the server does not listen"
            sleep(0.2)
