"""The reliability diagram and the ROC: what their marks say, and their files."""

import numpy as np
import pandas as pd
import pytest

from core.figures.reliability import reliability_figure, reliability_file, roc_figure, roc_file

BINS = pd.DataFrame({
    "low": [0.0, 0.5, 0.6], "high": [0.5, 0.6, 1.0], "images": [0, 1200, 30], "confidence": [np.nan, 0.55, 0.9],
    "accuracy": [np.nan, 0.5, 0.7],
})  # fmt: skip
POINTS = pd.DataFrame({
    "threshold": [np.inf, 0.8, 0.1], "false_positive_rate": [0.0, 0.25, 1.0], "true_positive_rate": [0.0, 0.75, 1.0],
})  # fmt: skip


def test_each_bin_with_images_has_its_accuracy_count_and_mean_confidence():
    bars, means, counts, diagonal = reliability_figure(BINS).data
    assert list(bars.x) == pytest.approx([0.55, 0.8])
    assert list(bars.width) == pytest.approx([0.1, 0.4])
    assert list(bars.y) == [0.5, 0.7]
    assert counts.text == ("1,200", "30")
    assert min(counts.y) > 1, "above every bar"
    assert list(means.y) == [0.55, 0.9]
    assert (list(diagonal.x), list(diagonal.y), diagonal.line.dash) == ([0, 1], [0, 1], "dash")


def test_the_roc_has_its_curve_and_a_marker_at_the_threshold():
    curve, marker, diagonal = roc_figure(POINTS, (0.25, 0.75), "<b> above 0.4").data
    assert (list(curve.x), list(curve.y)) == ([0, 0.25, 1], [0, 0.75, 1])
    assert (list(marker.x), list(marker.y), marker.name) == ([0.25], [0.75], "&lt;b&gt; above 0.4")
    assert diagonal.name == "chance"


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_files_say_the_same_every_time(kind, start):
    for make in (
        lambda note: reliability_file(BINS, title="$a$ <b>", note=note, kind=kind),
        lambda note: roc_file(POINTS, (0.25, 0.75), "above 0.4", title="$a$ <b>", note=note, kind=kind),
    ):
        content = make("error 3%")
        assert content.startswith(start)
        assert content == make("error 3%") != make("error 4%")
        if kind == "svg":
            assert all(word in content.decode() for word in ("$a$ &lt;b&gt;", "error 3%"))
