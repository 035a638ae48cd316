"""Cards of the images made by optimisation: their settings, cost and sources."""

from core.card import Card, Passes
from core.units.visualisation.inversion import invert
from core.units.visualisation.maximisation import check, maximise

MAXIMISATION = Card.of(
    maximise,
    "Activation maximisation",
    family="visualisation",
    source="Simonyan et al. 2014; Yosinski et al. 2015; Olah et al. 2017",
    formula="argmax over x of a(T(x)) − λ‖x‖²; a: logit or activation; T: random shift, scale and rotation",
    caution="Shows what drives a unit furthest, which is unlike natural images; other starts show other sides of it.",
    cost=lambda settings, side: Passes(settings["steps"], settings["steps"]) * settings["pictures"],
    validate=check,
)
INVERSION = Card.of(
    invert,
    "Inversion",
    family="visualisation",
    source="Mahendran & Vedaldi 2015",
    formula="argmin over x of ‖Φ(x) − Φ₀‖² / ‖Φ₀‖² + regularisers",
    caution="Regularisers decide what the layer leaves open: a smooth picture says nothing of a smooth encoding.",
    cost=lambda settings, side: Passes(settings["steps"], settings["steps"]) * settings["restarts"],
)
