"""Facts that the manifests of several kinds of stores have."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelFacts:
    """The model that results are about."""

    name: str
    sha: str
    output: str = "softmax"  # the meaning of the outputs, `data.model_options.Output`
    preparation: str = ""  # of images, as a sentence


@dataclass(frozen=True)
class DataFacts:
    """The images that results are about."""

    folder: str  # absolute, or relative to the store's own folder; "" for images that are drawn
    fingerprint: str  # hash of what determines images and masks
    left_out: Mapping[str, int] = field(default_factory=dict)  # number of images by reason
