"""Studies of networks of ONNX: with gradients where they convert, else by methods that need outputs alone."""

from dataclasses import replace

import pytest

from core.errors import VitrineError
from core.images import decode
from core.models import load
from core.study import Study
from core.study.build import build_study
from core.study.config import PatchConfig
from tests import exported
from tests.nets import seeded
from tests.tiny_build import config, draw


@pytest.fixture
def pictures(tmp_path):
    for label in range(3):
        for number in range(2):
            draw(tmp_path / "set" / f"class_{label}" / f"{number}.png", 10 * label + number)
    return tmp_path / "set"


@pytest.fixture
def file(tmp_path):
    return exported.saved(seeded(lambda: exported.small(3)), tmp_path / "net.onnx")


def settings(pictures, file, **changes):
    patches = PatchConfig(window=10, count=2, sampling="dense")
    return replace(config(pictures), model=str(file), patches=patches, **changes)


def test_a_study_of_a_converted_network_is_opened_again(pictures, file, tmp_path):
    wanted = settings(pictures, file)
    built = build_study(wanted, tmp_path / "study")
    again = Study(tmp_path / "study")
    assert again.manifest.model.name == str(file)
    model = load(str(file))
    assert again.manifest.model.sha == model.sha
    images = again.table("images")
    for path, predicted in zip(images["path"], images["predicted"], strict=True):
        pixels = decode((pictures / path).read_bytes(), path).pixels
        picture = model.preprocess.tensor(model.preprocess.view(pixels))
        assert int(model.net(picture[None]).argmax()) == predicted
    assert build_study(wanted, tmp_path / "study").path == built.path
    assert len(again.table("patches"))


def test_a_black_box_gives_no_layer_to_mine_and_says_so(pictures, file, tmp_path, monkeypatch):
    monkeypatch.setattr("core.models.sources.exported.steps_of", None)
    assert not load(str(file)).survey.usable
    with pytest.raises(VitrineError, match=r"net\.onnx has no layer with spatial positions"):
        build_study(settings(pictures, file, explainer="rise"), tmp_path / "study")
    assert not (tmp_path / "study").exists()
