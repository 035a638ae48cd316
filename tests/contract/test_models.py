"""Every registered model: its card, its preparation of images, and real weights on real photos."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from core.images import Preprocess, decode
from core.models import MODELS, Model, load
from core.models.sources import flower_networks
from core.models.sources.flower_networks import FOLDER
from core.models.sources.torchvision import _built, _prepared, architectures, cards

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CLASSES = {"n01440764": 0, "n02102040": 217, "n03000684": 491, "n03394916": 566, "n03425413": 571}
SIZES = [(301, 257), (90, 517), (224, 224), (37, 41)]

with_data = pytest.mark.skipif(
    not (DATA / "models").is_dir(), reason="the folder ../shared/data with real weights and photos is not here"
)


def odd_image(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width).integers(0, 256, (height // 7 + 1, width // 7 + 1, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def test_nothing_is_built_or_fetched_to_list_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("a model was built, or its weights were read")

    for place in (
        "torch.nn.Linear.__init__",
        "torch.nn.Conv2d.__init__",
        "torch.load",
        "urllib.request.urlopen",
        "safetensors.torch.load",
    ):
        monkeypatch.setattr(place, never)
    assert list(cards()) == list(architectures())
    assert list(flower_networks.cards())


def test_cards_are_listed_in_order() -> None:
    names = list(MODELS)
    sources = [MODELS[name].source for name in names]
    assert sources == sorted(sources), "bundled models come first"
    assert sources.count("torchvision") == len(architectures()) >= 80


@pytest.mark.parametrize("card", MODELS.values(), ids=lambda card: card.name)
def test_cards_are_complete(card: object) -> None:
    name = card.name  # type: ignore[attr-defined]
    card = MODELS[name]
    assert card.name == name
    assert card.title
    assert "_" not in card.title
    assert card.classes > 1
    assert card.size >= 32
    assert card.parameters > 1000
    assert 0 < card.megabytes < 4000
    assert card.accuracy is None or 1 < card.accuracy <= 100
    assert card.note.endswith(".")


def presets() -> Iterator[tuple[str, Preprocess]]:
    """One architecture for each preprocessing of torchvision's default weights."""
    seen = set()
    for name in architectures():
        preset = _prepared(models.get_model_weights(name).DEFAULT)
        if preset not in seen:
            seen.add(preset)
            yield name, preset


@pytest.mark.parametrize(
    ("name", "preprocess"), list(presets()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_preparation_is_torchvision_s_own(name: str, preprocess: Preprocess) -> None:
    theirs = models.get_model_weights(name).DEFAULT.transforms()
    for size in SIZES:
        image = odd_image(*size)
        ours = preprocess.tensor(preprocess.view(np.asarray(image)))
        assert ours.shape == (3, preprocess.crop, preprocess.crop)
        torch.testing.assert_close(ours, theirs(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["convnext_tiny", "maxvit_t", "regnet_y_400mf", "resnet18", "swin_v2_t", "vit_b_32"])
def test_networks_are_built_without_drawing_numbers(name: str) -> None:
    before = torch.random.get_rng_state()
    net = _built(name, {})
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(value.is_meta for value in net.parameters() if value.dim() > 1 and value.shape[0] > 1000)
    assert not any(value.is_meta for value in net.buffers()), "a state dict need not bring what it does not hold"
    assert not any(module._non_persistent_buffers_set for module in net.modules())


@pytest.mark.parametrize("card", [MODELS[facts["name"]] for facts in flower_networks.cards()], ids=lambda c: c.name)
def test_bundled_models_load(card: object) -> None:
    name = card.name  # type: ignore[attr-defined]
    model = load(name)
    assert len(model.labels) == MODELS[name].classes
    assert MODELS[name].megabytes < 2
    assert hashlib.sha256((FOLDER / model.facts["file"]).read_bytes()).hexdigest() == model.facts["sha256"]
    assert (model.survey.default, model.survey.head) == ("relu4", "head")
    assert (model.preprocess.crop, model.net.training) == (128, False)


def guesses(model: Model, count: int) -> tuple[float, float]:
    """Shares of photos whose first and whose first five guesses hold the class, `count` photos of each class."""
    photos, truth = [], []
    for folder, label in CLASSES.items():
        for file in sorted((DATA / "photos" / folder).iterdir())[:count]:
            photos.append(decode(file.read_bytes(), file.name).pixels)
            truth.append(label)
    images = torch.stack([model.preprocess.tensor(model.preprocess.view(photo)) for photo in photos])
    with torch.no_grad():
        order = torch.cat([model.net(part) for part in images.split(10)]).topk(5).indices
    hits = order == torch.tensor(truth)[:, None]
    return float(hits[:, 0].float().mean()), float(hits.any(1).float().mean())


@with_data
def test_real_weights_recognise_real_photos() -> None:
    found = {}
    for name in ("squeezenet1_0", "mobilenet_v2"):
        model = load(f"{name}:{DATA / 'models' / name}.safetensors")
        assert model.labels[571] == "gas pump"
        found[name] = guesses(model, 10)
    assert found["squeezenet1_0"][0] >= 0.5
    assert found["mobilenet_v2"][0] >= found["squeezenet1_0"][0]
    assert found["squeezenet1_0"][1] >= 0.75


@with_data
def test_real_weights_in_the_wrong_architecture() -> None:
    with pytest.raises(Exception, match=r"does not fit squeezenet1_1: 'features\.0\.weight' is 96 × 3 × 7 × 7 where"):
        load(f"squeezenet1_1:{DATA / 'models' / 'squeezenet1_0.safetensors'}")


@pytest.mark.network
def test_a_real_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    seen: list[float] = []
    model = load("squeezenet1_1", report=lambda fraction, note: seen.append(fraction))
    assert seen == sorted(seen)
    assert model.labels[0] == "tench"
