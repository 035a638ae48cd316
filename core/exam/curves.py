"""The IoU of an exam's maps with the objects' masks as curves over the threshold."""

from collections.abc import Sequence

import numpy as np

from core.exam import Exam
from core.measure.measure import Curve, Undefined


def iou_curves(exam: Exam, methods: Sequence[str]) -> dict[str, Curve]:
    """The curve of each of these methods, a row for each image; none if the exam has no masks. Raises UnknownName."""
    curves = exam.curves
    if curves is None:
        return {}
    thresholds = np.linspace(0, 1, curves.shape[2])
    return {
        name: Curve(
            "Threshold", thresholds, "IoU with the mask",
            [row if np.isfinite(row).all() else Undefined("It has no curve.") for row in of_method],
        )
        for name in methods
        for of_method in [np.asarray(curves[:, exam.method(name)], np.float64)]
    }  # fmt: skip
