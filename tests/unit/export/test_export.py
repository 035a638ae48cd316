import csv
import io
import json
import os
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from core import export
from core.cache import TensorCache
from core.cli import parser
from core.commands import chosen_model
from core.commands.requests import Asked, settings
from core.data.model_options import ModelOptions
from core.errors import TooLarge, Unavailable
from core.explain import EXPLAINERS
from core.explain.target_name import TargetName, target_name
from core.figures.style import Style
from core.images import Preprocess, decode
from core.models import as_model
from core.workbench import Request, Workbench
from tests import nets


@pytest.fixture
def bench():
    return Workbench(nets.model("gap"), TensorCache(1 << 26))


@pytest.fixture
def picture(photo):
    return decode(photo, "=cmd()<b>.png")


@pytest.fixture
def answers(bench, picture):
    requests = [Request(name, target) for target in (3, 1) for name in ("saliency", "grad_cam")]
    return [(request, bench.explain(picture, request)) for request in requests]


def test_arrays_are_the_raw_maps(answers):
    assert list(export.arrays(answers)) == ["saliency-3", "grad_cam-3", "saliency-1", "grad_cam-1"]
    with np.load(io.BytesIO(export.npz(export.arrays(answers)))) as loaded:
        for request, answer in answers:
            assert (loaded[export.key(request)] == answer.maps[0].numpy()).all()


def test_an_answer_that_failed_is_told_and_stops_nothing(bench, picture, answers):
    broken = [*answers, (Request("rise", 3), TooLarge("RISE does not fit.", "Use a smaller image."))]
    record = export.record(bench, picture, broken)
    target = {"index": 3, "label": "class 3"}
    assert record["failed"] == [
        {"method": "rise", "target": target, "reason": "RISE does not fit. Use a smaller image."}
    ]
    assert len(record["maps"]) == 4
    assert Image.open(io.BytesIO(export.figure(bench, picture, broken))).width > 3 * 256


def test_nothing_but_failures_still_makes_a_figure_and_a_table(bench, picture):
    broken = [(Request("rise", 3), TooLarge("RISE does not fit."))]
    assert export.figure(bench, picture, broken).startswith(b"\x89PNG")
    assert export.table(bench, [(picture, broken)]).strip() == ""


@pytest.mark.parametrize("mode", ["row", "method", "symmetric", "fixed"])
def test_the_figure_follows_the_range_and_the_colours(bench, picture, answers, mode):
    own, other = (export.figure(bench, picture, answers, Style(range=name)) for name in ("own", mode))
    assert own != other
    assert own == export.figure(bench, picture, answers)
    assert own != export.figure(bench, picture, answers, Style(sequential="gray"))


def test_a_map_at_large_has_the_colours_it_has_beside_the_others(bench, picture, answers):
    request, answer = answers[0]  # smaller values than the other map of its class, so that one range for both dims it
    alone = export.tile(bench, picture, answers[:1], request)
    assert Image.open(io.BytesIO(alone)).width >= 672
    assert export.tile(bench, picture, answers, request) == alone
    assert export.tile(bench, picture, answers, request, Style(range="row")) != alone
    assert (np.load(io.BytesIO(export.npy(answer))) == answer.maps[0].numpy()).all()


def test_a_figure_names_classes_methods_and_layers(bench, picture, answers):
    text = export.figure(bench, picture, answers, kind="svg").decode()
    said = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    chances = bench.probabilities(picture)
    for target in dict.fromkeys(ask.target for ask, _ in answers):
        assert said.count(bench.model.labels[target.index]) == 1
        assert f"class {target}, probability {float(chances[target.index]):.1%}" in said
    assert said.count("Saliency") == said.count("Grad-CAM") == 2
    assert said.count(f"layer {answers[1][1].layer}") == 2
    assert export.figure(bench, picture, answers, kind="pdf").startswith(b"%PDF")


MORE = [TargetName((3,), (1,)), TargetName((4, 0, 2)), TargetName((5,), layer="features.5"), TargetName((2,))]


