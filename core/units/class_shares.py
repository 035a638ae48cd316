"""Shares of the filters in the logit of a class, where the means of their maps feed one linear layer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from core.errors import Unsupported
from core.models.model import Model
from core.network.hooks import module_named


@dataclass(frozen=True)
class ClassShares:
    """The mean logit of a class over some images as a sum over filters."""

    # filter, weight, activation (mean of the map over these images), share (their product), everywhere (the product
    # with the mean over all images); the largest |share| first
    table: pd.DataFrame
    bias: float
    images: int

    @property
    def logit(self) -> float:
        """The mean logit: the sum of all shares and the bias."""
        return float(self.table["share"].sum()) + self.bias


def missing_shares(model: Model) -> str:
    """Why the logits of a model are no sums over filters, as a sentence; "" if they are."""
    survey = model.survey
    if not survey.head or _head(model).out_features != len(model.labels):
        return f"The logits of {model.display} are not computed from pooled maps by one linear layer."
    if survey.head_rectifies and not survey.rectified:
        return f"{model.display} removes negative values of {survey.default} before it pools them."
    return ""


def class_shares(
    model: Model, pooled: NDArray[np.floating], label: int, rows: NDArray[np.integer] | NDArray[np.bool_]
) -> ClassShares:
    """The share of each filter in the mean logit of a class over some images: weight × mean activation.

    `pooled` (N, D) has the means of the maps of the model's default layer for all images, `rows` selects those that the
    shares are about. Raises Unsupported without such images, and for other networks, as `missing_shares` says.
    """
    if reason := missing_shares(model):
        raise Unsupported(reason, "Only sums can be split into shares of filters.")
    own = np.asarray(pooled[rows], np.float64)
    if not len(own):
        raise Unsupported(f"There is no image of {model.labels[label]}.", "Choose a class that has images.")
    head = _head(model)
    weight = head.weight[label].detach().cpu().double().numpy()
    activation = own.mean(0)
    table = pd.DataFrame({
        "filter": np.arange(len(weight)),
        "weight": weight,
        "activation": activation,
        "share": weight * activation,
        "everywhere": weight * np.asarray(pooled, np.float64).mean(0),
    })  # fmt: skip
    order = np.argsort(-table["share"].abs().to_numpy(), kind="stable")
    return ClassShares(
        table.iloc[order].reset_index(drop=True),
        0.0 if head.bias is None else float(head.bias[label]),
        len(own),
    )


def _head(model: Model) -> nn.Linear:
    head = module_named(model.net, model.survey.head)
    if not isinstance(head, nn.Linear):
        raise TypeError(f"{model.survey.head} is not a linear layer")
    return head
