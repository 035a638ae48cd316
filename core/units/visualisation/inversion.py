"""Inversion: images with the same encoding at a layer as a given one, which show what the layer keeps of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.errors import BadParameter, Cancelled, Unsupported
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.network.inspection import Layer
from core.params import Knob, params_of
from core.progress import Report, chunks, item, silent
from core.randomness import generator
from core.units.visualisation.reading import (
    colour_channels,
    inputs,
    layer_facts,
    mean_colour,
    needs_gradients,
    read,
    shown,
)
from core.units.visualisation.redirection import redirected
from core.units.visualisation.regularisers import Regulariser, alpha_norm, total_variation
from core.units.visualisation.steps import climb

TITLE = "Inversion"
EVERY = 10  # steps between running pictures
TYPICAL = 0.226  # root mean square of the pixels of natural images less their mean, in [0, 1]
# Constants of Mahendran & Vedaldi 2015, as their code has them, but for pixels from 0 to 255: the weight of the norm,
# 8e-10, becomes 8e-10 · 255⁴ = 3.38; the weight of the total variation for β = 2 and the rate are the same.
SCHEDULE = ((0.25, 1.0), (0.75, 0.1), (1.0, 0.01))  # (up to this share of the steps, factor of the rate)
DEPTHS = ((0.3, 1.0), (0.6, 10.0), (1.0, 100.0))  # (up to this share of the layers, factor of the total variation)
MOMENTUM = 0.9
FAR = 0.9  # an error of an image that hardly agrees with the encoding; without any response it is 1

Optimiser = Annotated[
    Literal["momentum", "adam"],
    Knob("Gradient descent with momentum, whose rate falls to 1/10 and 1/100, or Adam."),
]


@dataclass(frozen=True)
class RunningInversion:
    """The picture of an inversion that is still running."""

    picture: NDArray[np.float32]  # (H, W, 3) in [0, 1]
    restart: int
    step: int  # steps made, from 1
    steps: int
    error: float  # of the encoding, as in `Inversion.errors`


Watch = Callable[[RunningInversion], bool]


@dataclass(frozen=True)
class Inversion:
    """Images with about the same encoding at a layer as a given image: one per restart."""

    layer: str
    pictures: NDArray[np.float32]  # (R, H, W, 3) in [0, 1]
    errors: NDArray[np.float64]  # (R, S + 1) ‖Φ(x) − Φ₀‖² / ‖Φ₀‖² before each step and at the end; NaN where stopped
    energies: NDArray[np.float64]  # (R, S + 1) the errors plus the regularisers
    seed: int
    settings: Mapping[str, Any]
    passes: Passes
    finished: bool  # False: stopped early, with the pictures so far

    @property
    def note(self) -> str:
        """Why there is little to see, as one sentence; "" for pictures with about the wanted encoding."""
        if np.nanmin(self.errors) < FAR:
            return ""
        return "The encoding was not reached: weigh the total variation less, and not by depth."


def invert(
    model: Model,
    image: Tensor,  # (C, H, W), a network input
    layer: str,  # with or without spatial positions
    *,
    optimiser: Optimiser = "momentum",
    steps: Annotated[int, Knob("Optimisation steps of each picture.", 1, 10_000)] = 400,
    rate: Annotated[float, Knob("Learning rate at the start: about 0.004 with momentum, 0.02 with Adam.", 0)] = 0.004,
    alpha: Annotated[float, Knob("Power α of the norm that keeps pixels in range.", 1, 12)] = 6.0,
    norm_weight: Annotated[float, Knob("Weight of the α-norm, of pixels in [0, 1] less the mean.", 0)] = 3.38,
    beta: Annotated[float, Knob("Power β of the total variation; smaller ones give sharper edges.", 1, 6)] = 2.0,
    variation_weight: Annotated[float, Knob("Weight of the total variation, of pixels in [0, 1].", 0)] = 1.0,
    by_depth: Annotated[
        bool, Knob("Weigh the total variation 10 times more beyond 30% of the layers, and 100 times beyond 60%.")
    ] = True,
    neighbourhood: Annotated[int, Knob("Side of the central square of positions that counts; 0 is all.", 0)] = 0,
    restarts: Annotated[int, Knob("Pictures, each from other noise.", 1, 16)] = 1,
    seed: int = 0,  # restart r draws by it and r alone
    report: Report = silent,
    watch: Watch = lambda running: False,  # receives running pictures; stops the work by returning True
) -> Inversion:
    """Images that a layer encodes like a given one.

    Gradient descent from noise on the squared distance of the two encodings, as a share of the squared norm of the
    given one, plus a norm and a total variation of the pixels that keep the image natural. What differs between
    restarts is what the layer does not keep. Weights and rates are for pixels from 0 to 1, less the network's mean.
    Stopped early, the work keeps its last pictures.
    """
    given = locals()
    settings = {param.name: given[param.name] for param in params_of(invert)}
    needs_gradients(model, TITLE)
    smooth = variation_weight * (depth_factor(model, layer) if by_depth else 1.0)
    energy = _Energy(
        model, image, layer, neighbourhood, [(norm_weight, alpha_norm, alpha), (smooth, total_variation, beta)]
    )
    errors, energies = (np.full((restarts, steps + 1), np.nan) for _ in range(2))
    found: list[Tensor] = []  # the pixels of each restart begun
    finished = False

    def descend(restart: int, report: Report) -> bool:
        """Fill in one restart; False if it was stopped."""
        noise = torch.randn(energy.shape, generator=generator(seed, restart))
        pixels = (noise * (energy.variance**0.5 / noise.norm())).to(model.device)
        move = descent(optimiser, rate, steps)
        for span in chunks(steps, 1, report, "steps", counted=True):
            step = span.start
            errors[restart, step], energies[restart, step], gradient = energy.slope(pixels)
            pixels = move(pixels, gradient, step)
            found[restart:] = [pixels]
            if (step % EVERY == EVERY - 1 or step == steps - 1) and watch(
                RunningInversion(energy.pictures(pixels)[0], restart, step + 1, steps, errors[restart, step])
            ):
                return False
        errors[restart, steps], energies[restart, steps], _ = energy.slope(pixels)
        return True

    try:
        with RepeatedReport(report) as repeated:
            finished = all(
                descend(restart, item(repeated.report, restart, restarts, "restart")) for restart in range(restarts)
            )
    except Cancelled:
        if not found:
            raise
    rows = slice(len(found))
    pictures = energy.pictures(torch.cat(found))
    return Inversion(layer, pictures, errors[rows], energies[rows], seed, settings, energy.passes, finished)


class _Energy:
    """What is descended: the squared distance of the encodings, and regularisers with their weights and powers."""

    def __init__(
        self,
        model: Model,
        image: Tensor,
        layer: str,
        neighbourhood: int,
        regularisers: Sequence[tuple[float, Regulariser, float]],
    ) -> None:
        self._model, self._facts, self._side = model, layer_facts(model, layer), neighbourhood
        self._regularisers = regularisers
        self._mean = mean_colour(model.preprocess).to(model.device)
        self._fourth = image[None, colour_channels(model.preprocess) :]
        self.passes = Passes(1)  # so far
        self.shape = (1, len(self._mean), *image.shape[1:])  # of pixels less the mean
        self.variance = TYPICAL**2 * math.prod(self.shape)  # σ²
        with torch.no_grad():
            self._wanted = self._encoded(model.preprocess.pixels(image)[None, : len(self._mean)] - self._mean)
        self._size = float(self._wanted.square().sum())
        if not self._size:
            message = f"Layer '{layer}' of {model.display} is zero everywhere for this image."
            raise Unsupported(message, "Choose another layer or another image.")

    def slope(self, pixels: Tensor) -> tuple[float, float, Tensor]:
        """Error, energy, and σ² times the gradient of the energy.

        Where the gradient of the error is zero, it is that of redirected ReLUs.
        """
        value, gradient = self._agreement(pixels, nullcontext())
        if not bool(gradient.any()):
            _, gradient = self._agreement(pixels, redirected())
        energy, gradient = -value, -self.variance * gradient
        for weight, regulariser, power in self._regularisers:
            size, along = regulariser(pixels, power)
            energy += weight / 2 * float(size) / self.variance
            gradient = gradient + weight / 2 * along
        return -value, energy, gradient

    def pictures(self, pixels: Tensor) -> NDArray[np.float32]:
        """Pixels less the mean (N, C, H, W) as pictures (N, H, W, 3)."""
        return shown(pixels + self._mean)

    def _agreement(self, pixels: Tensor, rules: AbstractContextManager[object]) -> tuple[float, Tensor]:
        """Minus the error, and its gradient."""
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            with rules:
                maps = self._encoded(leaf)
            value = -(maps - self._wanted).square().sum() / self._size
            (gradient,) = torch.autograd.grad(value, leaf)
        self.passes += Passes(1, 1)
        if not math.isfinite(float(value.detach())):
            message = f"The descent left the finite numbers in {self._model.display}."
            hint = "Set invert.rate to a smaller value, or invert.optimiser to adam with a rate of 0.02."
            raise Unsupported(message, hint)
        return float(value.detach()), gradient

    def _encoded(self, pixels: Tensor) -> Tensor:
        images = inputs(self._model.preprocess, pixels + self._mean, self._fourth)
        return _central(read(self._model, images, [self._facts.name])[self._facts.name], self._facts, self._side)


def invert_layers(
    model: Model, image: Tensor, layers: Sequence[str] = (), *, report: Report = silent, **settings: Any
) -> tuple[Inversion, ...]:
    """Inversions of an image at one layer after another: what is lost from layer to layer.

    At the stages of the network where no layers are named; `settings` are those of `invert`, its seed and its watch. A
    layer at which the work was stopped is the last one. Raises what `invert` raises.
    """
    names = layers or model.survey.stages
    if not names:
        raise Unsupported(f"{model.display} has no layer with spatial positions.", "Name the layers to invert.")
    for name in names:
        layer_facts(model, name)
    found: list[Inversion] = []
    for number, name in enumerate(names):
        try:
            found.append(invert(model, image, name, report=item(report, number, len(names), "layer"), **settings))
        except Cancelled:
            if not found:
                raise
            break
        if not found[-1].finished:
            break
    return tuple(found)


def depth_factor(model: Model, layer: str) -> float:
    """The factor of the total variation at a layer: deeper ones say less about neighbouring pixels.

    As for the 20 layers of the network of Mahendran & Vedaldi: 1 for the first 6, 10 for the next 6, then 100.
    """
    facts = layer_facts(model, layer)
    depth = (model.survey.layers.index(facts) + 1) / len(model.survey.layers)
    return next(factor for share, factor in DEPTHS if depth <= share)


Move = Callable[[Tensor, Tensor, int], Tensor]  # (pixels, gradient, step) -> next pixels


def descent(optimiser: str, rate: float, steps: int) -> Move:
    """The function that makes a step down.

    With momentum the rate falls twice, and the momentum starts again at zero when it does.
    """
    if optimiser == "adam":
        up = climb("adam", rate, 0)
        return lambda pixels, gradient, step: up(pixels, -gradient)
    speed, last = torch.zeros(()), 0.0

    def move(pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
        nonlocal speed, last
        factor = next(factor for share, factor in SCHEDULE if step < share * steps)
        speed = (MOMENTUM * speed if factor == last else 0) - factor * rate * gradient
        last = factor
        return pixels + speed

    return move


def _central(maps: Tensor, facts: Layer, side: int) -> Tensor:
    """The central square of maps (N, K, h, w). Raises BadParameter where they have fewer positions."""
    height, width = maps.shape[2:]
    if not side:
        return maps
    if side > min(height, width):
        message = f"Layer '{facts.name}' has {height} × {width} positions, too few for a neighbourhood of {side}."
        raise BadParameter(message, f"Give at most {min(height, width)}, or 0 for all.")
    top, left = (height - side) // 2, (width - side) // 2
    return maps[..., top : top + side, left : left + side]
