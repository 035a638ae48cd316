"""Inputs of one and four channels, and of other proportions: prepared as Pillow, torchvision and timm prepare them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from core.data.model_options import ModelOptions
from core.errors import BadModel, BadParameter
from core.images import Preprocess, decode
from core.images.preprocess import luminance
from core.models import Model, as_model
from core.models.description import described
from core.workbench import Request, Workbench
from tests.nets import seeded

RNG = np.random.default_rng(3)
COLOURS = Image.fromarray(RNG.integers(0, 256, (6, 7, 3)).astype(np.uint8)).resize((75, 50), Image.Resampling.BICUBIC)
ALPHA = Image.fromarray(RNG.integers(0, 256, (6, 7)).astype(np.uint8)).resize((75, 50), Image.Resampling.BICUBIC)


def saved(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def layered() -> Image.Image:
    image = COLOURS.copy()
    image.putalpha(ALPHA)
    return image


def input_of(preprocess: Preprocess, image: Image.Image) -> Tensor:
    return preprocess.tensor(preprocess.seen(decode(saved(image), "x.png")))


def test_grey_is_pillows() -> None:
    preprocess = Preprocess(32, 36).fed("grey")
    assert (preprocess.mean, preprocess.std) == ((0.449,), (0.226,))
    expected = transforms.Compose([
        transforms.Grayscale(), transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor(),
        transforms.Normalize(0.449, 0.226),
    ])(COLOURS)  # fmt: skip
    assert torch.allclose(input_of(preprocess, COLOURS), expected, atol=1e-6)


def test_a_grey_image_stays_as_it_is() -> None:
    grey = COLOURS.convert("L")
    preprocess = Preprocess(50, 50, (0.0,), (1.0,), channels="grey")
    expected = torch.from_numpy(np.asarray(grey)[:, 12:62].copy())[None] / 255
    assert torch.allclose(input_of(preprocess, grey), expected, atol=1e-6)


def test_grey_of_deep_colours_is_their_luminance() -> None:
    deep = RNG.random((4, 5, 3)).astype(np.float32)
    expected = deep @ np.array([0.299, 0.587, 0.114], np.float32)
    assert np.allclose(luminance(deep), expected, atol=1e-6)
    assert luminance(expected) is expected


def test_alpha_is_the_fourth_channel() -> None:
    preprocess = Preprocess(32, 36).fed("alpha")
    expected = transforms.Compose([
        transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor(),
        transforms.Normalize((*Preprocess.mean, 0.0), (*Preprocess.std, 1.0)),
    ])(layered())  # fmt: skip
    assert torch.allclose(input_of(preprocess, layered()), expected, atol=1e-6)


@pytest.mark.parametrize(("channels", "value"), [("alpha", 1.0), ("ones", 1.0), ("zeros", 0.0)])
def test_an_opaque_image_has_a_fourth_channel_too(channels, value) -> None:
    colours = input_of(Preprocess(32, 36), COLOURS)
    found = input_of(Preprocess(32, 36).fed(channels), COLOURS)
    assert torch.equal(found[:3], colours)
    assert (found[3] == value).all()


def test_a_network_of_colours_sees_transparent_parts_on_white() -> None:
    on_white = Image.alpha_composite(Image.new("RGBA", ALPHA.size, "white"), layered()).convert("RGB")
    for channels in ("rgb", "zeros"):
        preprocess = Preprocess(32, 36).fed(channels)
        assert torch.equal(input_of(preprocess, layered())[:3], input_of(preprocess, on_white)[:3])


@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("size", [(32, 48), (48, 24), (40, 40)])
def test_other_proportions_are_prepared_as_timm_does(size: tuple[int, int], mode: str) -> None:
    resize = tuple(int(side / 0.9) for side in size)
    resize = resize[0] if resize[0] == resize[1] and mode == "center" else resize
    preprocess = Preprocess(size, resize, interpolation="bicubic", squash=mode == "squash")
    prepared = timm.data.create_transform(
        (3, *size), crop_pct=0.9, crop_mode=mode, interpolation="bicubic", mean=Preprocess.mean, std=Preprocess.std
    )
    assert torch.allclose(input_of(preprocess, COLOURS), prepared(COLOURS), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "crop", "resize"),
    [
        ({"size": "64,96"}, (64, 96), (73, 110)),
        ({"size": (64, 64)}, 64, 73),
        ({"crop": "64,96"}, (64, 96), 256),
        ({"crop": [64, 96], "resize": "64,96"}, (64, 96), (64, 96)),
        ({"resize": "300,300"}, 224, 300),
    ],
)
def test_sizes_of_two_numbers(options, crop, resize) -> None:
    changed = Preprocess().changed(ModelOptions.checked(**options))[0]
    assert (changed.crop, changed.resize) == (crop, resize)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "64,96,3"}, "size cannot be '64,96,3'."),
        ({"size": "64,0"}, "size cannot be '64,0'."),
        ({"size": "64x96"}, "size cannot be '64x96'."),
        ({"size": "64,5000"}, "size cannot be '64,5000'."),
        ({"crop": "64,96", "resize": 80}, "Images with a shorter side of 80 pixels do not fill an input of 64 × 96."),
        ({"crop": "64,96", "resize": "70,90"}, "Images with sides of 70 × 90 pixels do not fill "),
        ({"channels": "rgba"}, "channels cannot be 'rgba'."),
        ({"channels": "grey", "mean": "0.1,0.2,0.3"}, "mean cannot be 0.1,0.2,0.3."),
    ],
)
def test_what_cannot_be_is_refused(options, message: str) -> None:
    with pytest.raises(BadParameter) as error:
        Preprocess().changed(ModelOptions.checked(**options))
    assert error.value.message.startswith(message)
    assert error.value.hint


class Net(nn.Module):
    """A network for images of any size with this number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(channels, 6, 3, 2, 1), nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).relu().mean((2, 3)))


