"""`vitrine explain` from the words to the files, of a tiny model."""

import io
import json
import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from core import export
from core.cli import main, parser
from core.comparison import Comparison, about
from core.data.model_options import ModelOptions
from core.explain import EXPLAINERS
from core.explain.target_name import TargetName, target_name
from core.figures.sheet import KINDS
from core.images import decode
from core.models import as_model, load
from core.models.sources.flower_networks import architecture
from core.workbench import Request, Workbench
from tests import nets
from tests.said import sentence


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
        (["--method", "saliency", "--target", "4-5"], "no class 5. gap has classes 0 to 4"),
        (["--method", "saliency", "--target", "4+1+4"], "class 4 is named twice in one target"),
        (["--method", "saliency", "--target", "features.5:12"], "no unit 12. Its units are 0 to 11"),
        (["--method", "saliency", "--target", "feature.5:1"], "no layer called 'feature.5'. Did you mean 'features.5'"),
        (["--method", "saliency", "--label", "3-1"], "no class called '3-1'"),
        (["--method", "saliency", "--label", "clas 2"], "no class called 'clas 2'. Did you mean 'class 2'"),
        (["--method", "saliency", "--label", ""], "no class called ''"),
        (
            ["--method", "saliency", "--layer", "features.88"],
            "no layer called 'features.88'. Did you mean 'features.8'",
        ),
        (["--method", "rise", "--set", "rise.maks=500"], "no setting of rise called 'maks'. Did you mean 'masks'"),
        (["--method", "rise", "--set", "rise.masks=-1"], "rise.masks cannot be '-1'"),
        (["--method", "rise", "--set", "rise.masks=many"], "rise.masks cannot be 'many'. Give a whole number."),
        (["--method", "rise", "--set", "masks=500"], "--set 'masks=500' cannot be read. Write METHOD.SETTING=VALUE"),
        (["--method", "rise", "--set", "rice.masks=500"], "no method called 'rice'. Did you mean 'rise'"),
        (["--method", "saliency", "--set", "rise.masks=500"], "is for a method that was not requested"),
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


def test_the_command_in_a_result_of_a_difference_and_a_group_gives_the_same_maps(explain, tmp_path, photo_file):
    texts = ["class 3 − class 1", "4+0+2", "features.5:7"]
    assert (
        explain("--method", "grad_cam,occlusion", "--layer", "features.2", *(f"--target={text}" for text in texts)) == 0
    )
    record = json.loads((tmp_path / "out/photo/result.json").read_text())
    targets = dict.fromkeys(entry["target"]["target"] for entry in record["maps"])
    assert list(targets) == ["3-1", "4+0+2", "features.5:7"]
    model = nets.model("gap")
    requests = Workbench(model).requests(
        {"grad_cam": {}, "occlusion": {}}, (target_name(text, model) for text in targets), ["features.2"]
    )
    line = export.command_line(model, [str(photo_file)], requests, out=str(tmp_path / "again"))
    assert main(shlex.split(line)[1:]) == 0
    first, again = (np.load(tmp_path / folder / "photo/maps.npz") for folder in ("out", "again"))
    assert first.files == again.files == [entry["array"] for entry in record["maps"]]
    assert all(np.array_equal(first[name], again[name]) and first[name].any() for name in first.files)


def test_a_method_that_explains_single_classes_says_so_and_the_others_go_on(explain, tmp_path, capsys):
    assert explain("--method", "cam,saliency", "--target", "3-1") == 2
    assert "cam: CAM explains single classes, not units, groups or differences." in capsys.readouterr().err
    record = json.loads((tmp_path / "out/photo/result.json").read_text())
    assert [entry["method"] for entry in record["maps"]] == ["saliency"]
    assert record["failed"][0]["target"] == {"target": "3-1", "label": "class 3 − class 1"}


