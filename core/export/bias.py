"""The worth of a region of the images to a model: a table by class, sentences, and a figure of the mean maps."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.masks.pictures import Mask
from core.figures.outline import outlined
from core.figures.sheet import Kind, Panel, sheet
from core.figures.style import DrawnMap, Span, span
from core.measure.intervals import bracketed
from core.review.bias import Counterfactual
from core.review.predictions import Predictions
from core.review.sampled_maps import Box, SampledMaps, common

ALL = "all classes"


def bias_table(
    predictions: Predictions, maps: SampledMaps | None, region: Mask, filled: Counterfactual | None = None
) -> pd.DataFrame:
    """By predicted class and for all: the share of evidence in the region, beside its area, and what filling changes.

    The region is one for all maps (H, W), or one for each (n, H, W). What was not computed has no columns.
    """
    parts = []
    if maps:
        shares = maps.shares(region).rename(columns={"low": "share_low", "high": "share_high", "images": "maps"})
        parts.append(shares.set_index("label"))
    if filled:
        parts.append(filled.by_class().rename(columns={"images": "filled"}).set_index("label"))
    table = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=pd.Index([], name="label"))
    order = sorted(map(int, table.index.tolist()), key=lambda label: (label < 0, label))
    table = table.reindex(order)
    names = [predictions.labels[label] if label >= 0 else ALL for label in order]
    table.insert(0, "class", names)
    return table.reset_index(drop=True)


def share_sentence(maps: SampledMaps, region: Mask) -> str:
    """How much of the evidence lies in the region, beside what its area lets one expect."""
    shares, regions = maps.shares(region), np.broadcast_to(region, maps.values.shape)
    without = int((~regions.any((1, 2))).sum())
    missing = f" {without:,} of the {len(regions):,} images with a map have no region." if without else ""
    if shares.empty:
        return f"No map has any evidence.{missing}" if without < len(regions) else missing.strip()
    row = shares.iloc[-1]
    return (
        f"{row['share']:.1%}{bracketed(row['low'], row['high'])} of the evidence lies in the region, which is "
        f"{row['area']:.1%} of the image: {row['share'] / row['area']:.1f} times what evidence that is spread evenly "
        f"would have there.{missing}"
    )


def flip_sentence(filled: Counterfactual) -> str:
    """How often filling the region changes the prediction, and the control."""
    row = filled.by_class().iloc[-1]
    texts = {
        name: f"{row[name]:{form}}{bracketed(row[f'{name}_low'], row[f'{name}_high'], form)}"
        for name, form in (("flips", ".1%"), ("control", ".1%"), ("change", "+.2f"))
    }
    missing = f" Left out without a region or a prediction: {filled.without:,}." if filled.without else ""
    return (
        f"Filled, it changes the prediction of {texts['flips']} of {int(row['images']):,} images, and the probability "
        f"of the predicted class by {texts['change']}; the opposite region changes {texts['control']}.{missing}"
    )


def spread_sentence(groups: pd.DataFrame) -> str:
    """The difference between the largest and the smallest accuracy of groups."""
    if len(groups) < 2:
        return "There are fewer than two groups with images of known class, so there is nothing to compare."
    ordered = groups.sort_values("accuracy", kind="stable")
    worst, best = ordered.iloc[0], ordered.iloc[-1]
    difference = 100 * (best["accuracy"] - worst["accuracy"])
    return (
        f"From {worst['accuracy']:.1%} ({worst['group']}) to {best['accuracy']:.1%} ({best['group']}): "
        f"a spread of {difference:.1f} percentage points."
    )


def bias_json(
    predictions: Predictions, region: Box | str, without: int, table: pd.DataFrame, groups: pd.DataFrame | None
) -> dict[str, Any]:
    """The region, the `bias_table`, and the accuracy by group if there are any.

    The region is a box, in per cent of the view, or the path of the masks; `without` is the number of images that have
    none, or no prediction.
    """
    tables = {"classes": table, **({} if groups is None else {"groups": groups})}
    return {
        "source": predictions.source.name,
        "model": predictions.manifest.model.name,
        "model_sha256": predictions.manifest.model.sha,
        "region": region if isinstance(region, str) else [round(100 * side, 4) for side in region],
        "without": without,
        **{name: one.astype(object).where(one.notna(), None).to_dict("records") for name, one in tables.items()},
    }


def map_span(values: NDArray[np.float64]) -> Span:
    """The range of the colour map for a mean map."""
    return span(DrawnMap(values.astype(np.float32), signed=False))


def maps_figure(predictions: Predictions, maps: SampledMaps, region: Mask, kind: Kind = "png") -> bytes:
    """The file of the mean map of each class over the mean image, with the border of what most regions share."""
    panels = [
        Panel(
            predictions.labels[label], (f"{count:,} images",), values.astype(np.float32), map_span(values)
        )
        for label, (values, count) in maps.means.items()
    ]  # fmt: skip
    title = f"Mean maps of {predictions.model} on {predictions.source.name}"
    return sheet(outlined(maps.mean, common(region)), title, [panels], kind=kind)
