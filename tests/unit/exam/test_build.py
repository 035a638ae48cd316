"""Building exams: numbers as of single images, progress, stopping, failures that stay where they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr

from core.data.flowers import draw
from core.data.flowers.drawing import LAYERS
from core.errors import BadParameter, Cancelled, StoreError, Unavailable, UnknownName, Unsupported
from core.exam import Exam, list_exams, shard
from core.exam.build import build_exam
from core.exam.cases import case
from core.exam.images import EXAM_SEED
from core.exam.plan import planned
from core.explain import EXPLAINERS, Query, explain
from core.explain.targets import Classes
from core.measure import Evidence, evaluate
from core.models import load
from core.train import FRESH_SEED, OWN_SEED
from tests.unit.exam.conftest import SMALL

TINY = replace(SMALL, methods=("saliency",), measures=("energy_pointing",), images=6, folds=2)
CONTROLS = ["random", "edge_detector", "centre_gaussian"]


def test_numbers_are_those_of_an_image_alone(exam):
    model, row = load("flowers-single-6c"), 7
    flower = draw("single-6c", row % 6, row, seed=EXAM_SEED)
    images = model.preprocess.tensor(model.preprocess.view(flower.image))[None]
    query = Query(model, images, Classes(torch.tensor([row % 6])))
    for name in ("saliency", "grad_cam", "edge_detector"):
        maps = explain(name, query, EXPLAINERS[name].budget("quick")).maps
        parts = {part: torch.from_numpy(mask)[None] for part, mask in flower.removable.items() if part != "petal"}

        def without(_, names, flower=flower):
            return model.preprocess.tensor(model.preprocess.view(flower.without(*names).image))

        evidence = Evidence(query, maps, torch.from_numpy(flower.mask)[None], parts=parts, without=without)
        for measure in exam.measures["name"]:
            settings = {"steps": 14} if measure.endswith("n_auc") else {}
            expected = evaluate(measure, evidence, settings).result[0]
            found = exam.values[row, exam.method(name), exam.measure(measure)]
            assert found == pytest.approx(expected, abs=2e-4), (name, measure)


def test_controls_take_part_and_flowers_are_new_to_the_network(exam):
    assert exam.methods["name"].tolist() == ["saliency", "grad_cam", *CONTROLS]
    seeds = {OWN_SEED + own for own in (0, 999_999)} | {FRESH_SEED + own for own in (0, 999_999)}
    assert max(seeds) < EXAM_SEED
    assert exam.images["label"].tolist() == [*range(6), *range(6)]
    assert exam.images.groupby("fold")["label"].agg(sorted).tolist() == [[0, 1, 3, 4], [0, 2, 3, 5], [1, 2, 4, 5]]


def test_passes_and_seconds_are_those_of_each_method_alone(exam):
    passes = exam.methods.set_index("name")[["forwards", "backwards"]]
    assert passes.loc["saliency"].tolist() == passes.loc["grad_cam"].tolist() == [12, 12]
    assert passes.loc["random"].tolist() == [0, 0]
    assert exam.seconds.keys() == set(exam.methods["name"])
    assert "seconds" not in (exam.path / "exam.json").read_text()


def test_curves_belong_to_the_scores(exam):
    areas = 100 * np.trapezoid(exam.curves, dx=0.01, axis=2)
    assert areas == pytest.approx(exam.values[:, :, exam.measure("auc_iou")], abs=0.05)


def test_the_tag_is_a_region_of_its_own(tmp_path):
    found = build_exam(replace(TINY, variant="shortcut", methods=("lrp",)), tmp_path / "tags")
    assert found.measures["name"].tolist() == ["tag_energy_pointing", "energy_pointing"]
    by_method = dict(zip(found.methods["name"], found.values.mean(0).tolist(), strict=True))
    assert by_method["lrp"][0] > 0.8 > 0.1 > by_method["lrp"][1]  # the network reads the tag
    one = case(found, 3, load("flowers-shortcut-6c"), "tag")
    assert (one.mask == (draw("shortcut", 3, 3, seed=EXAM_SEED).parts == LAYERS.index("tag"))).all()
    changed, tagged = found.flipped
    assert tagged == 6
    assert changed == (found.images["untagged"] != found.images["predicted"]).sum() > 0


def test_the_class_that_is_explained(tmp_path):
    wrong = planned(replace(TINY, model="flowers-shortcut-6c", target="predicted")).images.views(range(6))
    logits = load("flowers-shortcut-6c").net(wrong.inputs)
    settings = replace(TINY, model="flowers-shortcut-6c", methods=("random",))  # often wrong without tags
    own = build_exam(settings, tmp_path / "own")
    predicted = build_exam(replace(settings, target="predicted"), tmp_path / "predicted")
    assert own.images["target"].tolist() == own.images["label"].tolist()
    assert predicted.images["target"].tolist() == predicted.images["predicted"].tolist() == logits.argmax(1).tolist()
    assert own.images["target"].tolist() != predicted.images["target"].tolist()


def test_progress_rises_and_a_stopped_exam_goes_on(exam, tmp_path):
    seen, path = [], tmp_path / "stopped"

    def stop(fraction, note):
        seen.append(fraction)
        if note.startswith("measures of Grad-CAM") and "shard 2" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_exam(SMALL, path, report=stop)
    assert seen == sorted(seen)
    assert not path.exists()
    notes = []
    found = build_exam(SMALL, path, report=lambda fraction, note: notes.append((fraction, note)))
    assert not any("shard 1 of" in note for _, note in notes)
    assert notes[-1] == (1.0, "exam finished")
    for file in exam.path.iterdir():
        if file.name != "build.json":
            assert (found.path / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_method_that_fails_keeps_the_others_going(tmp_path, monkeypatch):
    def failing(name, query, *rest, **settings):
        if name == "saliency" and (query.targets.indices == 2).any():
            raise Unsupported("Saliency cannot do this image.")
        found = explain(name, query, *rest, **settings)
        return replace(found, maps=torch.full_like(found.maps, 0.5)) if name == "edge_detector" else found

    monkeypatch.setattr(shard, "explain", failing)
    found = build_exam(replace(TINY, measures=("auc_iou", "energy_pointing")), tmp_path / "failing")
    scores = found.table("scores")
    reasons = scores[scores["reason"] != ""].groupby(["method", "reason"])["image"].agg(list).to_dict()
    assert reasons == {
        (0, "Saliency cannot do this image."): [2, 2],
        (2, "The map has the same value everywhere."): [*range(6)],
    }
    assert np.isfinite(found.values[[0, 1, 3, 4, 5], 0]).all()
    assert np.isnan(found.curves[2, 0]).all()


def test_parts_are_left_out_of_flowers(tmp_path):
    settings = replace(TINY, variant="shortcut", measures=("part_correlation", "part_contrastivity"))
    found = build_exam(settings, tmp_path / "parts")
    model, row, part = load("flowers-shortcut-6c"), 4, found.measure("part_correlation")
    flower = draw("shortcut", row % 6, row, seed=EXAM_SEED)
    scores, sums = [], []
    images = model.preprocess.tensor(model.preprocess.view(flower.image))[None]
    maps = explain("edge_detector", Query(model, images, Classes(torch.tensor([row])))).maps[0].numpy()
    parts = {name: mask for name, mask in flower.removable.items() if name != "petal"}
    assert sum(mask.astype(int) for mask in parts.values()).max() == 1, "no two parts share a pixel"
    for name, mask in parts.items():
        other = model.preprocess.tensor(model.preprocess.view(flower.without(name).image))[None]
        scores.append(float(model.net(images)[0, row] - model.net(other)[0, row]))
        sums.append(maps[binary_dilation(mask, np.ones((3, 3)))].sum())
    expected = spearmanr(sums, np.round(scores, 4)).statistic  # parts that the network ignores differ by rounding
    assert found.values[row, found.method("edge_detector"), part] == pytest.approx(expected, abs=1e-6)
    assert np.isfinite(found.values).all()


def test_defects_are_not_reasons(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("a defect")

    monkeypatch.setattr(shard, "explain", broken)
    with pytest.raises(ValueError, match="a defect"):
        build_exam(TINY, tmp_path / "broken")


def test_an_image_without_the_part_has_no_localisation(tmp_path, monkeypatch):
    monkeypatch.setattr("core.data.flowers.Flower.mask", property(lambda flower: flower.parts == 99))
    found = build_exam(TINY, tmp_path / "bare")
    assert set(found.table("scores")["reason"]) == {"The image has no mask."}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"variant": "single"}, UnknownName, "single-6c"),
        ({"variant": ""}, BadParameter, "variant of the flowers or about a folder"),
        ({"data": "somewhere"}, BadParameter, "Give one of"),
        ({"masks": "somewhere"}, BadParameter, "Flowers have masks"),
        ({"methods": ("gradcam",)}, UnknownName, "grad_cam"),
        ({"methods": ("cam", "cam")}, BadParameter, "cam twice"),
        ({"measures": ("iuo",)}, UnknownName, "iou"),
        ({"measures": ()}, BadParameter, "needs a measure"),
        ({"measures": ("iou_curve",)}, BadParameter, "is a curve"),
        ({"images": 4, "folds": 5}, BadParameter, "4 images cannot be split into 5 folds"),
        ({"images": 0}, BadParameter, "must lie between"),
        ({"quality": "best"}, BadParameter, "quick"),
        ({"model": "flowers-double-12c"}, BadParameter, "has no class blue"),
        ({"variant": "", "data": "somewhere"}, BadParameter, "needs a model"),
        ({"variant": "", "data": "no such folder", "model": "flowers-single-6c"}, Unavailable, "no such folder"),
        ({"masks": "\udcff"}, BadParameter, "UTF-8"),
    ],
)
def test_bad_settings_get_a_sentence_before_any_work(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        build_exam(replace(SMALL, **changes), tmp_path / "never")
    assert not list(tmp_path.iterdir())


def test_another_exam_is_not_replaced(exam):
    with pytest.raises(StoreError, match="contains an exam with other settings"):
        build_exam(replace(SMALL, folds=2), exam.path)
    assert build_exam(SMALL, exam.path).manifest == exam.manifest


def test_exams_are_listed_with_their_problems(exam, changed):
    broken = changed(lambda manifest: manifest["files"].pop("scores.parquet"))
    found = list_exams(exam.path.parent, broken.parent)
    assert isinstance(found[exam.path], Exam)
    assert "damaged" in found[broken]


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["config"].update(folds=0),
        lambda manifest: manifest["config"].update(images=3),
        lambda manifest: manifest["tables"]["methods"].update(rows=0),
        lambda manifest: manifest.pop("model"),
        lambda manifest: manifest["arrays"]["curves"].update(shape=[12, 5, 100]),
    ],
)
def test_an_edited_manifest_is_damage(changed, change):
    with pytest.raises(StoreError, match="is damaged"):
        Exam(changed(change))
