"""Options of a model that its weights do not hold: labels, meaning of the outputs, preparation of images."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Self

from core.params import FilePath, Knob, Numbers, Sides, checked, params_of

Output = Literal["softmax", "sigmoid", "multilabel", "regression"]
Channels = Literal["grey", "rgb", "alpha", "zeros", "ones"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]

LARGEST = 4096  # pixels, the side of an input


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of a model; by default it is read as its source says."""

    labels: Annotated[FilePath, Knob("File with the class names for your own weights, one per line.")] = ""
    weight_set: Annotated[
        str,
        Knob(
            "Where a weights file holds several sets of weights, the name before those to take, such as `model_ema`, "
            "or `.` for those without one; empty: averaged ones first."
        ),
    ] = ""
    output: Annotated[
        Literal["auto", "softmax", "sigmoid", "multilabel", "regression"],
        Knob(
            "Meaning of the outputs: one class of several, one logit, several labels at once, or values; auto is "
            "sigmoid for one output and softmax for several."
        ),
    ] = "auto"
    threshold: Annotated[
        float, Knob("Probability above which a label is predicted, for sigmoid and multilabel.", 0, 1, 0.01)
    ] = 0.5
    channels: Annotated[
        Literal["auto", "grey", "rgb", "alpha", "zeros", "ones"],
        Knob(
            "Channels of the input: grey, rgb, or four, of which the last is the image's alpha, zeros or ones; auto: "
            "what the network takes."
        ),
    ] = "auto"
    size: Annotated[
        Sides,
        Knob(
            "Side of the network's input in pixels, or HEIGHT,WIDTH, with `resize` in proportion; 0: the model's.",
            0,
            LARGEST,
        ),
    ] = 0
    resize: Annotated[
        Sides,
        Knob(
            "Shorter side of an image before the crop, or HEIGHT,WIDTH that it covers; 0: the model's.", 0, 4 * LARGEST
        ),
    ] = 0
    crop: Annotated[
        Sides, Knob("Side of the central crop, or HEIGHT,WIDTH, the network's input; 0: the model's.", 0, LARGEST)
    ] = 0
    mean: Annotated[Numbers, Knob("Mean subtracted from each channel, or one number for all; empty: the model's.")] = ()
    std: Annotated[
        Numbers, Knob("Standard deviation that each channel is divided by, or one number; empty: the model's.")
    ] = ()
    interpolation: Annotated[
        Literal["auto", "nearest", "bilinear", "bicubic", "lanczos", "box"],
        Knob("Interpolation of resized images; auto: the model's."),
    ] = "auto"
    fit: Annotated[
        Literal["auto", "crop", "squash"],
        Knob("Images of other proportions: their centre, or all of them squashed to the input; auto: the model's."),
    ] = "auto"
    revision: Annotated[str, Knob("Branch, tag or commit of a Hugging Face model; empty: the newest.")] = ""

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """The options with these values. Raises BadParameter for one of the wrong kind or out of range."""
        return cls(**checked(params_of(cls), given, "model", lambda name: name))

    def changed(self) -> dict[str, Any]:
        """The options that differ from the defaults, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(ModelOptions)
            if getattr(self, field.name) != field.default
        }

    @property
    def prepares(self) -> bool:
        """Whether the preparation of images is changed."""
        return not self.changed().keys() <= {"labels", "weight_set", "output", "threshold", "revision"}


def options_of(config: ModelOptions) -> ModelOptions:
    """The options alone, of a configuration that contains them."""
    return ModelOptions(**config.changed())
