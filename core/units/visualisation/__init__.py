"""Images made by optimisation: what a class, unit or direction responds to most, and what a layer encodes."""

from core.units.visualisation.inversion import Inversion, RunningInversion, invert, invert_layers
from core.units.visualisation.maximisation import Running, Visualisation, maximise
from core.units.visualisation.objectives import (
    Direction,
    Neuron,
    Objective,
    Scored,
    Sum,
    WholeLayer,
    channel,
    class_logit,
)
from core.units.visualisation.presets import INVERSIONS, MAXIMISATIONS

__all__ = [
    "INVERSIONS",
    "MAXIMISATIONS",
    "Direction",
    "Inversion",
    "Neuron",
    "Objective",
    "Running",
    "RunningInversion",
    "Scored",
    "Sum",
    "Visualisation",
    "WholeLayer",
    "channel",
    "class_logit",
    "invert",
    "invert_layers",
    "maximise",
]
