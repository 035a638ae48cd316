"""The labels of ImageNet, out of torchvision and without importing it, which takes longer than a map."""

import ast
from functools import cache

from core.resources import package_folder


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 labels of ImageNet in torchvision's order."""
    try:
        return _read()
    except (OSError, SyntaxError, ValueError, LookupError):  # another version of torchvision keeps them elsewhere
        from torchvision import models

        return tuple(models.get_model_weights("resnet18").DEFAULT.meta["categories"])


def _read() -> tuple[str, ...]:
    """The labels in the source of torchvision's module of labels."""
    folder = package_folder("torchvision")
    if folder is None:
        raise LookupError("torchvision is not installed")
    source = (folder / "models" / "_meta.py").read_text("utf-8")
    values = {
        node.targets[0].id: node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return tuple(ast.literal_eval(values["_IMAGENET_CATEGORIES"]))
