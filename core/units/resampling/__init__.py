"""Input resampling: the filters that matter in a neighbourhood of an image (Lengerich et al. 2017).

`resample` gives the scores of every filter by every metric, `Resampled.selected` the best of each layer, `patches`
where they look. `evaluation` and `secondary_classifier` measure how good such selections are. A filter is a channel of
a convolution: linear layers and the blocks of transformers are refused with one sentence; of a vision transformer the
embedding of patches is the one convolution.
"""

from core.units.convolutions import Convolution, convolutions
from core.units.resampling.metrics import METRICS, Metric
from core.units.resampling.patches import Patch, patches
from core.units.resampling.picture import picture
from core.units.resampling.resampled import Resampled, resample
from core.units.resampling.selection import select

__all__ = [
    "METRICS", "Convolution", "Metric", "Patch", "Resampled", "convolutions", "patches", "picture", "resample",
    "select",
]  # fmt: skip
