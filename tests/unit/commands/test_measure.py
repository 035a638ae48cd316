"""`vitrine measure` from the words to the numbers, of a tiny model."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.cli import main
from core.data.flowers import write
from core.explain import EXPLAINERS, explain
from core.images import picture_file
from core.measure import MEASURES, Evidence, Undefined, evaluate
from core.measure.intervals import interval
from core.workbench import Workbench
from tests import nets
from tests.said import sentence

ROOT = Path(__file__).resolve().parents[3]
METHODS = ("saliency", "grad_cam", "random")
STEPS = ("--set", "deletion_auc.steps=6", "--set", "insertion_curve.steps=6")
MAPS = ("deletion_auc", "agreement", "sparseness", "insertion_curve")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Whatever model a command names, it gets a tiny one."""
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("gap"))


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """Six flowers of the size of the tiny model's images, with their masks."""
    folder = tmp_path_factory.mktemp("flowers")
    write("single-6c", folder, per_class=1, size=nets.SIDE)
    return folder


@pytest.fixture
def measure(capsys):
    """`vitrine measure`: the code, and what it says on stdout and stderr."""

    def run(*words, images, methods=METHODS, metrics=MAPS):
        named = [] if metrics is None else ["--metrics", ",".join(metrics)]
        named += STEPS if metrics is MAPS else ()
        words = [*map(str, images), "--model", "gap", "--methods", ",".join(methods), *named, *map(str, words)]
        return main(["measure", *words]), *capsys.readouterr()

    return run


