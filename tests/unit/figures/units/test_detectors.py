"""The histogram of detectors: what its bars say, and its file."""

import io

import pytest
from PIL import Image

from core.figures.units.detectors import detector_histogram, detector_histogram_file

BARS = (["colour <b>", "part"], [12, 3], [4, 3])


def test_each_category_has_its_detectors_and_its_concepts():
    units, concepts = detector_histogram(*BARS).data
    assert (list(units.x), list(concepts.x)) == BARS[1:]
    assert list(units.y) == list(concepts.y) == ["colour &lt;b&gt;", "part"]
    assert units.text == ("12", "3")
    assert units.marker.pattern.shape != concepts.marker.pattern.shape, "never colour alone"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_file_says_the_same_every_time(kind):
    first, again = (detector_histogram_file(*BARS, title="relu4", note="$12$ of 40", kind=kind) for _ in range(2))
    assert first == again
    if kind == "png":
        assert Image.open(io.BytesIO(first)).size[0] == 720
        assert first != detector_histogram_file(BARS[0], [12, 4], BARS[2], title="relu4", note="$12$ of 40", kind=kind)
    else:
        for word in ("relu4", "$12$ of 40", "colour &lt;b&gt;", "different concepts"):
            assert word in first.decode()


def test_a_layer_without_detectors_has_an_empty_histogram():
    assert [len(trace.x) for trace in detector_histogram([], [], []).data] == [0, 0]
    assert detector_histogram_file([], [], [], title="relu1")
