"""The command line: help, mistakes, endings, completion, and the commands that only list."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from core import cli
from core.cli import COMMANDS, SHELLS, main, parser
from core.errors import BadParameter
from tests.said import sentence

ROOT = Path(__file__).resolve().parents[3]


def test_help_starts_at_once_and_loads_no_torch():
    code = "import sys; from core.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "explain the predictions of a model" in said
    for heavy in ("torch", "numpy", "streamlit", "plotly", "pandas", "matplotlib"):
        assert f"'{heavy}'" not in said


def test_the_help_of_study_loads_no_tables():
    code = "import sys; from core.cli import main\ntry: main(['study', '--help'])\nexcept SystemExit: "
    code += "print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "build a study" in said
    for heavy in ("torch", "numpy", "pandas", "pyarrow"):
        assert f"'{heavy}'" not in said


def test_an_explanation_imports_only_what_it_needs(tmp_path, photo_file, monkeypatch):
    monkeypatch.delenv("VITRINE_PRECISION")  # the machine decides, as for users
    words = [
        "explain",
        str(photo_file),
        "--model",
        "efficientnet_lite0",
        "--method",
        "grad_cam",
        "--out",
        str(tmp_path),
    ]
    code = f"import sys; from core.cli import main; main({words!r}); print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "1 map" in said
    for heavy in ("torchvision", "pandas", "scipy", "skimage", "plotly", "sklearn", "sympy", "torch._dynamo", "triton"):
        assert f"'{heavy}'" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: vitrine {command}" in capsys.readouterr().out


def test_without_a_command_help_is_shown(capsys):
    assert main([]) == 0
    assert "usage: vitrine" in capsys.readouterr().out


def test_version_is_that_of_the_project(capsys):
    assert main(["--version"]) == 0
    assert f'version = "{capsys.readouterr().out.split()[1]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["explian"], "no command called 'explian'. Did you mean 'explain'"),
        (["--traceback", "explian"], "no command called 'explian'. Did you mean 'explain'"),
        (["explain"], "required: IMAGE, --model, --out"),
        (["models", "--jsno"], "--jsno"),
        (["app", "--port", "many"], "--port: invalid int value: 'many'"),
        (["app", "--port", "70000"], "--port cannot be 70000. Give a number between 1 and 65535."),
        (["app", "--model", "flower-single-6c"], "no model called 'flower-single-6c'"),
        (["flowers", "--variant", "single-6c", "--out", ""], "Argument --out: a path cannot be empty."),
        (["train", "--variant", "single-6c", "--out", ""], "Argument --out: a path cannot be empty."),
        (["check", "--model", "x", "--labels", ""], "Argument --labels: a path cannot be empty."),
        (["--completion", "bsh"], "no shell called 'bsh'. Did you mean 'bash'"),
        (["flowers", "--variant", "single-6", "--out", "x"], "Did you mean 'single-6c'"),
        (["train", "--variant", "single-6", "--out", "x"], "Did you mean 'single-6c'"),
        (["train", "--variant", "single-6c", "--out", "x", "--epochs", "0"], "--epochs cannot be '0'"),
        (["flowers", "--variant", "single-6c", "--out", "x", "--per-class", "0"], "--per-class cannot be '0'"),
        (
            ["study", "build", "--model", "x", "--data", "x", "--out", "x", "--patch-window", "x"],
            "--patch-window cannot be",
        ),
    ],
)
def test_a_mistake_gets_one_sentence_and_code_2(words, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert expected in sentence(capsys)
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_seen_enough():
    command = f"{sys.executable} -m core methods | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Traceback" not in ended.stderr
    assert ended.stdout.splitlines()[-1] in ("0", "141")


def test_methods_are_listed_with_their_settings(capsys):
    assert main(["methods"]) == 0
    assert "--set rise.masks=" in capsys.readouterr().out
    assert main(["methods", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["rise"]["params"][0]["knob"]["help"]
    assert cards["grad_cam"]["paper"]
    assert cards["grad_cam"]["source"] == cards["grad_cam"]["paper"]
    assert cards["excitation_bp"]["needs"] == ["layer", "relevance_rules"]


def test_measures_are_listed_with_their_settings(capsys):
    assert main(["methods", "--measures"]) == 0
    told = capsys.readouterr().out
    assert "agreement" in told
    assert "agreement.magnitude=False: " in told
    assert "rise.masks" not in told
    assert main(["methods", "--measures", "--json"]) == 0
    card = next(card for card in json.loads(capsys.readouterr().out) if card["name"] == "agreement")
    assert (card["name"], card["source"], card["better"], card["low"]) == ("agreement", "Spearman 1904", "higher", -1)
    assert card["params"][0]["kind"] == "bool"


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    assert "resnet18" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["resnet18"]["classes"] == 1000


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_commands_and_names(shell, capsys):
    assert main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "grad_cam", "deletion_auc", "single-6c", "resnet18", "set"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_bash_completes_a_command(capsys, tmp_path):
    main(["--completion", "bash"])
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    line = "COMP_WORDS=(vitrine met); COMP_CWORD=1; _shtab_vitrine vitrine met vitrine; echo ${COMPREPLY[@]}"
    said = subprocess.run(
        ["bash", "-c", f"source {script}; {line}"], capture_output=True, text=True, check=False
    ).stdout
    assert said.split() == ["methods"]


def test_a_group_is_imported_only_when_it_is_called(monkeypatch):
    monkeypatch.setitem(COMMANDS, "study", ("build and read studies", "core.no_such_module", "study"))
    parser("methods")
    with pytest.raises(ModuleNotFoundError):
        parser("study")
    module = type(sys)("core.fake_study")
    module.study = _fake_group
    monkeypatch.setitem(sys.modules, "core.no_such_module", module)
    assert main(["study", "info", "flowers"]) == 0
    assert "study info" in [p.prog.removeprefix("vitrine ") for p in cli._parsers(parser(whole=True))]


def _fake_group(group):
    below = group.add_subparsers(required=True, metavar="COMMAND")
    info = below.add_parser("info")
    info.add_argument("study", metavar="STUDY")
    info.set_defaults(run=lambda args: 0 if args.study == "flowers" else 1)


@pytest.mark.slow
def test_what_other_packages_warn_of_is_not_shown(tmp_path):
    """Everything on stderr is our sentences, in a process of its own, as a user starts it."""
    import pickle

    Image.new("1", (11_000, 11_000)).save(tmp_path / "large.png")
    (tmp_path / "four.pth").write_bytes(pickle.dumps({"a": 1}, 4))
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    calls = [
        ["explain", "large.png", "--model", "flowers-single-6c", "--method", "saliency", "--out", "out"],
        ["check", "--model", "resnet18:four.pth"],
        ["check", "--model", "resnet18:script.pt"],
    ]
    code = f"""
import sys
from core.cli import main
for words in {calls!r}:
    sys.argv = ["vitrine", *words]
    print(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONWARNINGS", None)
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["2", "2", "2"]
    first, second, third = ended.stderr.splitlines()
    assert first.startswith("vitrine: large.png has 11,000 × 11,000 px, 121 megapixels")
    assert second.startswith("vitrine: four.pth ")
    assert third.startswith("vitrine: script.pt is a TorchScript program")


def test_nor_is_it_in_the_server_s_log():
    code = "import app, warnings; warnings.warn('unseen'); print('begun')"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("begun\n", "")
    command[1:1] = ["-W", "default"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "UserWarning: unseen" in ended.stderr, "who asks Python for warnings gets them"


def test_argparse_complains_in_our_way():
    with pytest.raises(BadParameter, match=r"required.*See `vitrine explain --help`\."):
        parser("explain").parse_args(["explain"])


def test_flowers_are_drawn(tmp_path, capsys):
    words = ["--variant", "part-2c", "--per-class", "2", "--size", "32", "--out", str(tmp_path / "f")]
    assert main(["flowers", *words]) == 0
    assert "4 images" in capsys.readouterr().out
    assert len(list((tmp_path / "f" / "images").rglob("*.png"))) == 4