def folder_of(tmp_path, photo, count=3):
    """A folder with turned versions of the photo."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(count):
        Image.open(io.BytesIO(photo)).rotate(90 * number).save(folder / f"{number}.png")
    return folder


def evidence(path, methods=METHODS, layer="", seed=0, target=None):
    """The query of an image, and the evidence about each map, made by hand."""
    bench, picture = Workbench(nets.model("gap")), picture_file(path)
    query = bench.query(picture, bench.target(picture, target or "predicted"), layer, seed)
    maps = {name: explain(name, query, {}).maps for name in methods}
    return {
        name: Evidence(
            query,
            maps[name],
            others={other: one for other, one in maps.items() if other != name},
            explain_again=lambda changed, name=name: explain(name, changed, {}).maps,
        )
        for name in methods
    }


def number(entry):
    """The result of an entry of the JSON: a number, the values of a curve, or a reason."""
    return [step["value"] for step in entry["curve"]] if "curve" in entry else entry["value"] or entry.get("reason")


def test_the_numbers_are_those_of_evidence_made_by_hand(measure, photo_file):
    again = ("max_sensitivity", "seed_stability")
    words = ["--set", "deletion_auc.steps=5", "--set", "max_sensitivity.samples=2", "--set", "seed_stability.seeds=2"]
    words += ["--seed", 3, "--layer", "features.5", "--target", "4", "--json"]
    code, out, _ = measure(*words, images=[photo_file], metrics=[*MAPS, *again])
    assert code == 0
    told = json.loads(out)
    assert (told["layers"], told["seed"], told["model_sha256"]) == (["features.5"], 3, nets.model("gap").sha)
    known = evidence(photo_file, layer="features.5", seed=3, target="4")
    chosen = {"deletion_auc": {"steps": 5}, "max_sensitivity": {"samples": 2}, "seed_stability": {"seeds": 2}}
    (image,) = told["images"]
    assert len(image["results"]) == 3 * 6
    for entry in image["results"]:
        result = evaluate(entry["measure"], known[entry["method"]], chosen.get(entry["measure"], {})).result
        expected = list(result.y[0]) if "curve" in entry else result[0]
        assert number(entry) == (expected.reason if isinstance(expected, Undefined) else expected), entry
        if "curve" in entry:
            assert [step["x"] for step in entry["curve"]] == list(result.x)


def test_a_table_has_means_intervals_and_ranks(measure, tmp_path, photo):
    folder, methods = folder_of(tmp_path, photo), ["saliency", "random", "occlusion"]
    _, out, _ = measure("--json", images=[folder], metrics=["deletion_auc", "sparseness"], methods=methods)
    told = json.loads(out)
    for line in told["summary"]:
        found = [
            entry["value"] for image in told["images"] for entry in image["results"]
            if (entry["method"], entry["measure"]) == (line["method"], line["measure"])
        ]  # fmt: skip
        known = interval(found)
        assert (line["n"], line["mean"], line["low"], line["high"]) == (3, known.mean, known.low, known.high)
        others = [one["mean"] for one in told["summary"] if one["measure"] == line["measure"]]
        order = sorted(others, reverse=MEASURES[line["measure"]].better == "higher")
        assert line["rank"] == 1 + order.index(line["mean"])
    code, out, err = measure(images=[folder], metrics=["deletion_auc", "sparseness"], methods=methods)
    assert code == 0
    assert "vitrine: 3 images × 3 methods × 2 measures, at most " in err
    assert " forward" in err
    rows = [line.split() for line in out.splitlines()]
    first = told["summary"][0]
    low, high = (f"{first[end]:.4g}" for end in ("low", "high"))
    shown = ["deletion_auc", "↓", "saliency", f"{first['mean']:.4g}", low, "–", high, "3", str(first["rank"])]
    assert shown in rows
    assert "* Occlusion is computed from scores of perturbed images" in out


def test_the_work_takes_at_most_the_passes_that_are_told_before(measure, tmp_path, photo, monkeypatch):
    folder, seen, forward = folder_of(tmp_path, photo, 2), [], nets.GapNet.forward
    asked = {"images": [folder], "methods": ["saliency", "occlusion"], "metrics": [*MAPS, "seed_stability"]}
    measure(**asked)  # the speed of the model is measured

    def counted(net, x):
        seen.append(len(x))
        return forward(net, x)

    monkeypatch.setattr(nets.GapNet, "forward", counted)
    _, _, err = measure(**asked)
    told = int(err.partition("at most ")[2].split()[0].replace(",", ""))
    assert told / 10 < sum(seen) <= told


def test_one_image_has_values_without_an_interval(measure, photo_file):
    _, out, _ = measure(images=[photo_file], methods=["saliency"])
    assert "interval" not in out
    value = evaluate("deletion_auc", evidence(photo_file, ["saliency"])["saliency"], {"steps": 6}).result[0]
    assert f"{value:.4g}" in out
    assert "Undefined for 1 of 1 images: agreement of saliency; The image has no other map" in out


def test_the_table_of_a_spreadsheet_holds_what_json_holds(measure, tmp_path, photo):
    folder, file = folder_of(tmp_path, photo, 2), tmp_path / "all.csv"
    words = ["--target", "predicted", "--target", "class 2"]
    told = json.loads(measure("--json", *words, images=[folder])[1])
    code, out, _ = measure("--csv", file, *words, images=[folder])
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert f"{file}: {len(rows):,} rows" in out
    expected = []
    for image in told["images"]:
        for entry in image["results"]:
            start = (image["image"], entry["target"], entry["explained"]["target"])
            steps = entry.get("curve") or [{"step": "", "x": "", "value": entry["value"]}]
            for step in steps:
                what = (entry["method"], entry["layer"], entry["measure"], step["step"], step["x"], step["value"])
                expected.append((*start, *what, entry.get("reason", "")))
    found = [
        (
            row["image"], row["target"], row["explained"], row["method"], row["layer"], row["measure"], row["step"],
            float(row["x"]) if row["x"] else "", float(row["value"]) if row["value"] else None, row["reason"],
        )
        for row in rows
    ]  # fmt: skip
    assert found == expected
    assert {row["target"] for row in rows} == {"predicted", "class 2"}


def test_a_method_read_at_several_layers_is_measured_at_each(measure, photo_file):
    layers = ["features.2", "features.5"]
    words = ["--layer", ",".join(layers), "--json"]
    told = json.loads(measure(*words, images=[photo_file], methods=["grad_cam", "saliency"], metrics=["agreement"])[1])
    found = {(entry["method"], entry["layer"]): entry["value"] for entry in told["images"][0]["results"]}
    assert set(found) == {("grad_cam", layers[0]), ("grad_cam", layers[1]), ("saliency", "")}
    first, second = (evidence(photo_file, ["grad_cam"], layer=layer)["grad_cam"] for layer in layers)
    plain = evidence(photo_file, ["saliency"])["saliency"].maps
    expected = evaluate("agreement", replace(first, others={"a": second.maps, "b": plain})).result[0]
    assert found["grad_cam", layers[0]] == pytest.approx(expected, abs=1e-12)
    assert sorted(line["rank"] for line in told["summary"]) == [1, 2, 3]


def test_methods_and_measures_share_no_name():
    """--set names both."""
    assert not set(EXPLAINERS) & set(MEASURES)


def test_by_default_no_method_is_run_again_and_all_takes_every_measure(measure, photo_file, monkeypatch):
    for name, card in MEASURES.items():
        monkeypatch.setitem(MEASURES._entries, name, replace(card, run=lambda evidence, **settings: [0.5]))
    for metrics, expected in [
        (None, {name for name, card in MEASURES.items() if card.kind == "map" and not card.requires}),
        (["all"], {name for name, card in MEASURES.items() if not card.requires}),
    ]:
        _, out, err = measure("--json", images=[photo_file], methods=["saliency"], metrics=metrics)
        assert set(json.loads(out)["measures"]) == expected
        assert "Left out without --masks: auc_iou, " in err
        assert ("they run the methods again: cascading_randomisation, " in err) == (metrics is None)


def test_all_methods_are_those_that_the_model_supports(measure, photo_file, monkeypatch):
    model = nets.model("norelu")
    monkeypatch.setattr("core.models.load", lambda name, **rest: model)
    for name, method in EXPLAINERS.items():
        flat = replace(method, run=lambda query, **settings: torch.ones(len(query.images), 4, 4))
        monkeypatch.setitem(EXPLAINERS._entries, name, flat)
    _, out, _ = measure("--json", images=[photo_file], methods=["all"], metrics=["entropy"])
    assert list(json.loads(out)["methods"]) == [name for name, one in EXPLAINERS.items() if not one.unmet(model)]
    code, _, err = measure(images=[photo_file], methods=["guided_backprop"], metrics=["entropy"])
    assert (code, "norelu has no ReLU" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--metrics", "deletion_ac"], "no measure called 'deletion_ac'. Did you mean 'deletion_auc'"),
        (["--metrics", "auc_iou,sparseness"], "auc_iou needs masks of the objects. Give --masks DIR"),
        (["--metrics", "part_correlation"], "part_correlation needs images that can be drawn without some parts"),
        (["--metrics", "auc_iou,iou"], "auc_iou and iou need masks of the objects."),
        (["--methods", "salience"], "no method called 'salience'. Did you mean 'saliency'"),
        (["--set", "deletion_auk.steps=3"], "no method or measure called 'deletion_auk'. Did you mean 'deletion_auc'"),
        (["--set", "deletion_auc.steps=0"], "deletion_auc.steps cannot be '0'"),
        (["--set", "rise.masks=9"], "is for a method that was not requested. Add rise to --methods."),
        (["--set", "entropy.steps=9"], "is for a measure that was not requested. Add entropy to --metrics."),
        (["--budget", "slow"], "no budget called 'slow'"),
        (["--seed", "-1"], "The seed cannot be -1"),
        (["--limit", "x"], "--limit cannot be 'x'"),
        (["--csv", "/nowhere/a.csv"], "/nowhere/a.csv cannot be written"),
        (["--csv", "."], ". cannot be written (it is a folder)"),
        (["--resume", "/proc/nowhere"], "/proc/nowhere cannot be written"),
        (["--json", "--csv", "x"], "not allowed with"),
        (["--masks", ""], "Argument --masks: a path cannot be empty."),
    ],
)
def test_a_mistake_is_told_before_the_model_is_loaded(words, expected, capsys, tmp_path, photo_file, monkeypatch):
    monkeypatch.setattr("core.models.load", lambda *_, **__: pytest.fail("the model was loaded first"))
    monkeypatch.chdir(tmp_path)
    question = ["measure", str(photo_file), "--model", "gap", "--methods", "saliency", "--metrics", "deletion_auc"]
    assert main([*question, *words]) == 2
    assert expected in sentence(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    ("words", "metrics", "expected"),
    [
        (["--target", "predcted"], ["entropy"], "called 'predcted'. Did you mean 'predicted'"),
        (["--layer", "features.88"], ["entropy"], "no layer called 'features.88'"),
        (["--masks", "/nowhere"], ["iou"], "There is no folder or file of masks at /nowhere."),
    ],
)
def test_a_mistake_about_the_model_or_masks_is_told_before_the_work(measure, photo_file, words, metrics, expected):
    code, out, err = measure(*words, images=[photo_file], metrics=metrics)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err


def test_masks_of_flowers_give_the_overlap_that_their_files_have(measure, flowers):
    images = flowers / "images"
    _, out, _ = measure("--masks", flowers / "masks", "--json", images=[images], metrics=["auc_iou", "energy_pointing"])
    told = json.loads(out)
    assert len(told["images"]) == 6
    for image in told["images"]:
        known = evidence(images / image["image"])
        mask = np.asarray(Image.open(flowers / "masks" / image["image"]).convert("L")) > 127
        assert 0 < mask.mean() < 1
        for entry in image["results"]:
            values = known[entry["method"]].maps[0].double().numpy().clip(0)
            if entry["measure"] == "energy_pointing":
                assert entry["value"] == pytest.approx(values[mask].sum() / values.sum())
                continue
            scaled = (values - values.min()) / (values.max() - values.min())
            overlaps = [((scaled >= t) & mask).sum() / ((scaled >= t) | mask).sum() for t in np.linspace(0, 1, 101)]
            area = sum((one + other) / 2 for one, other in pairwise(overlaps))
            assert entry["value"] == pytest.approx(area, abs=1e-9)


def test_masks_that_do_not_fit_are_one_sentence_and_leave_the_others(measure, flowers, tmp_path):
    masks = tmp_path / "masks"
    for path in (flowers / "masks").rglob("*.png"):
        (masks / path.parent.name).mkdir(parents=True)
        mask = Image.open(path).convert("L")
        if path.parent.name == "red":
            continue
        if path.parent.name == "blue":
            mask = mask.resize((64, 64))
        if path.parent.name == "orange":
            mask = mask.resize((64, 30))
        if path.parent.name == "violet":
            mask = Image.new("L", mask.size)
        mask.save(masks / path.parent.name / path.name)
        if path.parent.name == "yellow":
            (masks / path.parent.name / path.name).write_bytes(b"no image")
    words = ["--masks", masks]
    code, out, err = measure(*words, images=[flowers / "images"], metrics=["iou", "entropy"], methods=["saliency"])
    assert code == 2
    assert "4 of 6 images have no mask to compare with, such as: " in err
    assert "Undefined for 4 of 6 images: iou of saliency; most often: " in out
    assert "64 × 64 px, was resized to the image, 32 × 32 px." in out
    told = json.loads(measure("--json", *words, images=[flowers / "images"], metrics=["iou", "entropy"])[1])
    problems = {Path(image["image"]).parent.name: image["no_mask"] for image in told["images"]}
    for colour, expected in {
        "red": "There is no mask for red/",
        "orange": "does not have the proportions of the image",
        "violet": "marks nothing in what the model sees",
        "yellow": "cannot be read as an image",
        "blue": "",
        "turquoise": "",
    }.items():
        assert expected in problems[colour]
        assert bool(problems[colour]) == bool(expected)
    for image in told["images"]:
        for entry in image["results"]:
            missing = bool(image["no_mask"]) and entry["measure"] == "iou"
            assert entry.get("reason", "") == (image["no_mask"] if missing else "")
            assert (entry["value"] is None) == missing


def test_of_several_objects_those_of_the_class_count(measure, tmp_path, photo):
    images, masks = tmp_path / "images", tmp_path / "boxes.json"
    (images / "class 1").mkdir(parents=True)
    (images / "class 1" / "a.png").write_bytes(photo)
    boxes = {1: [0, 0, 10, 10], 2: [20, 20, 20, 20]}
    content = {
        "images": [{"id": 7, "file_name": "class 1/a.png", "width": 48, "height": 40}],
        "categories": [{"id": number, "name": f"class {number}"} for number in boxes],
        "annotations": [{"image_id": 7, "category_id": number, "bbox": box} for number, box in boxes.items()],
    }
    masks.write_text(json.dumps(content))
    found = []
    for root, target in [(images, "predicted"), (images / "class 1", "class 1"), (images / "class 1", "predicted")]:
        words = ["--masks", masks, "--json", "--target", target]
        image = json.loads(measure(*words, images=[root], metrics=["iou"], methods=["random"])[1])["images"][0]
        found.append(image["results"][0]["value"])
    assert found[0] == found[1] != found[2], "without a class folder, those of the class that is explained"


def test_images_of_one_name_share_no_mask(measure, tmp_path, photo):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(photo)
    (tmp_path / "masks").mkdir()
    Image.new("L", (48, 40), 255).save(tmp_path / "masks" / "a.png")
    code, out, _ = measure(
        "--masks", tmp_path / "masks", "--json", images=[tmp_path / "x", tmp_path / "y"], metrics=["iou"]
    )
    assert code == 2
    assert {image["no_mask"] for image in json.loads(out)["images"]} == {
        "2 images are called a.png: a mask may be of any of them."
    }


def test_a_constant_map_is_counted_with_its_reason(measure, tmp_path, photo, monkeypatch):
    flat = replace(EXPLAINERS["saliency"], run=lambda query, **settings: torch.zeros(len(query.images), 4, 4))
    monkeypatch.setitem(EXPLAINERS._entries, "saliency", flat)
    folder = folder_of(tmp_path, photo)
    code, out, _ = measure(images=[folder], metrics=["sparseness", "agreement"])
    assert code == 0
    assert "Undefined for 3 of 3 images: sparseness of saliency; most often: The map is zero everywhere." in out
    assert "Undefined for 3 of 3 images: agreement of saliency; most often: The map has the same value" in out
    summary = json.loads(measure("--json", images=[folder], metrics=["sparseness"])[1])["summary"]
    assert [summary[0][name] for name in ("n", "mean", "rank", "undefined")] == [0, None, None, 3]


def test_scores_that_are_no_numbers_and_bad_images_stop_no_other(measure, tmp_path, photo_file, monkeypatch):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    code, out, err = measure(images=[bad, photo_file, tmp_path / "missing.png"], metrics=["entropy"])
    assert code == 2
    assert [line.split()[1] for line in err.splitlines()[1:]] == ["bad.png", "missing.png"]
    assert "entropy ↓  saliency" in out
    net = nets.seeded(nets.GapNet)
    for parameter in net.fc.parameters():
        parameter.data.fill_(3e38)
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model(net))
    code, out, err = measure(images=[photo_file], metrics=["entropy"], methods=["saliency"])
    assert code == 2
    assert err.splitlines()[1:] == [
        "vitrine: photo.png: GapNet gives scores that are not finite for this image. "
        "Check the model's weights, or choose another image."
    ]


def test_a_method_that_fails_is_told_once_and_the_others_go_on(measure, tmp_path, photo):
    words = ["--target", "3-1"]
    code, out, err = measure(
        *words, images=[folder_of(tmp_path, photo)], methods=["cam", "saliency"], metrics=["entropy"]
    )
    assert code == 2
    assert err.count("0.png: cam: CAM explains single classes, not units, groups or differences.") == 1
    assert err.count("CAM explains") == 1
    assert "Undefined for 3 of 3 images: entropy of cam; most often: CAM explains single classes" in out


def test_what_is_finished_is_not_measured_again(measure, tmp_path, photo, monkeypatch):
    folder, kept = folder_of(tmp_path, photo), tmp_path / "kept"
    plain = measure("--json", images=[folder])[1]
    assert measure("--json", "--resume", kept, images=[folder])[1] == plain
    files = {path: path.read_bytes() for path in kept.iterdir()}
    assert len(files) == 3
    monkeypatch.setattr("core.comparison.measured.assess", lambda *_, **__: pytest.fail("measured again"))
    assert measure("--json", "--resume", kept, images=[folder])[1] == plain
    assert {path: path.read_bytes() for path in kept.iterdir()} == files
    monkeypatch.undo()
    monkeypatch.setattr("core.models.load", lambda name, **rest: nets.model("gap"))
    damaged, edited, _ = sorted(kept.iterdir())
    damaged.write_bytes(files[damaged][:-40])
    edited.write_text(edited.read_text().replace('"value": 0.', '"value": "0.').replace('"reason": "', '"reason": ["'))
    assert measure("--json", "--resume", kept, images=[folder])[1] == plain
    assert {path: path.read_bytes() for path in kept.iterdir()} == files


@pytest.mark.parametrize(
    "words", [["--seed", "1"], ["--layer", "features.2"], ["--set", "deletion_auc.steps=3"], ["--target", "class 3"]]
)
def test_another_question_is_measured_anew(measure, tmp_path, photo_file, words):
    kept, asked = (
        tmp_path / "kept",
        {"images": [photo_file], "methods": ["grad_cam", "rise"], "metrics": ["deletion_auc"]},
    )
    quick = ["--set", "rise.masks=50", "--json"]
    measure("--resume", kept, *quick, **asked)
    fresh = measure(*quick, *words, **asked)[1]
    assert measure("--resume", kept, *quick, *words, **asked)[1] == fresh
    assert fresh != measure(*quick, **asked)[1]


def test_another_mask_and_other_maps_are_another_question(measure, tmp_path, photo_file):
    kept, masks = tmp_path / "kept", tmp_path / "masks"
    masks.mkdir()
    values = []
    for side in (10, 30):
        mask = np.zeros((40, 48), np.uint8)
        mask[:side, :side] = 255
        Image.fromarray(mask).save(masks / "photo.png")
        for methods in (["saliency", "grad_cam"], METHODS):
            words = ["--resume", kept, "--masks", masks, "--json"]
            told = json.loads(measure(*words, images=[photo_file], methods=methods, metrics=["iou", "agreement"])[1])
            values.append([entry["value"] for entry in told["images"][0]["results"][:2]])
    assert values[0][0] == values[1][0] != values[2][0]
    assert values[0][1] == values[2][1] != values[1][1]


DRIVER = """
import io, os, signal, sys
from pathlib import Path
import core.models
from core import files
from core.cli import main
from tests import nets
core.models.load = lambda name, **rest: nets.model("gap")
words = sys.argv[2:]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def after(count, function, before=False):
    left = [count]
    def wrapped(*args, **rest):
        left[0] -= 1
        if before and not left[0]:
            kill()
        result = function(*args, **rest)
        if not left[0]:
            kill()
        return result
    return wrapped

