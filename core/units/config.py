"""The settings of a stored analysis of units; free of heavy imports, as commands and manifests read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from core.data.model_options import ModelOptions
from core.errors import BadParameter, printable
from core.params import Knob, checked, params_of


@dataclass(frozen=True)
class UnitsConfig(ModelOptions):
    """Everything that determines the content of an analysis, besides the images and masks themselves."""

    analysis: str = ""
    model: str = ""
    data: str = ""  # the folder of images, with masks of concepts where the analysis needs them
    layers: tuple[str, ...] = ()  # those that the analysis reads by default, if none
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the analysis
    images: Annotated[int, Knob("Number of images, evenly from all classes; 0 for all.", 0, 10_000_000)] = 0
    seed: Annotated[int, Knob("Random seed.", 0, 999_999)] = 0
    batch: Annotated[int, Knob("Batch size.", 1, 1024)] = 16


def validated(config: UnitsConfig) -> UnitsConfig:
    """The same configuration with every setting in range. Raises UnknownName and BadParameter."""
    for name in ("data", "model", "labels"):
        if (text := getattr(config, name)) != text.encode("utf-8", "replace").decode():
            message = f"{name} cannot be {printable(text)!r}, as its name is not UTF-8."
            raise BadParameter(message, "Rename the file or folder.")
    if twice := [one for one in config.layers if config.layers.count(one) > 1]:
        raise BadParameter(f"layers has {twice[0]} twice.", "Name each once.")
    params = params_of(UnitsConfig)
    checked(params, {param.name: getattr(config, param.name) for param in params}, "units")
    return config