def test_differences_groups_and_units_are_exported_by_name(bench, picture, tmp_path):
    more = [(one, bench.explain(picture, one)) for one in (Request("saliency", target) for target in MORE)]
    assert list(export.arrays(more)) == ["saliency-3-1", "saliency-4+0+2", "saliency-features.5.5", "saliency-2"]
    record = export.write(tmp_path / "out", bench, picture, more)
    assert [entry["target"] for entry in record["maps"]] == [
        {"target": "3-1", "label": "class 3 − class 1"},
        {"target": "4+0+2", "label": "class 4 + class 0 + class 2"},
        {"target": "features.5:5", "label": "features.5 · F5"},
        {"index": 2, "label": "class 2"},
    ]
    logits, chances = bench.logits(picture), bench.probabilities(picture)
    assert record["maps"][0]["score"] == pytest.approx(float(logits[3] - logits[1]), abs=1e-5)
    assert record["maps"][1]["score"] == pytest.approx(float(logits[[4, 0, 2]].sum()), abs=1e-5)
    activation = float(bench.activations(picture, "features.5")[5].mean())
    assert record["maps"][2]["score"] == pytest.approx(activation, abs=1e-5)
    assert [table["target"]["label"] for table in record["agreement"]] == [
        one.title(bench.model.labels) for one in MORE
    ]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*(f"{name}.png" for name in export.arrays(more)), "maps.npz", "figure.png", "result.json"}
    lines = list(csv.DictReader(io.StringIO(export.table(bench, [(picture, more)]))))
    assert [line["target"] for line in lines] == [str(one) for one in MORE]
    assert (lines[0]["probability"], lines[2]["probability"]) == ("", "")
    assert float(lines[1]["probability"]) == pytest.approx(float(chances[[4, 0, 2]].sum()))
    said = re.findall(r"<text[^>]*>([^<]*)</text>", export.figure(bench, picture, more, kind="svg").decode())
    assert {"classes 3-1", f"log-odds {float(logits[3] - logits[1]):.4g}"} <= set(said)
    assert {"unit features.5:5", f"activation {activation:.4g}"} <= set(said)
    export.write(tmp_path / "out", bench, picture, more[:1])
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"saliency-3-1.png", "maps.npz", "figure.png", "result.json"}, "earlier pictures are deleted"


def test_the_command_names_every_kind_of_target(bench):
    text = export.command_line(bench.model, ["a.png"], [Request("saliency", target) for target in MORE])
    given = parser("explain").parse_args(shlex.split(text)[1:]).target
    assert given == ["3-1", "4+0+2", "features.5:5", "2"]
    assert [target_name(one, bench.model) for one in given] == MORE


def test_an_unfinished_map_says_so_in_its_picture(bench, picture, answers):
    request, answer = answers[1]
    part = replace(answer, finished=False)
    assert export.tile(bench, picture, [(request, part)], request) != export.tile(
        bench, picture, [(request, answer)], request
    )


def test_an_unfinished_map_says_so_in_the_table(bench, picture, answers):
    part = [(request, replace(answer, finished=request.name == "saliency")) for request, answer in answers]
    lines = csv.DictReader(io.StringIO(export.table(bench, [(picture, part)])))
    assert [line["finished"] for line in lines] == ["True", "False"] * 2


def test_agreement_is_told_for_each_class_and_counts_the_controls(bench, picture, answers):
    broken = [*answers[:3], (Request("rise", 1), TooLarge("RISE does not fit."))]
    one, other = export.agreement(bench, picture, broken)
    assert (one["target"], other["target"]["index"]) == ({"index": 3, "label": "class 3"}, answers[2][0].target.index)
    assert one["methods"] == ["saliency", "grad_cam", "random", "edge_detector"]
    first, second = (answer.maps[0].numpy().ravel() for _, answer in answers[:2])
    control = bench.explain(picture, Request("random", 3)).maps[0].numpy().ravel()
    assert one["spearman"][0][1] == pytest.approx(spearmanr(first, second).statistic, abs=1e-4)
    assert one["spearman"][0][2] == pytest.approx(spearmanr(first, control).statistic, abs=1e-4)
    assert [one["overlap"][i][i] for i in range(4)] == [1, 1, 1, 1]
    blank = replace(answers[0][1], maps=answers[0][1].maps * 0)
    (only,) = export.agreement(bench, picture, [(answers[0][0], blank), answers[1]])
    assert only["spearman"][0] == only["overlap"][0] == [None] * 4
    asked = (Request("random", 3), bench.explain(picture, Request("random", 3), seed=5))
    (only,) = export.agreement(bench, picture, [asked])
    assert only["methods"] == ["random", "edge_detector"]  # once, as it was asked for
    assert export.agreement(bench, picture, [(Request("rise", 1), TooLarge("RISE does not fit."))]) == []


