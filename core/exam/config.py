"""The settings of an exam; read by forms, commands and manifests, and therefore free of heavy imports."""

from dataclasses import dataclass
from typing import Annotated, Literal

from core.card import Budget
from core.data.flowers import VARIANTS
from core.data.model_options import ModelOptions
from core.errors import BadParameter, printable
from core.params import Knob, checked, params_of

MEASURES = (
    "auc_iou", "max_iou", "pointing_game", "energy_pointing", "deletion_auc", "insertion_auc", "part_correlation",
    "part_completeness",
)  # fmt: skip


@dataclass(frozen=True)
class ExamConfig(ModelOptions):
    """Everything that determines the content of an exam, besides images and masks of a folder themselves."""

    variant: str = ""  # of the flowers that are drawn; "" for images of a folder
    data: str = ""  # the folder of images; "" for flowers
    masks: str = ""  # the folder or COCO file of their masks; "" for those that the folder of images has itself
    model: str = ""  # "" for the bundled network of the variant
    methods: tuple[str, ...] = ()  # all that the model supports, if none; controls take part in any case
    measures: tuple[str, ...] = MEASURES  # those of parts are left out where images cannot be drawn without them
    images: Annotated[int, Knob("Number of images, evenly from all classes.", 1, 5000)] = 120
    folds: Annotated[
        int, Knob("Disjoint sets of the images: deviations of means, and changes of order between them.", 1, 20)
    ] = 5
    quality: Annotated[Budget, Knob("Quality of all methods and measures.")] = "quick"
    target: Annotated[
        Literal["label", "predicted"],
        Knob("The class that is explained: the image's own if the model has it, or always the predicted one."),
    ] = "label"
    seed: Annotated[int, Knob("Seed of flowers, methods and measures.", 0, 999_999)] = 0
    batch: Annotated[int, Knob("Batch size.", 1, 1024)] = 8


def validated(config: ExamConfig) -> ExamConfig:
    """The same configuration with every setting in range. Raises UnknownName and BadParameter."""
    for name in ("variant", "data", "masks", "model", "labels"):
        if (text := getattr(config, name)) != text.encode("utf-8", "replace").decode():
            message = f"{name} cannot be {printable(text)!r}, as its name is not UTF-8."
            raise BadParameter(message, "Rename the file or folder.")
    if bool(config.variant) == bool(config.data):
        message = "An exam is about a variant of the flowers or about a folder of images."
        raise BadParameter(message, "Give one of --variant and --data.")
    if config.variant:
        VARIANTS[config.variant]
        if config.masks:
            message = "Flowers have masks of their own."
            raise BadParameter(message, "Give --masks with --data only.")
    elif not config.model:
        raise BadParameter("An exam about a folder of images needs a model.", "Name it with --model.")
    for name, given in (("methods", config.methods), ("measures", config.measures)):
        if twice := [one for one in given if given.count(one) > 1]:
            raise BadParameter(f"{name} has {twice[0]} twice.", "Name each once.")
    if not config.measures:
        raise BadParameter("An exam needs a measure.", f"Choose some of {', '.join(MEASURES)}.")
    params = params_of(ExamConfig)
    checked(params, {param.name: getattr(config, param.name) for param in params}, "exam")
    if config.folds > config.images:
        raise too_few(config.images, config.folds)
    return config


def too_few(images: int, folds: int) -> BadParameter:
    """The error about fewer images than folds."""
    message = f"{images} image{'s' * (images != 1)} cannot be split into {folds} folds."
    return BadParameter(message, "Use more images, or fewer folds.")