def test_a_label_that_reads_as_a_difference_is_told(explain, tmp_path, capsys, monkeypatch):
    labelled = replace(nets.model("gap"), labels=("a", "b", "a-b", "c", "d"))
    monkeypatch.setattr("core.models.load", lambda name, **rest: labelled)
    assert explain("--method", "saliency", "--target", "a-b") == 0
    assert "'a-b' is the label of class 2, and could mean a − b; the label was taken." in capsys.readouterr().out
    assert (tmp_path / "out/photo/saliency-2.png").is_file()


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_names_image_method_and_count(explain, photo_file, tmp_path, capsys, monkeypatch):
    other = tmp_path / "other.png"
    Image.open(photo_file).rotate(90).save(other)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    words = ["--method", "grad_cam,saliency,rise", "--set", "rise.masks=50"]
    assert explain(*words, images=(photo_file, other)) == 0
    lines = [line.strip() for line in terminal.getvalue().split("\r\x1b[K")]
    for number in (1, 2):
        counted = [line for line in lines if line.endswith(f"of 50 (image {number} of 2)")]
        assert counted[0].endswith(f"% RISE: masks evaluated 0 of 50 (image {number} of 2)")
        assert counted[-1].endswith(f"% RISE: masks evaluated 50 of 50 (image {number} of 2)")
    said = [line.partition(", 3 maps, ")[2] for line in capsys.readouterr().out.splitlines() if ", 3 maps, " in line]
    assert said == ["51 forward + 1 backward"] * 2


def test_settling_saves_passes(explain, tmp_path):
    passes, calm = [], ["--set", "smoothgrad.spread=0.01"]
    for words in ([], ["--settle"]):
        assert explain("--method", "smoothgrad", "--set", "smoothgrad.samples=200", *calm, *words) == 0
        entry = json.loads((tmp_path / "out/photo/result.json").read_text())["maps"][0]
        assert entry["finished"]
        passes.append(entry["passes"]["forward"])
    assert passes[1] < passes[0] >= 200


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
    images = [bad, photo_file, tmp_path / "missing.png", empty]
    assert explain("--method", "saliency", "--json", images=images) == 2
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.err.splitlines()] == ["bad.png", "missing.png", "empty.jpg"]
    assert [record["image"] for record in json.loads(said.out)] == ["photo.png"]
    assert (tmp_path / "out/photo/figure.png").is_file()


def test_images_of_one_name_get_a_folder_each(explain, tmp_path, photo):
    images = [tmp_path / name / "a b.PNG" for name in ("x", "y")] + [tmp_path / "x" / ("ü" * 100 + ".png")]
    for path in images:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo)
    assert explain("--method", "saliency", images=images) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a b", "a b-2", "ü" * 80}


def test_the_command_that_an_export_tells_makes_the_same_maps(explain, tmp_path, photo_file, monkeypatch):
    """A comparison of a page with other settings than the defaults is reproduced by the command line, bit for bit."""
    bench, picture = Workbench(nets.model("gap")), decode(photo_file.read_bytes(), photo_file.name)
    asked = {"rise": {"masks": 50}, "smoothgrad": {"samples": 4}, "grad_cam": {}, "random": {}}
    requests = bench.requests(asked, [TargetName((3,)), TargetName((1,))], ["features.5", "features.2"])
    answers = {}
    bench.compare(picture, requests, lambda request, answer: answers.update({request.key: answer}), seed=7)
    line = export.command_line(bench.model, [picture.name], requests, seed=7, out=str(tmp_path / "out"))
    monkeypatch.chdir(photo_file.parent)
    assert main(shlex.split(line)[1:]) == 0
    shown = np.load(io.BytesIO(export.npz(export.arrays([(one, answers[one.key]) for one in requests]))))
    made = np.load(tmp_path / "out" / photo_file.stem / "maps.npz")
    assert sorted(made.files) == sorted(shown.files)
    assert len(shown.files) == len(requests)
    for name in shown.files:
        assert made[name].tobytes() == shown[name].tobytes(), name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x/a.png", "y/a.png", "z/a-2.png"], ["a", "a-2", "a-2-2"]),
        (["z/a-2.png", "x/a.png", "y/A.png", "w/a.png"], ["a-2", "a", "A-3", "a-4"]),
        (["...png", "..png", ". .png", "..", "image.png"], ["image", "image-2", "image-3", "image-4", "image-5"]),
    ],
)
def test_every_image_has_a_folder_of_its_own_in_out(names, expected, tmp_path):
    folders = [tmp_path / name for name in export.names(Path(name).name for name in names)]
    assert [folder.name for folder in folders] == expected
    assert {folder.resolve().parent for folder in folders} == {tmp_path}