def test_agreement_stands_in_the_record_on_disk(bench, picture, answers, tmp_path):
    export.write(tmp_path / "out", bench, picture, answers)
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["agreement"] == export.agreement(bench, picture, answers)
    assert len(record["agreement"]) == 2


def test_the_table_has_a_line_per_map(bench, picture, answers):
    lines = list(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)], 5))))
    assert [(line["method"], line["target"]) for line in lines] == [
        (request.name, str(request.target)) for request, _ in answers
    ]
    for line, (request, answer) in zip(lines, answers, strict=True):
        assert float(line["max"]) == pytest.approx(float(answer.maps.max()))
        assert float(line["probability"]) == pytest.approx(float(bench.probabilities(picture)[request.target.index]))
        assert json.loads(line["settings"]) == dict(answer.settings)
        assert (line["forward"], line["backward"]) == (str(answer.forwards), str(answer.backwards))
        assert line["reused"] == str(answer.reused)


def test_measures_are_the_last_columns_of_the_table(bench, picture, answers):
    measured = {(picture.key, answers[0][0].key): {"deletion_auc": 0.1234567890123}}
    lines = list(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)], measured=measured))))
    assert [line["deletion_auc"] for line in lines] == ["0.1234567890123", *[""] * (len(answers) - 1)]
    assert list(lines[0])[-1] == "deletion_auc"
    plain = list(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)]))))
    assert [{**line, "deletion_auc": None} for line in plain] == [{**line, "deletion_auc": None} for line in lines]


def test_a_record_says_whose_passes_were_reused(bench, picture, answers):
    told = [entry["passes"] for entry in export.record(bench, picture, answers)["maps"]]
    assert told[0] == {"forward": 1, "backward": 1, "reused": False}
    assert told[1] == {"forward": 0, "backward": 0, "reused": True}, "Grad-CAM reads what saliency computed"
    assert [answer.cost() for _, answer in answers[:2]] == ["1 forward + 1 backward", "reused"]


def test_the_command_asks_the_same_again():
    requests = [Request("rise", target, {"masks": 500}) for target in (2, 0)] + [Request("saliency", t) for t in (2, 0)]
    requests += [Request("grad_cam", target, layer=layer) for target in (2, 0) for layer in ("layer3", "layer4")]
    model = replace(nets.model("gap"), name="resnet18:/a b/w.pth")
    text = export.command_line(model, ["my $photo.png"], requests, seed=3)
    words = shlex.split(text)
    args = parser("explain").parse_args(words[1:])
    assert words[0] == "vitrine"
    assert args.images == ["my $photo.png"]
    assert args.model == "resnet18:/a b/w.pth"
    assert args.method == "rise,saliency,grad_cam"
    assert args.target == ["2", "0"]
    asked = Asked("--method", EXPLAINERS, ["rise", "saliency"])
    assert settings(args, asked) == {"rise": {"masks": "500"}, "saliency": {}}
    assert (args.seed, args.layer) == (3, "layer3,layer4")
    assert args.label is None
    dashed = shlex.split(export.command_line(model, ["-x.png"], requests))
    assert parser("explain").parse_args(dashed[1:]).images == ["./-x.png"]


def test_the_command_of_measures_names_them_with_their_settings():
    requests = [Request("rise", 2, {"masks": 500}, layer="layer4"), Request("saliency", 2, layer="layer4")]
    measures = {"deletion_curve": {"steps": 14}, "entropy": {}}
    text = export.measure_command(nets.model("gap"), ["-x.png"], requests, measures, seed=3, masks="MASKS")
    words = shlex.split(text)
    assert words[:5] == ["vitrine", "measure", "./-x.png", "--model", "gap"]
    options = list(zip(words[5::2], words[6::2], strict=True))
    assert options == [
        ("--methods", "rise,saliency"),
        ("--metrics", "deletion_curve,entropy"),
        ("--target", "2"),
        ("--set", "rise.masks=500"),
        ("--set", "deletion_curve.steps=14"),
        ("--masks", "MASKS"),
        ("--layer", "layer4"),
        ("--seed", "3"),
    ]
    assert "--target" not in export.measure_command(nets.model("gap"), ["a"], requests, measures, predicted=True)


