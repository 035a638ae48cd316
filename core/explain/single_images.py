"""Running maps of methods that work on one image at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.explain.query import Query
from core.progress import item


def per_image(
    query: Query, run: Callable[[Query], Iterator[Tensor]], *, in_half_precision: bool = False
) -> Iterator[Tensor]:
    """Running maps (B, H, W) of a method that works on one image at a time; maps not yet begun are zero.

    With `in_half_precision` each image is computed in half precision if that is allowed. The method's remarks are
    listed per image, in order.
    """
    maps, remarks = torch.zeros(len(query.images), *query.size), query.log.remarks
    per_image_remarks: list[dict[str, float | str]] = []
    for row in range(len(maps)):
        one = query.subset(slice(row, row + 1), item(query.report, row, len(maps), "image"))
        query.log.remarks = {}
        per_image_remarks.append(query.log.remarks)
        try:
            for maps[row] in run(one.in_half_precision() if in_half_precision else one):
                remarks.update(_combined(per_image_remarks))
                query.log.remarks = remarks
                yield maps.clone()
                query.log.remarks = per_image_remarks[row]
        finally:
            query.log.remarks = remarks


def _combined(remarks: list[dict[str, float | str]]) -> dict[str, float | str]:
    """Merge the remarks about several images: equal values as one value, others as a list."""
    combined = {}
    for name in dict.fromkeys(name for one in remarks for name in one):
        values = [one[name] for one in remarks if name in one]
        words = [f"{value:.4g}" if isinstance(value, float) else value for value in values]
        combined[name] = values[0] if len(set(values)) == 1 else "; ".join(words)
    return combined
