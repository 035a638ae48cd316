"""Own code as a model: what the function returns is taken, and nothing runs that the command line did not name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.cli import main
from core.errors import BadModel, BadParameter, Unavailable, VitrineError
from core.models import load
from core.models.name import parsed
from core.models.sources.trust import trust

LABELS = ["ant", "bee", "cow"]
NET = """
import torch
from torch import nn
torch.manual_seed(3)

def net(outputs=3, channels=8):
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(channels, outputs),
    )
"""


def written(folder: Path, body: str, name: str = "mine.py") -> str:
    """A file with these lines after a small network's; its path."""
    (folder / name).write_text(NET + body, "utf-8")
    return str(folder / name)


def named(folder: Path, body: str, function: str = "build") -> str:
    """The name of a function of such a file, allowed to run."""
    return trust(f"{written(folder, body)}:{function}")


def test_what_the_function_says_is_taken(tmp_path: Path) -> None:
    settings = "{'labels': ['ant', 'bee', 'cow'], 'size': 32, 'mean': 0.25, 'std': [0.5, 0.25, 0.125]}"
    model = load(named(tmp_path, f"def build():\n    return net(), {settings}\n"))
    assert model.labels == ("ant", "bee", "cow")
    assert (model.preprocess.crop, model.preprocess.resize) == (32, 32)
    assert model.preprocess.mean == (0.25, 0.25, 0.25)
    assert model.preprocess.std == (0.5, 0.25, 0.125)
    assert model.survey.default
    space: dict[str, Any] = {}
    exec(compile(NET, "net", "exec"), space)
    same, images = space["net"](), torch.rand(2, 3, 32, 32)
    assert torch.equal(model.net(images), same(images))


def test_own_weights_for_own_code(tmp_path: Path) -> None:
    weights = tmp_path / "w.pth"
    name = named(tmp_path, "def build():\n    return net()\n")
    state = {key: value + 1 for key, value in load(name).net.state_dict().items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, weights)
    model = load(f"{name}@{weights}")
    assert all(torch.equal(value, state[key]) for key, value in model.net.state_dict().items())


def test_a_module_is_found_from_the_folder_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_networks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "beside.py").write_text("OUTPUTS = 7\n")
    written(package, "from own_networks.beside import OUTPUTS\n\ndef build():\n    return net(OUTPUTS)\n", "small.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["elsewhere"])
    assert len(load(trust("own_networks.small:build")).labels) == 7


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("OUTPUTS = 4\n")
    assert (
        len(load(named(tmp_path, "from beside_it import OUTPUTS\ndef build():\n    return net(OUTPUTS)\n")).labels) == 4
    )


@pytest.mark.parametrize("spelling", ["{file}:build", "{file}:build@w.pth"])
def test_code_that_nobody_named_does_not_run(tmp_path: Path, spelling: str) -> None:
    file = written(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n\ndef build():\n    return net()\n")
    with pytest.raises(Unavailable, match="only when the command line names it") as error:
        load(spelling.format(file=file))
    assert "vitrine app --model mine.py:build" in error.value.hint
    assert str(tmp_path) not in str(error.value)
    assert not (tmp_path / "ran").exists()


def test_another_function_of_an_allowed_file_does_not_run(tmp_path: Path) -> None:
    name = named(tmp_path, "def build():\n    return net()\n\ndef other():\n    return net()\n")
    load(name)
    with pytest.raises(Unavailable):
        load(name.replace(":build", ":other"))


def test_the_same_file_is_allowed_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named(tmp_path, "def build():\n    return net()\n")
    monkeypatch.chdir(tmp_path)
    assert load("mine.py:build").labels == load("./mine.py:build").labels
    assert parsed("mine.py:build").absolute.text == f"{tmp_path}/mine.py:build"


def test_the_app_may_run_what_it_was_started_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{written(tmp_path, 'def build():' + chr(10) + '    return net()' + chr(10))}:build"
    monkeypatch.setenv("VITRINE_MODEL", name)
    assert load(name).name == name


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("def build():\n    raise RuntimeError('no weights here')\n", "fails with RuntimeError: no weights here."),
        ("def build(:\n", "fails with SyntaxError"),
        ("import nothing_of_that_name\n", "fails with ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise SystemExit(3)\n", "fails with SystemExit: 3."),
        ("build = 3\n", "names no function: there is no build."),
        ("def other():\n    return net()\n", "names no function: there is no build."),
        ("def build():\n    return 3\n", "returns a value of type int, not a network."),
        ("def build():\n    return nn.Linear\n", "returns the class Linear, not a network."),
        ("def build():\n    return net(), 3\n", "returns int beside the network."),
        ("def build():\n    return net(), {'colour': 3}\n", "returns the unknown setting 'colour'."),
        ("def build():\n    return net(), {'size': -3}\n", "returns settings that do not fit"),
        ("def build():\n    return net(), {'labels': 'abc'}\n", "returns labels that are not a list of texts."),
        ("def build():\n    return nn.Linear(5, 3)\n", "fails on images of 224 × 224 pixels"),
        ("def build():\n    return nn.Conv2d(3, 2, 1)\n", "gives shape (2, 2, 224, 224)"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, body: str, problem: str) -> None:
    with pytest.raises(BadModel) as error:
        load(named(tmp_path, body))
    assert problem in error.value.message
    assert error.value.hint
    assert len(str(error.value)) < 300
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("count", [2, 4])
def test_labels_must_be_as_many_as_outputs(tmp_path: Path, count: int) -> None:
    body = f"def build():\n    return net(), {{'labels': {[f'l{i}' for i in range(count)]}}}\n"
    with pytest.raises(VitrineError, match=rf"{count} labels"):
        load(named(tmp_path, body))


def test_a_missing_file_or_module_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="There is no file"):
        load(trust(f"{tmp_path}/nowhere.py:build"))
    with pytest.raises(BadModel, match=r"There is no module nowhere\.at_all"):
        load(trust("nowhere.at_all:build"))


@pytest.mark.parametrize(
    ("wrapped", "note"),
    [
        ("(z, f)", "The network gives a tuple, of which entry number 1 of 2 was taken."),
        ("{'features': f, 'logits': z}", "The network gives a dictionary, of which entry 'logits' of 2 was taken."),
        ("[f, z]", "The network gives a tuple, of which entry number 2 of 2 was taken."),
    ],
)
def test_of_several_outputs_one_is_taken_and_said(tmp_path: Path, wrapped: str, note: str) -> None:
    body = f"""
class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()
    def forward(self, x):
        f = self.net[:2](x)
        z = self.net[2:](f)
        return {wrapped}

def build():
    return Several(), {{'size': 32}}
"""
    model = load(named(tmp_path, body))
    assert note in model.notes
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.net(images), model.net.net(images))


