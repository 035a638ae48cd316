"""Edits applied: to pictures of every depth, and to filters of a network that others share."""

import io
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.edits.apply import cells_of, edited, edits_of, scaled
from core.edits.edit import Box, Brightness, Filters, Jpeg, Noise, Rotation, Segments, Stroke, read, read_all
from core.errors import BadParameter, UnknownName, Unsupported
from core.images import Picture, eight_bits, picture_of
from core.models import load
from core.network.hooks import capture
from core.randomness import generator
from core.workbench import Workbench

Y, X = np.mgrid[:60, :80]


def picture(*, kind="colour"):
    pixels = np.stack([X * 3, Y * 4, (X + Y) % 40 * 5], 2).astype(np.uint8)
    if kind == "alpha":
        return picture_of(Image.fromarray(np.dstack([pixels, (X > 40) * 200 + 50]).astype(np.uint8)), "a.png")
    if kind == "colour":
        return picture_of(Image.fromarray(pixels), "a.png")
    values = (X + 80 * Y).astype(np.float32) / (80 * 60)
    values = values if kind == "grey" else np.stack([values, values**2, 1 - values], 2)
    return Picture("a.tif", eight_bits(values), "sha", values=values)


PIXELS = ["box=10,5,20,30:zero", "stroke=3,5,5,50,40:mean", "segments=20,3,7:blur", "brightness=1.4", "rotate=15"]


@pytest.mark.parametrize("kind", ["colour", "alpha", "deep", "grey"])
@pytest.mark.parametrize("text", [*PIXELS, "noise=0.1,3"])
def test_every_kind_of_picture_is_edited(kind, text):
    before = picture(kind=kind)
    after = edited(before, [read(text)])
    assert after.source.shape == before.source.shape
    assert after.source.dtype == before.source.dtype
    assert after.sha != before.sha
    assert after.name == before.name
    assert edits_of(after) == (text,)
    assert text in after.note
    assert not np.array_equal(after.source, before.source)
    assert np.array_equal(after.pixels, eight_bits(after.source))
    if kind == "alpha":
        assert after.layers.shape == before.layers.shape


def test_nothing_to_edit_is_the_same_picture():
    one = picture()
    assert edited(one, []) is one
    assert edited(one, [Filters("relu4", (1,))]) is one


def test_edits_apply_in_order_and_one_after_the_other():
    edits = [Brightness(2), Box(0, 0, 10, 10, "zero")]
    both = edited(picture(), edits)
    assert both.sha == edited(edited(picture(), edits[:1]), edits[1:]).sha
    assert edited(edited(picture(), edits[:1]), edits[1:]).edits == both.edits
    assert both.sha != edited(picture(), edits[::-1][:1]).sha
    assert both.original.sha == picture().sha


def test_a_box_changes_only_its_pixels_and_is_clipped_at_the_border():
    after = edited(picture(), [Box(70, 50, 100, 100, "zero")]).pixels
    inside = (X >= 70) & (Y >= 50)
    assert not after[inside].any()
    assert np.array_equal(after[~inside], picture().pixels[~inside])


def test_zero_is_black_and_mean_the_colour_of_each_region():
    own, cells = picture().pixels, cells_of(picture(), 20)
    after = edited(picture(), [Segments(20, (3, 7), "mean")]).pixels
    for number in (3, 7):
        mean = own[cells == number].astype(float).mean(0)
        assert np.abs(after[cells == number] - mean).max() <= 0.5
    assert np.array_equal(after[~np.isin(cells, (3, 7))], own[~np.isin(cells, (3, 7))])


def test_superpixels_are_those_of_the_image_as_decoded():
    turned = edited(picture(), [Rotation(90)])
    assert np.array_equal(cells_of(turned, 20), cells_of(picture(), 20))
    after = edited(turned, [Segments(20, (3,), "zero")]).pixels
    assert not after[cells_of(picture(), 20) == 3].any()
    assert np.array_equal(after, edited(picture(), [Rotation(90), Segments(20, (3,), "zero")]).pixels)


def test_a_stroke_replaces_what_is_near_its_line():
    after = edited(picture(), [Stroke(4, ((20, 30), (60, 30)), "zero")]).pixels
    distance = np.hypot(X - X.clip(20, 60), Y - 30)
    assert not after[distance < 3].any()
    assert np.array_equal(after[distance > 5.5], picture().pixels[distance > 5.5])


def test_a_region_below_transparent_parts_becomes_opaque():
    after = edited(picture(kind="alpha"), [Box(0, 0, 10, 10, "zero")])
    assert (after.layers[:10, :10, 3] == 255).all()
    assert not after.pixels[:10, :10].any()
    assert np.array_equal(after.layers[20:], picture(kind="alpha").layers[20:])


def test_another_image_is_brought_to_the_size_and_depth():
    red = picture_of(Image.new("RGB", (7, 5), (255, 0, 0)), "red.png")
    box = Box(0, 0, 10, 10, "image red.png")
    assert (edited(picture(), [box], lambda name: {"red.png": red}[name]).pixels[:10, :10] == [255, 0, 0]).all()
    values = edited(picture(kind="grey"), [box], lambda name: red).values[:10, :10]
    assert values == pytest.approx(1 / 3)
    with pytest.raises(UnknownName, match="no image called"):
        edited(picture(), [box])


