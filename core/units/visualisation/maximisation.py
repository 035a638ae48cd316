"""Activation maximisation: an image made by optimisation that a class, unit or direction responds to most."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.card import Passes
from core.errors import BadParameter, Cancelled, Unsupported
from core.explain.baselines import SIDE
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.params import Knob, LayerName, params_of
from core.progress import Report, chunks, silent
from core.randomness import generator
from core.units.visualisation.images import Components, Fourier, Parameters, Pixels
from core.units.visualisation.objectives import Objective, similarity
from core.units.visualisation.reading import (
    colour_channels,
    inputs,
    mean_colour,
    needs_gradients,
    read,
    shown,
)
from core.units.visualisation.redirection import redirected
from core.units.visualisation.steps import Refinement, Rule, climb
from core.units.visualisation.transformations import Transformations, transformations_for

EVERY = 8  # steps between running pictures
STARTS = 5  # tried while the gradient is zero
TITLE = "Activation maximisation"

ImageBy = Annotated[
    Literal["fourier", "pixels", "components"],
    Knob("What is optimised: a spectrum with decorrelated colours, pixels, or components of given images."),
]


@dataclass(frozen=True)
class Running:
    """The pictures of a maximisation that is still running."""

    pictures: NDArray[np.float32]  # (N, H, W, 3) in [0, 1]
    step: int  # steps made, from 1
    steps: int
    objective: NDArray[np.float64]  # (step, N), so far


Watch = Callable[[Running], bool]


@dataclass(frozen=True)
class Visualisation:
    """Images made by optimisation, and what the network makes of them."""

    pictures: NDArray[np.float32]  # (N, H, W, 3) in [0, 1]
    objective: NDArray[np.float64]  # (S, N) of each step: of the transformed image, less the penalty
    responses: NDArray[np.float64]  # (N,) the objective of the pictures themselves
    seed: int  # that the pictures depend on: a later one than was asked for, if its gradient was zero
    settings: Mapping[str, Any]
    passes: Passes
    finished: bool  # False: stopped early, with the pictures so far

    @property
    def note(self) -> str:
        """Why there is nothing to see, as one sentence; "" for pictures that raise the objective."""
        if self.objective[-1].max() > self.objective[0].max():
            return ""
        return "The objective did not rise: the start may be too far from any response, or the rate too small."

    @property
    def picture(self) -> NDArray[np.float32]:
        """The first picture, (H, W, 3)."""
        return self.pictures[0]


def check(settings: Mapping[str, Any]) -> None:
    """Raise BadParameter for settings of `maximise` that do not go together."""
    if settings["image"] != "pixels":
        for name in ("clip", "decay", "blur_every", "small_norm", "small_contribution"):
            if settings[name]:
                message = f"maximise.{name} changes pixels, and the image is made of {settings['image']}."
                raise BadParameter(message, "Set maximise.image to pixels.")
    if settings["diversity"] and settings["pictures"] < 2:
        raise BadParameter("One picture cannot be diverse.", "Set maximise.pictures to 2 or more.")


def maximise(
    model: Model,
    objective: Objective,
    *,
    image: ImageBy = "fourier",
    steps: Annotated[int, Knob("Optimisation steps.", 1, 5000)] = 256,
    optimiser: Annotated[
        Rule, Knob("Step: Adam, the gradient times the rate, or a rate that gains the same at every step.")
    ] = "adam",
    rate: Annotated[float, Knob("Learning rate; of progress its upper limit.", 0)] = 0.05,
    gain: Annotated[float, Knob("Gain of the objective at every step, of progress.", 0)] = 2.0,
    noise: Annotated[float, Knob("Standard deviation of the start, in units of what is optimised.", 0)] = 0.01,
    penalty: Annotated[
        float, Knob("Weight of the squared norm (λ): of pixels less the mean, or of components.", 0)
    ] = 0.0,
    pad: Annotated[float, Knob("Grey border around the image, in pixels of a 224 px image.", 0, 112)] = 12.0,
    jitter: Annotated[float, Knob("Range of the first shift, in pixels of a 224 px image.", 0, 64)] = 8.0,
    zoom: Annotated[float, Knob("Largest change of the scale, as a share.", 0, 0.9)] = 0.1,
    rotate: Annotated[float, Knob("Largest rotation, in degrees.", 0, 180)] = 10.0,
    jitter_after: Annotated[float, Knob("Range of the second shift, in pixels of a 224 px image.", 0, 64)] = 4.0,
    clip: Annotated[bool, Knob("Clip pixels to the range that can be shown before every pass.")] = False,
    decay: Annotated[float, Knob("Share of every pixel, less the mean, that is lost at a step.", 0, 1)] = 0.0,
    blur: Annotated[float, Knob("Standard deviation of the blur, in pixels of a 224 px image.", 0, 60)] = 0.0,
    blur_every: Annotated[int, Knob("Steps from one blur to the next; 0 is never.", 0, 1000)] = 0,
    small_norm: Annotated[
        float, Knob("Percent of the pixels that become the mean: those closest to it.", 0, 100)
    ] = 0.0,
    small_contribution: Annotated[
        float, Knob("Percent of the pixels that become the mean: those of least gradient times pixel.", 0, 100)
    ] = 0.0,
    components: Annotated[int, Knob("Number of principal components of the given images.", 1, 1000)] = 64,
    pictures: Annotated[int, Knob("Number of pictures.", 1, 16)] = 1,
    diversity: Annotated[
        float, Knob("Weight of the similarity of the pictures' textures, which is subtracted.", 0)
    ] = 0.0,
    diverse_layer: Annotated[LayerName, Knob("Layer where textures are compared.")] = "",
    examples: Tensor | None = None,  # (n, C, H, W) network inputs, whose components may be the image
    seed: int = 0,  # step k and picture i draw by it and their own number alone
    report: Report = silent,
    watch: Watch = lambda running: False,  # receives running pictures; stops the work by returning True
) -> Visualisation:
    """An image that makes an activation or a logit as large as possible.

    Gradient ascent from noise, of one picture or several at once. Every step sees the image shifted, scaled and rotated
    a little differently, which keeps it from details that count at one position alone. Where the gradient is zero,
    inactive ReLUs pass one that would activate them; where even that is zero, the start is drawn again with the next
    seed. Of pixels, rates, noise and penalties are for values from 0 to 1. Stopped early, the work keeps its last
    pictures.
    """
    given = locals()
    settings = {param.name: given[param.name] for param in params_of(maximise)}
    check(settings)
    needs_gradients(model, TITLE)
    objective.check(model)
    size = model.preprocess.size
    made = _image(model, image, components, examples)
    ascent = _Ascent(
        model,
        objective,
        made,
        transformations_for(size, pad=pad, jitter=jitter, zoom=zoom, rotate=rotate, jitter_after=jitter_after),
        penalty=penalty,
        diversity=diversity,
        diverse_layer=model.resolve_layer(diverse_layer) if diversity else "",
    )
    refine = Refinement(decay, blur * min(size) / SIDE, blur_every, small_norm, small_contribution)
    up = climb(optimiser, rate, gain)

    def clipped(parameters: Tensor) -> Tensor:
        return made.clipped(parameters) if clip and isinstance(made, Pixels) else parameters

    history: list[Tensor] = []
    finished = False
    try:
        with RepeatedReport(report) as repeated:
            for used in range(seed, seed + (STARTS if noise else 1)):
                parameters = clipped(made.start(pictures, noise, used).to(model.device))
                values, gradient, moves = ascent.slope(parameters, 0, used)
                if moves:
                    break
            else:
                raise _flat(model, noise)
            for span in chunks(steps, 1, repeated.report, "steps", counted=True):
                step = span.start
                if step:
                    values, gradient, _ = ascent.slope(parameters, step, used)
                parameters = clipped(refine(up(parameters, gradient), gradient, step))
                history.append(values)
                if step % EVERY == EVERY - 1 or step == steps - 1:
                    running = Running(shown(made.colours(parameters)), step + 1, steps, _array(torch.stack(history)))
                    if watch(running):
                        break
            else:
                finished = True
    except Cancelled:
        if not history:
            raise
    colours = made.colours(parameters).clamp(0, 1)
    responses = _array(ascent.responses(colours))
    objectives = _array(torch.stack(history))
    return Visualisation(shown(colours), objectives, responses, used, settings, ascent.passes, finished)


class _Ascent:
    """What is ascended: the objective of the transformed images, less penalty and similarity."""

    def __init__(
        self,
        model: Model,
        objective: Objective,
        image: Parameters,
        transformations: Transformations,
        *,
        penalty: float,
        diversity: float,
        diverse_layer: str,
    ) -> None:
        self.passes = Passes()  # so far
        self._model, self._objective, self._image, self._transformations = model, objective, image, transformations
        self._penalty, self._diversity = penalty, diversity
        self._textures = (diverse_layer,) if diversity else ()

    def slope(self, parameters: Tensor, step: int, seed: int) -> tuple[Tensor, Tensor, bool]:
        """The values (N,), their gradient, and whether the objective of every image has one.

        Where the gradient of the objective is zero, it is that of redirected ReLUs.
        """
        values, gradient = self._passed(parameters, step, seed, nullcontext())
        still = ~gradient.flatten(1).any(1)
        if bool(still.any()):
            _, raising = self._passed(parameters, step, seed, redirected())
            gradient = torch.where(still.view(-1, *[1] * (gradient.dim() - 1)), raising, gradient)
        moves = bool(gradient.flatten(1).any(1).all())
        if self._penalty:
            with torch.enable_grad():
                leaf = parameters.detach().requires_grad_()
                penalties = self._penalty * self._image.squares(leaf)
                gradient = gradient - torch.autograd.grad(penalties.sum(), leaf)[0]
            values = values - penalties.detach()
        return values, gradient, moves

    def _passed(
        self, parameters: Tensor, step: int, seed: int, rules: AbstractContextManager[object]
    ) -> tuple[Tensor, Tensor]:
        """The objectives (N,) and the gradient of their sum less the similarity."""
        with torch.enable_grad():
            leaf = parameters.detach().requires_grad_()
            images = self._transformations(self._image.colours(leaf), generator(seed, step))
            with rules:
                outputs = self._read(images, *self._textures)
            values = self._objective.value(outputs)
            alike = sum(similarity(outputs[layer]) for layer in self._textures)
            (gradient,) = torch.autograd.grad(values.sum() - self._diversity * alike, leaf)
        self.passes += Passes(backward=len(parameters))
        if not bool(values.isfinite().all()):
            message = f"The ascent left the finite numbers in {self._model.display}."
            raise Unsupported(message, "Set maximise.rate to a smaller value, or check the model's weights.")
        return values.detach(), gradient

    @torch.no_grad()
    def responses(self, colours: Tensor) -> Tensor:
        """The objective (N,) of images as they are."""
        return self._objective.value(self._read(colours))

    def _read(self, colours: Tensor, *layers: str) -> dict[str, Tensor]:
        self.passes += Passes(len(colours))
        return read(self._model, inputs(self._model.preprocess, colours), [*self._objective.layers, *layers])


def _image(model: Model, kind: str, components: int, examples: Tensor | None) -> Parameters:
    """What is optimised."""
    if kind == "fourier":
        return Fourier(colour_channels(model.preprocess), model.preprocess.size)
    if kind == "pixels":
        return Pixels(mean_colour(model.preprocess).to(model.device), model.preprocess.size)
    if examples is None or len(examples) < 2:
        raise BadParameter("Components need images to be computed from.", "Give two or more images as examples.")
    colours = model.preprocess.pixels(examples)[:, : colour_channels(model.preprocess)]
    return Components.of(colours.to(model.device), components)


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.cpu().double().numpy()


def _flat(model: Model, noise: float) -> Unsupported:
    if noise:
        message = f"Its gradient in {model.display} is zero at {STARTS} random starts: the unit may never be active."
        return Unsupported(message, "Raise maximise.noise, choose another unit, or the layer before the activation.")
    message = f"The gradient in {model.display} is zero at an image of the mean colour."
    return Unsupported(message, "Set maximise.noise above 0 for a random start.")
