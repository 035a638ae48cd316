"""The command that builds an exam again, and its league as a figure."""

import shlex

import numpy as np
import pytest

from core.cli import parser
from core.exam.config import ExamConfig
from core.exam.curves import iou_curves
from core.exam.league import standings
from core.export.league_figure import exam_command, intervals_of, league_figure
from core.params import params_of, spelled
from tests import small_exam


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    return small_exam.built(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    "config",
    [
        ExamConfig(variant="shortcut"),
        ExamConfig(variant="single-6c", images=7, folds=2, quality="paper", methods=("rise", "lime"), seed=3),
        ExamConfig(data="/my photos", masks="/m", model="resnet@/w.pth", labels="/l.txt", measures=("auc_iou",)),
    ],
)
def test_the_command_has_every_setting_that_differs(config):
    args = parser(whole=True).parse_args(shlex.split(exam_command(config, "out"))[1:])
    for param in params_of(ExamConfig):
        given = getattr(args, param.name, spelled(param.default))
        assert str(given) == spelled(getattr(config, param.name)), param.name
    assert (args.variant, args.data, args.masks) == (config.variant, config.data, config.masks)
    assert args.methods == (",".join(config.methods) or "all")
    assert args.measures == ",".join(config.measures)


def test_the_figure_names_all_methods_and_measures(exam):
    text = league_figure(exam, "svg").decode()
    assert all(title in text for title in (*exam.methods["title"], "AUC-IoU ↑", "Deletion AUC ↓"))
    assert league_figure(exam, "pdf").startswith(b"%PDF")


def test_intervals_are_those_of_the_standings(exam):
    found = intervals_of(standings(exam), "auc_iou")
    column = exam.values[:, exam.method("saliency"), exam.measure("auc_iou")]
    assert found["saliency"].mean == pytest.approx(column.mean())
    assert found["saliency"].low <= column.mean() <= found["saliency"].high


def test_curves_have_a_row_for_each_image(exam):
    (curve,) = iou_curves(exam, ["saliency"]).values()
    assert len(curve.y) == len(exam.images)
    assert curve.x[[0, -1]].tolist() == [0, 1]
    areas = exam.values[:, exam.method("saliency"), exam.measure("auc_iou")] / 100
    assert np.allclose(curve.areas, areas, atol=0.02), "AUC-IoU is the area below the curve"
