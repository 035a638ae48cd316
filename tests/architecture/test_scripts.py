"""What `make check` says of the browser's scripts: nothing as they are, and a failure for each kind of mistake."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = Path("pages/ui/components")

MISTAKES = {
    "type": ("TS2322", '/** @type {number} */\nexport const wrong = "text";\n'),
    "missing type": ("TS7006", "export const untyped = (value) => value;\n"),
    "name": ("TS2304", "export const value = undeclared;\n"),
    "lint": ("noDoubleEquals", "/** @param {unknown} value */\nexport const loose = (value) => value == 1;\n"),
    "warning": ("useTemplate", '/** @param {string} name */\nexport const hello = (name) => "Hello " + name;\n'),
    "format": ("format", "export   const spaced = 1;\n"),
}


@pytest.fixture
def checked(tmp_path):
    """The scripts in a tree of their own, and what checks them there."""
    shutil.copytree(ROOT / COMPONENTS, tmp_path / COMPONENTS)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def check():
        run = ["make", "--old-file", ".venv/ready", "--old-file", ".venv/js/ready", "scripts"]
        return subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)

    return tmp_path / COMPONENTS, check


def test_the_scripts_are_in_order(checked):
    _, check = checked
    ended = check()
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_found(checked, kind):
    folder, check = checked
    found, text = MISTAKES[kind]
    (folder / "mistake.js").write_text(text, "utf-8")
    ended = check()
    assert ended.returncode != 0
    assert found in ended.stdout + ended.stderr
    assert "mistake.js" in ended.stdout + ended.stderr


def test_check_includes_the_scripts():
    assert re.search(r"^check:.* scripts\b", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