def test_the_other_edits_are_what_they_say():
    own = picture().pixels
    assert np.abs(edited(picture(), [Brightness(0.5)]).pixels - own / 2.0).max() <= 0.5
    assert np.array_equal(edited(picture(), [Rotation(180)]).pixels, own[::-1, ::-1])
    file = io.BytesIO()
    Image.fromarray(own).save(file, "JPEG", quality=30)
    assert np.array_equal(edited(picture(), [Jpeg(30)]).pixels, np.asarray(Image.open(file)))
    drawn = torch.randn((60, 80, 3), generator=generator(3, 0)).numpy()
    noisy = np.rint((own / 255 + drawn * 0.1).clip(0, 1) * 255)
    assert np.abs(edited(picture(), [Noise(0.1, 3)]).pixels - noisy).max() <= 1


def test_what_does_not_fit_the_picture_is_refused():
    with pytest.raises(BadParameter, match="lies outside the image, which has 80 × 60"):
        edited(picture(), [Box(80, 0, 5, 5)])
    with pytest.raises(BadParameter, match="stroke lies outside"):
        edited(picture(), [Stroke(2, ((500, 500),))])
    with pytest.raises(UnknownName, match="no superpixel 399"):
        edited(picture(), [Segments(20, (399,))])
    with pytest.raises(Unsupported, match="8 bits per value"):
        edited(picture(kind="deep"), [Jpeg(30)])


def test_blur_is_the_same_for_a_pixel_whatever_the_region():
    rng = np.random.default_rng(0)
    large = picture_of(Image.fromarray(rng.integers(0, 256, (501, 647, 3), np.uint8)), "large.png")  # reduced first
    whole = edited(large, [Box(0, 0, 647, 501)]).pixels
    part = edited(large, [Box(203, 111, 101, 57)]).pixels
    window = np.s_[111:168, 203:304]
    assert np.abs(part[window].astype(int) - whole[window]).max() <= 1


@pytest.fixture(scope="module")
def model():
    return load("flowers-double-12c")


def test_scaled_filters_of_the_head_agree_with_ablation_and_with_the_weights(model):
    bench, off = Workbench(model), Workbench(scaled(model, read_all(["filters=relu4:32,54*0"])))
    assert torch.allclose(off.logits(picture()), bench.logits_without(picture(), "relu4", [32, 54]), atol=1e-5)
    twice = Workbench(scaled(model, [Filters("relu4", (32,), 2.0), Filters("relu4", (32,), 0.5)]))
    assert torch.allclose(twice.logits(picture()), bench.logits(picture()), atol=1e-5)
    head = model.net.get_submodule(model.survey.head)
    pooled = bench.activations(picture(), "relu4").mean((1, 2))
    three = Workbench(scaled(model, [Filters("relu4", (32,), 3.0)])).logits(picture())
    assert torch.allclose(three - bench.logits(picture()), 2 * pooled[32] * head.weight[:, 32], atol=1e-4)


def test_the_shared_network_is_unchanged_and_its_tensors_are_shared(model):
    before, hooks = Workbench(model).logits(picture()), [len(m._forward_hooks) for m in model.net.modules()]
    other = scaled(model, [Filters("relu3", (1, 2), 0.0)])
    assert torch.equal(Workbench(model).logits(picture()), before)
    assert [len(m._forward_hooks) for m in model.net.modules()] == hooks
    shared = zip(model.net.state_dict().values(), other.net.state_dict().values(), strict=True)
    assert all(one.data_ptr() == two.data_ptr() for one, two in shared)
    assert [name for name, _ in other.net.named_modules()] == [name for name, _ in model.net.named_modules()]


def test_keys_differ_so_that_no_cache_mixes_them_up(model):
    cache = Workbench(model).cache
    keys = {scaled(model, [Filters("relu4", (32,), factor)]).key for factor in (0.0, 1.0, 2.0)}
    assert len(keys | {model.key}) == 4
    bench, off = Workbench(model, cache), Workbench(scaled(model, [Filters("relu4", (32,))]), cache)
    assert not torch.equal(bench.logits(picture()), off.logits(picture()))
    assert scaled(model, [Jpeg(3)]) is model


def test_maps_of_the_edited_network_are_of_edited_outputs(model):
    off = scaled(model, [Filters("relu4", (32,))])
    assert not Workbench(off).activations(picture(), "relu4")[32].any()
    assert Workbench(model).activations(picture(), "relu4")[32].any()


def test_hooks_of_other_threads_are_not_copied(model):
    entered, leave = threading.Event(), threading.Event()

    def other():
        with capture(model.net, "relu4"):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(60)
    net = scaled(model, [Filters("relu3", (1,))]).net
    leave.set()
    thread.join()
    assert not net.get_submodule("relu4")._forward_hooks
    assert len(net.get_submodule("relu3")._forward_hooks) == 1


def test_a_factor_behind_the_default_layer_takes_the_shortcut_through_the_last_weights_away(model):
    first, last = model.survey.stages[0], model.survey.default
    assert scaled(model, [Filters(first, (1,))]).survey.head == model.survey.head
    behind = replace(model, survey=replace(model.survey, default=first))
    assert scaled(behind, [Filters(last, (1,))]).survey.head == ""


def test_unknown_layers_and_filters_are_refused(model):
    with pytest.raises(UnknownName, match="Did you mean 'relu4'"):
        scaled(model, [Filters("relu44", (1,))])
    with pytest.raises(UnknownName, match="no unit 900"):
        scaled(model, [Filters("relu4", (900,))])
