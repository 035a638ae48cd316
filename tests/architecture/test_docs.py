"""What the texts say is what the code does."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

import core.door as vt
from core.cli import COMMANDS, _parsers, parser
from core.data.samples import SAMPLES
from core.explain import EXPLAINERS
from core.measure import MEASURES
from core.study import BUNDLED, Study
from tests.small_study import edited

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
METHODS = (ROOT / "core/explain/README.md").read_text("utf-8")
MEASURED = (ROOT / "core" / "measure" / "README.md").read_text("utf-8")


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def examples():
    """Every `vitrine …` line of the README's shell examples."""
    text = "\n".join(blocks(README, "sh")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("vitrine ")]


def words_of(line):
    """Its arguments, without a redirection or a comment behind it."""
    return shlex.split(line.partition(" > ")[0], comments=True)[1:]


def test_the_tables_of_methods_and_measures_are_the_registries():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", METHODS + MEASURED, re.MULTILINE)
    shown = [tuple(cell.strip() for cell in row) for row in rows]
    cards = [*EXPLAINERS.values(), *MEASURES.values()]
    expected = [(card.name, card.title, card.summary, card.source or "–") for card in cards]
    missing = "\n".join("| `{}` | {} | {} | {} |".format(*row) for row in expected)
    assert shown == expected, f"the tables of core/explain/README.md and core/measure/README.md should be:\n{missing}"


def test_every_family_is_in_the_readme():
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| (`[^|]+`) \|$", README, re.MULTILINE)
    examples = [(family, name) for family, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted({family for family, _ in examples}) == sorted({method.family for method in EXPLAINERS.values()})
    assert [(EXPLAINERS[name].family, name) for _, name in examples] == examples


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    assert any(words_of(line)[0] == command for line in examples()), f"show `vitrine {command}` in README.md"


@pytest.mark.parametrize("line", examples())
def test_every_example_parses(line):
    parser(whole=True).parse_args(words_of(line))


@pytest.mark.parametrize("command", ["", "app", "explain"])
def test_every_option_is_in_the_readme(command):
    """Those of the other commands are settings, explained by `--help` out of the code."""
    top = parser(command)
    found = next(below for below in _parsers(top) if below.prog.endswith(command)) if command else top
    options = [option for action in found._actions for option in action.option_strings if option.startswith("--")]
    assert [option for option in options if option != "--help" and option not in README] == []


def test_links_and_pictures_are_there():
    for path in (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "core/README.md", "core/explain/README.md")):
        text = path.read_text("utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src="([^":]+)"', text):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_make_targets_that_texts_name_exist():
    makefile = (ROOT / "Makefile").read_text()
    for name in re.findall(r"`?make (\w+)", "\n".join(blocks(README + CONTRIBUTING, "sh"))):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_everything_we_ask_for_is_pinned_and_comes_from_nowhere_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    pinned = {re.sub("[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    assert {re.split("[<>=]", one)[0].lower() for one in asked} <= pinned
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


EXAMPLES = {
    "explainer": """
from core.explain import explain
from core.explain.methods.gradient import *
from core.explain.methods.gradient import Annotated, Knob, Query, Tensor, explainer
""",
    "measure": """
from core.measure import evaluate
from core.measure.agreement import Annotated, Evidence, Knob, Numbers, Undefined, measure
""",
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_examples_of_contributing_work(kind, tmp_path):
    """The added lines of both diffs, run in a process of their own so that the registry here stays as it is."""
    diffs = ["\n".join(re.findall(r"^\+(?!\+)(.*)$", diff, re.M)) for diff in blocks(CONTRIBUTING, "diff")]
    first = 2 * list(EXAMPLES).index(kind)
    added, oracle = diffs[first : first + 2]
    test = re.findall(r"def (test_\w+)", oracle)[0]
    code = ["import torch", EXAMPLES[kind], added, "from tests import nets", "from tests.nets import query", oracle]
    (tmp_path / "example.py").write_text("\n".join([*code, f"{test}()"]), "utf-8")
    run = [sys.executable, str(tmp_path / "example.py")]
    ended = subprocess.run(run, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.usefixtures("checkout")
def test_the_notebook_example_runs(tmp_path, monkeypatch):
    """Word for word, with weights, a photo and a study of these names put where it looks for them."""
    (block,) = blocks(README, "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    weights = torchvision.models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "torch" / "hub" / "checkpoints" / weights)
    Image.open(SAMPLES / "single-violet.png").convert("RGB").save("photo.jpg")
    flowers = Study(BUNDLED / "flowers-double-12c")
    classes = flowers.table("classes").replace({"name": {"red-petals": "tabby"}})
    edited(flowers, tmp_path / "out" / "study", classes=classes)
    opened, found = [], {}
    monkeypatch.setattr(Image.Image, "show", lambda image: opened.append(image.size))
    exec(compile(block.replace("500", "50"), "README.md", "exec"), found)  # as many masks take their time
    assert len(opened) == 1
    assert found["maps"]["rise"].values.shape == (224, 224)
    assert found["maps"]["rise"].label == "tabby"
    assert {"maps.npz", "figure.png", "result.json", "maps.csv"} <= {file.name for file in Path("out").iterdir()}
    assert len(found["study"].rules("tabby")) == len(vt.open_study("flowers-double-12c").rules("red-petals")) > 0


# Each command in a process of its own, which has imported PyTorch but computed nothing: most of the time is the import.
RUNS = """
import json, os, sys
from glob import glob
import core.workbench
from core.cli import main

for words in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        os._exit(main([path for word in words for path in sorted(glob(word)) or [word]]))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"failed: {' '.join(words)}")
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_examples_run(tmp_path):
    """Every example that comes back and needs no network, in the order of the text, in an empty folder."""
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    asked = [words_of(line) for line in examples() if words_of(line)[0] != "app" and "resnet18" not in line]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    run = [sys.executable, "-c", RUNS, json.dumps(asked)]
    ended = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
