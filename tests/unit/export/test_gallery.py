"""Exports of one method across many images, compared with the maps and figures of each image alone."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from core import export
from core.cache import TensorCache
from core.errors import TooLarge
from core.figures.sheet import overlay
from core.figures.style import DrawnMap, Style, spans
from core.images import decode
from core.workbench import Request, Workbench
from tests import nets


@pytest.fixture(scope="module")
def bench():
    return Workbench(nets.model("gap"), TensorCache(1 << 26))


@pytest.fixture(scope="module")
def results(bench):
    """Saliency for the predicted class of three images, two of them of the same name."""
    found = []
    for seed, name in enumerate(("cats/1.png", "dogs/1.png", "cats-1.jpg")):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 255 // (seed + 1), (48, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        picture = decode(stream.getvalue(), name)
        request = Request("saliency", bench.target(picture))
        found.append((picture, [(request, bench.explain(picture, request))]))
    return found


def test_names_are_those_of_the_files_and_differ():
    assert export.names(["a.png", "A.jpg", "b/a.png", "..", "", "x" * 200]) == [
        "a", "A-2", "b-a", "image", "image-2", "x" * 80,
    ]  # fmt: skip
    assert not any("/" in name for name in export.names(["/etc/passwd", "../up.png", "a/../b.png"]))


def test_arrays_are_the_raw_maps_of_every_image(results):
    maps = export.arrays_of_images(results)
    targets = [request.target for _, [(request, _)] in results]
    names = ("cats-1", "dogs-1", "cats-1-2")
    assert list(maps) == [f"{name}-saliency-{target}" for name, target in zip(names, targets, strict=True)]
    for values, (_, [(_, answer)]) in zip(maps.values(), results, strict=True):
        assert (values == answer.maps[0].numpy()).all()


def test_the_table_has_a_line_for_every_image(bench, results):
    lines = list(csv.DictReader(io.StringIO(export.table(bench, results))))
    assert [line["image"] for line in lines] == ["cats/1.png", "dogs/1.png", "cats-1.jpg"]
    for line, (picture, answers) in zip(lines, results, strict=True):
        alone = next(csv.DictReader(io.StringIO(export.table(bench, [(picture, answers)]))))
        assert line == alone


@pytest.mark.parametrize("shared", [False, True])
def test_a_sheet_shows_every_map_over_its_own_image(bench, results, shared):
    style = Style(range="method" if shared else "own", opacity=0.8)
    sheet = np.asarray(Image.open(io.BytesIO(export.figure_of_images(bench, results, style))))
    assert sheet.shape[1] == 2 * 20 + 3 * 256 + 2 * 16
    drawn = {(number, 0): DrawnMap(answers[0][1].maps[0].numpy(), False) for number, (_, answers) in enumerate(results)}
    ranges = spans(drawn, style)
    assert (len({one.high for one in ranges.values()}) == 1) == shared
    for number, (picture, _) in enumerate(results):
        picture_of = overlay(bench.view(picture), drawn[number, 0].values, ranges[number, 0], style)
        expected = np.asarray(Image.fromarray(picture_of).resize((256, 256), Image.Resampling.BICUBIC))
        left = 20 + number * (256 + 16)
        tops = [top for top in range(sheet.shape[0] - 256) if (sheet[top, left : left + 256] == expected[0]).all()]
        assert any((sheet[top : top + 256, left : left + 256] == expected).all() for top in tops)


def test_true_classes_mark_the_predictions_of_their_images(bench, results):
    predicted = [int(bench.logits(picture).argmax()) for picture, _ in results]
    other = (predicted[1] + 1) % len(bench.model.labels)
    true = {results[0][0].sha: predicted[0], results[1][0].sha: other}
    lines = list(csv.DictReader(io.StringIO(export.table(bench, results, true=true))))
    labels = bench.model.labels
    assert [line["true_label"] for line in lines] == [labels[predicted[0]], labels[other], ""]
    assert [line["right"] for line in lines] == ["True", "False", ""]
    sheet = export.figure_of_images(bench, results, kind="svg", true=true).decode()
    assert sheet.count("Prediction ") == 2
    assert sheet.count("Prediction right") == 1
    assert sheet.count("True class: ") == 1
    assert f"True class: {labels[other]}" in sheet


def test_a_map_that_failed_leaves_the_others_in_the_sheet(bench, results):
    picture, [(request, _)] = results[0]
    broken = [(picture, [(request, TooLarge("It does not fit."))]), *results[1:]]
    for kind in ("png", "pdf", "svg"):
        assert export.figure_of_images(bench, broken, kind=kind)
    assert "It does not fit" in export.figure_of_images(bench, broken, kind="svg").decode()
    assert len(export.arrays_of_images(broken)) == 2