def dying(moment, count):
    from core.comparison import measured
    if moment == "measure":
        measured.assess = after(count, measured.assess)
    elif moment == "flush":
        os.fsync = after(count, os.fsync, before=True)
    else:
        Path.replace = after(count, Path.replace, before=moment == "before")

codes = []
for moment, count in [("measure", 1), ("measure", 6), ("flush", 2), ("measure", 4), ("before", 2), ("after", 1)]:
    child = os.fork()
    if not child:
        sys.stdout = sys.stderr = io.StringIO()
        dying(moment, count)
        main(words)
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
Path(sys.argv[1]).write_text(repr(codes))
sys.exit(main(words))
"""


def test_killed_at_any_moment_the_same_command_gives_the_same_bytes(measure, tmp_path, photo):
    folder, kept, whole = folder_of(tmp_path, photo, 4), tmp_path / "kept", tmp_path / "whole"
    _, out, _ = measure("--json", "--resume", whole, images=[folder])
    words = ["measure", folder, "--model", "gap", "--methods", ",".join(METHODS), "--metrics", ",".join(MAPS)]
    words = [tmp_path / "codes", *words, *STEPS, "--json", "--resume", kept]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, words)], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert (tmp_path / "codes").read_text() == repr([signal.SIGKILL.value] * 6), "every one of them was killed"
    assert ended.stdout == out
    left = {path.name: path.read_bytes() for path in kept.iterdir() if path.suffix == ".json"}
    assert left == {path.name: path.read_bytes() for path in whole.iterdir()}


def test_ctrl_c_keeps_the_finished_images_and_the_same_command_goes_on(measure, tmp_path, photo, monkeypatch):
    from core.comparison import measured

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, kept, calls = folder_of(tmp_path, photo), tmp_path / "kept", []
    plain = measure("--json", images=[folder])[1]

    def assess(*args, **rest):
        calls.append(args)
        if len(calls) == 15:  # in the second image
            os.kill(os.getpid(), signal.SIGINT)
        return original(*args, **rest)

    original = measured.assess
    try:
        with monkeypatch.context() as patch:
            patch.setattr(measured, "assess", assess)
            code, out, err = measure("--resume", kept, images=[folder])
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert "vitrine: 1 of 3 images are finished: the same command goes on from there.\nvitrine: stopped." in err
    assert "deletion_auc ↓" in out
    assert len(list(kept.iterdir())) == 1
    assert len(calls) < 17
    assert measure("--json", "--resume", kept, images=[folder])[1] == plain


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_names_image_method_and_measure(measure, tmp_path, photo, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    measure(images=[folder_of(tmp_path, photo, 2)], metrics=["seed_stability"], methods=["saliency"])
    lines = [line.strip() for line in terminal.getvalue().split("\r\x1b[K")]
    for image in (1, 2):
        assert any("saliency: Seed stability" in line and f"(image {image} of 2)" in line for line in lines)
    assert any(line.startswith("100%") for line in lines)


def test_nothing_in_a_name_steers_a_terminal_or_a_spreadsheet(measure, tmp_path, photo):
    odd = tmp_path / "=1+1\x1b[31m.png"
    odd.write_bytes(photo)
    for words in (["--csv", tmp_path / "a.csv"], ["--json"]):
        code, out, err = measure(*words, images=[odd], metrics=["entropy"], methods=["saliency"])
        assert code == 0
        assert all(c.isprintable() or c == "\n" for c in out + err)
    assert list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text())))[1][0].startswith("'=1+1")
