"""Application of edits: to the pixels of a picture, and to the filters of a network."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.edits.arrays import Array, as_type, on_colours, on_white, white
from core.edits.edit import (
    Brightness,
    Edit,
    Filters,
    Jpeg,
    Noise,
    PixelEdit,
    Region,
    Rotation,
)
from core.edits.regions import Cells, Images, no_images, replaced, superpixels
from core.errors import UnknownName, Unsupported
from core.images import Picture, eight_bits
from core.models.model import Model
from core.network.hooks import sharing_copy
from core.randomness import generator
from core.units.ablation import shaped

_ROWS = 64  # of noise drawn by one generator


@dataclass(frozen=True, kw_only=True)
class EditedPicture(Picture):
    """A picture with its pixels edited; its hash is that of the edited content."""

    original: Picture
    edits: tuple[str, ...]  # as texts, in order

    @property
    def file(self) -> str:
        """How a command line names the file of the original."""
        return self.original.file


def original_of(picture: Picture) -> Picture:
    """The picture as decoded."""
    return picture.original if isinstance(picture, EditedPicture) else picture


def cells_of(picture: Picture, count: int) -> Cells:
    """The superpixel of each pixel (H, W), about `count` of the picture as decoded, by which `Segments` chooses."""
    return superpixels(original_of(picture).pixels, count)


def edits_of(picture: Picture) -> tuple[str, ...]:
    """The texts of the edits that were made of a picture; none of an original."""
    return picture.edits if isinstance(picture, EditedPicture) else ()


def edited(picture: Picture, edits: Sequence[Edit], images: Images = no_images) -> Picture:
    """The picture with its pixels edited in order; those of filters are left out. The same picture if none remain.

    Deep values are edited as such, and colours below transparent parts too; a region that is replaced is opaque.
    Superpixels are those of the image as decoded. The hash is that of the content; `images` gives the pictures that
    regions are filled with. Raises BadParameter for a region outside the image, Unsupported for JPEG on deep values,
    and what `images` raises.
    """
    chosen = [edit for edit in edits if isinstance(edit, PixelEdit)]
    if not chosen:
        return picture
    original, start = original_of(picture), picture.source if picture.layers is None else picture.layers
    array: Array = np.atleast_3d(start)
    for edit in chosen:
        if isinstance(edit, Region):
            array = replaced(array, edit, original.pixels, images)
        else:
            array = _APPLY[type(edit)](array, edit)
    layers = None if picture.layers is None else array
    flat: Array = array if layers is None else on_white(layers)
    source = flat[..., 0] if start.ndim == 2 else flat
    deep = picture.values is not None
    texts = tuple(map(str, chosen))
    content = hashlib.sha256(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return EditedPicture(
        name=picture.name,
        pixels=eight_bits(source),
        sha=content.hexdigest(),
        note=" ".join(filter(None, [picture.note, f"Edited: {', '.join(map(_brief, texts))}."])),
        values=source if deep else None,
        layers=layers,
        scale=picture.scale,
        window=picture.window,
        page=picture.page,
        pages=picture.pages,
        original=original,
        edits=(*edits_of(picture), *texts),
    )


def scaled(model: Model, edits: Sequence[Edit]) -> Model:
    """The model with the outputs of filters multiplied by their factors; the same model if no edit is of filters.

    Its network has modules of its own with the tensors of the shared one, which is not changed; layers keep their
    names. Factors of the same filter multiply. Raises UnknownName for a layer or filter the model lacks, Unsupported
    for a layer without positions.
    """
    chosen = [edit for edit in edits if isinstance(edit, Filters)]
    if not chosen:
        return model
    factors: dict[str, torch.Tensor] = {}
    for edit in chosen:
        for unit in edit.units:
            model.resolve_unit(f"{edit.layer}:{unit}")
        facts = model.survey.layer(edit.layer)
        if facts is None:
            raise UnknownName(f"Layer '{edit.layer}' is not computed by {model.display}.", "Choose another layer.")
        factor = factors.setdefault(edit.layer, torch.ones(1, facts.units))
        factor[0, sorted(set(edit.units))] *= edit.factor
    net = sharing_copy(model.net)
    for layer, factor in factors.items():
        facts = model.survey.layer(layer)
        assert facts is not None  # looked up above
        net.get_submodule(layer).register_forward_hook(_multiplied(shaped(factor, facts.layout).to(model.device)))
    survey, order = model.survey, [layer.name for layer in model.survey.layers]
    default = order.index(survey.default) if survey.default else len(order)
    # Between the default layer and the end, a factor would have to be part of the last weights.
    behind = any(order.index(layer) > default for layer in factors)
    layers = tuple(replace(one, reads="") if one.reads in factors else one for one in survey.layers)
    survey = replace(survey, layers=layers, head="" if behind else survey.head)
    return replace(model, net=net, survey=survey, edits=(*model.edits, *map(str, chosen)))


def _multiplied(factor: torch.Tensor) -> Callable[[nn.Module, Any, Any], torch.Tensor]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> torch.Tensor:
        result: torch.Tensor = output * factor.to(output.dtype)
        return result

    return hook


def _brighter(array: Array, edit: Brightness) -> Array:
    factor = np.float32(edit.factor)
    return on_colours(array, lambda colours: as_type(array.dtype, colours.astype(np.float32) / white(array) * factor))


def _turned(array: Array, edit: Rotation) -> Array:
    channels = [array[..., channel] for channel in range(array.shape[2])]
    fills = [0, 0, 0, 255 if array.dtype == np.uint8 else 1]
    turned = [
        np.asarray(Image.fromarray(channel).rotate(edit.degrees, Image.Resampling.BILINEAR, fillcolor=fill))
        for channel, fill in zip(channels, fills, strict=False)
    ]
    return np.stack(turned, 2)


def _noisy(array: Array, edit: Noise) -> Array:
    def noisy(colours: Array) -> Array:
        result = np.empty_like(colours)
        for index, top in enumerate(range(0, len(colours), _ROWS)):
            rows = colours[top : top + _ROWS]
            drawn = torch.randn(rows.shape, generator=generator(edit.seed, index)).numpy()
            noise = drawn * np.float32(edit.deviation)
            result[top : top + _ROWS] = as_type(array.dtype, rows.astype(np.float32) / white(array) + noise)
        return result

    return on_colours(array, noisy)


def _compressed(array: Array, edit: Jpeg) -> Array:
    if array.dtype != np.uint8:
        message = "A JPEG holds 8 bits per value, and this image has more."
        raise Unsupported(message, "Leave out jpeg, or use an image of 8 bits.")

    def compressed(colours: Array) -> Array:
        if max(colours.shape[:2]) > 65_500:
            raise Unsupported("A JPEG has at most 65,500 pixels on a side.", "Leave out jpeg.")
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(colours)).save(file, "JPEG", quality=edit.quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return on_colours(array, compressed)


_APPLY: Mapping[type[Edit], Callable[[Array, Any], Array]] = {
    Brightness: _brighter,
    Rotation: _turned,
    Noise: _noisy,
    Jpeg: _compressed,
}


def _brief(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:40]}…{text[-12:]}"
