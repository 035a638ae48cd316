"""Presets: settings of published visualisations and inversions, as far as they differ from the defaults.

Published constants for pixels from 0 to 255 are here for pixels from 0 to 1: a step of a pixel along its gradient is
255² times smaller, standard deviations are 255 times smaller; shares and gains of the objective are the same.
"""

from collections.abc import Mapping
from typing import Any

_PIXELS: Mapping[str, Any] = {
    "image": "pixels",
    "pad": 0.0,
    "jitter": 0.0,
    "zoom": 0.0,
    "rotate": 0.0,
    "jitter_after": 0.0,
}
_YOSINSKI: Mapping[str, Any] = {**_PIXELS, "optimiser": "ascent", "noise": 10 / 255, "clip": True}
_STEADY = 100 / 255**2  # the learning rate of 100

# Of `maximise`.
MAXIMISATIONS: Mapping[str, Mapping[str, Any]] = {
    "fourier": {},  # Olah et al. 2017
    "l2": {  # Simonyan et al. 2014: from the mean colour; rate and penalty of 25 and 0.001 in units of std 0.226
        **_PIXELS, "optimiser": "ascent", "rate": 1.3, "steps": 100, "noise": 0.0, "penalty": 0.02,
        "blur": 0.5, "blur_every": 10, "pad": 8.0, "jitter": 16.0,
    },
    # Yosinski et al. 2015, in the order of their table; the third made most of its pictures
    "yosinski-1": {
        **_YOSINSKI, "optimiser": "progress", "rate": _STEADY, "gain": 2.0, "steps": 500,
        "blur": 0.5, "blur_every": 4, "small_norm": 50.0,
    },
    "yosinski-2": {**_YOSINSKI, "rate": _STEADY, "steps": 750, "decay": 0.3, "small_norm": 20.0},
    "yosinski-3": {**_YOSINSKI, "rate": _STEADY, "steps": 1000, "decay": 0.0001, "blur": 1.0, "blur_every": 4},
    "yosinski-4": {
        **_YOSINSKI, "optimiser": "progress", "rate": 1e8 / 255**2, "gain": 2.0, "steps": 1000,
        "blur": 0.5, "blur_every": 4, "small_contribution": 90.0,
    },
}  # fmt: skip

# Of `invert`.
INVERSIONS: Mapping[str, Mapping[str, Any]] = {
    "mahendran": {},  # Mahendran & Vedaldi 2015
    "adam": {"optimiser": "adam", "rate": 0.02},
}
