"""A description of a loaded network in sentences: preprocessing, layers, activations and normalisation."""

from collections import Counter
from collections.abc import Iterable, Mapping

from core.images import Preprocess
from core.models.model import Model
from core.network.inspection import RELUS, SMOOTH, Layer, Survey


def described(model: Model) -> dict[str, str]:
    """Preprocessing and components of a network, as one sentence per heading."""
    survey, notes = model.survey, model.facts.get("notes")
    return {
        **({"Weights": ". ".join(notes)} if notes else {}),
        "Input": _input(model.preprocess),
        "Operations": ", ".join(survey.operations),
        "Activations": _activations(survey.operations),
        "Normalisation": _normalisation(survey),
        "In place": _in_place(model.overwrote, survey.overwrites),
        "Called more than once": _reused(survey.reused),
        "End": _end(survey.head),
    }


def _input(preprocess: Preprocess) -> str:
    crop = preprocess.crop
    fitted = "" if preprocess.resize == crop else f", shorter side {preprocess.resize} and cut from the middle"
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (preprocess.mean, preprocess.std))
    return f"{crop} × {crop} pixels{fitted}, resized {preprocess.interpolation}; less the mean {mean}, divided by {std}"


def _end(head: str) -> str:
    return f"global average pooling and the linear layer {head}" if head else "not just pooling and one linear layer"


def _activations(operations: Iterable[str]) -> str:
    relus, smooth = (", ".join(one for one in operations if one in kind) for kind in (RELUS, SMOOTH))
    if not (relus and smooth):
        return relus or smooth or "none"
    return f"{relus}, {smooth}; guided backprop and deconvnet leave {smooth} as in the plain gradient"


def _normalisation(survey: Survey) -> str:
    if not survey.norms:
        return "none"
    kinds, folded = _counted(layer.kind for layer in survey.norms), len(survey.folded)
    if not folded:
        return kinds
    which = "all" if folded == len(survey.norms) else f"{folded} of them"
    return f"{kinds}; {which} folded into the layer before for LRP and excitation backprop"


def _in_place(before: Mapping[str, int], still: Mapping[str, int]) -> str:
    parts = []
    if before:
        parts.append(f"{_counted(Counter(before).elements())} until loading switched it off")
    if still:
        parts.append(f"{_counted(Counter(still).elements())} in the network's own code: what is captured is a copy")
    return "; ".join(parts) or "nothing"


def _reused(layers: Iterable[Layer]) -> str:
    return ", ".join(f"{layer.name} ({layer.kind}) × {layer.calls}" for layer in layers) or "nothing"


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word} × {count}" for word, count in Counter(words).items())
