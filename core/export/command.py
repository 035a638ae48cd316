"""The command line that reproduces a comparison."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from core.data.labels import class_text
from core.models.model import Model
from core.params import spelled
from core.workbench import Request


def command_line(
    model: Model,
    image: str,
    requests: Sequence[Request],
    *,
    seed: int = 0,
    layer: str = "",
    out: str = "out",
    true: int | None = None,
) -> str:
    """The command line that reproduces these maps, and the judgement of the prediction if the true class is known."""
    settings: Mapping[str, Any] = {
        f"{request.name}.{n}": value for request in requests for n, value in request.settings.items()
    }
    words = ["vitrine", "explain", f"./{image}" if image.startswith("-") else image, "--model", model.name]
    for name, value in model.options.changed().items():
        words += [f"--{name}", spelled(value)]
    words += ["--method", ",".join(dict.fromkeys(request.name for request in requests))]
    for target in dict.fromkeys(request.target for request in requests):
        words += ["--target", class_text(target, model.labels)]
    for name, value in settings.items():
        words += ["--set", f"{name}={spelled(value)}"]
    if any(request.settle for request in requests):
        words.append("--settle")
    if layer:
        words += ["--layer", layer]
    if true is not None:
        words += ["--label", class_text(true, model.labels)]
    return shlex.join([*words, "--seed", str(seed), "--out", out])
