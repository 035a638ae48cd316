"""Preparation that a user says: sizes, mean, standard deviation and interpolation other than the model's own."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, BadParameter
from core.images import Preprocess, picture_of, read_picture
from core.models import Model, as_model
from core.models.description import described
from core.study.build import build_study, config_of
from core.workbench import Request, Workbench
from tests import tiny_build
from tests.nets import SIDE, GapNet, seeded, tiny_vit

OWN = Preprocess()
HALF = {"mean": (0.5,), "std": (0.5,)}


def changed(**options: object) -> Preprocess:
    return OWN.changed(ModelOptions.checked(**options))[0]


def gap(**options: object) -> Model:
    preprocess = Preprocess(SIDE, SIDE + 4)
    return as_model("gap", seeded(GapNet), preprocess=preprocess, options=ModelOptions.checked(**options))


def photo(seed: int = 0) -> object:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    return picture_of(Image.fromarray(pixels).resize((60, 50), Image.Resampling.BICUBIC), f"{seed}.png")


def test_nothing_said_changes_nothing() -> None:
    assert OWN.changed(ModelOptions()) == (OWN, ())


@pytest.mark.parametrize(
    ("options", "crop", "resize"),
    [
        ({"size": 112}, 112, 128),
        ({"size": 112, "resize": 112}, 112, 112),
        ({"crop": 112}, 112, 256),
        ({"resize": 224}, 224, 224),
        ({"crop": 300, "resize": 320}, 300, 320),
        ({"size": 96, "crop": 96}, 96, 110),
    ],
)
def test_sizes(options: dict[str, int], crop: int, resize: int) -> None:
    assert (changed(**options).crop, changed(**options).resize) == (crop, resize)


@pytest.mark.parametrize(
    ("options", "mean", "std"),
    [
        ({"mean": "0.5"}, (0.5,) * 3, OWN.std),
        ({"mean": (0.1,), "std": "0.2,0.3,0.4"}, (0.1,) * 3, (0.2, 0.3, 0.4)),
        ({"mean": [127.5], "std": [127.5]}, (0.5,) * 3, (0.5,) * 3),
        ({"mean": "123.675,116.28,103.53", "std": "58.395,57.12,57.375"}, OWN.mean, OWN.std),
        ({"mean": "127.5"}, (0.5,) * 3, OWN.std),
        ({"mean": "104,117,123", "std": "1"}, (104 / 255, 117 / 255, 123 / 255), (1 / 255,) * 3),
        ({"mean": "0", "std": "1"}, (0.0,) * 3, (1.0,) * 3),
    ],
)
def test_mean_and_deviation(options, mean, std) -> None:
    assert changed(**options).mean == pytest.approx(mean)
    assert changed(**options).std == pytest.approx(std)


def test_what_was_read_as_0_to_255_is_said() -> None:
    model = gap(mean="127.5", std="127.5")
    assert model.notes == ("mean 127.5 was read as values from 0 to 255, and std with it.",)
    assert model.preprocess.mean == (0.5,) * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 112, "crop": 96}, "size is 112 and crop 96, and both name the side of the input."),
        ({"crop": 300}, "Images with a shorter side of 256 pixels do not fill an input of 300 × 300."),
        ({"resize": 200}, "Images with a shorter side of 200 pixels do not fill an input of 224 × 224."),
        ({"mean": "0.5,0.5"}, "mean cannot be 0.5,0.5."),
        ({"std": "0.1,0.2,0.3,0.4"}, "std cannot be 0.1,0.2,0.3,0.4."),
        ({"std": "0.5,0,0.5"}, "std cannot be 0.5,0.0,0.5."),
        ({"std": "-0.5"}, "std cannot be -0.5."),
        ({"std": "nan"}, "std cannot be 'nan'."),
        ({"mean": "inf"}, "mean cannot be 'inf'."),
        ({"mean": "a"}, "mean cannot be 'a'."),
        ({"mean": "0.5,,0.5"}, "mean cannot be '0.5,,0.5'."),
        ({"std": "58"}, "mean unchanged with std 58.0 fits neither pixels from 0 to 1 nor from 0 to 255."),
        ({"mean": "0.5", "std": "58"}, "mean 0.5 with std 58.0 fits neither pixels from 0 to 1 nor from 0 to 255."),
        ({"mean": "123", "std": "0.2"}, "mean 123.0 with std 0.2 fits neither pixels from 0 to 1 nor from 0 to 255."),
        ({"mean": "300"}, "mean 300.0 with std unchanged fits neither pixels from 0 to 1 nor from 0 to 255."),
        ({"size": 5000}, "size cannot be 5000."),
        ({"size": -1}, "size cannot be -1."),
        ({"size": 10.5}, "size cannot be 10.5."),
        ({"interpolation": "cubic"}, "interpolation cannot be 'cubic'."),
    ],
)
def test_what_cannot_be_is_refused(options, message) -> None:
    with pytest.raises(BadParameter) as error:
        changed(**options)
    assert error.value.message == message
    assert error.value.hint


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
def test_interpolations_are_pillows(interpolation: str) -> None:
    preprocess = replace(changed(interpolation=interpolation), resize=20, crop=20)
    expected = Image.fromarray(photo().pixels).resize((24, 20), Image.Resampling[interpolation.upper()])
    assert (preprocess.view(photo().pixels) == np.asarray(expected)[:, 2:22]).all()


def test_a_size_that_the_network_cannot_take_is_one_sentence() -> None:
    with pytest.raises(BadModel, match=r"^gap fails on images of 1 × 1 pixels: .*\. Give the size") as error:
        gap(size=1)
    assert "\n" not in str(error.value)
    with pytest.raises(BadModel, match="vit fails on images of 40 × 40 pixels"):
        as_model("vit", seeded(tiny_vit), preprocess=Preprocess(SIDE, SIDE), options=ModelOptions(size=40))


def test_the_same_weights_prepared_otherwise_are_another_model() -> None:
    first = Workbench(gap())
    second, third = (Workbench(gap(**options), first.cache) for options in (HALF, {"size": 24}))
    assert first.model.sha == second.model.sha == third.model.sha
    assert len({bench.model.key for bench in (first, second, third)}) == 3
    found = [bench.probabilities(photo()) for bench in (first, second, third)]
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[0], found[2])
    maps = [bench.explain(photo(), Request("grad_cam", 0)).maps.shape for bench in (first, third)]
    assert maps == [(1, SIDE, SIDE), (1, 24, 24)]
    assert third.model.survey.input_size == (24, 24)


def half_half() -> nn.Module:
    """A network with inputs (p − 0.5) / 0.5 that computes what GapNet does with ImageNet's preparation."""
    scale = torch.tensor([0.5 / std for std in OWN.std])
    offset = torch.tensor([(0.5 - mean) / std for mean, std in zip(OWN.mean, OWN.std, strict=True)])
    same = nn.Conv2d(3, 3, 1)
    same.weight.data = torch.diag(scale)[:, :, None, None]
    same.bias.data = offset
    return nn.Sequential(same, seeded(GapNet))