def test_answers_that_are_no_numbers_are_one_sentence(explain, tmp_path, capsys, monkeypatch):
    net = nets.seeded(nets.GapNet)
    for parameter in net.fc.parameters():
        parameter.data.fill_(3e38)  # finite, as a weights file must be, and yet too large to count with
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model(net))
    assert explain("--method", "saliency") == 2
    assert "gives scores that are not finite for this image. Check the model's weights" in sentence(capsys)
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
    assert first.endswith(" 1 map, 1 forward + 1 backward. Page 1 of 2.")
    assert second.endswith(" 1 map, 1 forward + 1 backward. Converted from CMYK to RGB.")


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


def test_the_figure_has_the_format_that_is_asked_for(explain, tmp_path):
    folder = tmp_path / "out" / "photo"
    for kind, head in (("png", b"\x89PNG"), ("pdf", b"%PDF-"), ("svg", b"<?xml")):
        assert explain("--method", "saliency", "--target", "1", *([] if kind == "png" else ["--figure", kind])) == 0
        assert [path.name for path in folder.glob("figure.*")] == [f"figure.{kind}"], "the one before is gone"
        assert (folder / f"figure.{kind}").read_bytes().startswith(head)
        assert json.loads((folder / "result.json").read_text())["figure"] == f"figure.{kind}"
    assert ">class 1</text>" in (folder / "figure.svg").read_text("utf-8")
    record = json.loads((folder / "result.json").read_text())
    (folder / "mine.svg").write_bytes(b"mine")
    (folder / "result.json").write_text(json.dumps({**record, "figure": "mine.svg"}))
    assert explain("--method", "saliency", "--target", "1") == 0
    assert (folder / "mine.svg").read_bytes() == b"mine", "what we did not write stays"


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_of_a_figure_can_be_asked_for(kind):
    words = ["explain", "x.png", "--model", "gap", "--method", "saliency", "--out", "o", "--figure", kind]
    assert parser("explain").parse_args(words).figure == kind


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

    monkeypatch.setattr("os.fsync", full)
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


def test_a_page_of_a_file(explain, tmp_path, capsys):
    pages = tmp_path / "pages.tiff"
    first, *others = (Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) + add) for add in (0, 50, 90))
    first.save(pages, save_all=True, append_images=others)
    assert explain("--method", "saliency", "--page", "3", "--window=100,500", images=[pages]) == 0
    assert "Page 3 of 3. Values 100 to 500 of 16 bits shown as black to white." in capsys.readouterr().out
    made = json.loads((tmp_path / "out/pages/result.json").read_text())
    assert (made["image_page"], made["image_pages"], made["image_window"]) == (3, 3, [100, 500])
    assert explain("--method", "saliency", "--page", "4", images=[pages]) == 2
    assert "pages.tiff has 3 pages, and no page 4. Choose page 1 to 3." in capsys.readouterr().err
    for wrong in ("0", "x", "1.5", "-1"):
        assert explain("--method", "saliency", f"--page={wrong}", images=[pages]) == 2
        assert f"--page cannot be {wrong!r}" in capsys.readouterr().err