def model(taken: int, size: object = 32, **options: object) -> Model:
    net = seeded(lambda: Net(taken))
    return as_model("net", net, preprocess=Preprocess(size, size), options=ModelOptions.checked(**options))


def test_the_channels_of_a_network_are_found() -> None:
    assert model(3).notes == ()
    assert model(3).preprocess.channels == "rgb"
    grey = model(1)
    assert grey.preprocess.shape == (1, 32, 32)
    assert grey.notes == (
        "The network takes one channel: the luminance of the image, with mean 0.449 and std 0.226, the averages over "
        "the colours (assumed).",
    )
    said = model(1, mean="0.1307", std="0.3081")
    assert (said.preprocess.mean, said.preprocess.std) == ((0.1307,), (0.3081,))
    assert said.notes == ("The network takes one channel: the luminance of the image.",)
    assert model(4).preprocess.channels == "alpha"
    assert model(4).notes == (
        "The network takes four channels: the fourth is the image's alpha, 1 where it has none (assumed).",
    )
    assert model(4, channels="zeros", mean="0.1,0.2,0.3,0.4").preprocess.mean == (0.1, 0.2, 0.3, 0.4)
    assert model(4, mean="0.1,0.2,0.3,0.4").preprocess.mean == (0.1, 0.2, 0.3, 0.4)
    assert model(4, mean="0.1,0.2,0.3").preprocess.mean == (0.1, 0.2, 0.3, 0.0)
    assert model(4, mean="127.5", std="127.5").preprocess.std == (0.5,) * 4


def test_channels_that_a_network_cannot_take_are_refused() -> None:
    with pytest.raises(BadModel, match="It takes 5 channels; images have one, three or four"):
        model(5)
    with pytest.raises(BadModel, match="It takes 1 channel: leave the option channels at auto"):
        model(1, channels="rgb")
    with pytest.raises(BadParameter, match=r"mean cannot be 0\.1,0\.2,0\.3\. Give one number"):
        model(1, mean="0.1,0.2,0.3")
    with pytest.raises(BadParameter, match=r"mean cannot be 0\.1,0\.2,0\.3,0\.4"):
        model(3, mean="0.1,0.2,0.3,0.4")


def test_a_model_says_what_it_sees() -> None:
    assert described(model(1, (32, 48)))["Input"] == (
        "32 × 48 pixels; one channel of luminance, covering 32 × 48, crop 32 × 48 (height × width), mean 0.449, std "
        "0.226 (of pixels from 0 to 1), bilinear"
    )


def test_what_the_network_sees_is_its_input() -> None:
    picture = decode(saved(layered()), "x.png")
    for taken, channels, names in (
        (1, "auto", ["Luminance"]),
        (3, "auto", ["Red, green and blue"]),
        (4, "auto", ["Red, green and blue", "Fourth channel: alpha"]),
        (4, "ones", ["Red, green and blue", "Fourth channel: ones"]),
    ):
        bench = Workbench(model(taken, (32, 48), channels=channels))
        seen = bench.seen(picture)
        assert list(seen) == names
        assert all(pixels.shape == (32, 48, 3) and pixels.dtype == np.uint8 for pixels in seen.values())
        own, found = bench.model.preprocess, list(seen.values())
        stacked = np.concatenate([found[0][..., : min(taken, 3)], *(one[..., :1] for one in found[1:])], 2)
        again = own.normalised(torch.from_numpy(stacked / np.float32(255)).permute(2, 0, 1))
        with torch.no_grad():  # half a step of 8 bits off, as they are rounded
            step = 0.51 / 255 / min(own.std)
            assert float((again - own.tensor(own.seen(picture))).abs().max()) <= step


def test_maps_and_views_have_the_size_of_the_input() -> None:
    bench = Workbench(model(4, (32, 48)))
    picture = decode(saved(layered()), "x.png")
    assert bench.view(picture).shape == (32, 48, 3)
    for name in ("grad_cam", "saliency", "edge_detector", "lime_image"):
        assert bench.explain(picture, Request(name, 0, {"samples": 50} if name == "lime_image" else {})).maps.shape == (
            1, 32, 48,
        ), name  # fmt: skip


def test_transparency_changes_what_a_network_of_four_channels_says() -> None:
    bench = Workbench(model(4))
    clear, opaque = (decode(saved(image), "x.png") for image in (layered(), COLOURS))
    assert not torch.allclose(bench.probabilities(clear), bench.probabilities(opaque))
    with torch.no_grad():
        expected = seeded(lambda: Net(4)).eval()(input_of(bench.model.preprocess, layered())[None])[0]
    assert torch.allclose(bench.logits(clear), expected, atol=1e-6)


def test_deep_transparent_colours_keep_their_depth() -> None:
    preprocess = replace(Preprocess(4, 4, (0.0,) * 4, (1.0,) * 4), channels="alpha")
    values = RNG.random((4, 4, 4)).astype(np.float32)
    assert torch.allclose(preprocess.tensor(preprocess.view(values)), torch.from_numpy(values).permute(2, 0, 1))
