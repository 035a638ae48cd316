"""Maximally activating patches: where in which images each unit responds most strongly."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.images import eight_bits
from core.network.receptive_field import receptive_fields
from core.params import Knob
from core.progress import Report, chunks, subrange
from core.store.schema import Column, Values
from core.units.analysis import Arrays, Findings, Parts, Subject, analysis
from core.units.signal import signal_boxes

_NUMBER = Column("number", -1e30, 1e30)
_COUNT, _TRUTH = Column("whole"), Column("truth")
_OR_NONE = Column("whole", -1)
_PATCHES = 64  # patches per shard of the signal's boxes
_SIGNAL = ("signal_top", "signal_left", "signal_height", "signal_width")


@analysis(
    "Maximally activating patches",
    family="images",
    source="Zeiler & Fergus 2014; Springenberg et al. 2015",
    formula="v_n = max_uv A_k^n(u, v), the N largest over n",
    caution="The strongest patches say little about what a unit responds to moderately, which is most of the images.",
    cost=lambda settings, side: Passes(1),
    needs=("images",),
    tables={
        "units": {
            "layer": Column("whole", below="layers"), "unit": _COUNT, "lowest": _NUMBER, "highest": _NUMBER,
            "patches": _COUNT, "dead": _TRUTH,
        },
        "patches": {
            "layer": Column("whole", below="layers"), "unit": _COUNT, "rank": _COUNT,
            "image": Column("whole", below="images"), "value": _NUMBER, "row": _COUNT, "column": _COUNT, "top": _COUNT,
            "left": _COUNT, "height": _COUNT, "width": _COUNT, "clipped": _TRUTH,
            **dict.fromkeys(_SIGNAL, _OR_NONE),
        },
    },
    arrays={"crops": Values("uint8", ("patches", "side", "side", 3))},
    noun="gallery",
    rounds=3,
)  # fmt: skip
def activating(
    subject: Subject,
    *,
    top: Annotated[int, Knob("Patches per unit (N).", 1, 100)] = 9,
    per_image: Annotated[
        int, Knob("At most this many patches of one image: further ones are local maxima.", 1, 100)
    ] = 1,
    signal: Annotated[bool, Knob("Also the box of the guided-backprop signal, by another pass per patch.")] = False,
    least: Annotated[float, Knob("Fraction of the strongest signal above which pixels count.", 0, 1, 0.01)] = 0.0,
    side: Annotated[int, Knob("Height and width of the stored pictures of the patches, in pixels.", 8, 256)] = 48,
) -> Findings:
    """The patches to which each unit responds most strongly, with their positions and boxes.

    The box is the exact receptive field of the position, inside the image; the field of a deep layer is larger than
    most images, so the box of the signal that reaches the position can be added. A unit has no patch where its response
    is its lowest one, and a dead unit, whose response never changes, has none at all. Array `crops` shows each patch:
    the square around its box, or around that of the signal, as far as the image goes.
    """
    first, middle, last = (0.0, 0.6 if signal else 0.9), (0.6, 0.9), (0.9, 1.0)
    parts = subject.mapper(
        partial(_strongest, subject, top, per_image), subject.shards, subrange(subject.report, *first)
    )
    best, low, high = _merged(parts, top)
    patches = _patches(subject, best, low)
    if signal and len(patches):
        work = partial(_signals, subject, patches, least)
        boxes = subject.mapper(work, -(-len(patches) // _PATCHES), subrange(subject.report, *middle))
        found = np.concatenate([boxes.array(shard, "boxes") for shard in range(len(boxes))])
        patches.loc[:, list(_SIGNAL)] = found
    crops = np.zeros((len(patches), side, side, 3), np.uint8)
    pictures = subject.mapper(partial(_crops, subject, patches, side), subject.shards, subrange(subject.report, *last))
    for shard in range(len(pictures)):
        crops[_of_images(patches, subject.rows(shard))] = pictures.array(shard, "crops")
    layers, units = zip(*subject.units, strict=True)
    counts = patches.groupby(["layer", "unit"]).size().to_dict()
    table = pd.DataFrame({
        "layer": layers, "unit": units, "lowest": low.astype(float), "highest": high.astype(float),
        "patches": [counts.get(one, 0) for one in subject.units], "dead": low == high,
    })  # fmt: skip
    return Findings({"units": table, "patches": patches}, {"crops": crops}, notes=_notes(subject, table))


def _notes(subject: Subject, units: pd.DataFrame) -> tuple[str, ...]:
    counts = [int(units["dead"][units["layer"] == layer].sum()) for layer in range(len(subject.layers))]
    return tuple(
        f"{count:,} of the {facts.units:,} units of {facts.name} are dead: their response is the same in all images."
        for count, facts in zip(counts, subject.facts, strict=True)
        if count
    )


@dataclass(frozen=True)
class _Best:
    """The strongest responses of each of K units, in order: missing ones are minus infinity."""

    values: NDArray[np.float32]  # (N, K)
    images: NDArray[np.int64]
    cells: NDArray[np.int64]  # position in the flattened map

    def joined(self, other: "_Best", top: int) -> "_Best":
        """The strongest of both; of equal ones those of this, then those that come first."""
        values = np.concatenate([self.values, other.values])
        order = np.argsort(-values, axis=0, kind="stable")[:top]
        images, cells = (
            np.take_along_axis(np.concatenate(pair), order, 0)
            for pair in ((self.images, other.images), (self.cells, other.cells))
        )
        return _Best(np.take_along_axis(values, order, 0), images, cells)


def _strongest(subject: Subject, top: int, per_image: int, shard: int, report: Report) -> Arrays:
    """The strongest responses to the images of a shard, (N, K) for the units of all layers."""
    best: _Best | None = None
    lows, highs = [], []
    for batch, layers, _ in subject.reduced(subject.rows(shard), partial(_peaks, per_image), report):
        count = max(len(one.values) for one in layers)
        values = np.concatenate([_padded(one.values, count, -np.inf) for one in layers], 2)  # (count, B, K)
        cells = np.concatenate([_padded(one.cells, count, -1) for one in layers], 2)
        images = np.broadcast_to(np.array(batch)[:, None, None], (len(batch), count, values.shape[2]))
        flat = (len(batch) * count, -1)  # image by image
        new = _Best(
            values.transpose(1, 0, 2).reshape(flat), images.reshape(flat), cells.transpose(1, 0, 2).reshape(flat)
        )
        empty = _Best(new.values[:0], new.images[:0], new.cells[:0])
        best = (best or empty).joined(new, top)
        lows.append(np.concatenate([one.low for one in layers]))
        highs.append(values.max((0, 1)))
    if best is None:
        raise ValueError(f"shard {shard} has no images")
    return {
        "values": best.values, "images": best.images, "cells": best.cells, "low": np.min(lows, 0),
        "high": np.max(highs, 0),
    }  # fmt: skip


@dataclass(frozen=True)
class _Peaks:
    """The strongest responses in each map of a batch."""

    values: NDArray[np.float32]  # (n, B, K)
    cells: NDArray[np.int64]  # positions in the flattened maps
    low: NDArray[np.float32]  # (K,) the lowest responses


def _peaks(per_image: int, maps: Tensor) -> _Peaks:
    """The strongest responses in each map (B, K, h, w): local maxima if several of one image are wanted."""
    low = maps.amin((0, 2, 3)).cpu().numpy()
    if per_image == 1 and maps.is_cuda:
        values, cells = maps.flatten(2).max(2)
        return _Peaks(values[None].cpu().numpy(), cells[None].cpu().numpy(), low)
    if per_image == 1:
        flat = maps.flatten(2).numpy()
        at = flat.argmax(2)  # five times as fast as torch's
        return _Peaks(np.take_along_axis(flat, at[..., None], 2)[None, ..., 0], at[None], low)
    peaks = maps == F.max_pool2d(maps, 3, 1, 1)
    ordered, cells = maps.masked_fill(~peaks, -torch.inf).flatten(2).sort(dim=2, descending=True, stable=True)
    values, cells = (one[..., :per_image].permute(2, 0, 1).cpu() for one in (ordered, cells))
    return _Peaks(values.numpy(), cells.numpy(), low)


def _padded(values: NDArray[np.generic], count: int, empty: float) -> NDArray[np.generic]:
    """(n, B, K) values filled up to `count`."""
    missing = np.full((count - len(values), *values.shape[1:]), empty, values.dtype)
    return np.concatenate([values, missing])


def _merged(parts: Parts, top: int) -> tuple[_Best, NDArray[np.float32], NDArray[np.float32]]:
    """The strongest responses over all shards, and the lowest and highest response of each unit."""
    best: _Best | None = None
    lows, highs = [], []
    for shard in range(len(parts)):
        new = _Best(*(np.asarray(parts.array(shard, name)) for name in ("values", "images", "cells")))
        best = best.joined(new, top) if best else new
        lows.append(parts.array(shard, "low"))
        highs.append(parts.array(shard, "high"))
    if best is None:
        raise ValueError("there are no images")
    return best, np.min(lows, 0), np.max(highs, 0)


def _patches(subject: Subject, best: _Best, low: NDArray[np.float32]) -> pd.DataFrame:
    """Table `patches`, without the boxes of signals."""
    example = torch.zeros(1, *subject.model.preprocess.shape, device=subject.model.device)
    fields = receptive_fields(subject.model.net, example, subject.layers)
    found, units = [], np.array(subject.units)
    for layer, facts in enumerate(subject.facts):
        field, own = fields[facts.name], np.flatnonzero(units[:, 0] == layer)
        # By unit and then by rank.
        unit, rank = np.nonzero((best.values[:, own] > low[own]).T)
        values, images, cells = (one[rank, own[unit]] for one in (best.values, best.images, best.cells))
        rows, columns = np.divmod(cells, facts.cells[1])
        reached = [
            len(span.starts) - 1 for span in (field.rows, field.columns)
        ]  # tokens have the field of one position
        boxes = field.boxes(rows.clip(0, reached[0]), columns.clip(0, reached[1]))
        table = {
            "layer": np.full(len(unit), layer), "unit": unit, "rank": rank, "image": images,
            "value": values.astype(np.float64), "row": rows, "column": columns,
            **dict(zip(("top", "left", "height", "width"), boxes.T, strict=True)), "clipped": field.clipped(boxes),
            **dict.fromkeys(_SIGNAL, -1),
        }  # fmt: skip
        found.append(pd.DataFrame(table))
    return pd.concat(found, ignore_index=True)


def _signals(subject: Subject, patches: pd.DataFrame, least: float, shard: int, report: Report) -> Arrays:
    """The boxes (n, 4) of the signals of some patches."""
    rows = patches.iloc[shard * _PATCHES : (shard + 1) * _PATCHES]
    found: list[NDArray[np.int64]] = []
    for span in chunks(len(rows), subject.batch, report, "signals"):
        part = rows.iloc[span.start : span.stop]
        found.append(_of_layers(subject, part, least))
    return {"boxes": np.concatenate(found)}


def _of_layers(subject: Subject, patches: pd.DataFrame, least: float) -> NDArray[np.int64]:
    boxes = np.zeros((len(patches), 4), np.int64)
    for layer in patches["layer"].unique().tolist():
        chosen = np.flatnonzero(patches["layer"] == layer)
        own = patches.iloc[chosen]
        places: Sequence[tuple[int, int, int]] = list(own[["unit", "row", "column"]].itertuples(index=False, name=None))
        inputs = subject.inputs(own["image"].tolist())
        boxes[chosen] = signal_boxes(subject.model, inputs, subject.layers[layer], places, least=least)
    return boxes


def _of_images(patches: pd.DataFrame, rows: range) -> NDArray[np.int64]:
    """The patches of some images, image by image."""
    own = np.flatnonzero(patches["image"].between(rows.start, rows.stop - 1))
    return own[np.argsort(patches["image"].to_numpy()[own], kind="stable")]


def _crops(subject: Subject, patches: pd.DataFrame, side: int, shard: int, report: Report) -> Arrays:
    """The pictures (n, side, side, 3) of the patches of a shard's images; each image is read once."""
    chosen = patches.iloc[_of_images(patches, subject.rows(shard))]
    crops = np.zeros((len(chosen), side, side, 3), np.uint8)
    images = chosen["image"].to_numpy()
    every = np.unique(images)
    for span in chunks(len(every), 1, report, "patches"):
        image = every[span.start]
        pixels = subject.model.preprocess.colours(subject.images.input(int(image)))
        for number in np.flatnonzero(images == image):
            rows, columns = _square(chosen.iloc[number], (pixels.shape[1], pixels.shape[2]))
            cut = F.interpolate(pixels[None, :, rows, columns], (side, side), mode="bilinear", antialias=True)
            crops[number] = eight_bits(cut[0].permute(1, 2, 0).numpy())
    return {"crops": crops}


def _square(patch: "pd.Series[Any]", size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of the square around a patch's box, in an image of this height and width."""
    names = _SIGNAL if patch[_SIGNAL[0]] >= 0 else ("top", "left", "height", "width")
    top, left, height, width = (int(patch[name]) for name in names)
    side = min(max(height, width, 1), *size)
    starts = (
        min(max(first + length // 2 - side // 2, 0), whole - side)
        for first, length, whole in zip((top, left), (height, width), size, strict=True)
    )
    rows, columns = (slice(start, start + side) for start in starts)
    return rows, columns
