"""Networks exported to ONNX, for tests."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SIDE = 32


def small(outputs: int) -> nn.Module:
    """A network of two convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, outputs),
    )  # fmt: skip


def saved(
    net: nn.Module,
    path: Path,
    *,
    dynamo: bool = False,
    batch: int | None = None,
    images: Tensor | None = None,
    outputs: tuple[str, ...] = ("logits",),
    **options: Any,
) -> Path:
    """The file of a network, as torch's exporter writes it: for any number of images, or for `batch` of them."""
    images = torch.rand(batch or 2, 3, SIDE, SIDE) if images is None else images
    if batch is None and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("N")},)
    elif batch is None:
        options["dynamic_axes"] = {name: {0: "N"} for name in ("images", *outputs)}
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net.eval(), (images,), path, dynamo=dynamo, external_data=options.pop("external_data", False),
                input_names=["images"], output_names=list(outputs), verbose=False, **options,
            )  # fmt: skip
    finally:
        logging.disable(logging.NOTSET)
    return path