def test_weights_of_another_normalisation_answer_right_once_it_is_said() -> None:
    right = Workbench(gap())

    def bench(**options: object) -> Workbench:
        return Workbench(
            as_model("half", half_half(), preprocess=Preprocess(SIDE, SIDE + 4), options=ModelOptions(**options))
        )

    wrong, said = bench(), bench(**HALF)
    expected = [right.probabilities(photo(seed)) for seed in range(6)]
    for seed, chances in enumerate(expected):
        assert torch.allclose(said.probabilities(photo(seed)), chances, atol=1e-5)
    assert any(not torch.allclose(wrong.probabilities(photo(s)), e, atol=1e-2) for s, e in enumerate(expected))


def test_a_model_says_how_images_are_prepared() -> None:
    assert described(gap())["Input"] == (
        "32 × 32 pixels; shorter side to 36, crop 32, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (of pixels from 0 "
        "to 1), bilinear"
    )
    text = described(gap(**HALF, interpolation="bicubic"))["Input"]
    assert text.endswith(
        "mean 0.5 0.5 0.5, std 0.5 0.5 0.5 (of pixels from 0 to 1), bicubic; changed from the model's own"
    )


class Grey(nn.Module):
    """A network of one channel for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 6, 3, 2, 1), nn.Linear(6, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).relu().mean((2, 3)))


def test_a_study_of_grey_images_that_are_not_square(tmp_path) -> None:
    root = tiny_build.bitmaps(tmp_path / "images", range(6))
    options = ModelOptions(size=(20, 44), fit="squash")
    model = as_model("grey", seeded(Grey), preprocess=Preprocess(SIDE, SIDE), options=options)
    study = build_study(tiny_build.config(root, size=(20, 44), fit="squash"), tmp_path / "study", model=model)
    assert (study.manifest.model.view, study.manifest.model.cells) == ((20, 44), (10, 22))
    assert config_of(study).size == (20, 44)
    patches, images = study.table("patches"), study.table("images")
    assert patches["x"].max() + 10 > 20, "beyond the height"
    assert (patches["x"] <= 34).all()
    assert (patches["y"] <= 10).all()
    for row, (image, x, y) in enumerate(patches[["image", "x", "y"]].to_numpy()):
        picture = read_picture(root, images["path"][image])
        grey = Image.fromarray(picture.pixels).convert("L").resize((44, 20), Image.Resampling.BILINEAR)
        assert (study.array("crops")[row] == np.asarray(grey)[y : y + 10, x : x + 10, None]).all()
    bench, picture = Workbench(model), read_picture(root, images["path"][0])
    grey = np.asarray(Image.fromarray(picture.pixels).convert("L").resize((44, 20), Image.Resampling.BILINEAR))
    inputs = (torch.from_numpy(grey.copy())[None, None] / 255 - 0.449) / 0.226
    with torch.no_grad():
        assert torch.allclose(bench.logits(picture), model.net(inputs)[0], atol=1e-5)
        chance = float(model.net(inputs).softmax(1).max())
    assert math.isclose(images["probability"][0], chance, rel_tol=1e-5)


def test_a_study_keeps_the_preparation_and_uses_it_again(tmp_path) -> None:
    root = tiny_build.bitmaps(tmp_path / "images", range(6))
    config = replace(tiny_build.config(root), **HALF, size=24)
    study = build_study(config, tmp_path / "study", model=gap(**HALF, size=24))
    assert config_of(study) == config
    assert config_of(study).mean == (0.5,)
    assert study.manifest.model.size == 24
    assert study.manifest.model.preparation.startswith("shorter side to 27, crop 24, mean 0.5 0.5 0.5")
    other = build_study(replace(config, std=(0.25,)), tmp_path / "other", model=gap(mean=(0.5,), std=(0.25,), size=24))
    assert not math.isclose(
        study.table("images")["probability"].sum(), other.table("images")["probability"].sum(), rel_tol=1e-6
    )


PREPARATIONS = (
    Preprocess(crop=224, resize=256),
    Preprocess(crop=100, resize=100, squash=True),
    Preprocess(crop=(96, 64), resize=(110, 70)),
    Preprocess(crop=(48, 96), resize=(50, 101), squash=True, channels="grey", mean=(0.5,), std=(0.2,)),
    Preprocess(crop=64, resize=64, interpolation="bicubic"),
)
SIZES = ((300, 401), (64, 64), (37, 911), (2000, 90), (1024, 1023))


@pytest.mark.parametrize("preprocess", PREPARATIONS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_mask_lies_where_its_object_lies_in_the_view(preprocess, size):
    """An object drawn into the picture and seen by the network, and its corners moved as points."""
    top, left, bottom, right = (round(share * side) for share, side in zip((0.4, 0.4, 0.6, 0.7), size * 2, strict=True))
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    seen = preprocess.mask(mask)
    assert seen.shape == preprocess.size
    drawn = preprocess.view(np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255)[..., 0] > 127
    assert (seen != drawn).mean() < 0.02  # along the border, where colours are mixed
    (x, y), (end_x, end_y) = preprocess.points(np.array([[left, top], [right, bottom]], float), size)
    rows, columns = (np.arange(side) + 0.5 for side in preprocess.size)
    expected = ((rows >= y) & (rows < end_y))[:, None] & ((columns >= x) & (columns < end_x))
    assert seen.any()
    assert (seen == expected).all()


@pytest.mark.parametrize("preprocess", PREPARATIONS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_frame_is_the_part_of_a_picture_that_is_seen(preprocess, size):
    """Its corners lie at the corners of the view."""
    left, top, width, height = preprocess.frame(size)
    ends = preprocess.points(np.array([[left, top], [left + width, top + height]]), size)
    assert np.allclose(ends, [[0, 0], preprocess.size[::-1]])