def test_the_command_of_a_page_in_another_window_makes_the_same_maps(explain, tmp_path, monkeypatch):
    pages = tmp_path / "pages.tiff"
    first, second = (Image.fromarray((np.arange(1600, dtype=np.uint16) * 37 % n).reshape(40, 40)) for n in (900, 700))
    first.save(pages, save_all=True, append_images=[second])
    bench = Workbench(nets.model("gap"))
    picture = decode(pages.read_bytes(), pages.name, (-7.25, 500.0), 2)
    request = Request("saliency", bench.target(picture))
    shown = Comparison(bench, about(picture, [request]))
    shown.answers[shown.tiles[0].key] = bench.explain(picture, request)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(shown.command())[1:]) == 0
    made = np.load(tmp_path / "out/pages/maps.npz")
    assert (made[f"saliency-{request.target}"] == shown.answers[shown.tiles[0].key].maps[0].numpy()).all()
    others = decode(pages.read_bytes(), pages.name), decode(pages.read_bytes(), pages.name, page=2)
    assert not any(bench.cached(one, request) for one in others), "they are other pictures"


def test_a_window_of_deep_images(explain, tmp_path, capsys):
    deep = tmp_path / "deep.png"
    Image.fromarray((np.arange(40 * 50).reshape(40, 50) * 2).astype(np.uint16)).save(deep)
    assert explain("--method", "saliency", images=[deep]) == 0
    assert "Values 0 to 4,095 of 16 bits shown as black to white." in capsys.readouterr().out
    assert explain("--method", "saliency", "--window=-100,1000", images=[deep]) == 0
    assert "Values −100 to 1,000 of 16 bits shown as black to white." in capsys.readouterr().out
    assert explain("--method", "saliency", "--window", "5", images=[deep]) == 2
    assert "LOW,HIGH" in capsys.readouterr().err


def test_options_of_a_model_reach_its_result_and_the_command_that_reproduces_it(
    monkeypatch, tmp_path, photo_file, capsys
):
    monkeypatch.undo()  # a model of its own
    state = {name: value.contiguous() for name, value in nets.seeded(lambda: architecture(1)).state_dict().items()}
    save_file(state, tmp_path / "one.safetensors")
    (tmp_path / "names.txt").write_text("rose")
    name = f"flowers@{tmp_path / 'one.safetensors'}"
    options = ["--labels", str(tmp_path / "names.txt"), "--threshold", "0.01", "--size", "64", "--mean", "0.4"]
    words = ["explain", str(photo_file), "--model", name, "--method", "saliency,occlusion"]
    assert main([*words, *options, "--out", str(tmp_path / "a")]) == 0
    out = capsys.readouterr().out
    assert "The network has one output, read through a sigmoid: rose above 0.01." in out
    result = json.loads((tmp_path / "a" / photo_file.stem / "result.json").read_text())
    assert f"rose {result['top5'][0]['probability']:.1%}, 2 maps" in out
    assert sum(entry["probability"] for entry in result["top5"]) == pytest.approx(1)
    assert {entry["label"] for entry in result["top5"]} == {"rose", "not rose"}
    assert (result["output"], result["threshold"], result["preparation"]["crop"]) == ("sigmoid", 0.01, 64)
    given = ModelOptions(**{**result["model_options"], "mean": tuple(result["model_options"]["mean"])})
    model = load(name, options=given)
    requests = [Request(name, result["predicted"][0]["index"]) for name in ("saliency", "occlusion")]
    line = export.command_line(model, [str(photo_file)], requests, out=str(tmp_path / "b"))
    assert main(shlex.split(line)[1:]) == 0
    first, second = (np.load(tmp_path / side / photo_file.stem / "maps.npz") for side in "ab")
    assert sorted(first.files) == sorted(second.files)
    assert all((first[key] == second[key]).all() for key in first.files)