def test_the_command_names_the_options_of_the_model_and_classes_by_texts_that_mean_them():
    options = ModelOptions(output="multilabel", threshold=0.3, size=24, mean=(0.5,), std=(0.5, 0.25, 0.5))
    model = as_model("gap", nets.seeded(nets.GapNet), labels=("0", "1", "10", "2", "3"), options=options)
    requests = [Request("saliency", target) for target in (2, 3, 0)]
    args = parser("explain").parse_args(shlex.split(export.command_line(model, ["a.png"], requests, true=2))[1:])
    assert chosen_model(args) == options
    assert [model.target(text) for text in [*args.target, args.label]] == [2, 3, 0, 2]


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "multilabel", "regression"])
def test_a_record_of_a_labelled_image_says_whether_its_prediction_is_right(picture, output):
    net = nets.seeded(nets.GapNet)
    if output == "sigmoid":
        net.fc = torch.nn.Linear(net.fc.in_features, 1)
    bench = Workbench(as_model("gap", net, preprocess=Preprocess(nets.SIDE), options=ModelOptions(output=output)))
    answers = [(request, bench.explain(picture, request)) for request in [Request("saliency", 1)]]
    logits = bench.logits(picture)
    for true, label in enumerate(bench.model.labels):
        expected = {
            "softmax": bool(logits[true] == logits.max()),
            "sigmoid": bool(logits[true] == logits.max()),
            "multilabel": bool(logits[true] > 0),
            "regression": None,
        }[output]
        record = export.record(bench, picture, answers, true=true)
        assert (record["true"], record["right"]) == ({"index": true, "label": label}, expected)
        line = next(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)], true={picture.sha: true}))))
        assert (line["true_label"], line["right"]) == (label, "" if expected is None else str(expected))
    line = next(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)]))))
    assert (line["true_label"], line["right"]) == ("", "")


@pytest.mark.parametrize("output", ["softmax", "multilabel", "regression"])
def test_a_record_says_how_outputs_are_read_and_images_prepared(picture, output):
    options = ModelOptions(output=output, mean=(127.5,), std=(127.5,))
    model = as_model("gap", nets.seeded(nets.GapNet), preprocess=Preprocess(nets.SIDE, 40), options=options)
    bench = Workbench(model)
    answers = [(request, bench.explain(picture, request)) for request in [Request("saliency", 1)]]
    record = json.loads(json.dumps(export.record(bench, picture, answers)))
    assert (record["output"], record["model_options"]["mean"]) == (output, [127.5])
    assert record["preparation"] == {
        "crop": nets.SIDE, "resize": 40, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear",
        "squash": False, "channels": "rgb",
    }  # fmt: skip
    assert record["notes"] == ["mean 127.5 was read as values from 0 to 255, and std with it."]
    word = "value" if output == "regression" else "probability"
    assert [entry[word] for entry in record["top5"]] == [chance for _, _, chance in bench.top(picture)]
    assert [entry["index"] for entry in record["predicted"]] == model.asserted(bench.logits(picture))
    line = next(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)]))))
    assert float(line[word]) == pytest.approx(float(bench.probabilities(picture)[1]))
    assert export.figure(bench, picture, answers)


def test_a_folder_that_cannot_be_written_is_unavailable(bench, picture, answers, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"file cannot be written.*another folder"):
        export.write(tmp_path / "file", bench, picture, answers)


@pytest.mark.parametrize("link", ["out", "out/maps.npz", "out/result.json", "out/figure.png", "out/grad_cam-3.png"])
def test_links_in_place_of_results_are_refused(bench, picture, answers, tmp_path, link):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "precious"
    target.write_text("mine") if "/" in link else target.mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target)
    with pytest.raises(Unavailable, match="is a link"):
        export.write(tmp_path / "out", bench, picture, answers)
    assert (tmp_path / link).is_symlink()
    assert (target.read_text() == "mine") if "/" in link else not list(target.iterdir())
    assert len(list((tmp_path / "out").iterdir())) == ("/" in link)


def test_a_pipe_in_place_of_an_earlier_result_does_not_hang(bench, picture, answers, tmp_path):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "result.json")
    export.write(tmp_path / "out", bench, picture, answers)
    assert (tmp_path / "out" / "result.json").is_file()


def test_a_folder_given_as_a_link_is_used(bench, picture, answers, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export.write(tmp_path / "link" / "photo", bench, picture, answers)
    assert (tmp_path / "real" / "photo" / "result.json").is_file()
