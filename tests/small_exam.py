"""Exams of a few flowers, built once for all tests that look at exams."""

from pathlib import Path

from core.exam import Exam
from core.exam.build import build_exam
from core.exam.config import ExamConfig

METHODS = ("grad_cam", "saliency")
TAGGED = ExamConfig(variant="shortcut", methods=METHODS, images=6, folds=2)
ONE = ExamConfig(variant="single-6c", methods=METHODS, images=1, folds=1, measures=("auc_iou", "deletion_auc"))


def built(home: Path, name: str = "small", config: ExamConfig = TAGGED) -> Exam:
    """An exam among the user's own, in `home`/exams."""
    return build_exam(config, home / "exams" / name)
