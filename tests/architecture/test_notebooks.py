"""Notebooks run, and the pages made from docstrings name everything that `import vitrine` gives."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import core.door

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "assets" / "notebooks").glob("*.ipynb"))


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_stored_without_outputs(path, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    folder = tmp_path / "work"
    folder.mkdir()
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    results = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type in {"execute_result", "display_data"} or output.get("name") == "stdout"
               for output in results)  # fmt: skip
    pictures = [output for output in results if "image/png" in output.get("data", {})]
    tables = [output for output in results if "text/html" in output.get("data", {})]
    assert len(pictures) >= 3
    assert len(tables) >= 2
    assert (folder / "out" / "first-look" / "maps.npz").is_file()


def test_notebooks_are_there():
    assert [path.name for path in NOTEBOOKS] == ["first-look.ipynb"]


@pytest.mark.usefixtures("checkout")
def test_make_docs_names_everything_and_loads_nothing_from_elsewhere(tmp_path):
    recipe = re.search(r"^docs:.*\n\t(.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    words = recipe[1].replace("build/docs", str(tmp_path)).split()
    assert words[0] == "$(BIN)/pdoc"
    ended = subprocess.run(
        [sys.executable, "-m", "pdoc", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "vitrine.html").read_text("utf-8")
    assert [name for name in core.door.__all__ if f'id="{name}"' not in page] == []
    assert re.findall(r'(?:src|<link[^>]*href)="https?:', page) == []
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 400_000