@pytest.mark.parametrize(("output", "outputs"), [("multilabel", 3), ("regression", 2), ("sigmoid", 1)])
def test_the_function_says_how_outputs_are_read(tmp_path: Path, output: str, outputs: int) -> None:
    body = f"def build():\n    return net({outputs}), {{'output': '{output}', 'size': 32}}\n"
    assert load(named(tmp_path, body)).output == output


def test_another_code_is_another_model(tmp_path: Path) -> None:
    name = named(tmp_path, "def build():\n    return net()\n")
    first = load(name).sha
    assert load(name).sha == first
    named(tmp_path, "def build():\n    return net()  # changed\n")
    assert load(name).sha != first


def test_on_the_command_line(tmp_path: Path) -> None:
    file = written(tmp_path, f"def build():\n    return net(), {{'size': 32, 'labels': {LABELS}}}\n")
    Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(tmp_path / "grey.png")
    words = ["explain", str(tmp_path / "grey.png"), "--model", f"{file}:build", "--method", "grad_cam"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "grey" / "result.json").read_text("utf-8"))["top5"][0]["label"] in LABELS


def test_the_traceback_of_own_code_is_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "def build():\n    raise RuntimeError('no weights here')\n")
    assert main(["check", "--model", f"{file}:build"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["--traceback", "check", "--model", f"{file}:build"]) == 2
    assert "mine.py" in capsys.readouterr().err


def test_a_revision_is_for_hugging_face_only() -> None:
    from core.data.model_options import ModelOptions

    with pytest.raises(BadParameter, match="A revision is for models of Hugging Face"):
        load("resnet18", options=ModelOptions(revision="main"))


def test_a_study_is_built_and_used_with_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, f"def build():\n    return net(), {{'size': 32, 'labels': {LABELS}}}\n")
    draws = np.random.default_rng(0)
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            pixels = draws.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    words = ["--model", f"{file}:build"]
    built = ["study", "build", *words, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "study")]
    assert main(built) == 0
    monkeypatch.setattr("core.models.sources.trust._trusted", set())  # as in another process
    assert main(["study", "ablate", str(tmp_path / "study"), "--draws", "2"]) == 2
    assert main(["study", "ablate", str(tmp_path / "study"), "--draws", "2", *words]) == 0