def test_a_text_that_is_a_label_and_another_number_is_said(explain, capsys, monkeypatch):
    model = replace(nets.model("gap"), labels=("0", "1", "10", "2", "3"))
    monkeypatch.setattr("core.models.load", lambda name, **rest: model)
    assert explain("--method", "saliency", "--target", "3", "--target", "0") == 0
    assert "'3' is the label of class 4; class number 3 is 2; the label was taken." in capsys.readouterr().out
    assert explain("--method", "saliency", "--target", "3", "--json") == 0
    said = capsys.readouterr()
    assert "the label was taken" in said.err
    assert json.loads(said.out)[0]["maps"][0]["target"] == {"index": 4, "label": "3"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "x"], "--size cannot be 'x'. Give a whole number, or two as HEIGHT,WIDTH."),
        (["--mean", "0.5,0.5"], "mean cannot be 0.5,0.5. Give one number, or three for red, green and blue."),
        (["--std", "0"], "std cannot be 0.0. Give numbers above zero."),
        (["--output", "sigmod"], "--output cannot be 'sigmod'."),
        (["--threshold", "2"], "--threshold cannot be '2'."),
        (["--output", "sigmoid"], "has 6 outputs, and sigmoid reads one. Use multilabel"),
        (["--size", "3"], "flowers-single-6c fails on images of 3 × 3 pixels"),
    ],
)
def test_options_of_a_model_that_cannot_be_are_one_sentence(monkeypatch, tmp_path, photo_file, capsys, words, expected):
    monkeypatch.undo()
    command = ["explain", str(photo_file), "--model", "flowers-single-6c", "--method", "saliency"]
    assert main([*command, *words, "--out", str(tmp_path / "out")]) == 2
    assert expected in sentence(capsys)


@pytest.fixture
def folder(tmp_path, photo):
    """Four images in two class folders, two of them of the same name and one broken, and a text."""
    root = tmp_path / "photos"
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(photo)
    (root / "dogs/2.png").write_bytes(photo[:60])
    (root / "dogs/notes.txt").write_text("no image")
    return root


def test_a_folder_stands_for_its_images(explain, tmp_path, folder, photo_file, capsys):
    single = tmp_path / "single"
    assert explain("--method", "saliency", out=single) == 0
    capsys.readouterr()
    assert explain("--method", "saliency", images=[folder, photo_file]) == 2, "one image of four is broken"
    said = capsys.readouterr()
    assert "photos: left out files that are no images (notes.txt): 1." in said.out
    assert said.err.count("vitrine: ") == 1
    assert "dogs/2.png is incomplete or damaged" in said.err
    expected = (single / "photo/maps.npz").read_bytes()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"cats-1", "cats-2", "dogs-1", "photo"}
    for name in names:
        with np.load(tmp_path / "out" / name / "maps.npz") as found, np.load(io.BytesIO(expected)) as alone:
            assert {key: found[key].tobytes() for key in found} == {key: alone[key].tobytes() for key in alone}
    assert json.loads((tmp_path / "out/dogs-1/result.json").read_text())["image"] == "dogs/1.png"


def test_class_folders_give_the_true_classes(explain, tmp_path, folder, photo, photo_file, capsys):
    logits = Workbench(nets.model("gap")).logits(decode(photo, "photo.png"))
    best, other = logits.argsort(descending=True).tolist()[:2]
    (folder / "cats").rename(folder / f"class {best}")
    shutil.copytree(folder / f"class {best}", folder / f"Class_{other}")
    (folder / "dogs/2.png").unlink()
    assert explain("--method", "saliency", images=[folder, photo_file]) == 0
    said = capsys.readouterr().out
    assert "photos: the class folders give the true classes; the model has no class dogs." in said
    assert said.endswith("The prediction is right for 2 of 4 images.\n")
    records = {}
    for path in (tmp_path / "out").glob("*/result.json"):
        record = json.loads(path.read_text())
        records[record["image"]] = (record["true"] and record["true"]["index"], record["right"])
    assert records == {
        f"class {best}/1.png": (best, True), f"class {best}/2.png": (best, True),
        f"Class_{other}/1.png": (other, False), f"Class_{other}/2.png": (other, False),
        "dogs/1.png": (None, None), "photo.png": (None, None),
    }  # fmt: skip
    assert explain("--method", "saliency", "--label", str(other), "--figure", "png", images=[folder]) == 0
    said = capsys.readouterr().out
    assert "class folders" not in said, "what is named goes before"
    assert said.endswith("The prediction is right for 0 of 5 images.\n")
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert explain("--method", "saliency", "--json", images=[tmp_path / "packed.zip"]) == 0
    assert [one["right"] for one in json.loads(capsys.readouterr().out)] == [False, False, True, True, None]


