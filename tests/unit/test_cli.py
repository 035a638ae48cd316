import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import cli
from core.cli import COMMANDS, SHELLS, main, parser
from core.commands import app
from core.errors import BadParameter
from core.explain import EXPLAINERS
from tests import nets

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Whatever model a command names, it gets a tiny one."""
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("gap"))


@pytest.fixture
def explain(tmp_path, photo_file):
    """`vitrine explain` of the photo into a folder."""

    def run(*words, images=(photo_file,), out=tmp_path / "out"):
        return main(["explain", *map(str, images), "--model", "gap", "--out", str(out), *words])

    return run


def sentence(capsys):
    """What a command says on stderr: one line, no traceback."""
    said = capsys.readouterr().err
    assert said.startswith("vitrine: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


def test_help_starts_at_once_and_loads_no_torch():
    code = "import sys; from core.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "explain what a model sees" in said
    for heavy in ("torch", "numpy", "streamlit", "plotly", "pandas"):
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--method", "salience"], "no method called 'salience'. Did you mean 'saliency'"),
        (["--method", "saliency,"], "no method called ''"),
        (["--method", "saliency", "--all"], "not allowed with"),
        (["--method", "saliency", "--out", ""], "Argument --out: a path cannot be empty."),
        (["--method", "saliency", "--target", "class 99"], "no class called 'class 99'"),
        (["--method", "saliency", "--target", "predcted"], "called 'predcted'. Did you mean 'predicted'"),
        (["--method", "saliency", "--target", "5"], "no class 5. gap has classes 0 to 4"),
        (
            ["--method", "saliency", "--layer", "features.88"],
            "no layer called 'features.88'. Did you mean 'features.8'",
        ),
        (["--method", "rise", "--set", "rise.maks=500"], "no setting of rise called 'maks'. Did you mean 'masks'"),
        (["--method", "rise", "--set", "rise.masks=-1"], "rise.masks cannot be '-1'"),
        (["--method", "rise", "--set", "rise.masks=many"], "rise.masks cannot be 'many'. Give a whole number."),
        (["--method", "rise", "--set", "masks=500"], "--set 'masks=500' cannot be read. Write METHOD.SETTING=VALUE"),
        (["--method", "rise", "--set", "rice.masks=500"], "no method called 'rice'. Did you mean 'rise'"),
        (["--method", "saliency", "--set", "rise.masks=500"], "is for a method that is not asked for"),
        (["--method", "saliency", "--seed", "x"], "--seed: invalid int value: 'x'"),
    ],
)
def test_a_mistake_in_a_question_is_told_before_the_work(explain, words, expected, capsys, tmp_path):
    assert explain(*words) == 2
    assert expected in sentence(capsys)
    assert not list(tmp_path.glob("out/*"))


def test_a_method_that_cannot_work_says_why(explain, capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("norelu"))
    assert explain("--method", "guided_backprop") == 2
    assert "norelu has no ReLU" in sentence(capsys)


def test_all_leaves_out_what_cannot_work(explain, tmp_path, monkeypatch):
    from core.explain import EXPLAINERS

    model = nets.model("norelu")
    monkeypatch.setattr("core.models.load", lambda name, **rest: model)
    quick = [
        f"--set={m.name}.{p.name}={p.knob.low:g}" for m in EXPLAINERS.values() for p in m.params if p.name == "masks"
    ]
    assert explain("--all", *quick) == 0
    record = json.loads((tmp_path / "out/photo/result.json").read_text())
    assert [entry["method"] for entry in record["maps"]] == [n for n, m in EXPLAINERS.items() if not m.unmet(model)]


def test_explain_writes_maps_pictures_and_a_record(explain, tmp_path, photo):
    import hashlib

    words = ["--method", "saliency,grad_cam", "--target", "predicted", "--target", "class 2", "--target", "4"]
    assert explain(*words, "--seed", "7") == 0
    folder = tmp_path / "out" / "photo"
    record = json.loads((folder / "result.json").read_text())
    predicted = record["top5"][0]["index"]
    targets = dict.fromkeys([predicted, 2, 4])
    keys = [f"{method}-{target}" for target in targets for method in ("saliency", "grad_cam")]
    assert {p.name for p in folder.iterdir()} == {"maps.npz", "figure.png", "result.json", *(f"{k}.png" for k in keys)}
    assert record["image_sha256"] == hashlib.sha256(photo).hexdigest()
    assert record["model"] == "gap"
    assert record["model_sha256"] == nets.model("gap").sha
    assert record["layer"] == nets.model("gap").survey.default
    assert record["seed"] == 7
    assert len(record["top5"]) == 5
    assert record["failed"] == []
    assert [entry["array"] for entry in record["maps"]] == keys
    with np.load(folder / "maps.npz") as maps:
        assert list(maps) == keys
        for entry in record["maps"]:
            values = maps[entry["array"]]
            assert values.dtype == np.float32
            assert values.shape == (nets.SIDE, nets.SIDE)
            assert entry["min"] == pytest.approx(float(values.min()))
            assert entry["max"] == pytest.approx(float(values.max()))
            assert set(entry) >= {"target", "settings", "seed", "seconds", "passes", "signed", "note", "layer"}
    assert Image.open(folder / f"{keys[0]}.png").size == (nets.SIDE, nets.SIDE)


def test_a_record_tells_the_settings_that_were_used(explain, tmp_path):
    assert explain("--method", "rise", "--set", "rise.masks=50", "--json") == 0
    entry = json.loads((tmp_path / "out/photo/result.json").read_text())["maps"][0]
    assert entry["settings"]["masks"] == 50
    assert entry["passes"]["forward"] >= 50


def test_a_budget_sets_all_methods_and_set_wins(explain, tmp_path):
    assert explain("--method", "rise,occlusion", "--budget", "quick", "--set", "rise.masks=50") == 0
    maps = {entry["method"]: entry for entry in json.loads((tmp_path / "out/photo/result.json").read_text())["maps"]}
    assert maps["rise"]["settings"]["masks"] == 50
    assert maps["occlusion"]["settings"]["window"] == 48


def test_settling_saves_passes(explain, tmp_path):
    passes, calm = [], ["--set", "smoothgrad.spread=0.01"]
    for words in ([], ["--settle"]):
        assert explain("--method", "smoothgrad", "--set", "smoothgrad.samples=200", *calm, *words) == 0
        entry = json.loads((tmp_path / "out/photo/result.json").read_text())["maps"][0]
        assert entry["finished"]
        passes.append(entry["passes"]["forward"])
    assert passes[1] < passes[0] >= 200


def test_check_says_what_every_method_can_do(capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("residual"))
    assert main(["check", "--model", "residual"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in EXPLAINERS)
    assert "BatchNorm2d × 1; all folded" in told
    assert "relu (ReLU) × 2" in told
    assert main(["check", "--model", "residual", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["default_layer"], facts["head"]) == ("relu", "fc")
    assert facts["input"]["mean"] == [0.485, 0.456, 0.406]
    assert facts["normalisation"] == {"BatchNorm2d": 1}
    assert facts["folded"] == ["norm"]
    assert facts["in_place"] == {"until_loaded": {"ReLU": 1}, "in_code": {"add": 1}}
    assert facts["reused"] == {"relu": 2}
    assert set(facts["methods"]) == set(EXPLAINERS)
    assert facts["methods"]["layerwise_ixg"]["place"] == "relu"
    rise = facts["methods"]["rise"]
    assert rise["passes"] == {"quick": 300, "standard": 1000, "paper": 8000}
    assert 0 < rise["seconds"]["quick"] < rise["seconds"]["paper"]


def test_check_says_what_cannot_work(capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("norelu"))
    assert main(["check", "--model", "norelu"]) == 0
    assert "norelu has no ReLU" in capsys.readouterr().out


def test_the_same_question_gives_the_same_bytes(explain, tmp_path):
    for out in ("one", "two"):
        assert explain("--method", "saliency,rise", "--set", "rise.masks=50", out=tmp_path / out) == 0
    for path in (tmp_path / "one/photo").iterdir():
        other = (tmp_path / "two/photo" / path.name).read_bytes()
        if path.name == "result.json":  # holds how long it took
            assert _timeless(path.read_bytes()) == _timeless(other)
        else:
            assert path.read_bytes() == other


def _timeless(content):
    record = json.loads(content)
    for entry in record["maps"]:
        del entry["seconds"]
    return record


def test_one_bad_image_stops_no_other(explain, tmp_path, photo_file, capsys):
    bad, empty = tmp_path / "bad.png", tmp_path / "empty.jpg"
    bad.write_text("no image")
    empty.write_bytes(b"")
    images = [bad, photo_file, tmp_path / "missing.png", empty, tmp_path]
    assert explain("--method", "saliency", "--json", images=images) == 2
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.err.splitlines()] == ["bad.png", "missing.png", "empty.jpg", tmp_path.name]
    assert [record["image"] for record in json.loads(said.out)] == ["photo.png"]
    assert (tmp_path / "out/photo/figure.png").is_file()


def test_images_of_one_name_get_a_folder_each(explain, tmp_path, photo):
    images = [tmp_path / name / "a b.PNG" for name in ("x", "y")] + [tmp_path / "x" / ("ü" * 100 + ".png")]
    for path in images:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo)
    assert explain("--method", "saliency", images=images) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a b", "a b-2", "ü" * 80}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x/a.png", "y/a.png", "z/a-2.png"], ["a", "a-2", "a-2-2"]),
        (["z/a-2.png", "x/a.png", "y/A.png", "w/a.png"], ["a-2", "a", "A-3", "a-4"]),
        (["...png", "..png", ". .png", "..", "image.png"], ["image", "image-2", "image-3", "image-4", "image-5"]),
    ],
)
def test_every_image_has_a_folder_of_its_own_in_out(names, expected, tmp_path):
    from core.commands.explain import _folders

    folders = _folders(tmp_path, names)
    assert [folder.name for folder in folders] == expected
    assert {folder.resolve().parent for folder in folders} == {tmp_path}


def test_answers_that_are_no_numbers_are_one_sentence(explain, tmp_path, capsys, monkeypatch):
    net = nets.seeded(nets.GapNet)
    for parameter in net.fc.parameters():
        parameter.data.fill_(3e38)  # finite, as a weights file must be, and yet too large to count with
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model(net))
    assert explain("--method", "saliency") == 2
    assert "answers with values that are not finite numbers. Its weights are" in sentence(capsys)
    assert not list(tmp_path.glob("out/*"))


def test_the_predicted_class_may_be_spelled_as_labels_may(explain, tmp_path):
    assert explain("--method", "saliency", "--target", "Predicted", "--target", "CLASS 2") == 0
    maps = json.loads((tmp_path / "out/photo/result.json").read_text())["maps"]
    assert maps[-1]["target"]["label"] == "class 2"


def test_what_was_done_to_an_image_is_said(explain, tmp_path, capsys):
    moving, printed = tmp_path / "anim.gif", tmp_path / "print.jpg"
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    Image.new("CMYK", (40, 40)).save(printed)
    assert explain("--method", "saliency", images=[moving, printed]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" 1 map. Of several frames, the first is shown.")
    assert second.endswith(" 1 map. Converted from CMYK to RGB.")


def test_nothing_in_a_name_or_a_label_steers_the_terminal(explain, tmp_path, photo, capsys, monkeypatch):
    odd = tmp_path / "nl\nx\x1b[31m\x9b1m\u202e.png"
    odd.write_bytes(photo)
    broken = tmp_path / "b\x1b[2J\n.png"
    broken.write_bytes(b"x")
    labels = tuple(f"la\x1b]0;\x07bel\n{index}" for index in range(nets.CLASSES))
    monkeypatch.setattr("core.models.load", lambda name, **rest: replace(nets.model("gap"), labels=labels))
    for words, lines in ([], 1), (["--json"], None):
        assert explain("--method", "saliency", *words, images=[odd, broken]) == 2
        said = capsys.readouterr()
        assert all(c.isprintable() or c == "\n" for c in said.out + said.err)
        assert said.err.count("\n") == 1
        assert lines is None or said.out.count("\n") == lines
    assert json.loads(said.out)[0]["image"] == odd.name, "JSON escapes what it cannot show, and loses nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such name")
def test_a_name_that_is_no_text(explain, tmp_path, photo, capsys):
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes(photo)
    assert explain("--method", "saliency", images=[odd]) == 0
    assert "caf�" in capsys.readouterr().out
    (record,) = (tmp_path / "out").glob("*/result.json")
    assert json.loads(record.read_text("utf-8"))["image"] == "caf�.png"


def test_a_folder_of_earlier_results_holds_the_new_ones_alone(explain, tmp_path):
    folder = tmp_path / "out" / "photo"
    assert explain("--method", "saliency,grad_cam", "--target", "1") == 0
    own = folder / "rise-1.png"
    own.write_bytes(b"mine")
    record = json.loads((folder / "result.json").read_text())
    other = tmp_path / "kept-1.png"
    other.write_bytes(b"mine")
    record["maps"] += [{"overlay": "../../kept-1.png"}, {"overlay": 3}, {}, {"overlay": "figure.png"}]
    (folder / "result.json").write_text(json.dumps(record))
    assert explain("--method", "saliency", "--target", "2") == 0
    assert {path.name for path in folder.iterdir()} == {
        "maps.npz", "figure.png", "result.json", "saliency-2.png", "rise-1.png",
    }  # fmt: skip
    assert own.read_bytes() == other.read_bytes() == b"mine", "what we did not write stays"
    (folder / "result.json").write_text("{")
    assert explain("--method", "saliency", "--target", "2") == 0


def test_settings_are_checked_before_anything_is_loaded(explain, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda *_, **__: pytest.fail("the model was loaded first"))
    for words, expected in [
        (["--method", "saliency,rise", "--set", "rise.masks=-1"], "rise.masks cannot be '-1'"),
        (["--method", "occlusion", "--set", "occlusion.stride=64"], "(64) is larger than occlusion.window (32)"),
        (["--all", "--set", "occlusion.window=8"], "occlusion.stride (16) is larger than occlusion.window (8)"),
        (
            ["--method", "extremal_perturbation", "--set", "extremal_perturbation.areas=2"],
            "extremal_perturbation.areas cannot be '2'",
        ),
        (["--method", "saliency,salience"], "no method called 'salience'"),
        (["--method", "saliency", "--budget", "slow"], "no budget called 'slow'"),
        (["--method", "saliency", "--seed", "-5"], "The seed cannot be -5. Give a whole number from 0 to 999,999,999."),
    ]:
        assert explain(*words) == 2
        assert expected in sentence(capsys)
        assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_told_before_the_work(explain, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda *_, **__: pytest.fail("the model was loaded first"))
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        assert explain("--method", "saliency", out=out) == 2
        assert "cannot be written" in sentence(capsys)


def test_a_full_disk_is_one_sentence(explain, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert explain("--method", "saliency") == 2
    assert "cannot be written: No space left on device" in sentence(capsys)


@pytest.mark.parametrize(
    ("raised", "code", "said"), [(KeyboardInterrupt, 130, "stopped"), (ZeroDivisionError("x"), 1, "a defect")]
)
def test_other_endings(explain, raised, code, said, capsys, monkeypatch):
    def broken(*_, **__):
        raise raised

    monkeypatch.setattr("core.models.load", broken)
    assert explain("--method", "saliency") == code
    assert said in sentence(capsys)
    assert explain("--method", "saliency", "--layer", "x") == code


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
    for word in (*COMMANDS, "grad_cam", "single-6c", "resnet18", "set"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_bash_completes_a_command(capsys, tmp_path):
    main(["--completion", "bash"])
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    ask = "COMP_WORDS=(vitrine me); COMP_CWORD=1; _shtab_vitrine vitrine me vitrine; echo ${COMPREPLY[@]}"
    said = subprocess.run(["bash", "-c", f"source {script}; {ask}"], capture_output=True, text=True, check=False).stdout
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


@pytest.mark.parametrize("words", [[], ["--port", "9000", "--address", "0.0.0.0", "--model", "resnet18"]])
def test_app_becomes_streamlit_on_this_machine(words, monkeypatch):
    called = {}
    monkeypatch.setattr(os, "execve", lambda path, command, env: called.update(command=command, env=env))
    monkeypatch.setattr(app, "_free", lambda address, port: None)  # whoever else listens on this machine
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("VITRINE_MODEL", raising=False)
    assert main(["app", *words]) == 0
    command = called["command"]
    assert command[1:5] == ["-m", "streamlit", "run", str(ROOT / "app.py")]
    assert command[command.index("--server.address") + 1] == ("0.0.0.0" if words else "127.0.0.1")
    assert command[command.index("--server.port") + 1] == ("9000" if words else "8501")
    assert called["env"].get("VITRINE_MODEL") == ("resnet18" if words else None)


def test_a_place_where_the_app_cannot_listen_is_told(monkeypatch, capsys):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("the server was started"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 2
    assert f"Port {port} is in use. Choose another one with --port." in sentence(capsys)
    assert main(["app", "--address", ""]) == 2
    assert "--address is empty. Leave it out for this machine only; 0.0.0.0 lets others in." in sentence(capsys)
    for address in ("192.0.2.1", "no such host", "a..b", "1:2"):
        assert main(["app", "--address", address]) == 2
        assert f"The app cannot listen on {address!r}" in sentence(capsys)


def test_app_takes_labels_for_own_weights(monkeypatch, tmp_path, capsys):
    asked, called = [], {}

    def load(name, **rest):
        asked.append((name, rest["labels"]))
        return replace(nets.model("gap"), name=name)

    monkeypatch.setattr("core.models.load", load)
    monkeypatch.setattr(app, "_free", lambda address, port: None)
    monkeypatch.setattr(os, "execve", lambda path, command, env: called.update(env))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITRINE_LABELS", raising=False)
    assert main(["app", "--model", "resnet18:w.pth", "--labels", "l.txt"]) == 0
    file = tmp_path / "l.txt"
    assert asked == [(f"resnet18:{tmp_path / 'w.pth'}", file)]
    assert called["VITRINE_LABELS"] == str(file)
    assert main(["app", "--labels", "l.txt"]) == 2
    assert "--labels is for your own weights. Give --model ARCH:FILE with it." in sentence(capsys)
    called.clear()
    assert main(["app", "--model", "resnet18:w.pth"]) == 0
    assert "VITRINE_LABELS" not in called


def test_app_needs_its_script(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(app, "SCRIPT", tmp_path / "app.py")
    assert main(["app"]) == 2
    assert "not part of this installation" in sentence(capsys)


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
