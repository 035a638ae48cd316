"""The bundled ImageNet classifier: its weights file, its padding, what it sees in photos, and every method on it."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from core.data.samples import samples
from core.errors import BadModel, Unavailable
from core.explain import EXPLAINERS, explain
from core.images import decode
from core.models import MODELS, load
from core.models.sources import efficientnet_lite
from core.models.sources.imagenet import imagenet_labels
from core.network.incremental import CleanPass, PatchedImages
from core.workbench import Workbench
from tests import nets

LITE = efficientnet_lite.NAME


@pytest.fixture(scope="module")
def model():
    return load(LITE)


@pytest.fixture(scope="module")
def bench(model):
    return Workbench(model)


def photo(name):
    path = next(one.path for one in samples() if one.name == name)
    return decode(path.read_bytes(), path.name)


def same_padded(x, weight, stride, groups):
    """A convolution as TensorFlow defines SAME: what is missing is split, the odd row and column come after."""
    side = weight.shape[-1]
    pads = []
    for length in (x.shape[-1], x.shape[-2]):
        missing = max((math.ceil(length / stride) - 1) * stride + side - length, 0)
        pads += [missing // 2, missing - missing // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


@pytest.mark.parametrize(
    ("side", "stride", "groups"), [(3, 1, 1), (3, 2, 1), (3, 2, 4), (5, 1, 4), (5, 2, 4), (1, 1, 1)]
)
@pytest.mark.parametrize("length", [14, 32])
def test_windows_see_what_same_padding_shows(side, stride, groups, length):
    layer = efficientnet_lite._convolution(4, 8, side, stride, groups=groups).conv
    x, weight = torch.randn(2, 4, length, length), torch.randn(8, 4 // groups, side, side)
    state = efficientnet_lite._arranged(layer, {"any name": weight})
    with torch.no_grad():
        layer.load_state_dict(state)
        torch.testing.assert_close(layer(x), same_padded(x, weight, stride, groups), rtol=1e-5, atol=1e-5)


def test_the_card_says_what_the_file_holds(model):
    card, state = MODELS[LITE], torch.load(efficientnet_lite.weights(), weights_only=True)
    learned = [name for name in state if "running" not in name and "batches" not in name]
    assert card.parameters == sum(state[name].numel() for name in learned)
    assert card.megabytes == pytest.approx(efficientnet_lite.weights().stat().st_size / 2**20, abs=0.1)
    assert (card.classes, card.size, card.source) == (1000, 224, "bundled")
    assert (model.name, model.labels, model.facts["note"]) == (LITE, imagenet_labels(), card.note)
    assert "Apache licence 2.0" in card.note


def test_what_it_sees_in_the_photos(bench):
    found = {
        name: [label for _, label, _ in bench.top(photo(name))] for name in ("coffee", "camera", "chelsea", "rocket")
    }
    assert found["coffee"][0] == "espresso" == next(one.label for one in samples() if one.name == "coffee")
    assert found["camera"][0] == "tripod"
    assert set(found["chelsea"][:3]) == {"tabby", "tiger cat", "Egyptian cat"}
    assert {"missile", "projectile"} <= set(found["rocket"])
    assert bench.top(photo("coffee"))[0][2] == pytest.approx(0.951, abs=0.005)


def test_photos_are_the_ones_of_the_package_and_not_copies():
    for one in samples():
        if one.model == LITE:
            assert one.path.parent.name == "data"
            assert one.path.parents[1].name == "skimage"
            assert one.label in ("", *imagenet_labels())
            assert one.alt.endswith(".")
            assert not one.draw


def test_a_photo_that_the_installed_package_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr("core.data.samples.package_folder", lambda name: None)
    assert [one.name for one in samples()] == [one.name for one in samples() if one.draw]


def test_every_layer_is_known_and_every_method_that_needs_no_images_works(model, bench):
    assert (model.survey.default, model.survey.head) == ("top", "head")
    assert len(model.survey.folded) == len(model.survey.norms) == 49
    assert model.survey.stages == ("stage1", "stage2", "stage3", "stage5", "top")
    assert [name for name, reason in bench.usable().items() if reason] == ["vebi"]  # no relevance of it is bundled


def test_each_image_is_judged_by_itself(model):
    images = nets.images(3, side=224)
    with torch.no_grad():
        together = model.net(images)
        alone = torch.cat([model.net(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_a_changed_window_is_scored_as_by_a_full_pass(model):
    clean = CleanPass(nets.images(1, side=224), torch.channels_last)
    changed = clean.changed(torch.zeros(3, 3, 32, 32), [0, 96, 192], [0, 51, 192])
    with torch.no_grad():
        early = model.net.stage2(model.net.stage1(model.net.stem(changed)))
        assert isinstance(early, PatchedImages), "the whole map was computed"
        found, expected = model.net(changed), model.net(changed.whole())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_loading_runs_no_code_of_the_package_and_draws_no_numbers():
    module = efficientnet_lite.PACKAGE.replace("-", "_")
    code = (
        "import sys, torch\nfrom core.models import load\n"
        f"before = torch.random.get_rng_state()\nload({LITE!r})\n"
        f"print({module!r} in sys.modules, torch.equal(before, torch.random.get_rng_state()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True"]


def elsewhere(monkeypatch, root):
    monkeypatch.setattr(efficientnet_lite, "package_folder", lambda name: root)


def test_another_file_is_refused_in_a_sentence(monkeypatch, tmp_path):
    data = bytearray(efficientnet_lite.weights().read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / efficientnet_lite.FILE
    path.parent.mkdir()
    path.write_bytes(data)
    elsewhere(monkeypatch, tmp_path)
    with pytest.raises(BadModel) as caught:
        load(LITE)
    assert str(caught.value) == (
        f"{Path(efficientnet_lite.FILE).name} is not the file that Vitrine knows: its sha256 is another. "
        f"Install {efficientnet_lite.PACKAGE} 0.1.0 again."
    )


def test_without_the_package_or_its_file_there_is_a_sentence(monkeypatch, tmp_path):
    missing = f"The weights of {LITE} are not here: the package {efficientnet_lite.PACKAGE} is missing"
    elsewhere(monkeypatch, tmp_path)
    with pytest.raises(Unavailable, match=missing):
        load(LITE)
    monkeypatch.setattr(efficientnet_lite, "package_folder", lambda name: None)
    with pytest.raises(Unavailable, match=missing):
        load(LITE)
    assert LITE in MODELS, "it is listed all the same"


@pytest.mark.slow
def test_scores_equal_those_of_timm(model):
    timm = pytest.importorskip("timm", reason="needs the extra `peers`")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = torch.load(efficientnet_lite.weights(), weights_only=True)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state.values(), strict=True)))
    views = [model.preprocess.view(photo(name).pixels) for name in ("coffee", "camera")]
    images = torch.cat([nets.images(2, side=224), torch.stack([model.preprocess.tensor(view) for view in views])])
    with torch.no_grad():
        torch.testing.assert_close(model.net(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name != "vebi"])  # no relevance of it is bundled
def test_every_method_explains_a_photo(model, name):
    query = nets.query(model, count=1, target=967, side=224)
    query.images.copy_(model.preprocess.tensor(model.preprocess.view(photo("coffee").pixels)))
    maps = explain(name, query, nets.quick(EXPLAINERS[name])).maps
    assert maps.shape == (1, 224, 224)
    assert float(maps.max()) > float(maps.min())