def test_folders_that_are_no_classes_judge_nothing(explain, folder, capsys, monkeypatch):
    (folder / "dogs/2.png").unlink()
    assert explain("--method", "saliency", "--figure", "png", images=[folder]) == 0
    said = capsys.readouterr().out
    assert not any(word in said for word in ("true class", "Right", "Wrong", "is right"))
    (folder / "cats").rename(folder / "output 2")
    values = as_model("values", nets.seeded(nets.GapNet), options=ModelOptions(output="regression"))
    monkeypatch.setattr("core.models.load", lambda name, **rest: values)
    assert explain("--method", "saliency", "--figure", "png", images=[folder]) == 0
    assert "true class" not in capsys.readouterr().out


def test_a_zip_archive_stands_for_its_images(explain, tmp_path, folder, capsys):
    shutil.make_archive(str(tmp_path / "packed"), "zip", folder / "cats")
    assert explain("--method", "saliency", "--figure", "png", images=[tmp_path / "packed.zip"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1", "2"}


def test_a_folder_may_be_limited(explain, tmp_path, folder, capsys):
    assert explain("--method", "saliency", "--limit", "2", "--figure", "png", images=[folder]) == 0
    assert "photos: 2 of 4 images, as --limit says." in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cats-1", "dogs-1"}
    assert explain("--method", "saliency", "--limit", "-1", images=[folder]) == 2
    assert "--limit cannot be '-1'" in sentence(capsys)


def test_a_folder_without_images_stops_no_other_image(explain, tmp_path, photo_file, capsys):
    for name, content in (("empty", ""), ("texts", "notes.txt")):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / content).write_text("no image")
    images = [tmp_path / "empty", tmp_path / "texts", photo_file]
    assert explain("--method", "saliency", images=images) == 2
    said = capsys.readouterr()
    assert said.err.count("There is no image in") == 2
    assert "files that are no images (notes.txt): 1" in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo"]


def test_the_true_class_says_whether_the_prediction_is_right(explain, capsys, tmp_path, photo):
    logits = Workbench(nets.model("gap")).logits(decode(photo, "photo.png"))
    best, other = logits.argsort(descending=True).tolist()[:2]
    chance = f"{float(logits.softmax(0)[other]):.1%}"
    for label, right, said in (
        (str(best), True, ". Right\n"),
        (f"class {other}", False, f". Wrong: the true class is class {other}, {chance}\n"),
    ):
        assert explain("--method", "saliency", "--label", label) == 0
        assert capsys.readouterr().out.endswith(said)
        record = json.loads((tmp_path / "out/photo/result.json").read_text())
        assert (record["right"], record["true"]["label"]) == (right, f"class {best if right else other}")
        assert [entry["target"]["index"] for entry in record["maps"]] == [best], "what is explained is not changed"
    assert explain("--method", "saliency") == 0
    assert capsys.readouterr().out.endswith(", 1 map, 1 forward + 1 backward\n")
    record = json.loads((tmp_path / "out/photo/result.json").read_text())
    assert (record["true"], record["right"]) == (None, None)


def test_values_have_no_true_class(explain, capsys, monkeypatch):
    values = as_model("values", nets.seeded(nets.GapNet), options=ModelOptions(output="regression"))
    monkeypatch.setattr("core.models.load", lambda name, **rest: values)
    assert explain("--method", "saliency", "--label", "output 2") == 2
    assert "--label is for models of classes; values gives values. Leave it out." in sentence(capsys)
